// Which back end serves a policy on a platform. The one place where this is decided; pure.
import type { PlatformName } from '../policy/host-snapshot.js'
import type { SandboxMode } from '../policy/sandbox-policy.js'
import type { BackendName, WindowsMode } from './launch-plan.js'

const CONFINING_BACKEND: Record<PlatformName, (windowsMode: WindowsMode) => BackendName> = {
  linux: () => 'linux-native',
  macos: () => 'macos-seatbelt',
  windows: windowsMode => `windows-${windowsMode}`,
}

/** Modes whose commands nothing here confines: the caller said so, or another sandbox does it. */
const UNCONFINED_MODES: readonly SandboxMode[] = ['danger-full-access', 'external-sandbox']

/** @param windowsMode  on Windows the one that holds more, unless the caller names the other */
export const selectBackend = (platform: PlatformName, mode: SandboxMode, windowsMode: WindowsMode = 'elevated'): BackendName =>
  UNCONFINED_MODES.includes(mode) ? 'unconfined' : CONFINING_BACKEND[platform](windowsMode)
