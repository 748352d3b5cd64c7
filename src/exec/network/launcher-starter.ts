// Starts launchers with the way to the network that their plans have. What serves it is loaded only where there is one.
import type { Server } from 'node:net'
import { SandboxError } from '../../errors.js'
import type { OnApproval } from '../../approval/approval-request.js'
import type { Backend, HeldListener, Launcher } from '../../platform/backend.js'
import type { LaunchPlan } from '../../platform/launch-plan.js'
import type { NetworkRules } from '../../policy/domains.js'
import { NO_NETWORK_RULES } from '../../policy/network-policy.js'
import type { Variables } from '../environment.js'
import type { ConfinedNetwork, NetworkSeams, SandboxNetwork } from './sandbox-network.js'

export interface StarterOptions {
  readonly onApproval?: OnApproval | undefined
  readonly approvalTimeoutMs?: number | undefined
  /** Of the embedding process. */
  readonly variables: Variables
  readonly seams?: NetworkSeams | undefined
}

export class LauncherStarter {
  readonly #backend: Backend
  readonly #options: StarterOptions
  #rules: NetworkRules
  #network: Promise<SandboxNetwork> | undefined

  /** @param rules  of the sandbox's own policy */
  constructor(backend: Backend, rules: NetworkRules | undefined, options: StarterOptions) {
    this.#backend = backend
    this.#rules = rules ?? NO_NETWORK_RULES
    this.#options = options
  }

  /** As they stand now. */
  get rules(): NetworkRules {
    return this.#rules
  }

  /** Holds for the next connection. */
  async update(rules: NetworkRules): Promise<void> {
    (await this.#loaded()).update(rules)
    this.#rules = rules
  }

  /** @throws SandboxError what `Backend.start` throws; then nothing is left */
  readonly start = async (plan: LaunchPlan, network: ConfinedNetwork = {}): Promise<Launcher> => {
    if ((plan.backend === 'linux-native' || plan.backend === 'linux-bwrap') && plan.listeners !== undefined) {
      const served = await this.#loaded()
      const launcher = await this.#backend.start(plan)
      return attached(launcher, () => served.attach(launcher, plan, launcher.listeners ?? [], network))
    }
    if (!('proxyPort' in plan) || plan.proxyPort === undefined) return this.#backend.start(plan)
    const served = await this.#loaded()
    const listener = await listenOnHost(plan.proxyPort)
    const launcher = await this.#backend.start(plan).catch((error: unknown) => {
      listener.server.close()
      throw error
    })
    launcher.onLost(() => listener.server.close())
    return attached(closing(launcher, listener.server), held => served.attach(held, plan, [listener], network))
  }

  /** Withdraws all questions. */
  async close(): Promise<void> {
    (await this.#network)?.close()
  }

  #loaded(): Promise<SandboxNetwork> {
    this.#network ??= import('./sandbox-network.js').then(({ SandboxNetwork }) => new SandboxNetwork(this.#rules, this.#options))
    return this.#network
  }
}

/** A launcher without its network is none. */
async function attached(launcher: Launcher, attach: (launcher: Launcher) => Launcher): Promise<Launcher> {
  try {
    return attach(launcher)
  } catch (error) {
    await launcher.close()
    throw error
  }
}

/** macOS and Windows have one loopback: the listener is on it, and the profile or the firewall opens its port alone. */
async function listenOnHost(port: number): Promise<HeldListener> {
  const { createServer } = await import('node:net')
  const server = createServer({ allowHalfOpen: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => reject(new SandboxError('port_taken', { field: 'network.httpPort', value: port }, { cause, remedy: 'Try again, or name a port that is free.' })))
    server.listen(port, '127.0.0.1', resolve)
  })
  server.unref()
  return { kind: 'proxy', port, server }
}

function closing(launcher: Launcher, server: Server): Launcher {
  return {
    enforcement: launcher.enforcement, pid: launcher.pid, listeners: [],
    run: (command, handlers) => launcher.run(command, handlers),
    onLost: listener => launcher.onLost(listener),
    close: async () => {
      server.close()
      await launcher.close()
    },
  }
}
