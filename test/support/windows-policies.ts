// The policies whose compiled plans for Windows are golden and mutated: what each is about, in which mode, and on which machine.
import type { NetworkEndpoints } from '../../src/platform/backend.js'
import type { DegradationName, WindowsMode, WindowsPlan } from '../../src/platform/launch-plan.js'
import { compileWindows } from '../../src/platform/windows/compile.js'
import type { HostSnapshot, WindowsFacts } from '../../src/policy/host-snapshot.js'
import { type DefaultsName, presetPolicy } from '../../src/policy/presets.js'
import { resolve } from '../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../src/policy/sandbox-policy.js'
import { compileOptions } from './linux-layers.js'
import { EVERYBODYS, ME, ONLY_MINE, WIN_TREE, WINDOWS_THERE, winHost } from './windows-host.js'

export interface WindowsCase {
  readonly name: string
  readonly mode: WindowsMode
  readonly policy: Partial<SandboxPolicy>
  readonly host?: HostSnapshot
  readonly defaults?: DefaultsName
  readonly allowDegraded?: readonly DegradationName[]
  readonly endpoints?: NetworkEndpoints
}

const W = 'C:\\Users\\me\\work'
const MESSY = winHost({ ...WIN_TREE, 'E:': { x: '' } }, {
  lists: { [`${W}\\src`]: EVERYBODYS, [`${W}\\deep\\er`]: `O:${ME}D:PAI(A;OICI;FA;;;${ME})(A;OICI;FR;;;WD)`, 'C:\\src': EVERYBODYS, 'C:\\Users\\me\\Documents': ONLY_MINE },
  facts: {
    drives: [{ letter: 'C:', fileSystem: 'NTFS', kind: 'fixed' }, { letter: 'E:', fileSystem: 'exFAT', kind: 'removable' }],
    ownLists: [`${W}\\src`, `${W}\\deep\\er`, 'C:\\src', 'C:\\Users\\me\\Documents'].map(path => ({ path, kind: 'directory' })),
  },
})

export const WINDOWS_CASES: readonly WindowsCase[] = [
  { name: 'elevated-workspace-write', mode: 'elevated', policy: {} },
  { name: 'elevated-read-only', mode: 'elevated', policy: { mode: 'read-only' } },
  { name: 'elevated-library-defaults', mode: 'elevated', policy: {}, defaults: 'library' },
  { name: 'elevated-network-open', mode: 'elevated', policy: { network: 'open', limits: { memoryBytes: 1 << 30, pids: 64, cpuSeconds: 60 } } },
  { name: 'elevated-proxied', mode: 'elevated', policy: { network: 'open' }, endpoints: { proxyPorts: [8080, 1080] } },
  { name: 'elevated-rules-in-rules', mode: 'elevated', policy: { read: ['src'], write: [`${W}\\src\\gen`, 'C:\\src\\project'], deny: ['deep', '~/other'], tmp: 'none' } },
  { name: 'elevated-missing-paths', mode: 'elevated', policy: { deny: ['later', 'deep\\later\\x', 'C:\\Users\\them\\later'], protect: ['vendor/lock'], tmp: 'none' }, allowDegraded: ['absent-paths'] },
  { name: 'elevated-globs', mode: 'elevated', policy: { deny: ['**/*.key', 'deep/*/secret.txt'], tmp: 'none' }, allowDegraded: ['later-glob-matches'] },
  { name: 'elevated-restricted-reads', mode: 'elevated', policy: { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: ['C:\\src'] }, deny: ['C:\\src\\project\\a.c'] }, allowDegraded: ['restricted-reads'] },
  { name: 'elevated-messy-host', mode: 'elevated', policy: { deny: ['deep'], read: ['src'] }, host: MESSY, allowDegraded: ['world-writable'] },
  { name: 'unelevated-workspace-write', mode: 'unelevated', policy: {}, allowDegraded: ['network'] },
  { name: 'unelevated-network-open', mode: 'unelevated', policy: { network: 'open' } },
  { name: 'unelevated-everything-degraded', mode: 'unelevated', policy: { deny: ['deep', '**/*.key'], limits: { openFiles: 64 } }, defaults: 'library', host: MESSY, allowDegraded: ['network', 'denied-reads', 'world-writable', 'later-glob-matches', 'limits'] },
]

function resolveWindowsCase({ policy, host = winHost(), defaults = 'reference' }: WindowsCase): { policy: ResolvedPolicy; host: HostSnapshot } {
  return { host, policy: resolve({ ...presetPolicy(policy.mode ?? 'workspace-write', defaults), ...policy }, host) }
}

export function compileWindowsCase(each: WindowsCase): { policy: ResolvedPolicy; host: HostSnapshot; plan: WindowsPlan } {
  const { policy, host } = resolveWindowsCase(each)
  const plan = compileWindows(policy, each.mode, WINDOWS_THERE, compileOptions({
    allowDegraded: new Set(each.allowDegraded), windows: host.windows as WindowsFacts, supposeSetUp: true, cwdIdentity: { device: '1', inode: '2' }, ...(each.endpoints === undefined ? {} : { endpoints: each.endpoints }),
  }))
  return { policy, host, plan }
}
