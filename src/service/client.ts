// One client of the service: its connection, where it stands in the handshake, its commands, terminals, approvals and sandboxes. All of
// it ends with the connection.
import { randomUUID } from 'node:crypto'
import type { Readable, Writable } from 'node:stream'
import type { Sandbox } from '../exec/sandbox.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { Approvals } from './approvals.js'
import type { CommandApprovals } from '../approval/command-approvals.js'
import { SessionApprovals } from './approved-command.js'
import { Channel } from './channel.js'
import { type CommandHost, Commands } from './command-exec.js'
import type { Configuration, ReadConfig } from './configuration.js'
import type { ExecQueue } from './exec-queue.js'
import { keyOf, policyOf, recipeOf } from './policies.js'
import type { CommandExecParams, NotificationName, NotificationParams, RequestId } from './protocol.js'
import { invalidRequest, rpcError } from './rpc-error.js'
import type { Terminals } from './terminals.js'
import type { Lease, Recipe, WarmSandboxes } from './warm-sandboxes.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { WindowsSetups } from './windows-setup.js'

/** Of policies as a client writes them, so that a repeated one is parsed once. */
const MOST_KNOWN_POLICIES = 64

/** A client whose input has ended may wait so long for the answers to what it asked. */
const HALF_CLOSED_MS = 2_000
const LOOK_MS = 20

/** What all clients share. */
export interface Shared {
  readonly platform: PlatformName
  readonly cwd: string
  readonly selfPaths: readonly string[]
  readonly queue: ExecQueue<Client>
  readonly sandboxes: WarmSandboxes<Sandbox>
  readonly terminals: Terminals
  readonly windows: WindowsSetups
  /** Read once, at the first need. */
  configuration(): Promise<Configuration>
  /** As it is now. */
  readonly readConfig: ReadConfig
  /** No new work is taken: the service ends. */
  readonly isDraining: boolean
  log(text: string): void
}

/** What a handler knows of the request beside its parameters. */
export interface Request {
  readonly id: RequestId
  /** Has something happen right behind the answer. */
  after(then: () => void): void
}

/** Carries a request out. Throws an RpcError. */
export type Dispatch = (client: Client, method: string, params: unknown, request: Request) => unknown

interface KnownPolicy {
  readonly policy: SandboxPolicy
  readonly recipe: Recipe<Sandbox>
}

export class Client implements CommandHost {
  readonly shared: Shared
  readonly commands: Commands
  readonly approvals: Approvals
  /** Of every question, and how lists call this client. */
  readonly threadId = randomUUID()
  /** Resolves when nothing of it is left. */
  readonly gone: Promise<void>
  /** Set by `initialize`. */
  info: { readonly name: string; readonly version: string } | undefined
  /** Set by `initialized`. */
  isReady = false
  readonly #channel: Channel
  readonly #sessionApprovals = new SessionApprovals()
  readonly #silenced = new Set<string>()
  readonly #policies = new Map<string, KnownPolicy>()
  /** What was granted, by policy. */
  readonly #granted = new Map<string, AdditionalPermissions[]>()
  #settleGone!: () => void

  constructor(shared: Shared, input: Readable, output: Writable, dispatch: Dispatch, ready: (client: Client) => void) {
    this.shared = shared
    this.gone = new Promise(resolve => { this.#settleGone = resolve })
    this.commands = new Commands(this)
    this.#channel = new Channel(input, output, {
      request: (id, method, params, after) => dispatch(this, method, params, { id, after }),
      notification: method => {
        if (method !== 'initialized') return shared.log(`ignored the notification ${JSON.stringify(method.slice(0, 100))}: only "initialized" is one, and a request has an id`)
        if (this.info === undefined || this.isReady) return
        this.isReady = true
        ready(this)
      },
      ended: () => void this.#finish(),
      closed: () => void this.#end(),
      log: text => shared.log(text),
    })
    this.approvals = new Approvals(this.#channel, this.threadId, text => shared.log(text))
  }

  /** How lists call it. */
  get name(): string {
    return this.info?.name ?? 'unknown'
  }

  get isGone(): boolean {
    return this.#channel.isClosed
  }

  /** Requests that are not answered yet. */
  get openRequests(): number {
    return this.#channel.openRequests
  }

  silence(methods: readonly string[]): void {
    for (const method of methods) this.#silenced.add(method)
  }

  hears(method: NotificationName): boolean {
    return !this.#silenced.has(method)
  }

  notify<Name extends NotificationName>(method: Name, params: NotificationParams<Name>): void {
    if (this.hears(method)) this.#channel.notify(method, params)
  }

  whenRead(): Promise<void> | undefined {
    return this.#channel.whenRead()
  }

  enter(places: number): Promise<void> | undefined {
    return this.shared.queue.enter(this, places)
  }

  leave(places: number): void {
    this.shared.queue.leave(this, places)
  }

  /** What starts processes beside commands takes a place among them. @throws RpcError -32001, and what `work` throws */
  async inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.enter(1)
    try {
      if (turn !== undefined) await turn
      if (this.isGone) throw invalidRequest('the client is gone')
      return await work()
    } finally {
      this.leave(1)
    }
  }

  /** A sandbox for a policy of the wire: one that is kept, or a new one. */
  async borrow(given: CommandExecParams['sandboxPolicy']): Promise<Lease<Sandbox>> {
    const { recipe } = await this.policy(given)
    return this.shared.sandboxes.borrow(this, recipe)
  }

  /** What decides about commands in the sandbox of a policy of the wire. @throws RpcError */
  async commandApprovals(given: CommandExecParams['sandboxPolicy']): Promise<CommandApprovals> {
    return this.#sessionApprovals.of(this, (await this.policy(given)).policy)
  }

  /** A policy of the wire, checked. @throws RpcError */
  async policy(given: CommandExecParams['sandboxPolicy']): Promise<KnownPolicy> {
    const text = JSON.stringify(given ?? null)
    const known = this.#policies.get(text)
    if (known !== undefined) return known
    const configuration = await this.shared.configuration()
    const policy = await policyOf(given, configuration)
    const made: KnownPolicy = { policy, recipe: recipeOf(policy, { ...this.shared, configuration, granted: () => this.#granted.get(keyOf(policy)) ?? [], onApproval: this.approvals.onApproval() }) }
    if (this.#policies.size >= MOST_KNOWN_POLICIES) this.#policies.clear()
    this.#policies.set(text, made)
    return made
  }

  /** Kept for the sandboxes of this policy that are made later. */
  remember(policy: SandboxPolicy, permissions: AdditionalPermissions): void {
    const key = keyOf(policy)
    this.#granted.set(key, [...this.#granted.get(key) ?? [], permissions])
  }

  /** Ends the connection, and all that is of it. What was sent still arrives. */
  async close(): Promise<void> {
    await this.#channel.finish()
    this.#channel.close()
    await this.gone
  }

  /** Ends the connection at once. */
  drop(): void {
    this.#channel.close()
  }

  /** The client sends nothing more, and may still read: what needs its input ends, and the rest has a moment. */
  async #finish(): Promise<void> {
    this.commands.end({ all: false })
    await this.answered(HALF_CLOSED_MS)
    this.commands.end({ all: true })
    await this.answered(HALF_CLOSED_MS)
    await this.close()
  }

  /** Resolves when all requests are answered, or the time is over. */
  async answered(withinMs: number): Promise<void> {
    const until = performance.now() + withinMs
    while (this.openRequests > 0 && !this.isGone && performance.now() < until) await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }

  async #end(): Promise<void> {
    this.commands.end({ all: true })
    this.shared.queue.release(this)
    this.shared.sandboxes.forget(this)
    await this.shared.terminals.forget(this).catch((error: unknown) => this.shared.log(rpcError(error).message))
    while (this.commands.running > 0) await new Promise(resolve => setTimeout(resolve, LOOK_MS))
    this.#settleGone()
  }
}
