import { expect, test } from 'vitest'
import { commandEnvironment, environmentPlan } from '../../../../src/platform/windows/environment.js'

const STUBS = 'C:\\Users\\me\\.codex\\stubs'

test('only where nothing else holds the network are there variables and stubs for it', () => {
  expect([environmentPlan('open'), environmentPlan('blocked')].map(({ set, stubs }) => [set, stubs])).toEqual([[[], []], [[], []]])
  expect(environmentPlan('advised').stubs.map(({ name }) => name)).toEqual(['ssh.bat', 'ssh.cmd', 'scp.bat', 'scp.cmd', 'sftp.bat', 'sftp.cmd'])
})

test('a stub is lines that end in CR LF, and its last one ends with an error', () => {
  for (const { text } of environmentPlan('advised').stubs) {
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]|\\r|\\n/)
    expect(text.split('\r\n')).toEqual(['@echo off', expect.stringMatching(/^echo \w+: the sandbox has no network 1>&2$/), 'exit /b 1', ''])
  }
})

test('git is told by the variable that it reads', () => {
  const names = environmentPlan('advised').set.map(text => text.split('=')[0])
  expect(names).toContain('GIT_ALLOW_PROTOCOL')
  expect(names).not.toContain('GIT_ALLOW_PROTOCOLS')
})

test('ours win over the command\'s own, in any letters; the rest is only for what it has not', () => {
  const env = commandEnvironment(environmentPlan('advised'), ['https_proxy=http://real:1', 'Pager=less', 'KEEP=1', '=C:=C:\\work', 'NULL=/dev/null'], STUBS)
  expect(env).toEqual(expect.arrayContaining(['https_proxy=http://127.0.0.1:9', 'Pager=less', 'KEEP=1', '=C:=C:\\work', 'NULL=NUL', 'GIT_PAGER=more.com', `Path=${STUBS}`]))
  expect(env.filter(text => /^https_proxy=/i.test(text))).toHaveLength(1)
})

test('stubs come before programs: first on PATH, and batch files first in PATHEXT', () => {
  const env = commandEnvironment(environmentPlan('advised'), ['PATH=C:\\Windows;C:\\git', 'PathExt=.COM;.EXE;.BAT;.CMD;.JS'], STUBS)
  expect(env).toEqual(expect.arrayContaining([`PATH=${STUBS};C:\\Windows;C:\\git`, 'PathExt=.BAT;.CMD;.COM;.EXE;.JS']))
  expect(commandEnvironment(environmentPlan('open'), ['PATH=C:\\Windows'], STUBS)).toEqual(expect.arrayContaining(['PATH=C:\\Windows']))
})
