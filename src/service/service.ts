// The service: what all of its clients share, and how it ends.
import type { Readable, Writable } from 'node:stream'
import { currentFolder, currentPlatform } from '../host/snapshot.js'
import type { Sandbox } from '../exec/sandbox.js'
import { Client, type Shared } from './client.js'
import { type Configuration, configReader, configurationOf, type ReadConfig } from './configuration.js'
import { ExecQueue, type QueueLimits } from './exec-queue.js'
import { dispatch } from './methods.js'
import { Terminals } from './terminals.js'
import { type KeepLimits, WarmSandboxes } from './warm-sandboxes.js'
import { type OpenSetup, WindowsSetups } from './windows-setup.js'

/** What runs when the service is told to end has so long to end by itself. */
const DRAIN_MS = 5_000
/** And what was killed then, to be told to its client. */
const LAST_WORDS_MS = 2_000

export interface ServiceOptions {
  /** Where relative paths begin, and the cwd of every policy. Default: the process's. */
  readonly cwd?: string
  /** Paths that no command may change: the service's socket. */
  readonly selfPaths?: readonly string[]
  /** Default: the user's, without choices of a command line. */
  readonly readConfig?: ReadConfig
  readonly queue?: QueueLimits
  readonly keep?: KeepLimits
  /** A test's machine in the place of this one, which is then a Windows one. */
  readonly openWindowsSetup?: OpenSetup
  /** One line each. */
  readonly log?: (text: string) => void
}

export class Service implements Shared {
  readonly platform = currentPlatform()
  readonly cwd: string
  readonly selfPaths: readonly string[]
  readonly queue: ExecQueue<Client>
  readonly sandboxes: WarmSandboxes<Sandbox>
  readonly terminals = new Terminals()
  readonly windows: WindowsSetups
  readonly log: (text: string) => void
  readonly readConfig: ReadConfig
  isDraining = false
  readonly #clients = new Set<Client>()
  #configuration: Promise<Configuration> | undefined
  #ended: Promise<void> | undefined

  constructor({ cwd = currentFolder(), selfPaths = [], readConfig = configReader(), queue, keep, openWindowsSetup, log = () => {} }: ServiceOptions = {}) {
    this.cwd = cwd
    this.selfPaths = selfPaths
    this.queue = new ExecQueue(queue)
    this.sandboxes = new WarmSandboxes(keep)
    this.log = log
    this.readConfig = readConfig
    this.windows = new WindowsSetups(this.platform, openWindowsSetup)
  }

  get clients(): number {
    return this.#clients.size
  }

  configuration(): Promise<Configuration> {
    this.#configuration ??= this.readConfig(this.cwd).then(loaded => configurationOf(loaded, this.cwd))
    return this.#configuration
  }

  /** Serves one connection. The client's `gone` resolves when nothing of it is left. */
  accept(input: Readable, output: Writable): Client {
    const client = new Client(this, input, output, dispatch, ready => void this.#warn(ready))
    this.#clients.add(client)
    void client.gone.then(() => this.#clients.delete(client))
    return client
  }

  /** Takes no new work, gives what runs a moment, then ends it, and tells it. Resolves when all is gone. Idempotent. */
  end(drainMs = DRAIN_MS): Promise<void> {
    this.#ended ??= this.#end(drainMs)
    return this.#ended
  }

  /** Ends everything at once. */
  async kill(): Promise<void> {
    this.isDraining = true
    await this.windows.end()
    const clients = [...this.#clients]
    for (const client of clients) client.drop()
    await Promise.all(clients.map(({ gone }) => gone))
    await this.sandboxes.close()
  }

  async #end(drainMs: number): Promise<void> {
    this.isDraining = true
    await Promise.all([...this.#clients].map(async client => {
      await client.answered(drainMs)
      client.commands.end({ all: true })
      await client.answered(LAST_WORDS_MS)
      await Promise.race([client.close(), new Promise(resolve => setTimeout(resolve, LAST_WORDS_MS).unref())])
    }))
    await this.kill()
  }

  async #warn(client: Client): Promise<void> {
    try {
      for (const summary of (await this.configuration()).warnings) client.notify('configWarning', { summary, details: null })
    } catch (error) {
      client.notify('configWarning', { summary: error instanceof Error ? error.message : String(error), details: null })
    }
    if (!client.hears('windows/worldWritableWarning')) return
    try {
      const warning = await this.windows.worldWritable()
      if (warning !== undefined) client.notify('windows/worldWritableWarning', warning)
    } catch (error) {
      this.log(`looking for folders that everybody may write: ${error instanceof Error ? error.message : String(error)}`)
      client.notify('windows/worldWritableWarning', { samplePaths: [], extraCount: 0, failedScan: true })
    }
  }
}
