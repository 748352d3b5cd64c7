// "No sandbox", as a back end that can be found: plain child processes for danger-full-access and external-sandbox, with the
// same interface and the same outcomes. Every result's `enforcement` says that nothing is enforced here.
import { SandboxError } from '../errors.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { Limits } from '../policy/sandbox-policy.js'
import type { Backend, CommandHandlers, CompileOptions, Launcher, LayerReport, RunningCommand } from './backend.js'
import { ChildCommands } from './child-commands.js'
import type { CommandPlan, Enforcement, LaunchPlan, UnconfinedPlan } from './launch-plan.js'

const NOTES = [
  'commands run without a sandbox, as the policy says',
  'what a command leaves in the background is ended with its process group only',
  'processor time and memory are not measured',
]

export function unconfinedBackend(): Backend {
  return {
    name: 'unconfined',
    probe: async (): Promise<readonly LayerReport[]> => [],
    compile: compileUnconfined,
    async start(plan) {
      return new UnconfinedLauncher(plan)
    },
  }
}

/** @throws SandboxError `rule_not_enforceable` for a rule or a limit: nothing here could hold it */
function compileUnconfined(policy: ResolvedPolicy, _layers: readonly LayerReport[], options: CompileOptions): UnconfinedPlan {
  const limits = Object.keys({ ...policy.limits, ...options.limits }) as (keyof Limits)[]
  const limited = limits.find(name => (options.limits[name] ?? policy.limits[name]) !== undefined)
  if (limited !== undefined && !options.allowDegraded.has('limits')) {
    throw new SandboxError('rule_not_enforceable', { field: `limits.${limited}`, value: policy.limits[limited] ?? options.limits[limited] }, { detail: `${policy.mode} runs commands without a sandbox`, remedy: 'Drop the limit, or allow `limits` to be degraded.' })
  }
  const degraded: Enforcement['degraded'] = limited === undefined ? [] : ['limits']
  return {
    backend: 'unconfined',
    platform: policy.platform,
    cwd: { path: policy.cwd, identity: options.cwdIdentity },
    degraded,
    enforcement: { backend: 'unconfined', layers: [], degraded, limits: Object.fromEntries(limits.map(name => [name, 'absent'])), notes: NOTES },
  }
}

class UnconfinedLauncher implements Launcher {
  readonly enforcement: Enforcement
  readonly pid = undefined
  readonly #hasProcessGroups: boolean
  readonly #commands = new ChildCommands()

  constructor({ enforcement, platform }: LaunchPlan) {
    this.enforcement = enforcement
    this.#hasProcessGroups = platform !== 'windows'
  }

  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand {
    this.#commands.refuseWhenClosed()
    if (command.terminal !== undefined) {
      throw new SandboxError('option_invalid', { field: 'tty', value: command.terminal }, { detail: 'there is no terminal without a sandbox', remedy: 'Leave it out, or choose another mode.' })
    }
    if (command.keep === true && !this.#hasProcessGroups) {
      throw new SandboxError('option_invalid', { field: 'background', value: 'keep' }, { detail: 'without a sandbox, nothing here knows what a command left', remedy: 'Leave it out, or choose another mode.' })
    }
    return this.#commands.start(command, handlers, { hasProcessGroup: this.#hasProcessGroups })
  }

  /** Has no process of its own that could be lost. */
  onLost(): void {}

  close(): Promise<void> {
    return this.#commands.close()
  }
}
