import { expect, test } from 'vitest'
import { findProgram, kindOf } from '../../../../src/platform/windows/find-program.js'

const FILES = [
  'C:\\node\\npm', 'C:\\node\\npm.cmd', 'C:\\node\\node.exe', 'C:\\Windows\\System32\\where.EXE', 'C:\\tools\\setup.exe.cmd', 'C:\\tools\\script.py', 'C:\\tools\\run.bat',
  'C:\\tools\\both.exe', 'C:\\tools\\both.cmd', 'C:\\work\\git.exe', 'C:\\work\\bin\\own.cmd', 'D:\\x\\far.exe', '\\\\server\\share\\net.exe', 'C:\\with space\\spaced.exe',
]
const exists = (path: string): boolean => FILES.some(file => file.toLowerCase() === path.toLowerCase())
const ENV = { Path: 'relative;;\\current-drive;C:\\work\\..\\tools;C:\\node;"C:\\with space";C:\\Windows\\System32;\\\\server\\share', pathext: '.COM;.EXE;.BAT;.CMD' }

test.each<{ name: string; path: string | undefined; kind?: string; env?: Record<string, string | undefined> }>([
  { name: 'npm', path: 'C:\\node\\npm.CMD', kind: 'batch' },
  { name: 'node', path: 'C:\\node\\node.EXE', kind: 'program' },
  { name: 'node.exe', path: 'C:\\node\\node.exe', kind: 'program' },
  { name: 'where', path: 'C:\\Windows\\System32\\where.EXE', kind: 'program' },
  { name: 'setup.exe', path: 'C:\\tools\\setup.exe.CMD', kind: 'batch' },
  { name: 'both', path: 'C:\\tools\\both.EXE', kind: 'program' },
  { name: 'both', path: 'C:\\tools\\both.CMD', kind: 'batch', env: { ...ENV, pathext: '.CMD;.EXE' } },
  { name: 'run', path: 'C:\\tools\\run.BAT', kind: 'batch' },
  { name: 'spaced', path: 'C:\\with space\\spaced.EXE', kind: 'program' },
  { name: 'net', path: '\\\\server\\share\\net.EXE', kind: 'program' },
  { name: 'bin\\own', path: 'C:\\work\\bin\\own.CMD', kind: 'batch' },
  { name: './bin/own.cmd', path: 'C:\\work\\bin\\own.cmd', kind: 'batch' },
  { name: 'D:\\x\\far', path: 'D:\\x\\far.EXE', kind: 'program' },
  { name: 'node', path: 'C:\\node\\node.EXE', kind: 'program', env: { PATH: 'C:\\node' } },
  { name: 'git', path: undefined },
  { name: 'script', path: undefined },
  { name: 'script.py', path: undefined },
  { name: 'script', path: 'C:\\tools\\script.PY', kind: 'other', env: { ...ENV, pathext: '.EXE;.PY' } },
  { name: '', path: undefined },
  { name: 'no*de', path: undefined },
  { name: 'node', path: undefined, env: {} },
])('$name: $path', ({ name, path, kind, env = ENV }) => {
  expect(findProgram(name, { env, cwd: 'C:\\work', exists })).toEqual(path === undefined ? undefined : { path, kind })
})

test.each([
  { path: 'C:\\a.CMD', kind: 'batch' }, { path: 'C:\\a.bat. ', kind: 'batch' }, { path: 'C:\\a.Exe', kind: 'program' }, { path: 'C:\\a', kind: 'other' }, { path: 'C:\\a.cmd\\b', kind: 'other' },
])('$path is a $kind', ({ path, kind }) => {
  expect(kindOf(path)).toBe(kind)
})
