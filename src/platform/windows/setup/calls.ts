// Set-up's calls over one system.
import { checkLogons } from './check-logons.js'
import type { WindowsSetUpCalls } from './report.js'
import { setUpWindows } from './set-up-windows.js'
import { windowsSetUpStatus } from './status.js'
import type { WindowsSystem } from './system.js'
import { uninstallWindows } from './uninstall-windows.js'

export const setUpCalls = (system: WindowsSystem): WindowsSetUpCalls => ({
  setUp: request => setUpWindows(system, request),
  status: () => windowsSetUpStatus(system),
  logons: () => checkLogons(system),
  uninstall: listeners => uninstallWindows(system, listeners),
})
