// `windowsSandbox/…`: the set-up of the Windows sandbox, for the user to start, and whether there is one; and what a client is warned of.
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import type { WindowsSetup } from '../exec/windows-setup.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { Client } from './client.js'
import type { NotificationParams } from './protocol.js'
import { invalidRequest, rpcError } from './rpc-error.js'

export type SetupMode = 'elevated' | 'unelevated'
type Readiness = 'ready' | 'notConfigured' | 'updateRequired'

/** In the reference's words. */
const NOT_WINDOWS: Record<SetupMode, string> = {
  elevated: 'elevated Windows sandbox setup is only supported on Windows',
  unelevated: 'legacy Windows sandbox setup is only supported on Windows',
}

/** How the set-up of this machine is reached. Rejects where it cannot be. */
export type OpenSetup = () => Promise<WindowsSetup>

const openHere: OpenSetup = async () => (await import('../exec/windows-setup.js')).openWindowsSetup()

interface Running {
  readonly mode: SetupMode
  readonly controller: AbortController
  done: Promise<void>
}

/** Of one service: one set-up at a time, whichever client asked. */
export class WindowsSetups {
  readonly platform: PlatformName
  readonly #open: OpenSetup
  #running: Running | undefined
  #warning: Promise<NotificationParams<'windows/worldWritableWarning'> | undefined> | undefined

  /** @param open  a test's machine, which is then a Windows one */
  constructor(platform: PlatformName, open?: OpenSetup) {
    this.platform = open === undefined ? platform : 'windows'
    this.#open = open ?? openHere
  }

  /**
   * Takes the turn of this set-up. What is returned carries it out and tells how it went by `windowsSandbox/setupCompleted`.
   *
   * @param cwd     the workspace that shall be ready, absolute
   * @param policy  of the configuration there
   * @throws RpcError -32600 where one is under way
   */
  begin(client: Client, mode: SetupMode, cwd: string, policy: SandboxPolicy): () => void {
    if (this.#running !== undefined) throw invalidRequest(`a Windows sandbox setup is already under way (${this.#running.mode}); its end is told by windowsSandbox/setupCompleted`)
    const running: Running = { mode, controller: new AbortController(), done: Promise.resolve() }
    this.#running = running
    return () => {
      running.done = this.#carryOut(running, cwd, policy).then(error => {
        this.#running = undefined
        client.notify('windowsSandbox/setupCompleted', { mode, success: error === null, error })
      })
    }
  }

  /** Never throws: the error is what the client is told. */
  async #carryOut({ mode, controller: { signal } }: Running, cwd: string, policy: SandboxPolicy): Promise<string | null> {
    if (this.platform !== 'windows') return NOT_WINDOWS[mode]
    try {
      await (await this.#open()).setUp(mode, { roots: [cwd], signal }, [policy])
      return null
    } catch (error) {
      return rpcError(error).message
    }
  }

  /** @param mode  of the configuration; undefined: the one that holds more */
  async readiness(mode: SetupMode = 'elevated'): Promise<Readiness> {
    if (this.platform !== 'windows') return 'notConfigured'
    const { status, modes } = await (await this.#open()).status()
    return status === 'ready' && !modes.includes(mode) ? 'notConfigured' : status
  }

  /** What a client is told of folders that everybody may write; looked for once. Undefined: nothing, or not on Windows. */
  worldWritable(): Promise<NotificationParams<'windows/worldWritableWarning'> | undefined> {
    if (this.platform !== 'windows') return Promise.resolve(undefined)
    this.#warning ??= this.#look()
    return this.#warning
  }

  async #look(): Promise<NotificationParams<'windows/worldWritableWarning'> | undefined> {
    return (await (await this.#open()).worldWritable())?.warning
  }

  /** What is under way is undone, and told. */
  async end(): Promise<void> {
    this.#running?.controller.abort(new Error('the service ended; what the setup had made is undone'))
    await this.#running?.done
  }
}
