// The set-up of a Windows machine that is made by hand: what was asked of it, and answers that a test gives.
import { WindowsSetup, type SetupPlace } from '../../src/exec/windows-setup.js'
import type { SetUpReport, SetUpRequest, SetUpStatus, UninstallReport, WindowsSetUpCalls } from '../../src/platform/windows/setup/report.js'
import type { Scan, ScanView } from '../../src/platform/windows/world-writable.js'
import type { HostSnapshot } from '../../src/policy/host-snapshot.js'
import { setUpCalls } from '../../src/platform/windows/setup/calls.js'
import type { FakeWindows } from './fake-windows.js'
import { winHost } from './windows-host.js'

export const REPORT: SetUpReport = {
  mode: 'elevated', steps: [{ step: 'accounts', outcome: 'made' }, { step: 'access_lists', outcome: 'unchanged', written: 0 }], roots: ['C:\\Users\\me\\work'], notes: ['a note'],
}
export const NOT_SET_UP: SetUpStatus = { status: 'notConfigured', modes: [], roots: [], proxyPorts: [] }

export interface SetupScript {
  readonly status?: SetUpStatus
  readonly uninstall?: UninstallReport
  readonly logons?: Awaited<ReturnType<WindowsSetUpCalls['logons']>>
  /** Instead of the report. */
  readonly work?: (request: SetUpRequest) => Promise<SetUpReport>
  readonly scan?: { readonly scan: Scan; readonly view: ScanView }
}

export interface FakeSetup {
  readonly setup: WindowsSetup
  readonly requests: SetUpRequest[]
  readonly calls: string[]
}

export function fakeSetup({ status = NOT_SET_UP, uninstall = { steps: [], left: [] }, logons = [], work = async () => REPORT, scan }: SetupScript = {}): FakeSetup {
  const [requests, calls]: [SetUpRequest[], string[]] = [[], []]
  const made: WindowsSetUpCalls = {
    async setUp(request) {
      requests.push(request)
      calls.push(`setUp ${request.mode}`)
      return work(request)
    },
    async status() {
      calls.push('status')
      return status
    },
    logons: async () => logons,
    async uninstall() {
      calls.push('uninstall')
      return uninstall
    },
  }
  const place: SetupPlace = { calls: made, host: (cwd): HostSnapshot => winHost(undefined, cwd === undefined ? {} : { cwd }), scan: async () => scan }
  return { setup: new WindowsSetup(place), requests, calls }
}

/** The real set-up on a machine in memory, whose files and lists are those of `winHost()`. */
export const setupOn = (machine: FakeWindows): WindowsSetup => new WindowsSetup({
  calls: setUpCalls(machine.system()), scan: async () => undefined,
  host: (cwd): HostSnapshot => ({ ...winHost(undefined, cwd === undefined ? {} : { cwd }), windows: machine.facts() }),
})
