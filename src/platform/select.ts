// Which back end serves a policy on a platform. The one place where this is decided; pure.
import type { HostSnapshot, PlatformName } from '../policy/host-snapshot.js'
import type { SandboxMode } from '../policy/sandbox-policy.js'
import type { BackendName, LinuxBackend, WindowsMode } from './launch-plan.js'

const CONFINING_BACKEND: Record<PlatformName, (windowsMode: WindowsMode, linux: LinuxBackend) => BackendName> = {
  linux: (_, backend) => backend,
  macos: () => 'macos-seatbelt',
  windows: windowsMode => `windows-${windowsMode}`,
}

/** Modes whose commands nothing here confines: the caller said so, or another sandbox does it. */
const UNCONFINED_MODES: readonly SandboxMode[] = ['danger-full-access', 'external-sandbox']

/** What of a machine decides. */
export type SelectedBy = Pick<HostSnapshot, 'platform' | 'wsl'>

/**
 * @param windowsMode  on Windows the one that holds more, unless the caller names the other
 * @param linux        on Linux the launcher alone, unless the caller names bwrap
 */
export function selectBackend({ platform, wsl }: SelectedBy, mode: SandboxMode, windowsMode: WindowsMode = 'elevated', linux: LinuxBackend = 'linux-native'): BackendName {
  if (UNCONFINED_MODES.includes(mode)) return 'unconfined'
  return wsl === 1 ? 'unsupported' : CONFINING_BACKEND[platform](windowsMode, linux)
}
