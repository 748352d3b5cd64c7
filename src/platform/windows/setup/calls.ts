// Set-up's calls over one system.
import type { WindowsSetUpCalls } from './report.js'
import { setUpWindows } from './set-up-windows.js'
import { windowsSetUpStatus } from './status.js'
import type { WindowsSystem } from './system.js'
import { uninstallWindows } from './uninstall-windows.js'

export const setUpCalls = (system: WindowsSystem): WindowsSetUpCalls => ({
  setUp: request => setUpWindows(system, request),
  status: () => windowsSetUpStatus(system),
  uninstall: listeners => uninstallWindows(system, listeners),
})
