// What stands on stderr after a command.
import { expect, test } from 'vitest'
import { parseAccess } from '../../../src/cli/explain.js'
import { reportLines } from '../../../src/cli/report.js'
import type { Denial } from '../../../src/exec/denial.js'
import type { ExecResult } from '../../../src/exec/result.js'

const denial = (path: string, more: Partial<Denial> = {}): Denial => ({
  kind: 'file', operation: 'write', path, message: `write to "${path}" denied: outside every writable root. To allow: add "${path}" to write.`,
  remedy: { text: `add "${path}" to write`, flags: ['--write', path] }, certainty: 'reported', ...more,
})
const closed = (): Denial => denial('/w/.env', { operation: 'read', message: 'read of "/w/.env" denied: deny[0] "/w/.env" denies it. To allow: remove deny[0].', remedy: { text: 'remove deny[0]', flags: [] } })
const result = (changes: Partial<ExecResult>): ExecResult => ({
  exitCode: 0, signal: null, timedOut: false, cancelled: false, stdout: '', stderr: '', output: '', dropped: { stdout: 0, stderr: 0 }, durationMs: 1,
  usage: { cpuMs: 0, maxRssBytes: 0 }, denials: [], ended: [], environment: { dropped: [] },
  enforcement: { backend: 'linux-native', layers: ['mounts', 'seccomp'], degraded: [], limits: {}, notes: ['a note'] }, ...changes,
})

test.each([
  { name: 'nothing after a command that ended well',       result: result({}), options: {}, lines: [] },
  { name: 'nothing after a failure without denials',       result: result({ exitCode: 1 }), options: {}, lines: [] },
  { name: 'nothing of denials that did not matter',        result: result({ denials: [denial('/x')] }), options: {}, lines: [] },
  { name: 'a denial and its flags after a failure',        result: result({ exitCode: 1, denials: [denial('/x')] }), options: {}, lines: ['codex-sandbox: write to "/x" denied: outside every writable root. To allow: add "/x" to write. (--write /x)'] },
  { name: 'what --deny denied is told by that name',       result: result({ exitCode: 1, denials: [closed()] }), options: { deny: ['.env'] }, lines: ['codex-sandbox: read of "/w/.env" denied: --deny "/w/.env" denies it. To allow: leave out that --deny.'] },
  { name: 'but not where a policy may have denied it',     result: result({ exitCode: 1, denials: [closed()] }), options: { deny: ['.env'], policy: 'p.json' }, lines: ['codex-sandbox: read of "/w/.env" denied: deny[0] "/w/.env" denies it. To allow: remove deny[0].'] },
  { name: 'a time-out says after how long',                result: result({ exitCode: 124, timedOut: true }), options: { timeout: '30s' }, lines: ['codex-sandbox: timed out after 30s'] },
  { name: 'an idle time-out says so',                      result: result({ exitCode: 124, timedOut: true, timedOutBy: 'idleTimeoutMs' }), options: { timeout: '30s', idleTimeout: '5s' }, lines: ['codex-sandbox: ended: it wrote nothing for 5s'] },
  { name: 'a limit by its option',                          result: result({ exitCode: 137, limit: 'memoryBytes' }), options: { memory: '512M' }, lines: ['codex-sandbox: ended by its limit memoryBytes (--memory 512M)'] },
  { name: 'a limit says which',                            result: result({ exitCode: 137, limit: 'memoryBytes' }), options: {}, lines: ['codex-sandbox: ended by its limit memoryBytes'] },
  { name: 'a change from outside says where',              result: result({ exitCode: 137, changedPath: '/w/.git\n' }), options: {}, lines: ['codex-sandbox: ended, because "/w/.git\\n" was changed from outside while it ran'] },
  {
    name: 'a repository that the index names since then says what would run', options: {}, result: result({ gitLinks: ['/w/made'] }),
    lines: ['codex-sandbox: the index of git names "/w/made" as a repository of its own, as it did not before: git status would enter it and run what its config says. Look at it first, or take it out with git update-index --force-remove'],
  },
  {
    name: 'an index that cannot be read whole says so', options: {}, result: result({ gitLinks: ['/w/.git/worktrees/t/index'] }),
    lines: ['codex-sandbox: not all that git has at "/w/.git/worktrees/t/index" can be looked at, and it is not what it was before: it may name repositories that git status would enter, to run what their config says. Look first with git ls-files --stage, which enters none'],
  },
  {
    name: 'a git operation that did not end says what becomes of it', options: {}, result: result({ exitCode: 1, gitOperations: ['/w/.git/rebase-merge'] }),
    lines: ['codex-sandbox: the git operation of "/w/.git/rebase-merge" did not end, and its state is gone with the sandbox: no later command can continue it. Continue in the same command, or go back with git switch -f BRANCH'],
  },
  { name: '--log-denials prints nothing where nothing was denied', result: result({}), options: { logDenials: true } as const, lines: [] },
  {
    name: '--log-denials prints all, by kind, also after success', options: { logDenials: true } as const,
    result: result({ denials: [denial('/s', { kind: 'unix-socket', message: 'connection to socket "/s" denied', remedy: { text: '', flags: [] }, program: 'curl', pid: 7 }), denial('/x')] }),
    lines: ['', '=== Sandbox denials ===', 'Files:', `  (from stderr) ${denial('/x').message}`, '    --write /x', 'Unix sockets:', '  (curl 7) connection to socket "/s" denied'],
  },
  {
    name: '--log-denials prints what one change would allow together, and what was too much', options: { logDenials: true } as const,
    result: result({ denials: [denial('/x', { message: 'first', program: 'a' }), denial('/y', { message: 'second' }), denial('/x', { message: 'third', certainty: 'observed' })], denialsLost: 7 }),
    lines: ['', '=== Sandbox denials ===', 'Files:', '  (a) first', '  third', '    --write /x', '  (from stderr) second', '    --write /y', '7 more accesses were too many to be looked at.'],
  },
  {
    name: '--verbose says what enforced it', options: { verbose: true } as const, result: result({ environment: { dropped: ['A_TOKEN'] }, ended: [{ pid: 3, name: 'sleep' }] }),
    lines: ['codex-sandbox: enforced by linux-native: mounts, seccomp', 'codex-sandbox: a note', 'codex-sandbox: variables not passed on: A_TOKEN', 'codex-sandbox: ended with it: "sleep" (3); to let it go on: --background keep'],
  },
])('$name', ({ result, options, lines }) => { expect(reportLines(result, options)).toEqual(lines) })

test('many denials are at most five lines', () => {
  expect(reportLines(result({ exitCode: 1, denials: Array.from({ length: 50 }, (_, index) => denial(`/x${index}`)) }), {})).toHaveLength(5)
})

test.each([
  { word: 'example.org:443',  access: { kind: 'connect', host: 'example.org', port: 443 } },
  { word: '[::1]:80',         access: { kind: 'connect', host: '::1', port: 80 } },
  { word: '127.0.0.1:80',     access: { kind: 'connect', host: '127.0.0.1', port: 80 } },
  { word: 'file',             access: { kind: 'read', path: '/w/file' } },
  { word: './a:80',           access: { kind: 'read', path: '/w/a:80' } },
  { word: '/etc/../x',        access: { kind: 'read', path: '/x' } },
])('explain $word means $access.kind', ({ word, access }) => {
  expect(parseAccess(word, { write: false, cwd: '/w', exists: () => true })).toEqual(access)
})
test.each([[true, 'write'], [false, 'create']] as const)('explain --write of a file (there: %s) means %s', (exists, kind) => {
  expect(parseAccess('x', { write: true, cwd: '/w', exists: () => exists })).toEqual({ kind, path: '/w/x' })
})
test('a port out of range is an error', () => {
  expect(() => parseAccess('example.org:70000', { write: false, cwd: '/w', exists: () => true })).toThrow('a port is from 1 to 65535')
})
