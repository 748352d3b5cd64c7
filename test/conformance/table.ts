// What a policy means, as a table: one row an access, with the verdict and why. `decide`, the compiled plan and the real kernel
// are held to the same rows.
import type { DegradationName } from '../../src/platform/launch-plan.js'
import type { FileAccess } from '../../src/policy/decision.js'
import type { SandboxPolicy } from '../../src/policy/sandbox-policy.js'
import { symlink, type Tree } from '../support/fake-host.js'

export interface Row {
  readonly access: FileAccess | 'list' | 'connect' | 'unix-connect'
  /** Below the scene's folder, which has `SCENE` in it; a leading slash: as it is. For `connect` no path. */
  readonly path: string
  readonly verdict: 'allow' | 'deny'
  readonly why: string
}

export interface Group {
  readonly name: string
  /** Where the scene's folder lies. Default: outside of every root. */
  readonly below?: '/tmp'
  readonly policy: (at: (path: string) => string) => Partial<SandboxPolicy>
  readonly allowDegraded?: readonly DegradationName[]
  /** The field of the policy for which the supervised rung refuses it as a whole; absent: it holds there as well. */
  readonly refusedSupervised?: string
  /** The same of the back end that uses bwrap. */
  readonly refusedBwrap?: string
  readonly rows: readonly Row[]
}

const FILE = 'text\n'

/** A workspace, `work`, which is the policy's cwd, and what lies beside it. */
export const SCENE: Tree = {
  work: {
    '.git': { HEAD: 'ref: refs/heads/main\n', config: '[core]\n', objects: {}, refs: {}, hooks: { 'pre-commit': FILE }, info: {} },
    src: { 'a.txt': FILE, gen: { 'b.txt': FILE } }, deep: { er: { 'secret.txt': FILE, 'open.txt': FILE } }, vendor: { lock: FILE, 'other.txt': FILE }, 'id.key': FILE,
    run: '#!/bin/sh\necho text\n', link: symlink('../outside'),
  },
  outside: { 'file.txt': FILE, open: { 'inner.txt': FILE, 'private.txt': FILE }, 'run': '#!/bin/sh\necho text\n' },
  other: { 'file.txt': FILE, '.agents': { 'a.md': FILE } },
}

const allow = (access: Row['access'], path: string, why: string): Row => ({ access, path, verdict: 'allow', why })
const deny = (access: Row['access'], path: string, why: string): Row => ({ access, path, verdict: 'deny', why })

export const TABLE: readonly Group[] = [
  {
    name: 'workspace-write', policy: () => ({}),
    rows: [
      allow('read', 'work/src/a.txt', 'reads are full'),
      allow('write', 'work/src/a.txt', 'the cwd is a writable root'),
      allow('create', 'work/new.txt', 'the cwd is a writable root'),
      allow('create', 'work/src/new.txt', 'so is all below it'),
      allow('remove', 'work/src/a.txt', 'so is all below it'),
      allow('execute', 'work/run', 'what may be read may be run'),
      allow('list', 'work', 'reads are full'),
      allow('read', 'outside/file.txt', 'reads are full'),
      allow('execute', 'outside/run', 'reads are full'),
      deny('write', 'outside/file.txt', 'outside every root'),
      deny('create', 'outside/new.txt', 'outside every root'),
      deny('remove', 'outside/file.txt', 'outside every root'),
      deny('create', 'new.txt', 'the folder above a root is none'),
      deny('remove', 'work/src/../../outside/file.txt', 'a path that leads out of the root'),
      deny('write', 'work/link/file.txt', 'a link in a root that leads out of it'),
      deny('create', 'work/link/new.txt', 'a link in a root that leads out of it'),
      allow('read', 'work/link/file.txt', 'what the link leads to may be read'),
    ],
  },
  {
    name: 'protected names', policy: () => ({}),
    rows: [
      allow('read', 'work/.git/HEAD', 'protected is read-only'),
      deny('write', 'work/.git/config', '.git is protected'),
      deny('create', 'work/.git/hooks/post-commit', '.git is protected'),
      deny('remove', 'work/.git/hooks/pre-commit', '.git is protected'),
      deny('remove', 'work/.git', 'a protected name stays where it is'),
      deny('create', 'work/.codex', 'a missing protected name cannot be made'),
      deny('create', 'work/.codex/config.toml', 'nor anything in it'),
      deny('create', 'work/.agents/a.md', 'nor anything in it'),
      allow('create', 'work/src/.codex', 'names are protected directly in the root'),
    ],
  },
  {
    name: 'read-only', policy: () => ({ mode: 'read-only' }),
    rows: [
      allow('read', 'work/src/a.txt', 'reads are full'),
      allow('execute', 'work/run', 'reads are full'),
      deny('write', 'work/src/a.txt', 'there is no writable root'),
      deny('create', 'work/new.txt', 'there is no writable root'),
      deny('remove', 'work/src/a.txt', 'there is no writable root'),
      deny('create', '/tmp/codex-sandbox-conformance', 'nor is /tmp one'),
    ],
  },
  {
    name: 'a read rule inside a root, and a write rule inside that', policy: at => ({ read: ['src'], write: [at('work/src/gen')] }),
    rows: [
      allow('read', 'work/src/a.txt', 'read-only'),
      deny('write', 'work/src/a.txt', 'the most specific rule is a read rule'),
      deny('create', 'work/src/new.txt', 'the most specific rule is a read rule'),
      deny('remove', 'work/src', 'what is read-only stays where it is'),
      allow('write', 'work/src/gen/b.txt', 'the most specific rule is a write rule'),
      allow('create', 'work/src/gen/new.txt', 'the most specific rule is a write rule'),
      allow('create', 'work/deep/new.txt', 'the root itself stays open'),
    ],
  },
  {
    name: 'a denied file in a root', policy: () => ({ deny: ['deep/er/secret.txt'] }),
    rows: [
      deny('read', 'work/deep/er/secret.txt', 'denied'),
      deny('write', 'work/deep/er/secret.txt', 'denied'),
      deny('remove', 'work/deep/er/secret.txt', 'denied'),
      deny('remove', 'work/deep/er', 'a closed path must not move along with its folder'),
      deny('remove', 'work/deep', 'a closed path must not move along with its folder'),
      allow('read', 'work/deep/er/open.txt', 'only the file is denied'),
      allow('write', 'work/deep/er/open.txt', 'only the file is denied'),
      allow('create', 'work/deep/er/new.txt', 'only the file is denied'),
      allow('remove', 'work/deep/er/open.txt', 'only the file is denied'),
      allow('list', 'work/deep/er', 'only the file is denied'),
    ],
  },
  {
    name: 'a denied folder outside, with one part to read', policy: at => ({ deny: [at('outside')], read: [at('outside/open')] }),
    rows: [
      deny('read', 'outside/file.txt', 'denied'),
      deny('execute', 'outside/run', 'denied'),
      deny('list', 'outside', 'denied'),
      deny('create', 'outside/new.txt', 'denied'),
      allow('read', 'outside/open/inner.txt', 'the most specific rule is a read rule'),
      allow('list', 'outside/open', 'the most specific rule is a read rule'),
      deny('write', 'outside/open/inner.txt', 'a read rule does not let write'),
      deny('create', 'outside/open/new.txt', 'a read rule does not let write'),
      allow('write', 'work/src/a.txt', 'a deny elsewhere changes nothing'),
    ],
  },
  {
    name: 'a denied folder outside, with one part to write, and a denied file in that', policy: at => ({ deny: [at('outside'), at('outside/open/private.txt')], write: [at('outside/open')] }),
    rows: [
      deny('read', 'outside/file.txt', 'denied'),
      allow('write', 'outside/open/inner.txt', 'the most specific rule is a write rule'),
      allow('create', 'outside/open/new.txt', 'the most specific rule is a write rule'),
      deny('create', 'outside/open/.git', 'protected names are protected in each root'),
      deny('read', 'outside/open/private.txt', 'a deny inside an opening closes again'),
      deny('remove', 'outside/open/private.txt', 'a deny inside an opening closes again'),
      deny('remove', 'outside/open', 'the root itself stays where it is'),
    ],
  },
  {
    name: 'a denied folder in a root, with one part to read', policy: () => ({ deny: ['src'], read: ['src/gen'] }),
    rows: [
      deny('read', 'work/src/a.txt', 'denied'),
      deny('create', 'work/src/new.txt', 'denied'),
      deny('remove', 'work/src', 'denied'),
      allow('read', 'work/src/gen/b.txt', 'the most specific rule is a read rule'),
      deny('write', 'work/src/gen/b.txt', 'a read rule does not let write'),
    ],
  },
  {
    name: 'a denied path that does not exist', policy: at => ({ deny: ['later', 'deep/later/secret.txt', at('outside/later')] }),
    rows: [
      deny('create', 'work/later', 'denied'),
      deny('create', 'work/later/file.txt', 'denied'),
      deny('create', 'work/deep/later/secret.txt', 'its first missing part cannot be made'),
      deny('remove', 'work/deep', 'a closed path must not move along with its folder'),
      deny('create', 'outside/later', 'outside every root, and denied'),
      allow('create', 'work/deep/new.txt', 'what is beside it stays open'),
    ],
  },
  {
    name: 'a denied link', policy: () => ({ deny: ['link'] }), refusedBwrap: 'deny[0]',
    rows: [
      deny('read', 'work/link/file.txt', 'what it leads to is denied'),
      deny('read', 'outside/file.txt', 'by its own name too'),
      deny('remove', 'work/link', 'the link itself is denied'),
      allow('read', 'other/file.txt', 'nothing else is denied'),
    ],
  },
  {
    name: 'a deny glob', policy: () => ({ deny: ['**/*.key'] }), allowDegraded: ['later-glob-matches'],
    rows: [
      deny('read', 'work/id.key', 'it matches'),
      deny('remove', 'work/id.key', 'it matches'),
      allow('read', 'work/src/a.txt', 'it does not match'),
      allow('create', 'work/new.txt', 'it does not match'),
    ],
  },
  {
    name: 'deny, read and write at one path', policy: at => ({ deny: [at('other/file.txt')], read: [at('other/file.txt'), at('outside')], write: [at('other'), at('other/file.txt'), at('outside')] }),
    rows: [
      deny('read', 'other/file.txt', 'deny before read and write'),
      deny('write', 'other/file.txt', 'deny before read and write'),
      allow('read', 'outside/file.txt', 'read before write'),
      deny('write', 'outside/file.txt', 'read before write'),
    ],
  },
  {
    name: 'more roots', policy: at => ({ writableRoots: [at('other')], write: [at('outside/file.txt')] }),
    rows: [
      allow('write', 'other/file.txt', 'a writable root'),
      allow('create', 'other/new.txt', 'a writable root'),
      deny('write', 'other/.agents/a.md', 'protected in each root'),
      deny('create', 'other/.git', 'protected in each root, existing or not'),
      allow('write', 'outside/file.txt', 'a root that is one file'),
      deny('remove', 'outside/file.txt', 'its folder is not writable'),
      deny('create', 'outside/new.txt', 'its folder is not writable'),
    ],
  },
  {
    name: 'a root inside a root', policy: at => ({ write: [at('work/deep/er')] }),
    rows: [
      allow('create', 'work/deep/er/new.txt', 'a writable root'),
      deny('create', 'work/deep/er/.codex', 'it has protected names of its own'),
      deny('remove', 'work/deep', 'these must not move along with its folder'),
      allow('create', 'work/deep/new.txt', 'the outer root'),
    ],
  },
  {
    name: 'protect', policy: () => ({ protect: ['vendor/lock', 'missing'] }),
    rows: [
      allow('read', 'work/vendor/lock', 'protected is read-only'),
      deny('write', 'work/vendor/lock', 'protected'),
      deny('remove', 'work/vendor/lock', 'protected'),
      deny('remove', 'work/vendor', 'a protected path must not move along with its folder'),
      allow('write', 'work/vendor/other.txt', 'what is beside it stays open'),
      allow('create', 'work/vendor/new.txt', 'what is beside it stays open'),
      deny('create', 'work/missing', 'a missing protected name cannot be made'),
    ],
  },
  {
    name: 'git: commits', policy: () => ({ git: 'commits' }), refusedBwrap: 'git',
    rows: [
      allow('write', 'work/.git/HEAD', 'a commit writes there'),
      allow('create', 'work/.git/index', 'a commit writes there'),
      allow('create', 'work/.git/objects/new', 'a commit writes there'),
      deny('write', 'work/.git/config', 'it names programs'),
      deny('create', 'work/.git/hooks/post-commit', 'they are programs'),
      deny('write', 'work/.git/hooks/pre-commit', 'they are programs'),
      deny('create', 'work/.git/info/attributes', 'it names programs'),
      deny('create', 'work/.git/commondir', 'it leads to others of these'),
      deny('create', 'work/.git/rebase-merge/git-rebase-todo', 'git on the host would carry it out'),
      deny('remove', 'work/.git/info', 'a protected path must not move along with its folder'),
      deny('remove', 'work/.git', 'a protected path must not move along with its folder'),
    ],
  },
  {
    name: 'restricted reads', policy: at => ({ readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [at('outside/open')] }, excludeSlashTmp: true }),
    rows: [
      allow('read', 'work/src/a.txt', 'a writable root may be read'),
      allow('write', 'work/src/a.txt', 'a writable root'),
      allow('read', 'outside/open/inner.txt', 'a readable root'),
      allow('list', 'outside/open', 'a readable root'),
      deny('write', 'outside/open/inner.txt', 'a readable root is not writable'),
      deny('read', 'outside/file.txt', 'no rule lets read it'),
      deny('list', 'outside', 'no rule lets read it'),
      deny('execute', 'outside/run', 'no rule lets read it'),
      deny('read', 'other/file.txt', 'no rule lets read it'),
    ],
  },
  {
    name: 'a workspace below /tmp', below: '/tmp', policy: () => ({}),
    rows: [
      allow('write', 'work/src/a.txt', 'the cwd is a writable root'),
      allow('create', 'new.txt', '/tmp is a writable root'),
      allow('write', 'outside/file.txt', '/tmp is a writable root'),
      deny('create', 'work/.codex', 'the cwd has protected names'),
      deny('remove', '', 'these must not move along with a folder above'),
    ],
  },
  {
    name: 'a workspace below /tmp, which is no root', below: '/tmp', policy: () => ({ excludeSlashTmp: true }),
    rows: [
      allow('write', 'work/src/a.txt', 'the cwd is a writable root'),
      deny('create', 'new.txt', '/tmp is excluded'),
      deny('write', 'outside/file.txt', '/tmp is excluded'),
      allow('read', 'outside/file.txt', 'reads are full'),
    ],
  },
  {
    name: 'a workspace below a private /tmp', below: '/tmp', policy: () => ({ tmp: 'private' }), refusedSupervised: 'tmp',
    rows: [
      allow('write', 'work/src/a.txt', 'the cwd is a writable root'),
      allow('create', 'work/new.txt', 'the cwd is a writable root'),
      deny('write', 'work/.git/config', 'protected as everywhere'),
      deny('create', 'work/.codex', 'protected as everywhere'),
    ],
  },
  {
    name: 'no /tmp', policy: () => ({ tmp: 'none' }),
    rows: [
      deny('create', '/tmp/codex-sandbox-conformance', 'it is read-only'),
      allow('create', 'work/new.txt', 'the cwd is a writable root'),
    ],
  },
  {
    name: 'the network off', policy: () => ({}),
    rows: [
      deny('connect', '', 'the network is off'),
      deny('unix-connect', 'outside/server', 'the server runs outside'),
      deny('unix-connect', 'work/server', 'wherever its name lies'),
    ],
  },
  {
    name: 'the network open', policy: () => ({ network: 'open' }),
    rows: [
      allow('connect', '', 'the network is open'),
      deny('unix-connect', 'work/server', 'the server runs outside'),
      deny('create', 'outside/new.txt', 'the network opens no files'),
    ],
  },
]
