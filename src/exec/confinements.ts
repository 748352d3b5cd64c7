// The confinements of one sandbox: the one that its commands run in now, those that earlier ones still run in, and wider ones of
// single commands. Each is a policy with a launcher of its own, so that nothing of a wider one is shared with a narrower one.
import { lstatSync, readdirSync, readlinkSync } from 'node:fs'
import { SandboxError } from '../errors.js'
import type { Backend, Launcher, LayerReport } from '../platform/backend.js'
import type { LaunchPlan } from '../platform/launch-plan.js'
import { PendingLauncher } from '../platform/pending-launcher.js'
import { type AdditionalPermissions, checkWidened, keyOfPermissions, widen, type Widening } from '../policy/additional-permissions.js'
import { isPlaceholderLink } from '../policy/git-paths.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { NarrowingRules, NetworkRules } from '../policy/domains.js'
import type { ConfinedNetwork } from './network/sandbox-network.js'
import { NO_NETWORK_RULES } from '../policy/network-policy.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import type { CacheFolders } from './caches.js'
import { nowMs } from './monotonic-clock.js'
import type { CommandContext } from './command-run.js'
import { type CommandNetwork, keyOfNarrowing, parseNarrowing } from './network/narrowing.js'
import type { ParsedSandboxOptions } from './options.js'
import { isStale, MOST_LOOKS, prepareAgain } from './prepare.js'
import { RunningCommands } from './running-commands.js'

/** A wider confinement of single commands is kept so long after the last of them. */
const KEEP_MS = 10_000
/** Of these so many, the least recently used one goes first. */
const MOST_KEPT = 8
/** A placeholder goes 200 ms after the last command. */
const FREED_MS = 1_500
const LOOK_MS = 20

/** What is needed to confine again. */
export interface Recipe {
  readonly options: ParsedSandboxOptions
  readonly caches: CacheFolders | undefined
  readonly backend: Backend
  readonly layers: readonly LayerReport[]
}

/** What a grant has changed. */
export interface Grant {
  /** False where the policy permitted all of it already. */
  readonly changed: boolean
  /** What a reader should know: paths that are closed for a reason of their own, and are open now since they were named. */
  readonly notes: readonly string[]
}

/** Makes a context of a plan; `Sandbox` knows how. */
export type MakeContext = (confined: Pick<CommandContext, 'launcher' | 'plan' | 'policy' | 'running'>) => CommandContext

/** Starts a launcher for a plan, with the way to the network that it has. */
export type StartLauncher = (plan: LaunchPlan, network: ConfinedNetwork) => Promise<Launcher>

const neverStarts: StartLauncher = () => Promise.reject(new Error('a sandbox without a recipe starts no other launcher'))

interface Kept {
  readonly context: CommandContext
  timer: NodeJS.Timeout | undefined
}

export class Confinements {
  readonly #makeContext: MakeContext
  readonly #lookAtHost: () => HostSnapshot
  readonly #recipe: Recipe | undefined
  readonly #start: StartLauncher
  /** Told of rules that hold from now on. */
  readonly #granted: (rules: NetworkRules) => Promise<void>
  #policy: SandboxPolicy | undefined
  #current: CommandContext
  /** By their permissions; the most recently used one last. */
  readonly #kept = new Map<string, Kept>()
  /** Those that only finish what runs in them. */
  readonly #retired = new Set<CommandContext>()
  /** Launchers that are on their way out. */
  readonly #closing = new Set<Promise<void>>()
  #granting: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(first: Pick<CommandContext, 'launcher' | 'plan' | 'policy'>, recipe: Recipe | undefined, lookAtHost: () => HostSnapshot, makeContext: MakeContext, start: StartLauncher = neverStarts, granted: (rules: NetworkRules) => Promise<void> = async () => {}) {
    this.#start = start
    this.#granted = granted
    this.#makeContext = makeContext
    this.#lookAtHost = lookAtHost
    this.#recipe = recipe
    this.#policy = recipe?.options.policy
    this.#current = this.#contextOf(first)
  }

  /** Where a command runs that asks for nothing more. */
  get current(): CommandContext {
    return this.#current
  }

  /** All in which something may run, the newest first. */
  get all(): readonly CommandContext[] {
    return [this.#current, ...[...this.#kept.values()].map(({ context }) => context).reverse(), ...[...this.#retired].reverse()]
  }

  /**
   * The confinement of a command with `permissions`, started now where there is none: what is asked of its launcher waits for it.
   *
   * @throws SandboxError what is wrong with the permissions, or cannot be granted
   */
  for(permissions: AdditionalPermissions | undefined, network?: CommandNetwork): CommandContext {
    if (permissions === undefined && network === undefined) return this.#current
    const narrowing = network === undefined ? undefined : parseNarrowing(network)
    const narrow = narrowing === undefined ? '' : keyOfNarrowing(narrowing)
    const key = `${permissions === undefined ? '' : keyOfPermissions(permissions)}${narrow}`
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      // Moved to the end: the next to be let go is the first.
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      this.#keepFor(key, kept)
      return kept.context
    }
    const wider = this.#confine(permissions ?? {}, narrow === '' ? undefined : narrowing)
    if (wider === undefined) return this.#current
    const made: Kept = { context: wider.context, timer: undefined }
    this.#kept.set(key, made)
    this.#keepFor(key, made)
    for (const [oldest] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT) break
      this.#letGo(oldest)
    }
    return wider.context
  }

  /** From now on commands may do `permissions` as well. One grant at a time, in the order in which they were asked for. */
  grant(permissions: AdditionalPermissions): Promise<Grant> {
    const granted = this.#granting.then(() => this.#grant(permissions))
    this.#granting = granted.catch(() => {})
    return granted
  }

  /** What commands are widened from now on has these rules. */
  updateNetwork(networkRules: NetworkRules): void {
    if (this.#policy !== undefined) this.#policy = { ...this.#policy, networkRules }
  }

  /**
   * Ends all commands, and resolves when everything is gone.
   *
   * @param whenEnded  called when no command is left, while the launchers go; not at all where one outlasts `graceMs`, or a launcher was on its way out already
   */
  async close(graceMs: number, whenEnded: () => void = () => {}): Promise<void> {
    this.#closed = true
    for (const { timer } of this.#kept.values()) clearTimeout(timer)
    const closing = this.all
    await Promise.all(closing.map(({ running }) => running.cancelAll(graceMs)))
    const gone = Promise.all(closing.map(({ launcher }) => launcher.close()))
    try {
      if (closing.every(({ running }) => running.isEmpty) && this.#closing.size === 0) whenEnded()
    } finally {
      await gone
    }
    await this.#granting
    await Promise.all(this.#closing)
  }

  async #grant(permissions: AdditionalPermissions): Promise<Grant> {
    this.#refuseClosed()
    const wider = this.#confine(permissions)
    if (wider === undefined) return { changed: false, notes: [] }
    // Until it is there, commands run where they did.
    try {
      await wider.started
    } catch (error) {
      this.#forget(wider.context)
      throw error
    }
    const old = this.#current
    if (this.#closed) {
      this.#end(wider.context)
      this.#refuseClosed()
    }
    this.#policy = wider.policy
    this.#current = wider.context
    if (wider.policy.networkRules !== undefined && wider.hosts.length > 0) await this.#granted(wider.policy.networkRules)
    // They were wider than what is no more.
    for (const key of [...this.#kept.keys()]) this.#letGo(key)
    this.#retire(old)
    return { changed: true, notes: wider.notes }
  }

  /** Undefined where a command may run in the current one as well. */
  #confine(permissions: AdditionalPermissions, narrowing?: NarrowingRules): { context: CommandContext; started: Promise<void>; policy: SandboxPolicy; hosts: readonly string[]; notes: readonly string[] } | undefined {
    this.#refuseClosed()
    const { policy: current } = this.#current
    // Nothing is enforced there: everything is permitted already. The shape is checked all the same.
    keyOfPermissions(permissions)
    if (current.base === 'write') {
      if (narrowing === undefined) return undefined
      throw new SandboxError('rule_not_enforceable', { field: 'network', value: narrowing }, { detail: `the mode is ${current.mode}, which enforces nothing`, remedy: 'Leave it out, or use a mode that enforces.' })
    }
    const recipe = this.#recipe
    if (recipe === undefined || this.#policy === undefined) throw new Error('a sandbox without a recipe cannot be widened')
    const base = this.#policy
    const look = (): { widening: Widening; policy: ResolvedPolicy; plan: LaunchPlan } | undefined => {
      const host = this.#lookAtHost()
      const widened = widen(base, current, permissions, host) ?? (narrows(base, narrowing) ? { policy: base, asked: [], hosts: [], notes: [] } : undefined)
      if (widened === undefined) return undefined
      const widening = { ...widened, policy: proxiedBy(widened.policy, narrowing) }
      const prepared = underAskedNames(widening.asked, () => prepareAgain({ ...recipe, options: { ...recipe.options, policy: widening.policy, cwd: current.cwd } }, host, widening.notes))
      checkWidened(current, prepared.policy, widening, host)
      return { widening, ...prepared }
    }
    const first = look()
    if (first === undefined) return undefined
    const { widening, policy, plan } = first
    const named = new Set(widening.asked.map(each => each.path))
    const held = current.paths.filter(({ path, kind, effect }) => named.has(path) && kind === 'missing' && effect === 'read').map(({ path }) => path)
    const own = base.network === 'open' && widening.policy.network === 'proxied' ? widening.policy.networkRules : undefined
    const start = (plan: LaunchPlan): Promise<Launcher> => this.#start(plan, {
      ...(own === undefined ? {} : { own }), ...(narrowing === undefined ? {} : { narrowing }), ...(widening.hosts.length === 0 ? {} : { more: { hosts: widening.hosts, isAll: base.network === 'off' } }),
    })
    const starting = held.length === 0 ? startLooking(start, first, look) : this.#freed(held).then(() => startLooking(start, look() ?? first, look))
    const context = this.#contextOf({ launcher: new PendingLauncher(starting, plan.enforcement), plan, policy })
    const started = starting.then(() => {})
    started.catch(() => this.#forget(context))
    return { context: { ...context, starting: started }, started, policy: widening.policy, hosts: widening.hosts, notes: widening.notes }
  }

  /** Resolves when no placeholder stands at `paths` any more, which nothing but running commands keeps there. */
  async #freed(paths: readonly string[]): Promise<void> {
    const until = nowMs() + FREED_MS
    for (const { running } of this.all) running.endIdle()
    for (const path of paths) {
      while (isPlaceholder(path)) {
        if (nowMs() > until) {
          throw new SandboxError('permission_refused', { field: 'additionalPermissions', value: path }, { detail: 'commands that run keep its place held', remedy: 'Ask again when they have ended.' })
        }
        await new Promise(resolve => setTimeout(resolve, LOOK_MS))
      }
    }
  }

  #contextOf(confined: Pick<CommandContext, 'launcher' | 'plan' | 'policy'>): CommandContext {
    const context: CommandContext = this.#makeContext({ ...confined, running: new RunningCommands(() => this.#becameIdle(confined.launcher)) })
    return context
  }

  /** A launcher that could not be started is nobody's. */
  #forget({ launcher }: CommandContext): void {
    for (const [key, kept] of this.#kept) {
      if (kept.context.launcher !== launcher) continue
      clearTimeout(kept.timer)
      this.#kept.delete(key)
    }
  }

  #keepFor(key: string, kept: Kept): void {
    clearTimeout(kept.timer)
    kept.timer = setTimeout(() => {
      if (kept.context.running.isEmpty) this.#letGo(key)
    }, KEEP_MS).unref()
  }

  #letGo(key: string): void {
    const kept = this.#kept.get(key)
    if (kept === undefined) return
    clearTimeout(kept.timer)
    this.#kept.delete(key)
    this.#retire(kept.context)
  }

  #retire(context: CommandContext): void {
    context.running.endIdle()
    if (context.running.isEmpty) this.#end(context)
    else this.#retired.add(context)
  }

  #becameIdle(launcher: CommandContext['launcher']): void {
    for (const context of this.#retired) {
      if (context.launcher !== launcher) continue
      this.#retired.delete(context)
      this.#end(context)
    }
    for (const [key, kept] of this.#kept) if (kept.context.launcher === launcher && !this.#closed) this.#keepFor(key, kept)
  }

  #end({ launcher }: CommandContext): void {
    const closing = launcher.close()
    this.#closing.add(closing)
    void closing.finally(() => this.#closing.delete(closing))
  }

  #refuseClosed(): void {
    if (this.#closed) throw new SandboxError('sandbox_closed', { field: 'sandbox', value: undefined })
  }
}

/** With the network off there is nothing to narrow. */
const narrows = ({ network }: SandboxPolicy, narrowing: NarrowingRules | undefined): boolean => narrowing !== undefined && network !== 'off'

/** An open network that is narrowed is reached through a proxy: its rules are all that is allowed then. */
function proxiedBy(policy: SandboxPolicy, narrowing: NarrowingRules | undefined): SandboxPolicy {
  if (narrowing === undefined || policy.network !== 'open') return policy
  const { mode = 'full', allowedDomains = ['*'], deniedDomains = [] } = narrowing
  return { ...policy, network: 'proxied', networkRules: { ...NO_NETWORK_RULES, ...policy.networkRules, mode, allowedDomains, deniedDomains, strictAllowlist: true } }
}

/** What a launcher puts at a missing name. What somebody has made there meanwhile is something else, or has something in it. */
function isPlaceholder(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return false
  if (stats.isDirectory()) return readdirSync(path).length === 0
  return stats.isSymbolicLink() && isPlaceholderLink(readlinkSync(path))
}

/** What the host has instead of what was seen is looked at again: rules and effects are the same then, and only what holds them is another. */
async function startLooking(start: (plan: LaunchPlan) => Promise<Launcher>, first: { readonly plan: LaunchPlan }, look: () => { readonly plan: LaunchPlan } | undefined): Promise<Launcher> {
  let { plan } = first
  for (let looks = 1; ; looks++) {
    try {
      return await start(plan)
    } catch (error) {
      const again = isStale(error) && looks < MOST_LOOKS ? look() : undefined
      if (again === undefined) throw error
      plan = again.plan
    }
  }
}

/** Whatever is wrong with a path that was asked for is said about the field that asked. */
function underAskedNames<Result>(asked: readonly { readonly list: string; readonly index: number; readonly field: string }[], step: () => Result): Result {
  try {
    return step()
  } catch (error) {
    const field = error instanceof SandboxError ? asked.find(({ list, index }) => error.field === `${list}[${index}]`)?.field : undefined
    throw field === undefined ? error : (error as SandboxError).renamed(field)
  }
}
