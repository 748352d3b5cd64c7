// What set-up is asked for, and what it tells: the types that its callers see.
import type { WindowsFacts } from '../../../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import type { WindowsMode } from '../../launch-plan.js'
import type { LogonCheck } from './check-logons.js'

export interface SetUpProgress {
  /** The step that is under way: one of `SET_UP_STEPS`, the undoing of one, or of `uninstall`. */
  readonly step: string
  /** Objects done so far, of how many where that is known. Only steps that walk folders count. */
  readonly done?: number
  readonly total?: number
  readonly path?: string
}

/** Common to setting up and removing. */
export interface SetUpListeners {
  onProgress?(progress: SetUpProgress): void
  /** Aborted: what this run has made is undone, and the call rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

export interface SetUpRequest extends SetUpListeners {
  readonly mode: WindowsMode
  /** What shall be ready to be carried out afterwards, resolved on this machine: one for each `--root`, or for each policy of a caller. */
  readonly policies: readonly ResolvedPolicy[]
  /** Ports of the loopback that the firewall leaves open for commands without a network. Those of an earlier set-up stay. Default: none. */
  readonly proxyPorts?: readonly number[]
  /** Reads this machine anew, each time. `setUp` and `ownLists` of the answer are not looked at: set-up knows them better. */
  facts(): Promise<WindowsFacts> | WindowsFacts
}

/** One row a step, in the order in which they were carried out. */
export interface SetUpStepReport {
  readonly step: string
  /** `unchanged`: what the step makes was there already, and reads back. */
  readonly outcome: 'made' | 'unchanged'
  /** Objects whose lists were written. */
  readonly written?: number
}

export interface SetUpReport {
  readonly mode: WindowsMode
  readonly steps: readonly SetUpStepReport[]
  /** Folders and files that have entries of ours of their own now. */
  readonly roots: readonly string[]
  /** What the user should know, in sentences. */
  readonly notes: readonly string[]
}

export interface SetUpStatus {
  /** `updateRequired`: another version's, or one that was interrupted: `reason` says which. */
  readonly status: 'ready' | 'notConfigured' | 'updateRequired'
  readonly reason?: string
  /** That are set up. `elevated` has what `unelevated` needs as well. */
  readonly modes: readonly WindowsMode[]
  readonly roots: readonly string[]
  readonly proxyPorts: readonly number[]
  readonly accounts?: { readonly offline: string; readonly online: string; readonly group: string }
  /** Somebody is setting up or uninstalling at this moment. */
  readonly holder?: SetUpHolder
  /** The last failure, as the error file has it. */
  readonly lastError?: { readonly step: string; readonly message: string; readonly at: string }
}

/** Who holds the lock: one at a time. */
export interface SetUpHolder {
  readonly pid: number
  readonly what: 'set-up' | 'uninstall'
  readonly since: string
}

export interface UninstallReport {
  readonly steps: readonly SetUpStepReport[]
  /** What could not be looked at, and so may still have entries of ours: gone, on a drive that is not there, or refused. */
  readonly left: readonly { readonly path: string; readonly reason: string }[]
}

export type SetUpWindows = (request: SetUpRequest) => Promise<SetUpReport>
export type WindowsSetUpStatus = () => Promise<SetUpStatus>
export type UninstallWindows = (listeners?: SetUpListeners) => Promise<UninstallReport>

/** What the command line and the service call; made by `openWindowsSetUp`. */
export interface WindowsSetUpCalls {
  /**
   * Makes what plans of `mode` for these policies need, step by step; each is read back. A second call only makes what is missing, also
   * after one that was interrupted. Where this process may not do it all, one elevated helper is started, with the user's consent.
   *
   * @throws SandboxError `set_up_failed` with the step, after everything that this call made is undone; `windows_setup_busy` where somebody holds the lock;
   *         `windows_setup_refused`, before any change, where this machine or its policies cannot have it, or consent was refused
   */
  setUp: SetUpWindows
  /** Changes nothing. */
  status: WindowsSetUpStatus
  /** Tries to log on as each account that set-up made. */
  logons: () => Promise<LogonCheck[]>
  /** Removes all accounts, rules, SIDs and entries of ours, and nothing else. */
  uninstall: UninstallWindows
}
