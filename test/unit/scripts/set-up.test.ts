// What a newcomer sees where something is missing: one line and exit code 125, never a stack trace.
import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { VERBS } from '../../../src/cli/options.js'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const linux = process.platform === 'linux'
let clone: string

/** A clone with its packages but without anything built. */
beforeAll(() => {
  clone = mkdtempSync(join(tmpdir(), 'codex-sandbox-clone-'))
  for (const name of ['package.json', 'package-lock.json', 'scripts', 'native']) cpSync(join(ROOT, name), join(clone, name), { recursive: true, preserveTimestamps: true })
  symlinkSync(join(ROOT, 'node_modules'), join(clone, 'node_modules'))
})
afterAll(() => rmSync(clone, { recursive: true, force: true }))

test.each([
  { version: '18.20.8', accepted: false },
  { version: '20.18.3', accepted: false },
  { version: '20.19.0', accepted: true },
  { version: '22.0.0',  accepted: true },
])('Node $version: accepted is $accepted', async ({ version, accepted }) => {
  const { checkNode } = await import(join(ROOT, 'scripts/setup.mjs')) as { checkNode(version: string): void }
  if (accepted) expect(() => checkNode(version)).not.toThrow()
  else expect(() => checkNode(version)).toThrow(`Node ${version} is too old: Node 20.19 or newer is needed`)
})

test('npm start without a command shows how to use it', () => {
  expect(run('start.mjs', [])).toMatchObject({ status: 125, stdout: '', stderr: expect.stringMatching(/^usage: npm start -- COMMAND/) })
})

test.each([...Object.keys(VERBS), 'help'])('npm start of the verb %s says how to write it', verb => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts/start.mjs'), verb, 'a b'], { cwd: '/', encoding: 'utf8', env: { ...process.env, INIT_CWD: '/' } })
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' })
  expect(stderr).toMatch(new RegExp(`codex-sandbox: ${verb} is a verb of the command line, and npm start runs a program\\. Write: node .*dist/cli\\.cjs ${verb} 'a b'\n$`))
})

test('no compiler: a line that names the packages', context => {
  if (!linux) context.skip('the launcher is for Linux')
  const { status, stdout, stderr } = run('start.mjs', ['true'], { PATH: '/nonexistent' })
  expect(status).toBe(125)
  expect(stdout).toBe('')
  expect(stderr.split('\n')).toEqual([
    expect.stringMatching(/^\[1\/\d\] building the launcher \(C\)…$/),
    'codex-sandbox: no C compiler (cc, gcc, clang or musl-gcc) was found, and the launcher is built from C. On Debian or Ubuntu: apt-get install gcc libc6-dev',
    '',
  ])
})

test('a compiler that cannot build: a line with its complaint', context => {
  if (!linux) context.skip('the launcher is for Linux')
  const folder = join(clone, 'bin')
  mkdirSync(folder)
  writeFileSync(join(folder, 'cc'), '#!/bin/sh\necho "probe.c:1:10: fatal error: stdio.h: No such file or directory" >&2\nexit 1\n')
  chmodSync(join(folder, 'cc'), 0o755)
  const { status, stderr } = run('start.mjs', ['true'], { PATH: folder })
  expect(status).toBe(125)
  expect(stderr.split('\n')[1]).toBe('codex-sandbox: cc cannot build a C program here: probe.c:1:10: fatal error: stdio.h: No such file or directory. On Debian or Ubuntu: apt-get install gcc libc6-dev')
})

test('node_modules that is a link is never installed into: npm would empty what it leads to', () => {
  const elsewhere = mkdtempSync(join(tmpdir(), 'codex-sandbox-packages-'))
  writeFileSync(join(elsewhere, 'kept'), '')
  const linked = mkdtempSync(join(tmpdir(), 'codex-sandbox-clone-'))
  try {
    for (const name of ['package.json', 'package-lock.json', 'scripts']) cpSync(join(ROOT, name), join(linked, name), { recursive: true })
    symlinkSync(elsewhere, join(linked, 'node_modules'))
    const { status, stderr } = spawnSync(process.execPath, [join(linked, 'scripts/start.mjs'), 'true'], { encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 125, stderr: expect.stringMatching(/^codex-sandbox: node_modules is a symbolic link[^\n]*\n$/) })
    spawnSync(process.execPath, [join(linked, 'scripts/build.mjs'), '--if-stale'])
    expect(readdirSync(elsewhere)).toEqual(['kept'])
  } finally {
    for (const folder of [elsewhere, linked]) rmSync(folder, { recursive: true, force: true })
  }
})

test('a variant that does not exist: a line that lists those that do', () => {
  expect(run('build-native.mjs', ['--variant', 'fast']).stderr).toBe('codex-sandbox: there is no variant "fast", only release, fault-injection, sanitizers.\n')
})

function run(script: string, words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(clone, 'scripts', script), ...words], { encoding: 'utf8', env: { ...process.env, CC: undefined, ...env } })
  return { status, stdout, stderr }
}
