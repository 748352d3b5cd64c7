import { expect, test } from 'vitest'
import { denialOf, type JudgedFile } from '../../../src/exec/access-denial.js'
import { RememberedAnswers } from '../../../src/exec/remembered-answers.js'
import type { AccessReport } from '../../../src/platform/backend.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import { fakeFiles, fakeHost } from '../../support/fake-host.js'

const host = fakeHost({ w: { '.git': { config: '' }, notes: '', secret: '', keys: { key: '' }, '.codex': {} }, etc: { hosts: '' }, home: { user: {} }, tmp: {} }, { cwd: '/w' })
const absent = fakeHost({ w: { notes: '' }, etc: {}, home: { user: {} }, tmp: {} }, { cwd: '/w' })
const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), deny: ['secret', 'keys'] }, host)
/** What the host had when the sandbox was made; the placeholder stands there now. */
const withPlaceholder = resolve(presetPolicy('workspace-write', 'reference'), absent)
const seen = { refused: false, modeRefuses: false, pid: 7, program: 'vi' }

const report = (operation: AccessReport['operation'], path: string | undefined, more: Partial<AccessReport> = {}): AccessReport => ({ operation, path, ...seen, ...more })
const flagsOf = (given: AccessReport, by = policy) => {
  const denial = denialOf({ policy: by, host, cwd: '/w' }, given)
  return denial === undefined ? undefined : { certainty: denial.certainty, flags: denial.remedy.flags.join(' ') }
}

test.each<{ name: string; report: AccessReport; denial: ReturnType<typeof flagsOf>; by?: typeof policy }>([
  { name: 'a write outside every root', report: report('write', '/etc/hosts'), denial: { certainty: 'observed', flags: '--write /etc/hosts' } },
  { name: 'the same, refused by the launcher itself', report: report('write', '/etc/hosts', { refused: true }), denial: { certainty: 'refused', flags: '--write /etc/hosts' } },
  { name: 'the same, where the file\'s own mode refuses it: no change of the policy helps', report: report('write', '/etc/hosts', { modeRefuses: true }), denial: { certainty: 'observed', flags: '' } },
  { name: 'a write that the policy allows', report: report('write', '/w/notes', { modeRefuses: true }), denial: undefined },
  { name: 'a new file outside', report: report('create', '/etc/new'), denial: { certainty: 'observed', flags: '--write /etc' } },
  { name: 'one that the launcher saw nothing at, and the host has made meanwhile', report: report('create', '/etc/hosts', { missing: true }), denial: { certainty: 'observed', flags: '--write /etc' } },
  { name: 'a new file at a name that exists', report: report('create', '/etc/hosts'), denial: undefined },
  { name: 'a write in .git', report: report('write', '/w/.git/config'), denial: { certainty: 'observed', flags: '--write /w/.git/config' } },
  { name: 'making .git again', report: report('create', '/w/.git'), denial: undefined },
  { name: 'making .codex, where the sandbox has put a folder', report: report('create', '/w/.codex'), by: withPlaceholder, denial: { certainty: 'observed', flags: '--write /w/.codex' } },
  { name: 'removing what is not there', report: report('remove', '/etc/missing'), denial: undefined },
  { name: 'a denied read, which a mask refuses by its mode', report: report('read', '/w/secret', { modeRefuses: true }), denial: { certainty: 'observed', flags: '' } },
  { name: 'the same below a denied folder', report: report('read', '/w/keys/key', { modeRefuses: true }), denial: { certainty: 'observed', flags: '--read /w/keys/key' } },
  { name: 'a denied read of what is not there', report: report('read', '/w/keys/missing', { modeRefuses: true }), denial: undefined },
  { name: 'a read that only a mode refuses', report: report('read', '/etc/hosts', { modeRefuses: true }), denial: undefined },
  { name: 'running a denied file', report: report('execute', '/w/secret', { modeRefuses: true }), denial: { certainty: 'observed', flags: '' } },
  { name: 'a connection while the network is off', report: report('connect', '1.2.3.4:443', { refused: true }), denial: { certainty: 'refused', flags: '--network open' } },
  { name: 'the same by IPv6', report: report('connect', '[2001:db8::1]:443', { refused: true }), denial: { certainty: 'refused', flags: '--network open' } },
  { name: 'a lookup of a name at the host\'s own resolver', report: report('connect', '127.0.0.53:53'), denial: { certainty: 'observed', flags: '--network open' } },
  { name: 'a socket', report: report('unix-connect', '/run/x.sock', { refused: true }), denial: { certainty: 'refused', flags: '--allow-unix-socket /run/x.sock' } },
  { name: 'an abstract socket, which no path allows', report: report('unix-connect', '@/run/x.sock', { refused: true }), denial: { certainty: 'refused', flags: '' } },
  { name: 'a system call', report: report('system-call', 'unshare(CLONE_NEWUSER)', { refused: true }), denial: { certainty: 'refused', flags: '' } },
  { name: 'a socket that the open network permits', report: report('system-call', 'socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)', { refused: true }), denial: { certainty: 'refused', flags: '--network open' } },
])('$name', ({ report, denial, by }) => {
  expect(flagsOf(report, by)).toEqual(denial)
})

test('what was made of an access before is given again, with who tried it this time, and only while it would be made again', () => {
  const remembered = new RememberedAnswers<JudgedFile>()
  const judge = (given: AccessReport, files = host.files, by = policy) => denialOf({ policy: by, host: { ...host, files }, cwd: '/w' }, given, remembered)
  const first = judge(report('create', '/etc/new'))
  expect(first).toEqual(denialOf({ policy, host, cwd: '/w' }, report('create', '/etc/new')))
  expect(judge(report('create', '/etc/new', { pid: 8, program: 'cp' }))).toEqual({ ...first, pid: 8, program: 'cp' })
  expect(judge(report('create', '/etc/new', { refused: true }))).toEqual({ ...first, certainty: 'refused' })
  expect(judge(report('create', '/etc/new', { modeRefuses: true }))?.remedy.flags).toEqual([])
  expect(judge(report('create', '/etc/hosts'))).toBeUndefined()
  expect(judge(report('create', '/etc/hosts', { missing: true }))?.path).toBe('/etc/hosts')
  // It is there by now: making it fails without a sandbox too.
  expect(judge(report('create', '/etc/new'), fakeFiles({ w: {}, etc: { new: '' }, home: { user: {} }, tmp: {} }))).toBeUndefined()
  expect(judge(report('create', '/etc/new'))).toEqual(first)
  const wider = resolve({ ...presetPolicy('workspace-write', 'reference'), write: ['/etc'] }, host)
  expect(judge(report('create', '/etc/new'), host.files, wider)).toBeUndefined()
})

test('who tried is said, and what decided', () => {
  expect(denialOf({ policy, host, cwd: '/w' }, report('read', '/w/secret'))).toMatchObject({
    kind: 'file', operation: 'read', path: '/w/secret', pid: 7, program: 'vi', rule: { path: '/w/secret', effect: 'deny' }, message: expect.stringMatching(/^read of "\/w\/secret" denied: /),
  })
})

test('a path that is not known is said, with a name that forges no line', () => {
  expect(denialOf({ policy, host, cwd: '/w' }, report('write', undefined, { program: 'a\nb' }))).toMatchObject({ kind: 'file', operation: 'write', message: expect.stringContaining('by "a\\nb" at a path that is not known') })
})

test.each([
  { call: 'mount', words: 'hang on mounts' },
  { call: 'clone(CLONE_NEWPID)', words: '--no-sandbox' },
  { call: 'seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)', words: 'EBUSY' },
  { call: 'socket(AF_UNIX, SOCK_DGRAM)', words: 'SOCK_STREAM' },
  { call: 'bind(127.0.0.1:8000)', words: 'no loopback of the sandbox\'s own to serve on. To allow: serve on a unix socket' },
  { call: 'listen', words: 'serve on a unix socket' },
  { call: 'reboot', words: 'administers the host' },
  { call: 'clone(CLONE_NEWUSER)', program: 'codex-sandbox-l', words: 'no sandbox is made inside another. Instead: run the command without its own' },
])('$call: why, and what to do instead', ({ call, words, program }) => {
  const denial = denialOf({ policy, host, cwd: '/w' }, report('system-call', call, { refused: true, ...(program === undefined ? {} : { program }) }))
  expect(denial).toMatchObject({ kind: 'system-call', call, message: expect.stringContaining(words) })
})
