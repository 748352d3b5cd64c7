// The policies whose compiled profiles are golden, mutated and attacked: what each is about, and on which Mac.
import type { NetworkEndpoints } from '../../src/platform/backend.js'
import type { HostSnapshot } from '../../src/policy/host-snapshot.js'
import { type DefaultsName, presetPolicy } from '../../src/policy/presets.js'
import { resolve, type ResolveOptions } from '../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../src/policy/resolved-policy.js'
import type { SandboxMode, SandboxPolicy } from '../../src/policy/sandbox-policy.js'
import { MAC_TREE, MAC_WORK, macHost } from './macos-host.js'
import type { Tree } from './fake-host.js'

export interface SeatbeltCase {
  readonly name: string
  readonly policy: Partial<SandboxPolicy>
  readonly host?: HostSnapshot
  readonly defaults?: DefaultsName
  readonly endpoints?: NetworkEndpoints
  readonly allowBroadRoots?: true
  readonly caches?: ResolveOptions['caches']
}

const users = MAC_TREE['Users'] as Tree
const me = users['me'] as Tree
const withWork = (work: Tree): Tree => ({ ...MAC_TREE, Users: { ...users, me: { ...me, work: { ...MAC_WORK, ...work } } } })
const W = '/Users/me/work'

export const SEATBELT_CASES: readonly SeatbeltCase[] = [
  { name: 'workspace-write', policy: {} },
  { name: 'read-only', policy: { mode: 'read-only' } },
  {
    name: 'library-defaults', policy: {}, defaults: 'library', caches: { files: '/Users/me/Library/Caches/codex-sandbox/work', settings: '/Users/me/Library/Caches/codex-sandbox/settings' },
    host: macHost({
      ...MAC_TREE, Users: { ...users, me: { ...me, work: { ...MAC_WORK, '.vscode': { 'tasks.json': '' }, '.mcp.json': '' }, Library: { ...me['Library'] as Tree, Caches: { 'codex-sandbox': { work: {}, settings: {} } } } } },
    }),
  },
  { name: 'restricted-reads', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: ['/Users/me/other'] }, excludeSlashTmp: true, excludeTmpdirEnvVar: true } },
  { name: 'restricted-reads-bare', policy: { mode: 'read-only', readAccess: { kind: 'restricted', includePlatformDefaults: false, readableRoots: ['/usr/lib', '/bin'] } } },
  { name: 'rules-in-rules', policy: { read: ['src'], write: [`${W}/src/gen`, '/Users/me/other'], deny: ['/Users/me', 'deep/er/secret.txt'], excludeSlashTmp: true, excludeTmpdirEnvVar: true } },
  { name: 'missing-paths', policy: { deny: ['later', 'deep/later/secret.txt', '/Users/them/later'], protect: ['vendor/lock', 'caf\u00e9'], excludeSlashTmp: true, excludeTmpdirEnvVar: true } },
  { name: 'globs', policy: { deny: ['**/*.key', '*/er/*.txt', '/Users/them/**/.env'], excludeSlashTmp: true, excludeTmpdirEnvVar: true } },
  {
    name: 'globs-reopened', policy: { deny: ['**/deep'], read: ['deep/er'], write: [`${W}/deep/er/open.txt`], excludeSlashTmp: true, excludeTmpdirEnvVar: true },
    host: macHost(withWork({ deep: { er: { 'open.txt': '', deep: { x: '' } }, other: '' } })),
  },
  { name: 'git-commits', policy: { git: 'commits', excludeSlashTmp: true, excludeTmpdirEnvVar: true } },
  { name: 'network-open', policy: { network: 'open', devices: ['/dev/cu.usbserial'], deny: ['/dev/tty'] } },
  { name: 'network-proxied', policy: { network: 'open', mode: 'read-only' }, endpoints: { proxyPorts: [8888, 1080], unixSockets: ['/private/var/run'] } },
  { name: 'network-loopback', policy: { mode: 'read-only' }, endpoints: { localBinding: true } },
  { name: 'letter-case-matters', policy: { deny: ['deep/er/secret.txt'], protect: ['Sub'] }, host: macHost(MAC_TREE, { caseInsensitive: [] }) },
  { name: 'workspace-below-tmp', policy: {}, host: macHost({ ...MAC_TREE, private: { ...MAC_TREE['private'] as Tree, tmp: { scratch: { ws: { '.git': {} } }, '.codex': {} } } }, { cwd: '/tmp/scratch/ws' }) },
  {
    name: 'odd-names', policy: { deny: ['q"u\\\\o(te)', 'new\u200bline', ') (allow default) (', '日本/語'], protect: ['$HOME', ';x'], write: ['/Users/me/other/Read Me'], excludeSlashTmp: true, excludeTmpdirEnvVar: true },
    host: macHost(withWork({ 'q"u\\o(te)': '', ') (allow default) (': '', '日本': { '語': '' } })),
  },
  { name: 'whole-disk', policy: { write: ['/'], deny: ['/Users/them'] }, allowBroadRoots: true },
  { name: 'data-volume', policy: { deny: ['/System/Volumes/Data/Users/them', '/users/ME/OTHER/file.txt'], writableRoots: ['/System/Volumes/Data/Users/me/other'] } },
]

export function resolveCase({ policy, host = macHost(), defaults = 'reference', allowBroadRoots, caches }: SeatbeltCase): { policy: ResolvedPolicy; host: HostSnapshot } {
  const mode: SandboxMode = policy.mode ?? 'workspace-write'
  const options = { ...(allowBroadRoots === undefined ? {} : { allowBroadRoots }), ...(caches === undefined ? {} : { caches }) }
  return { host, policy: resolve({ ...presetPolicy(mode, defaults), ...policy }, host, options) }
}
