// Options that could not act where they are given: an error, since whoever writes one counts on it. Keys of a configuration, which is the
// same for all machines, and options of the library, which are the same for all of a program's, stay silent where they mean another system.
import { SandboxError } from '../errors.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { SandboxMode } from '../policy/sandbox-policy.js'
import { longName, type OptionRow, OPTIONS, type Options, type Verb } from './options.js'

/** What decides whether an option can act. */
export interface Situation {
  readonly verb: Verb
  readonly options: Options
  /** The system that runs the command, or that the plan is for. */
  readonly platform: PlatformName
  /** The policy's. */
  readonly mode: SandboxMode
}

interface Row {
  readonly keys: readonly (keyof Options)[]
  /** Why they have no effect; undefined: they have one. */
  readonly why: (situation: Situation) => string | undefined
  readonly remedy?: string
}

const NOTHING_ENFORCED: Row['why'] = ({ mode }) => mode === 'danger-full-access' || mode === 'external-sandbox' ? `the mode is ${mode}, which enforces nothing` : undefined

/** The order is that in which they are told. */
const ROWS: readonly Row[] = [
  { keys: ['windowsMode'], why: ({ platform }) => platform === 'windows' ? undefined : `it is for Windows, and this is ${platform}` },
  { keys: ['backend'], why: ({ platform }) => platform === 'linux' ? undefined : `it is for Linux, and this is ${platform}` },
  { keys: ['rung'], why: ({ platform }) => platform === 'linux' ? undefined : `it is for Linux, and this is ${platform}` },
  { keys: ['windowsMode', 'backend', 'rung', 'logDenials'], why: NOTHING_ENFORCED },
  { keys: ['rung'], why: ({ options: { backend } }) => backend === undefined || backend === 'linux-native' ? undefined : `it is a way of linux-native, and --backend says ${backend}` },
  { keys: ['killGrace'], why: ({ options: { timeout, idleTimeout } }) => timeout === undefined && idleTimeout === undefined ? 'it counts from a time-out, and there is none' : undefined, remedy: 'Add --timeout or --idle-timeout, or leave it out.' },
]

/** @throws SandboxError `option_invalid`, `field` = the option */
export function refuseWithoutEffect(situation: Situation): void {
  for (const { keys, why, remedy } of ROWS) {
    for (const key of keys) {
      const value = situation.options[key]
      const reason = value === undefined ? undefined : why(situation)
      if (reason !== undefined) throw new SandboxError('option_invalid', { field: `--${nameOf(key)}`, value: value === true ? undefined : value }, { detail: `it has no effect here: ${reason}`, remedy: remedy ?? 'Leave it out.' })
    }
  }
}

const nameOf = (key: keyof Options): string => longName(OPTIONS.find((row: OptionRow) => row.key === key) as OptionRow)
