// Which layers bwrap gives on this host, found by having it make one sandbox with the launcher's own probe inside.
import { closeSync, openSync } from 'node:fs'
import type { LayerReport } from '../../backend.js'
import { interpretProbe, probeLinuxNative } from '../native/probe.js'
import { isNested, type LayerName } from '../native/layers.js'
import { namespaceArguments, systemArguments } from './compile-arguments.js'
import { BWRAP_SURROUNDINGS, inspectBwrap, type locateBwrap, runBwrap } from './find.js'

const PROBE_TIMEOUT_MS = 10_000
const PROGRAM_FD = 3

/** What bwrap makes, or nothing is there to probe in. */
const MADE_BY_BWRAP: readonly LayerName[] = ['user-namespace', 'mount-namespace', 'pid-namespace', 'network-namespace', 'proc-mount']

/** What bwrap says where the host does not let it, and what helps. The first row that fits. Source: bubblewrap.c and network.c; its issue tracker. */
const REFUSALS = [
  { said: /loopback: Failed RTM_NEW(ADDR|LINK)/, reason: 'AppArmor or another security module lets bwrap make a network namespace, but do nothing in it', remedy: 'Give bwrap an AppArmor profile with the rule `userns,` (Ubuntu: install the package apparmor-profiles and load bwrap-userns-restrict).' },
  { said: /setting up uid map: Permission denied/, reason: 'AppArmor or another security module refuses bwrap the map of ids', remedy: 'Give bwrap an AppArmor profile with the rule `userns,`.' },
  { said: /No permissions to create (a )?new namespace|Creating new namespace failed/, reason: 'this host lets unprivileged users make no namespaces', remedy: 'As root: sysctl -w kernel.unprivileged_userns_clone=1, or raise user.max_user_namespaces.' },
  { said: /Can't mount proc/, reason: 'something is mounted over a part of /proc, as containers do, and the kernel lets nobody mount a fuller one', remedy: 'Docker: --security-opt systempaths=unconfined. Podman: --security-opt unmask=ALL.' },
] as const

/** Asks the host. Changes nothing: what is tried ends at once. */
export async function probeBwrap(launcherPath: string, located: ReturnType<typeof locateBwrap>): Promise<readonly LayerReport[]> {
  const bwrap = await inspectBwrap(located)
  if (!bwrap.available || located === undefined) return [bwrap, ...await probeLinuxNative(launcherPath)]
  const program = openSync(launcherPath, 'r')
  try {
    const { exitCode, signal, stdout, stderr } = await runBwrap(located.path, [...namespaceArguments('private'), ...systemArguments([]), '--', `/proc/self/fd/${PROGRAM_FD}`, '--probe'], {
      ...BWRAP_SURROUNDINGS, stdio: ['ignore', 'pipe', 'pipe', program], timeout: PROBE_TIMEOUT_MS, killSignal: 'SIGKILL',
    })
    if (exitCode === 0) return [bwrap, ...interpretProbe(stdout).map(report => MADE_BY_BWRAP.includes(report.layer as LayerName) ? { layer: report.layer, available: true } : report)]
    return refused({ said: stderr.trim().slice(0, MOST_SAID), signal }, bwrap, await probeLinuxNative(launcherPath))
  } finally {
    closeSync(program)
  }
}

const MOST_SAID = 300

/** What bwrap says stands for itself, but for where nobody could: inside another sandbox its advice leads nowhere. */
function refused({ said, signal }: { readonly said: string; readonly signal: string | undefined }, bwrap: LayerReport, native: readonly LayerReport[]): readonly LayerReport[] {
  const outer = isNested(native) ? native.find(({ layer, available }) => layer === 'user-namespace' && !available) : undefined
  const row = REFUSALS.find(refusal => refusal.said.test(said))
  return [{
    ...bwrap, available: false, ...(signal === undefined ? {} : { errno: signal }),
    reason: outer?.reason ?? (row === undefined ? `bwrap cannot make a sandbox here: ${JSON.stringify(said)}` : `${row.reason} (bwrap: ${JSON.stringify(said)})`),
    remedy: outer?.remedy ?? row?.remedy ?? 'Run that bwrap by hand.',
  }, ...native]
}
