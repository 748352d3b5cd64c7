// Policies and options that are wrong: an error that names the field, before anything runs; or what the words say.
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox } from '../../../src/exec/sandbox.js'
import { makeWorkspace } from '../../native/workspace.js'
import { failureOf, startSandbox } from './sandbox.js'

const many = (count: number): string[] => Array.from({ length: count }, (_, index) => `/nowhere/${index}`)
const long = (bytes: number): string => `/${'d'.repeat(99)}`.repeat(Math.ceil(bytes / 100)).slice(0, bytes)

test.each<{ name: string; options: unknown; error: { code: string; field: string } }>([
  { name: 'an unknown option',                   options: { polcy: 'read-only' },                                     error: { code: 'option_invalid', field: 'polcy' } },
  { name: 'options that are none',               options: 7,                                                          error: { code: 'option_invalid', field: 'options' } },
  { name: 'an unknown preset',                   options: { policy: 'workspace-writ' },                               error: { code: 'policy_invalid_value', field: 'policy' } },
  { name: 'a policy that is a number',           options: { policy: 3 },                                              error: { code: 'policy_invalid_value', field: 'policy' } },
  { name: 'a policy that is null',               options: { policy: null },                                           error: { code: 'policy_invalid_value', field: 'policy' } },
  { name: 'a policy that is a function',         options: { policy: () => {} },                                       error: { code: 'policy_invalid_value', field: 'policy' } },
  { name: 'an unknown key',                      options: { policy: { writableRoot: ['/x'] } },                       error: { code: 'policy_unknown_key', field: 'writableRoot' } },
  { name: 'an unknown key in an inner object',   options: { policy: { limits: { memory: 1 } } },                      error: { code: 'policy_unknown_key', field: 'limits.memory' } },
  { name: 'an unknown key on the wire',          options: { policy: { type: 'readOnly', networkAcces: true } },       error: { code: 'policy_unknown_key', field: 'networkAcces' } },
  { name: 'an unknown type on the wire',         options: { policy: { type: 'readonly' } },                           error: { code: 'policy_invalid_value', field: 'type' } },
  { name: 'a mode of a wrong type',              options: { policy: { mode: 5 } },                                    error: { code: 'policy_invalid_value', field: 'mode' } },
  { name: 'a text in place of a list',           options: { policy: { writableRoots: '/x' } },                        error: { code: 'policy_invalid_value', field: 'writableRoots' } },
  { name: 'a number in a list',                  options: { policy: { deny: ['a', 3] } },                             error: { code: 'policy_invalid_value', field: 'deny[1]' } },
  { name: 'an empty path',                       options: { policy: { write: [''] } },                                error: { code: 'policy_invalid_value', field: 'write[0]' } },
  { name: 'a limit that is text',                options: { policy: { limits: { pids: '5' } } },                      error: { code: 'policy_invalid_value', field: 'limits.pids' } },
  { name: 'a limit below 0',                     options: { policy: { limits: { pids: -1 } } },                       error: { code: 'policy_invalid_value', field: 'limits.pids' } },
  { name: 'a limit that is no number',           options: { policy: { limits: { memoryBytes: Number.NaN } } },        error: { code: 'policy_invalid_value', field: 'limits.memoryBytes' } },
  { name: 'a limit without an end',              options: { policy: { limits: { memoryBytes: Number.POSITIVE_INFINITY } } }, error: { code: 'policy_invalid_value', field: 'limits.memoryBytes' } },
  { name: 'a variable that is a number',         options: { policy: { env: { set: { A: 1 } } } },                     error: { code: 'policy_invalid_value', field: 'env.set.A' } },
  { name: 'a variable whose name holds =',       options: { policy: { env: { set: { 'A=B': '1' } } } },               error: { code: 'policy_invalid_value', field: 'env.set.A=B' } },
  { name: 'a variable with a NUL',               options: { policy: { env: { set: { A: 'x\0y' } } } },                error: { code: 'policy_invalid_value', field: 'env.set.A' } },
  { name: 'a relative root',                     options: { policy: { writableRoots: ['/tmp', 'work'] } },            error: { code: 'path_not_absolute', field: 'writableRoots[1]' } },
  { name: 'a root with ..',                      options: { policy: { writableRoots: ['/var/tmp/../x'] } },           error: { code: 'path_invalid', field: 'writableRoots[0]' } },
  { name: 'a root with a NUL',                   options: { policy: { writableRoots: ['/var/tmp/\0'] } },             error: { code: 'path_invalid', field: 'writableRoots[0]' } },
  { name: 'a root with a newline',               options: { policy: { writableRoots: ['/var/tmp/a\nb'] } },           error: { code: 'path_invalid', field: 'writableRoots[0]' } },
  { name: 'a root that is no Unicode',           options: { policy: { writableRoots: ['/var/tmp/\ud800'] } },         error: { code: 'path_invalid', field: 'writableRoots[0]' } },
  { name: 'a root of 4,096 bytes',               options: { policy: { writableRoots: [long(4096)] } },                error: { code: 'path_invalid', field: 'writableRoots[0]' } },
  { name: 'a denied path with a newline',        options: { policy: { deny: ['a\nb'] } },                             error: { code: 'path_invalid', field: 'deny[0]' } },
  { name: '10,000 roots',                        options: { policy: { writableRoots: many(10_000) } },                error: { code: 'policy_too_large', field: 'writableRoots' } },
  { name: '10,000 denied paths',                 options: { policy: { deny: many(10_000) } },                         error: { code: 'policy_too_large', field: 'deny' } },
  { name: 'a policy with a bigint',              options: { policy: { deny: [1n] } },                                 error: { code: 'policy_invalid_value', field: 'deny[0]' } },
  { name: 'the whole file system as a root',     options: { policy: { writableRoots: ['/'] } },                       error: { code: 'path_too_broad', field: 'writableRoots[0]' } },
  { name: 'a glob without an end',               options: { policy: { deny: ['/var/tmp/[a'] } },                      error: { code: 'glob_invalid', field: 'deny[0]' } },
  { name: 'a cwd that is a number',              options: { cwd: 3 },                                                 error: { code: 'option_invalid', field: 'cwd' } },
  { name: 'an empty cwd',                        options: { cwd: '' },                                                error: { code: 'path_invalid', field: 'cwd' } },
  { name: 'a relative cwd',                      options: { cwd: 'work' },                                            error: { code: 'path_not_absolute', field: 'cwd' } },
  { name: 'a cwd that is missing',               options: { cwd: '/no/such/folder' },                                 error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'a cwd that is a file',                options: { cwd: '/etc/passwd' },                                     error: { code: 'path_not_directory', field: 'cwd' } },
  { name: 'a cwd below a file',                  options: { cwd: '/etc/passwd/x' },                                   error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'a degradation that is none',          options: { allowDegraded: ['everything'] },                          error: { code: 'option_invalid', field: 'allowDegraded' } },
  { name: 'a launcher that is missing',          options: { launcherPath: '/no/such/launcher' },                      error: { code: 'launcher_not_found', field: 'launcherPath' } },
])('refused: $name', async ({ options, error }) => {
  const { path } = makeWorkspace()
  const failure = await failureOf(() => createSandbox(typeof options === 'object' ? { cwd: path, ...options } : options as SandboxOptions))
  expect(failure).toMatchObject(error)
})

test('a misspelt key is answered with the nearest one', async () => {
  expect((await failureOf(() => startSandbox({ policy: { writableRoot: [] } as never }))).message).toContain('Did you mean "writableRoots"?')
})

test.each([
  { name: 'a folder', launcher: '/etc' },
  { name: 'a file that is not executable', launcher: '/etc/passwd' },
  { name: 'another program', launcher: '/bin/true' },
  { name: 'a program that talks', launcher: '/bin/echo' },
])('a launcher that is $name', async ({ launcher }) => {
  expect((await failureOf(() => startSandbox({ launcherPath: launcher }))).code).toMatch(/^(?:set_up_failed|launcher_not_found|layer_missing)$/)
})

test('a symbolic link that leads to itself, as a root and as cwd', async () => {
  const workspace = makeWorkspace()
  const loop = join(workspace.path, 'loop')
  symlinkSync('loop', loop)
  expect(await failureOf(() => startSandbox({ policy: { writableRoots: [loop] } }, workspace))).toMatchObject({ code: 'path_symlink_loop', field: 'writableRoots[0]' })
  expect(await failureOf(() => startSandbox({ cwd: loop }, workspace))).toMatchObject({ code: 'path_symlink_loop', field: 'cwd' })
})

test('what is missing, too long for a file system or below a file grants nothing, and is named', async () => {
  const missing = [...many(3), `/${'n'.repeat(256)}`, long(4000), '/etc/passwd/x']
  const sandbox = await startSandbox({ policy: { writableRoots: missing } })
  expect(sandbox.policy.ignored.filter(({ field }) => field.startsWith('writableRoots')).map(({ value, reason }) => [value, reason])).toEqual(missing.map(value => [value, 'missing']))
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
})

test('1,000 roots that exist; 2,000, with what is protected in each, are too many', async () => {
  const workspace = makeWorkspace()
  const roots = Array.from({ length: 2000 }, (_, index) => join(workspace.outside, 'roots', String(index)))
  for (const root of roots) mkdirSync(root, { recursive: true })
  const sandbox = await startSandbox({ policy: { writableRoots: roots.slice(0, 1000) } }, workspace)
  expect((await sandbox.exec(['sh', '-c', 'touch ../roots/0/x ../roots/999/x && echo both; touch ../roots/1000/x || echo no more'])).stdout).toBe('both\nno more\n')
  expect(await failureOf(() => startSandbox({ policy: { writableRoots: roots } }, workspace))).toMatchObject({ code: 'policy_too_large', field: 'policy' })
})

test('a root that is a file: that file may be written, nothing beside it', async () => {
  const workspace = makeWorkspace()
  const file = join(workspace.outside, 'file')
  writeFileSync(file, '')
  const sandbox = await startSandbox({ policy: { writableRoots: [file] } }, workspace)
  expect((await sandbox.exec(['sh', '-c', 'echo x > ../file; echo y > ../other'])).exitCode).not.toBe(0)
  expect(readFileSync(file, 'utf8')).toBe('x\n')
})

/** Between the sandbox's creation and its command. The workspace is a root as well, and a root that is another one stops all. */
test.each<{ name: string; change: (path: string) => void; error: object }>([
  { name: 'vanishes', change: path => rmSync(path, { recursive: true, maxRetries: 9 }), error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'makes place for another folder', change: path => { renameSync(path, `${path}.old`); mkdirSync(path) }, error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'makes place for a link to elsewhere', change: path => { renameSync(path, `${path}.old`); symlinkSync('/etc', path) }, error: { code: 'path_not_found', field: 'cwd' } },
  { name: 'makes place for a file', change: path => { renameSync(path, `${path}.old`); writeFileSync(path, '') }, error: { code: 'path_not_directory', field: 'cwd' } },
])('after creation: a workspace that $name', async ({ change, error }) => {
  const workspace = makeWorkspace()
  const sandbox = await startSandbox({}, workspace)
  expect((await sandbox.exec(['true'])).exitCode).toBe(0)
  change(workspace.path)
  const failure = await failureOf(() => sandbox.exec(['true']))
  if (failure.step === 'recheck') expect(failure).toMatchObject({ code: 'set_up_failed', path: expect.stringContaining(workspace.path), remedy: 'Create a new sandbox.' })
  else expect(failure).toMatchObject(error)
})

test.each<{ name: string; change: (path: string) => void }>([
  { name: 'vanishes', change: path => rmSync(path, { recursive: true }) },
  { name: 'is replaced by another folder', change: path => { renameSync(path, `${path}.old`); mkdirSync(path) } },
  { name: 'is replaced by a link to elsewhere', change: path => { renameSync(path, `${path}.old`); symlinkSync('../elsewhere', path) } },
])('after creation: a second root that $name opens nothing else', async ({ change }) => {
  const workspace = makeWorkspace()
  const second = join(workspace.outside, 'second')
  const elsewhere = join(workspace.outside, 'elsewhere')
  for (const folder of [second, elsewhere]) mkdirSync(folder)
  const sandbox = await startSandbox({ policy: { writableRoots: [second] } }, workspace)
  change(second)
  const result = await sandbox.exec(['sh', '-c', 'touch in-workspace; touch ../second/x ../elsewhere/x ../x']).then(({ exitCode }) => exitCode, error => (error as { code: string }).code)
  expect(result).not.toBe(0)
  expect(() => readFileSync(join(elsewhere, 'x'))).toThrow('ENOENT')
  expect(() => readFileSync(join(workspace.outside, 'x'))).toThrow('ENOENT')
})
