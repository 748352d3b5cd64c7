// `windowsSandbox/…`: the set-up of the Windows sandbox, for the user to start, and whether there is one.
import type { Client } from './client.js'
import type { PlatformName } from '../policy/host-snapshot.js'

export type SetupMode = 'elevated' | 'unelevated'

/** In the reference's words. */
const NOT_WINDOWS: Record<SetupMode, string> = {
  elevated: 'elevated Windows sandbox setup is only supported on Windows',
  unelevated: 'legacy Windows sandbox setup is only supported on Windows',
}

/** Tells how it went by `windowsSandbox/setupCompleted`. Never throws. */
export async function setUpWindows(client: Client, mode: SetupMode): Promise<void> {
  const error = client.shared.platform === 'windows' ? NOT_BUILT : NOT_WINDOWS[mode]
  client.notify('windowsSandbox/setupCompleted', { mode, success: false, error })
}

const NOT_BUILT = 'the Windows sandbox is not built yet'

export async function windowsReadiness(_platform: PlatformName): Promise<'ready' | 'notConfigured' | 'updateRequired'> {
  return 'notConfigured'
}
