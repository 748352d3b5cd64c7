// Commands that are wrong or end in every way: a typed error, or what a shell would say.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ExecOptions } from '../../../src/exec/options.js'
import { makeWorkspace } from '../../native/workspace.js'
import { failureOf, startSandbox } from './sandbox.js'

test.each<{ name: string; argv: unknown; field: string }>([
  { name: 'none',              argv: [],              field: 'argv' },
  { name: 'text',              argv: 'ls',            field: 'argv' },
  { name: 'nothing',           argv: undefined,       field: 'argv' },
  { name: 'a number in it',    argv: ['ls', 3],       field: 'argv[1]' },
  { name: 'null in it',        argv: [null],          field: 'argv[0]' },
  { name: 'a hole',            argv: Array(2),        field: 'argv[0]' },
  { name: 'a NUL',             argv: ['a\0b'],        field: 'argv[0]' },
])('arguments: $name', async ({ argv, field }) => {
  const sandbox = await startSandbox()
  expect(await failureOf(() => sandbox.exec(argv as string[]))).toMatchObject({ code: 'argument_invalid', field })
  expect(await failureOf(async () => sandbox.spawn(argv as string[]))).toMatchObject({ code: 'argument_invalid', field })
})

test.each<{ name: string; options: unknown; error: { code: string; field: string } }>([
  { name: 'a variable that is a number',   options: { env: { A: 1 } },            error: { code: 'option_invalid', field: 'env.A' } },
  { name: 'a variable that is an object',  options: { env: { A: { b: 1n } } },    error: { code: 'option_invalid', field: 'env.A' } },
  { name: 'a variable with a NUL',         options: { env: { A: '\0' } },         error: { code: 'option_invalid', field: 'env.A' } },
  { name: 'a name with =',                 options: { env: { 'A=B': '' } },       error: { code: 'option_invalid', field: 'env' } },
  { name: 'a name that is empty',          options: { env: { '': '' } },          error: { code: 'option_invalid', field: 'env' } },
  { name: 'variables as a list',           options: { env: ['A=1'] },             error: { code: 'option_invalid', field: 'env' } },
  { name: 'a cwd that is a file',          options: { cwd: '/etc/passwd' },       error: { code: 'path_not_directory', field: 'cwd' } },
  { name: 'a cwd that is missing',         options: { cwd: 'missing' },           error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'a cwd of 5,000 bytes',          options: { cwd: '/x'.repeat(2500) },   error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'a cwd with a NUL',              options: { cwd: 'a\0' },               error: { code: 'path_invalid', field: 'cwd' } },
  { name: 'a time-out below 0',            options: { timeoutMs: -1 },            error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'a time-out that is no number',  options: { timeoutMs: Number.NaN },    error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'a time-out without an end',     options: { timeoutMs: Number.POSITIVE_INFINITY }, error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'a time-out as text',            options: { timeoutMs: '5' },           error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'half a millisecond',            options: { timeoutMs: 0.5 },           error: { code: 'option_invalid', field: 'timeoutMs' } },
  { name: 'null as options',               options: null,                         error: { code: 'option_invalid', field: 'options' } },
  { name: 'a limit below 0',               options: { limits: { pids: -1 } },     error: { code: 'option_invalid', field: 'limits.pids' } },
  { name: 'a signal that is none',         options: { signal: 'SIGTERM' },        error: { code: 'option_invalid', field: 'signal' } },
  { name: 'input that is a number',        options: { stdin: 5 },                 error: { code: 'option_invalid', field: 'stdin' } },
  { name: 'input that is null',            options: { stdin: null },              error: { code: 'option_invalid', field: 'stdin' } },
])('options: $name', async ({ options, error }) => {
  const sandbox = await startSandbox()
  expect(await failureOf(() => sandbox.exec(['true'], options as ExecOptions))).toMatchObject(error)
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
})

test.each([
  { name: 'a folder',                                          argv: ['/etc'],               exitCode: 126, line: 'codex-sandbox: /etc: Permission denied' },
  { name: 'a folder by a relative path',                       argv: ['./folder'],           exitCode: 126, line: 'codex-sandbox: ./folder: Permission denied' },
  { name: 'a file without the right to execute',               argv: ['./plain'],            exitCode: 126, line: 'codex-sandbox: ./plain: Permission denied' },
  { name: 'a program that is not there',                       argv: ['no-such-program'],    exitCode: 127, line: 'codex-sandbox: no-such-program: not found' },
  { name: 'a path that is not there',                          argv: ['./no-such-program'],  exitCode: 127, line: 'codex-sandbox: ./no-such-program: not found' },
  { name: 'a path below a file',                               argv: ['./plain/x'],          exitCode: 127, line: 'codex-sandbox: ./plain/x: not found' },
  { name: 'an empty name',                                     argv: [''],                   exitCode: 127, line: 'codex-sandbox: "": not found' },
  { name: 'a name that would forge a line',                    argv: ['a\ncodex-sandbox: b'], exitCode: 127, line: 'codex-sandbox: "a\\ncodex-sandbox: b": not found' },
  { name: 'a first line that leads nowhere',                   argv: ['./nowhere'],          exitCode: 127, line: 'codex-sandbox: ./nowhere: it is there, but the interpreter or loader that it names was not found' },
  { name: 'a first line that leads to a folder',               argv: ['./to-folder'],        exitCode: 126, line: 'codex-sandbox: ./to-folder: Permission denied' },
  { name: 'a first line that leads to itself',                 argv: ['./itself'],           exitCode: 126, line: 'codex-sandbox: ./itself: too many symbolic links' },
  { name: 'a name of 300 bytes',                               argv: [`./${'n'.repeat(300)}`], exitCode: 126, line: `codex-sandbox: ./${'n'.repeat(300)}: its name is too long` },
  { name: 'a path of 5,000 bytes',                             argv: [`.${'/x'.repeat(2500)}`], exitCode: 126, line: `codex-sandbox: .${'/x'.repeat(2500)}: its name is too long` },
])('a program that is $name: $exitCode', async ({ argv, exitCode, line }) => {
  const workspace = makeWorkspace('folder')
  const files: Record<string, [string, number]> = {
    plain: ['', 0o644], nowhere: ['#!/no/such/interpreter\n', 0o755], 'to-folder': ['#!/etc\n', 0o755], itself: ['#!./itself\n', 0o755],
  }
  for (const [name, [content, mode]] of Object.entries(files)) {
    writeFileSync(join(workspace.path, name), content)
    chmodSync(join(workspace.path, name), mode)
  }
  const sandbox = await startSandbox({}, workspace)
  expect(await sandbox.exec(argv)).toMatchObject({ exitCode, signal: null, stdout: '', stderr: `${line}\n`, denials: [] })
})

test('a script without a first line is run by the shell, as execvp and every shell do', async () => {
  const workspace = makeWorkspace()
  writeFileSync(join(workspace.path, 'script'), 'echo "ran with $1"\nexit 3\n')
  chmodSync(join(workspace.path, 'script'), 0o755)
  expect(await (await startSandbox({}, workspace)).exec(['./script', 'a word'])).toMatchObject({ exitCode: 3, stdout: 'ran with a word\n' })
})

test.each([
  { name: 'one word of 128 KiB', argv: ['true', 'x'.repeat(128 << 10)] },
  { name: '100,000 words', argv: ['true', ...Array.from({ length: 100_000 }, () => 'x'.repeat(100))] },
  { name: '64 MiB', argv: ['true', ...Array.from({ length: 1024 }, () => 'x'.repeat(64 << 10))] },
])('arguments over the system\'s bound: $name', async ({ argv }) => {
  const sandbox = await startSandbox()
  expect(await failureOf(() => sandbox.exec(argv))).toMatchObject({ code: 'arguments_too_large', field: 'argv' })
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
})

test('an environment over the system\'s bound is the same error', async () => {
  const sandbox = await startSandbox()
  expect(await failureOf(() => sandbox.exec(['true'], { env: { A: 'x'.repeat(128 << 10) } }))).toMatchObject({ code: 'arguments_too_large' })
})

test('a program that the policy denies is a denial; one that only its mode forbids is none', async () => {
  const workspace = makeWorkspace()
  for (const name of ['denied', 'plain']) writeFileSync(join(workspace.path, name), '#!/bin/sh\n', { mode: name === 'denied' ? 0o755 : 0o644 })
  const sandbox = await startSandbox({ policy: { deny: ['denied'] } }, workspace)
  expect(await sandbox.exec(['./denied'])).toMatchObject({ exitCode: 126, denials: [{ operation: 'read', path: join(workspace.path, 'denied') }] })
  expect(await sandbox.exec(['./plain'])).toMatchObject({ exitCode: 126, denials: [] })
})

test('a cwd that the policy denies', async () => {
  const workspace = makeWorkspace('secret')
  const sandbox = await startSandbox({ policy: { deny: ['secret'] } }, workspace)
  expect(await failureOf(() => sandbox.exec(['true'], { cwd: 'secret' }))).toMatchObject({ code: 'path_not_found', field: 'cwd' })
})

test('a cwd that vanishes between the check and the command', async () => {
  const workspace = makeWorkspace()
  const sandbox = await startSandbox({}, workspace)
  for (let round = 0; round < 20; round++) {
    mkdirSync(join(workspace.path, 'sub'))
    const running = sandbox.exec(['pwd'], { cwd: 'sub' }).then(({ exitCode }) => exitCode, error => (error as { code: string }).code)
    await sandbox.exec(['rmdir', 'sub'])
    // 1: pwd itself found it gone.
    expect([0, 1, 'path_not_found']).toContain(await running)
  }
})

test('every exit code', async () => {
  const sandbox = await startSandbox()
  const codes = Array.from({ length: 256 }, (_, code) => code)
  const results = await Promise.all(codes.map(code => sandbox.exec(['sh', '-c', `exit ${code}`])))
  expect(results.map(({ exitCode }) => exitCode)).toEqual(codes)
  expect(results.filter(({ signal, timedOut, cancelled, limit }) => signal !== null || timedOut || cancelled || limit !== undefined)).toEqual([])
})

/** Those whose default is to end a process. */
const ENDING = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31, ...Array.from({ length: 31 }, (_, index) => index + 34)]
const nameOf = (number: number): string | undefined => Object.entries(constants.signals).find(([, value]) => value === number)?.[0]

test('every signal', async () => {
  const sandbox = await startSandbox()
  const results = await Promise.all(ENDING.map(number => sandbox.exec(['sh', '-c', `kill -${number} $$`])))
  expect(results.map(({ exitCode, signal }) => [exitCode, signal])).toEqual(ENDING.map(number => [128 + number, nameOf(number) ?? `SIGRTMIN+${number - 34}`]))
})

test('output that is no UTF-8: U+FFFD in text, the bytes themselves on request', async () => {
  const sandbox = await startSandbox()
  const argv = ['sh', '-c', `printf 'a\\377b\\303'; printf '\\200\\n' >&2; touch "/etc/$(printf '\\377')"`]
  expect(await sandbox.exec(argv)).toMatchObject({ stdout: 'a\ufffdb\ufffd', stderr: expect.stringContaining('\ufffd\n') })
  expect((await sandbox.exec(argv, { output: { encoding: 'bytes' } })).stdout).toEqual(Buffer.from([0x61, 0xff, 0x62, 0xc3]))
})

test('words and variables that are no Unicode or hold anything but NUL arrive', async () => {
  const sandbox = await startSandbox()
  const word = '\n\t\u0001"$(x)` \\ \u{1f389} -- *'
  expect((await sandbox.exec(['printf', '%s', word])).stdout).toBe(word)
  expect((await sandbox.exec(['printenv', 'A'], { env: { A: word } })).stdout).toBe(`${word}\n`)
})
