// A sandbox: one policy, one launcher, any number of commands.
import { resolve as resolvePath } from 'node:path'
import { SandboxError } from '../errors.js'
import type { Launcher } from '../platform/backend.js'
import type { Enforcement, LaunchPlan } from '../platform/launch-plan.js'
import type { Access, Decision } from '../policy/decision.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { CommandContext } from './command-run.js'
import type { ApprovedCommands } from './approved-commands.js'
import { type CacheUse, placesFor, useCacheFolders } from './caches.js'
import { Confinements, type Grant, type Recipe } from './confinements.js'
import type { Explanation } from './decide-access.js'
import { DenialJudge } from './denial-judge.js'
import { type Environment, makeEnvironment, type Variables } from './environment.js'
import { execCommand } from './exec.js'
import type { ExposedPort, ExposeOptions } from './expose.js'
import { makeFiles, type SandboxFiles } from './files/files.js'
import { LauncherStarter } from './network/launcher-starter.js'
import { NO_PROXY_VARIABLES, type ProxyVariables, proxyVariables } from './network/proxy-environment.js'
import type { NetworkSeams, NetworkUpdate } from './network/sandbox-network.js'
import { checkSandboxOptions, checkArguments, takeShellChoice } from './check-options.js'
import type { ApprovalChoice, ExecOptions, ParsedSandboxOptions, SandboxOptions, ShellOptions, SpawnOptions, SpawnShellOptions } from './options.js'
import { GitLinks } from './git-links.js'
import { hostLooker, isStale, launcherFile, MOST_LOOKS, parseOptions, prepare, type LookAtHost, type Preparation } from './prepare.js'
import type { Encoding, ExecResult } from './result.js'
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
export async function createParsedSandbox(given: ParsedSandboxOptions): Promise<Sandbox> {
  // With their parsers only where they are asked for.
  const options = given.approvals === undefined ? given : (await import('./approved-commands.js')).withRules(given, given.approvals)
  for (let looks = 1, recall = true; ; looks++) {
    const preparation = await prepare(options, { recall })
    try {
      return await startSandbox(preparation, options)
    } catch (error) {
      // The host may have changed since it was last asked: then the error names the layer, or the plan is another one.
      const askAgain = preparation.recalled && error instanceof SandboxError && error.code === 'set_up_failed'
      if (!askAgain && !(isStale(error) && looks < MOST_LOOKS)) throw error
      recall = false
    }
  }
}

/** @param seams  what tests put in the place of the world that the proxy reaches */
export async function startSandbox(preparation: Preparation, options: Pick<ParsedSandboxOptions, 'launcherPath' | 'launcherSha256' | 'selfPaths'> = {}, seams?: NetworkSeams): Promise<Sandbox> {
  const { policy, backend, plan, caches } = preparation
  // What this process's environment says later is not what the sandbox was made with.
  const env = { ...process.env }
  // Before the launcher opens them, so that nobody removes them under it.
  const cacheUse = caches === undefined ? undefined : useCacheFolders(caches)
  try {
    const approved = await approvedCommands(preparation)
    const { onApproval, approvalTimeoutMs } = { ...preparation.options, ...(approved === undefined ? {} : { onApproval: approved.onApproval }) }
    const starter = new LauncherStarter(backend, policy.networkRules, { onApproval, approvalTimeoutMs, variables: env, seams })
    const lookAtHost = hostLooker({ ...options, cwd: policy.cwd }, preparation, env)
    const starting = starter.start(plan)
    // Found out while the launcher sets up.
    const environment = await withStarting(starting, () => environmentOf({ plan, policy }, preparation, lookAtHost, env))
    return new Sandbox(policy, plan, await starting, lookAtHost, preparation, cacheUse, starter, approved, environment)
  } catch (error) {
    cacheUse?.leave()
    throw error
  }
}

/** A launcher that nobody will use is closed. */
async function withStarting<Result>(starting: Promise<Launcher>, step: () => Result): Promise<Result> {
  // It is waited for afterwards.
  starting.catch(() => {})
  try {
    return step()
  } catch (error) {
    await starting.then(launcher => launcher.close(), () => {})
    throw error
  }
}

/** What commands of a plan get that ask for no change. */
function environmentOf(confined: Pick<CommandContext, 'policy' | 'plan'>, recipe: Pick<Recipe, 'caches' | 'options'> | undefined, lookAtHost: LookAtHost, variables: Variables): Environment {
  const { env, network, mode } = confined.policy
  const protectsGit = (mode === 'read-only' || mode === 'workspace-write') && recipe?.options.policy.git === 'protected'
  return makeEnvironment(env, variables, network, placesFor(recipe?.caches, confined.policy, lookAtHost('files'), variables), proxyVariablesFor(confined, recipe?.options), protectsGit)
}

/** What was approved to leave the sandbox has its variables and its folder, and nothing that it held. */
async function approvedCommands({ policy, options: { approvals, onApproval, policy: asked, launcherPath, launcherSha256 } }: Preparation): Promise<ApprovedCommands | undefined> {
  if (approvals === undefined) return undefined
  const [{ ApprovedCommands }, { presetPolicy }] = await Promise.all([import('./approved-commands.js'), import('../policy/presets.js')])
  return new ApprovedCommands(approvals, onApproval, policy, asked, () => createParsedSandbox({
    policy: { ...presetPolicy('danger-full-access', 'library'), env: asked.env }, cwd: policy.cwd,
    ...(launcherPath === undefined ? {} : { launcherPath }), ...(launcherSha256 === undefined ? {} : { launcherSha256 }),
  }))
}

/** Only commands of a proxied network are told of a proxy. The helper for ssh is the launcher's own program, where there is one. */
function proxyVariablesFor({ policy, plan }: Pick<CommandContext, 'policy' | 'plan'>, options: ParsedSandboxOptions | undefined): ProxyVariables {
  if (policy.network !== 'proxied') return NO_PROXY_VARIABLES
  const connectHelper = (plan.backend === 'linux-native' || plan.backend === 'linux-bwrap') && options !== undefined ? launcherFile(options) : undefined
  return proxyVariables({ java: options?.javaProxy === true, connectHelper })
}

export class Sandbox implements AsyncDisposable {
  /** File work for tools of the embedding process, carried out inside under the same rules. */
  readonly files: SandboxFiles
  /** Commands in the background: those started here, and what others left with `background: 'keep'`. */
  readonly sessions: Sessions
  readonly #confinements: Confinements
  readonly #exposed = new Set<ExposedPort>()
  readonly #caches: CacheUse | undefined
  readonly #starter: LauncherStarter | undefined
  readonly #approved: ApprovedCommands | undefined
  #closed: Promise<void> | undefined

  /** Made by `createSandbox`. `first`: of commands in `plan`, where it is known already. */
  constructor(policy: ResolvedPolicy, plan: LaunchPlan, launcher: Launcher, lookAtHost: LookAtHost, recipe?: Recipe, cacheUse?: CacheUse, starter?: LauncherStarter, approved?: ApprovedCommands, first?: Environment) {
    this.sessions = new Sessions(async (argv, sessionOptions) => {
      this.#refuseClosed()
      if (this.#approved !== undefined) await this.#approved.decide(argv, this.#folderOf(sessionOptions.cwd), sessionOptions)
      this.#refuseClosed()
      return startSession(this.#contextFor(sessionOptions), argv, sessionOptions)
    })
    this.#caches = cacheUse
    this.#starter = starter
    this.#approved = approved
    const variables = { ...process.env }
    const roots = policy.paths.filter(({ effect }) => effect === 'write').map(({ path }) => path)
    const gitLinks = recipe?.options.policy.git === 'commits' ? new GitLinks(roots, () => lookAtHost('files')) : undefined
    const judge = new DenialJudge()
    this.#confinements = new Confinements({ launcher, plan, policy }, recipe, lookAtHost, confined => {
      const environment = confined.plan === plan && first !== undefined ? first : environmentOf(confined, recipe, lookAtHost, variables)
      return { ...confined, lookAtHost, ...(gitLinks === undefined ? {} : { gitLinks }), judge, environment, sessions: this.sessions, shells: new ShellFinder(confined.policy, environment), requireLimits: recipe?.options.requireLimits === true }
    }, starter?.start, starter === undefined ? undefined : rules => starter.update(rules))
    this.files = makeFiles(plan.backend, () => {
      this.#refuseClosed()
      return this.#context
    })
  }

  /** As it stands now, grants included. */
  get policy(): ResolvedPolicy {
    const { policy } = this.#context
    return policy.networkRules === undefined || this.#starter === undefined ? policy : { ...policy, networkRules: { ...this.#starter.rules, allowUnixSockets: policy.networkRules.allowUnixSockets } }
  }

  get plan(): LaunchPlan {
    return this.#context.plan
  }

  /** Which layers hold, and what was asked for but is not held. */
  get enforcement(): Enforcement {
    return this.plan.enforcement
  }

  /**
   * Host process id of the launcher. Undefined where there is none, and inside bwrap while none runs: it may end a moment after the last
   * command, and the next command gets another one (docs/bwrap.md).
   */
  get pid(): number | undefined {
    return this.#context.launcher.pid
  }

  /**
   * Runs a command and collects its output. Resolves whatever its exit code; rejects only where the sandbox failed, or with
   * what `onOutput` or a stdin source threw.
   */
  async exec<E extends Encoding = 'text'>(argv: readonly string[], options: ExecOptions<E> & ApprovalChoice = {}): Promise<ExecResult<E>> {
    this.#refuseClosed()
    if (this.#approved === undefined) return this.#exec(argv, options)
    checkArguments(argv)
    return this.#approved.run(this, argv, this.#folderOf(options.cwd), options, (sandbox, rest) => sandbox.#exec(argv, rest))
  }

  async #exec<E extends Encoding>(argv: readonly string[], options: ExecOptions<E>): Promise<ExecResult<E>> {
    this.#refuseClosed()
    const context = this.#contextFor(options)
    if (context.starting !== undefined) await context.starting
    return execCommand(context, argv, options)
  }

  /** The same for a script: `bash` carries it out, or `sh` where there is no `bash`. A script that is a single plain command needs no shell and gets none. */
  async shell<E extends Encoding = 'text'>(script: string, options: ShellOptions<E> & ApprovalChoice = {}): Promise<ExecResult<E>> {
    this.#refuseClosed()
    if (this.#approved === undefined) return this.#shell(script, options)
    const { choice, rest } = takeShellChoice(script, options)
    const command = this.#context.shells.command(choice, script, rest.env?.['PATH'] !== undefined)
    return this.#approved.run<E>(this, command, this.#folderOf(rest.cwd), rest as ExecOptions<E> & ApprovalChoice, (sandbox, more) => sandbox.#shell(script, { ...more, ...choice }))
  }

  async #shell<E extends Encoding>(script: string, options: ShellOptions<E>): Promise<ExecResult<E>> {
    this.#refuseClosed()
    const context = this.#contextFor(options)
    if (context.starting !== undefined) await context.starting
    return execScript(context, script, options)
  }

  /** Runs a command with streams. `exited` is its result. */
  spawn<E extends Encoding = 'text'>(argv: readonly string[], options: SpawnOptions<E> = {}): SandboxChild<E> {
    this.#refuseClosed()
    if (this.#approved !== undefined) {
      checkArguments(argv)
      this.#approved.refuseUnasked(argv, this.#folderOf(options.cwd), options)
    }
    return spawnCommand(this.#contextFor(options), argv, options)
  }

  /** The same for a script. */
  spawnShell<E extends Encoding = 'text'>(script: string, options: SpawnShellOptions<E> = {}): SandboxChild<E> {
    this.#refuseClosed()
    if (this.#approved !== undefined) {
      const { choice, rest } = takeShellChoice(script, options)
      this.#approved.refuseUnasked(this.#context.shells.command(choice, script, rest.env?.['PATH'] !== undefined), this.#folderOf(rest.cwd), rest)
    }
    return spawnScript(this.#contextFor(options), script, options)
  }

  /**
   * Whether the policy permits an access, and if not, by which rule and how to allow it. A relative path starts at the policy's cwd.
   *
   * @throws SandboxError `option_invalid` for what is no access; `path_invalid`, `path_symlink_loop`
   */
  async decide(access: Access): Promise<Decision> {
    return (await this.explain(access)).decision
  }

  /** The same with a line for people and models. */
  async explain(access: Access): Promise<Explanation> {
    const { explainAccess } = await import('./decide-access.js')
    return explainAccess(this.policy, this.#context.lookAtHost('files'), access)
  }

  /**
   * Permits more from now on, in the form of a denial's `remedy.additionalPermissions`. Commands that run stay as they were. What is
   * protected, or a place of keys, is opened only where its exact path is named, and `notes` say so.
   *
   * @throws SandboxError `permission_refused`, `path_not_found`, `path_too_broad` and what else the paths may be; nothing has changed then
   */
  async grant(permissions: AdditionalPermissions): Promise<Grant> {
    this.#refuseClosed()
    return this.#confinements.grant(permissions)
  }

  /** `grant` for one folder to be read. Absolute, or relative to the policy's cwd. */
  async addReadRoot(folder: string): Promise<Grant> {
    this.#refuseClosed()
    const { findWorkingDirectory } = await import('./working-directory.js')
    findWorkingDirectory(this.plan.cwd, folder, 'folder')
    return this.grant({ fileSystem: { read: [resolvePath(this.plan.cwd.path, folder)] } })
  }

  /**
   * Other rules for hosts, from the next connection on; what is absent stays as it is. Connections that stand go on. Only where the network is
   * proxied: what else a policy says of the network is part of how the sandbox was made.
   *
   * @throws SandboxError `option_invalid`, `policy_invalid_value`; nothing has changed then
   */
  async updateNetwork(rules: NetworkUpdate): Promise<void> {
    this.#refuseClosed()
    if (this.#starter === undefined || this.policy.network !== 'proxied') {
      throw new SandboxError('option_invalid', { field: 'updateNetwork', value: this.policy.network }, { detail: `the network is ${this.policy.network}, which no list of hosts changes`, remedy: 'Create the sandbox with network: "proxied", or with allowedDomains.' })
    }
    const { updatedRules } = await import('./network/update.js')
    const updated = updatedRules(this.#starter.rules, rules)
    await this.#starter.update(updated)
    this.#confinements.updateNetwork(updated)
  }

  /**
   * A port of the sandbox's own loopback on the host's 127.0.0.1, for a server that runs inside: each connection is carried to whoever
   * listens then. Other machines cannot reach it; other users of this one can, as they can any local server.
   *
   * @throws SandboxError `port_taken`, `option_invalid`
   */
  async expose(port: number, options: ExposeOptions = {}): Promise<ExposedPort> {
    this.#refuseClosed()
    const { exposePort } = await import('./expose.js')
    const exposed = await exposePort(port, options, () => this.#confinements.all)
    this.#exposed.add(exposed)
    if (this.#closed !== undefined) await exposed.close()
    this.#refuseClosed()
    return exposed
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
    const exposed = [...this.#exposed].map(each => each.close())
    await this.#confinements.close(CLOSE_GRACE_MS, () => this.#caches?.commandsEnded())
    await Promise.all(exposed)
    await this.#starter?.close()
    await this.#approved?.close()
    this.#caches?.leave()
  }

  get #context(): CommandContext {
    return this.#confinements.current
  }

  #folderOf(cwd: string | undefined): string {
    return resolvePath(this.plan.cwd.path, cwd ?? '.')
  }

  /** Options that are none at all are refused with the others. */
  #contextFor(options: Pick<ExecOptions, 'additionalPermissions' | 'network'> | null | undefined): CommandContext {
    return this.#confinements.for(options?.additionalPermissions, options?.network)
  }

  #refuseClosed(): void {
    if (this.#closed !== undefined) throw new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
  }
}
