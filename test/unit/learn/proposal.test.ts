import { expect, test } from 'vitest'
import { denialOf } from '../../../src/exec/access-denial.js'
import { policyObject } from '../../../src/policy/policy-object.js'
import { type LearnPlace, type Met, type NetworkStep, propose } from '../../../src/learn/proposal.js'
import type { AccessReport } from '../../../src/platform/backend.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { fakeHost } from '../../support/fake-host.js'

const git = { HEAD: 'ref: refs/heads/main\n', objects: {}, refs: {}, config: '', hooks: {} }
const host = fakeHost({
  home: { user: { work: { '.git': git, notes: '', '.codex': {} }, '.npmrc': '', '.npm': {}, '.yarn': {}, '.bash_history': '' } },
  srv: { data: { file: '' }, secret: {} }, tmp: {}, var: { tmp: { own: {} } }, etc: { passwd: '' },
}, { tmpdir: '/var/tmp/own' })
const place: LearnPlace = { platform: 'linux', home: '/home/user', files: host.files, cwd: '/home/user/work', slashTmp: '/tmp', tmpdir: '/var/tmp/own' }
const READ_ONLY = presetPolicy('read-only', 'library')
const WORKSPACE = presetPolicy('workspace-write', 'library')

/** The denials of these accesses, and of what is denied still under what they lead to: `kind path`, as learning meets them run by run. `moves`: the tools keep to the caches that they are given. */
function learnFrom(base: SandboxPolicy, accesses: readonly string[], network: NetworkStep = 'open', moves = false): ReturnType<typeof propose> {
  const met: Met[] = []
  let proposal = propose(base, met, place, network)
  for (let run = 0; run < 6; run++) {
    const { policy: { caches } } = proposal
    const policy = resolve(proposal.policy, host)
    const found = accesses.flatMap(text => {
      const [operation, path] = text.split(' ') as [AccessReport['operation'], string]
      if (moves && caches === 'private' && /^\/home\/user\/(?:\.npm|go)\//.test(path)) return []
      return denialOf({ policy, host, cwd: place.cwd }, { operation, path, refused: operation === 'system-call' || operation === 'connect', modeRefuses: false, pid: 1, program: 'x' }) ?? []
    })
    met.push(...found.map(denial => ({ denial, caches })))
    const next = propose(base, met, place, network)
    const withheld = next.withheld.filter(({ denial }) => found.some(({ message }) => message === denial.message))
    if (JSON.stringify(next.policy) === JSON.stringify(proposal.policy)) return { ...next, withheld }
    proposal = next
  }
  throw new Error('it grows without end')
}

test.each<{ name: string; base?: SandboxPolicy; accesses: string[]; policy: object; withheld?: string[]; network?: NetworkStep; moves?: true }>([
  { name: 'nothing denied: nothing more', accesses: [], policy: { mode: 'read-only' } },
  { name: 'a write in the current folder is the mode for it, without temporary folders', accesses: ['create /home/user/work/new'], policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true } },
  { name: 'a write in /tmp opens that too', accesses: ['create /tmp/x'], policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true } },
  { name: 'a write in $TMPDIR', accesses: ['create /var/tmp/own/x'], policy: { mode: 'workspace-write', excludeSlashTmp: true } },
  { name: 'from workspace-write the temporary folders stay as they are', base: WORKSPACE, accesses: ['create /srv/data/new'], policy: { mode: 'workspace-write', write: ['/srv/data'] } },
  { name: 'a file that is there is opened alone', accesses: ['write /srv/data/file'], policy: { mode: 'read-only', write: ['/srv/data/file'] } },
  { name: 'a new one needs its folder', accesses: ['write /srv/data/file', 'create /srv/data/new'], policy: { mode: 'read-only', write: ['/srv/data'] } },
  { name: 'a cache, which private ones stand in for', accesses: ['create /home/user/.npm/x'], moves: true, policy: { mode: 'read-only', caches: 'private' } },
  { name: 'one that is missing: its home folder need not be opened', accesses: ['create /home/user/go/pkg/mod'], moves: true, policy: { mode: 'read-only', caches: 'private' } },
  { name: 'a cache, by a tool that does not move it', accesses: ['create /home/user/.npm/x'], policy: { mode: 'read-only', caches: 'private', write: ['/home/user/.npm'] } },
  { name: 'a cache, where private ones are not wanted', base: { ...WORKSPACE, caches: 'off' }, accesses: ['create /home/user/.npm/x'], policy: { mode: 'workspace-write', caches: 'off', write: ['/home/user/.npm'] } },
  { name: 'a store that nothing stands in for', accesses: ['create /home/user/.yarn/x'], policy: { mode: 'read-only', write: ['/home/user/.yarn'] } },
  { name: 'git commits, after the mode', accesses: ['create /home/user/work/.git/index.lock'], policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true, git: 'commits' } },
  { name: 'the config of git is never opened', accesses: ['write /home/user/work/.git/config'], policy: { mode: 'workspace-write', excludeTmpdirEnvVar: true, excludeSlashTmp: true }, withheld: ['it is protected, as a program outside runs or believes it'] },
  { name: 'nor .codex', base: WORKSPACE, accesses: ['create /home/user/work/.codex/x'], policy: { mode: 'workspace-write' }, withheld: ['it is protected, as a program outside runs or believes it'] },
  { name: 'keys and tokens are not opened', accesses: ['read /home/user/.npmrc'], policy: { mode: 'read-only' }, withheld: ['a place of keys or tokens'] },
  { name: 'what the given policy denies is not opened', base: { ...WORKSPACE, deny: ['/srv/secret'] }, accesses: ['create /srv/secret/x'], policy: { mode: 'workspace-write', deny: ['/srv/secret'] }, withheld: ['the policy that was given closes it'] },
  { name: 'the home folder is not opened for one file in it', accesses: ['create /home/user/.new'], policy: { mode: 'read-only' }, withheld: ['make "/home/user/.new" outside the sandbox first and add it to write, or make it inside a writable root'] },
  { name: 'a file of the home folder may be', accesses: ['write /home/user/.bash_history'], policy: { mode: 'read-only', write: ['/home/user/.bash_history'] } },
  { name: 'the network', accesses: ['connect 1.2.3.4:443'], policy: { mode: 'read-only', network: 'open' } },
  { name: 'the network, where it went well without', accesses: ['connect 1.2.3.4:443'], network: 'needless', policy: { mode: 'read-only' }, withheld: ['the command ended with exit code 0 without it'] },
  { name: 'what is withheld is told once, in however many runs it was met', accesses: ['create /home/user/.npm/x', 'connect 1.2.3.4:443'], moves: true, network: 'needless', policy: { mode: 'read-only', caches: 'private' }, withheld: ['the command ended with exit code 0 without it'] },
  { name: 'the network, where there was no run left to try it', accesses: ['connect 1.2.3.4:443'], network: 'untried', policy: { mode: 'read-only' }, withheld: ['the network was not tried: it comes last, and there were no runs left'] },
  { name: 'a system call is nothing that a policy allows', accesses: ['system-call mount'], policy: { mode: 'read-only' }, withheld: ['nothing in a policy allows it. Instead: do without a mount, or make it outside the sandbox'] },
  {
    name: 'restricted reads', base: { ...READ_ONLY, readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] } }, accesses: ['read /srv/data/file'],
    policy: { mode: 'read-only', readOnlyAccess: { type: 'restricted', includePlatformDefaults: true, readableRoots: [] }, read: ['/srv/data/file'] },
  },
])('$name', ({ base = READ_ONLY, accesses, policy, withheld = [], network, moves }) => {
  const found = learnFrom(base, accesses, network, moves)
  expect({ policy: policyObject(found.policy), withheld: found.withheld.map(({ because }) => because) }).toEqual({ policy, withheld })
})

test('each change says why, and warns of what it opens', () => {
  const { reasons } = learnFrom(READ_ONLY, ['create /home/user/work/.git/index.lock', 'create /home/user/work/a', 'create /home/user/work/b', 'connect 1.2.3.4:443', 'create /home/user/.npm/a', 'create /home/user/.yarn/a', 'create /srv/data/new'], 'open', true)
  expect(reasons).toEqual([
    { change: 'mode workspace-write', because: 'it writes in the current folder: "/home/user/work/.git/index.lock", "/home/user/work/a" and 1 more' },
    { change: 'write "/home/user/.yarn"', because: 'it writes "/home/user/.yarn/a" (a tool\'s own cache: the names in it change)' },
    { change: 'write "/srv/data"', because: 'it writes "/srv/data/new"' },
    { change: 'caches private', because: 'it writes "/home/user/.npm/a": caches of this workspace stand in, as tools outside run what they find in their own' },
    { change: 'network open', because: 'it connects to "1.2.3.4:443"', warning: expect.stringContaining('whole network') },
    { change: 'git commits', because: 'it writes "/home/user/work/.git/index.lock"', warning: expect.stringContaining('except hooks, config') },
  ])
})

test('a path with pattern characters is spelled so that it means itself', () => {
  const odd = fakeHost({ home: { user: { work: {} } }, srv: { 'a*[b]': {} }, tmp: {} })
  const policy = resolve(READ_ONLY, odd)
  const denial = denialOf({ policy, host: odd, cwd: '/home/user/work' }, { operation: 'create', path: '/srv/a*[b]/x', refused: false, modeRefuses: false, pid: 1, program: 'x' })
  if (denial === undefined) throw new Error('nothing is denied')
  const proposed = propose(READ_ONLY, [{ denial, caches: 'off' }], { ...place, files: odd.files }, 'untried')
  expect(proposed.policy.write).toEqual(['/srv/a\\*\\[b\\]'])
  expect(resolve(proposed.policy, odd).paths.filter(({ effect }) => effect === 'write').map(({ path }) => path)).toEqual(['/srv/a*[b]'])
})
