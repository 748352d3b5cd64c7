// A sandbox: one policy, one launcher, any number of commands.
import { SandboxError } from '../errors.js'
import type { Launcher } from '../platform/backend.js'
import type { Enforcement, LaunchPlan } from '../platform/launch-plan.js'
import type { Access, Decision } from '../policy/decision.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { CommandContext } from './command-run.js'
import type { Explanation } from './decide-access.js'
import { makeEnvironment } from './environment.js'
import { execCommand } from './exec.js'
import { checkSandboxOptions, type ExecOptions, type ParsedSandboxOptions, type SandboxOptions, type ShellOptions, type SpawnOptions, type SpawnShellOptions } from './options.js'
import { parseOptions, prepare, type Preparation, snapshotFor } from './prepare.js'
import type { Encoding, ExecResult } from './result.js'
import { RunningCommands } from './running-commands.js'
import { Sessions } from './sessions.js'
import { execScript, spawnScript } from './shell.js'
import { ShellFinder } from './shells.js'
import { type SandboxChild, spawnCommand } from './spawn.js'
import { startSession } from './start-session.js'

/** `close` gives commands that it killed so long to be reported before the launcher is closed under them. */
const CLOSE_GRACE_MS = 2_000

/**
 * Starts a sandbox. It holds one small process until `close`, and never keeps Node alive while no command runs.
 *
 * @throws SandboxError naming what is wrong with the options, what this host cannot enforce, or the step that failed
 */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  checkSandboxOptions(options)
  return createParsedSandbox(await parseOptions(options))
}

/** For callers inside this package, which have parsed the policy already. */
export async function createParsedSandbox(options: ParsedSandboxOptions): Promise<Sandbox> {
  const preparation = await prepare(options, { recall: true })
  try {
    return await startSandbox(preparation, options)
  } catch (error) {
    // The host may have changed since it was last asked: then the error names the layer, or the plan is another one.
    if (!preparation.recalled || !(error instanceof SandboxError && error.code === 'set_up_failed')) throw error
    return startSandbox(await prepare(options), options)
  }
}

export async function startSandbox({ policy, backend, plan }: Preparation, options: Pick<SandboxOptions, 'launcherPath' | 'launcherSha256'> = {}): Promise<Sandbox> {
  return new Sandbox(policy, plan, await backend.start(plan), () => snapshotFor({ ...options, cwd: policy.cwd }))
}

export class Sandbox implements AsyncDisposable {
  readonly policy: ResolvedPolicy
  readonly plan: LaunchPlan
  /** Commands in the background: those started here, and what others left with `background: 'keep'`. */
  readonly sessions: Sessions
  readonly #context: CommandContext
  #closed: Promise<void> | undefined

  /** Made by `createSandbox`. */
  constructor(policy: ResolvedPolicy, plan: LaunchPlan, launcher: Launcher, lookAtHost: () => HostSnapshot) {
    this.policy = policy
    this.plan = plan
    this.sessions = new Sessions(async (argv, sessionOptions) => {
      this.#refuseClosed(argv)
      return startSession(this.#context, argv, sessionOptions)
    })
    const environment = makeEnvironment(policy.env, process.env, policy.network)
    this.#context = {
      launcher, plan, policy, lookAtHost, running: new RunningCommands(), environment, sessions: this.sessions, shells: new ShellFinder(policy, environment),
    }
  }

  /** Which layers hold, and what was asked for but is not held. */
  get enforcement(): Enforcement {
    return this.plan.enforcement
  }

  /** Host process id of the launcher. */
  get pid(): number | undefined {
    return this.#context.launcher.pid
  }

  /**
   * Runs a command and collects its output. Resolves whatever its exit code; rejects only where the sandbox failed, or with
   * what `onOutput` or a stdin source threw.
   */
  async exec<E extends Encoding = 'text'>(argv: readonly string[], options: ExecOptions<E> = {}): Promise<ExecResult<E>> {
    this.#refuseClosed(argv)
    return execCommand(this.#context, argv, options)
  }

  /** The same for a script: `bash` carries it out, or `sh` where there is no `bash`. A script that is a single plain command needs no shell and gets none. */
  async shell<E extends Encoding = 'text'>(script: string, options: ShellOptions<E> = {}): Promise<ExecResult<E>> {
    this.#refuseClosed([script])
    return execScript(this.#context, script, options)
  }

  /** Runs a command with streams. `exited` is its result. */
  spawn<E extends Encoding = 'text'>(argv: readonly string[], options: SpawnOptions<E> = {}): SandboxChild<E> {
    this.#refuseClosed(argv)
    return spawnCommand(this.#context, argv, options)
  }

  /** The same for a script. */
  spawnShell<E extends Encoding = 'text'>(script: string, options: SpawnShellOptions<E> = {}): SandboxChild<E> {
    this.#refuseClosed([script])
    return spawnScript(this.#context, script, options)
  }

  /** Whether the policy permits an access, and if not, by which rule and how to allow it. A relative path starts at the policy's cwd. */
  async decide(access: Access): Promise<Decision> {
    return (await this.explain(access)).decision
  }

  /** The same with a line for people and models. */
  async explain(access: Access): Promise<Explanation> {
    const { explainAccess } = await import('./decide-access.js')
    return explainAccess(this.policy, this.#context.lookAtHost(), access)
  }

  /** Ends all commands, removes what was put on the host, and resolves when everything is gone. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await this.#context.running.cancelAll(CLOSE_GRACE_MS)
    await this.#context.launcher.close()
  }

  #refuseClosed(argv: readonly string[]): void {
    if (this.#closed !== undefined) throw new SandboxError('sandbox_closed', { field: 'sandbox', value: Array.isArray(argv) ? argv[0] : argv })
  }
}
