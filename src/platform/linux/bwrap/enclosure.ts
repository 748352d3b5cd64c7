// One bwrap with the launcher inside, and the keeper beside it: from what the host has now to commands that can start.
import type { ChildProcess } from 'node:child_process'
import { closeSync, lstatSync, openSync, statSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { SandboxError } from '../../../errors.js'
import { entryKind } from '../../../host/entry-kind.js'
import type { EntryKind } from '../../../policy/host-snapshot.js'
import type { CommandHandlers, HeldListener, Launcher, RunningCommand, StartFailure } from '../../backend.js'
import type { CommandPlan, LinuxBwrapPlan } from '../../launch-plan.js'
import { connectLauncher, planFrame } from '../native/launcher.js'
import { bwrapArguments } from './compile-arguments.js'
import { BWRAP_SURROUNDINGS, runBwrap } from './find.js'
import { Keeper } from './keeper.js'

/** Descriptors of bwrap; 3 and 4 are the launcher's everywhere, 5 is the keeper's socket. */
const ARGUMENTS_FD = 6
const PROGRAM_FD = 7
const INFO_FD = 8
/** As inside.c compares them. */
const NAMESPACES = ['user', 'mnt', 'pid', 'ipc', 'uts', 'net'] as const
const MOST_WORDS_BYTES = 8192
/** As monitor.h has it; bwrap ends as the launcher inside does. */
const KEEPER_IS_GONE = 3

export class Enclosure {
  /** The launcher inside, as this machine has it. */
  readonly pid: number
  readonly #launcher: Launcher
  readonly #keeper: Keeper
  readonly #bwrap: ChildProcess
  #closed: Promise<void> | undefined

  private constructor({ launcher, pid, bwrap }: Started, keeper: Keeper) {
    this.#launcher = launcher
    this.#keeper = keeper
    this.#bwrap = bwrap
    this.pid = pid
  }

  /**
   * @param changed  called once where commands can start here no more, as the host changed what is held; those that run are ended
   * @throws SandboxError `set_up_failed` with the step; nothing is left then
   */
  static async start(launcherPath: string, plan: LinuxBwrapPlan, changed: (failure: StartFailure) => void): Promise<Enclosure> {
    const frame = planFrame(plan)
    const keeper = await Keeper.start(launcherPath, frame, changed)
    try {
      const started = await startBwrap(launcherPath, plan, frame, keeper)
      keeper.unref()
      return new Enclosure(started, keeper)
    } catch (error) {
      await keeper.close()
      throw error
    }
  }

  get listeners(): readonly HeldListener[] { return this.#launcher.listeners ?? [] }
  run(command: CommandPlan, handlers: CommandHandlers): RunningCommand { return this.#launcher.run(command, handlers) }
  onLost(listener: () => void): void { this.#launcher.onLost(listener) }

  /** Whether it ended by itself because the keeper is gone, of which this process may hear later. */
  get endedWithKeeper(): boolean { return this.#bwrap.exitCode === KEEPER_IS_GONE }

  /** Ends all commands; then what was put on the host is removed, also where the launcher's own end is an error. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    try {
      await this.#launcher.close()
    } finally {
      await this.#keeper.close()
    }
  }
}

interface Started { readonly launcher: Launcher; readonly pid: number; readonly bwrap: ChildProcess }

async function startBwrap(launcherPath: string, plan: LinuxBwrapPlan, frame: Buffer, keeper: Keeper): Promise<Started> {
  const { path } = plan.bwrap
  refuseOther(plan)
  refuseLinks(plan)
  const words = bwrapArguments(plan, kindOf)
  // By descriptor, so that it runs whatever the policy hides.
  const program = openSync(launcherPath, 'r')
  const inside = (keeper.inside as unknown as { readonly _handle: { readonly fd: number } })._handle.fd
  const child = runBwrap(path, ['--args', String(ARGUMENTS_FD), '--', `/proc/self/fd/${PROGRAM_FD}`, '--inside', hostNamespaces()], {
    ...BWRAP_SURROUNDINGS, buffer: false, cleanup: false, detached: true, serialization: 'json',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', plan.listeners === undefined ? 'ignore' : 'ipc', inside, 'pipe', program, 'pipe'],
  })
  // How it ends is heard as an event.
  child.catch(() => {})
  closeSync(program)
  keeper.handOver()
  const said = collect(child.stdio[2] as Readable | undefined)
  const started = startedProcess(child.stdio.at(INFO_FD) as Readable | undefined)
  const argumentsEnd = child.stdio.at(ARGUMENTS_FD) as Writable | undefined
  // One that has ended reads them no more: how it ended is told below.
  argumentsEnd?.on('error', () => {})
  argumentsEnd?.end([...words, '--info-fd', String(INFO_FD)].map(word => `${word}\0`).join(''))
  try {
    const launcher = await connectLauncher(child, path, plan, frame)
    const pid = await started
    if (pid === undefined) {
      await launcher.close()
      throw new SandboxError('set_up_failed', { step: 'bwrap', errno: 'EBADMSG', path }, { detail: 'it does not say which process it started', remedy: 'Install bubblewrap with the system\'s package manager.' })
    }
    keeper.holdUntil(pid)
    return { launcher, pid, bwrap: child }
  } catch (error) {
    throw explained(error, path, said())
  }
}

/** The file may have been replaced since it was looked at. */
function refuseOther({ bwrap: { path, identity, changedNs } }: LinuxBwrapPlan): void {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  if (found === undefined || String(found.dev) !== identity.device || String(found.ino) !== identity.inode || String(found.ctimeNs) !== changedNs) {
    throw new SandboxError('set_up_failed', { step: 'bwrap', errno: found === undefined ? 'ENOENT' : 'ESTALE', path }, { detail: 'it is not the program that was looked at', remedy: 'Create a new sandbox.' })
  }
}

/** What the launcher alone has put at a missing name, or the host since the plan was made: bwrap would look for what the link leads to. */
function refuseLinks({ mounts }: LinuxBwrapPlan): void {
  const link = mounts.find(({ step, path }) => (step === 'placeholder' || step === 'bind_read_only' || step === 'mask') && kindOf(path) === 'symlink')
  if (link === undefined) return
  throw new SandboxError('set_up_failed', { step: 'bwrap', errno: 'ELOOP', path: link.path }, {
    detail: 'a symbolic link stands there, which bwrap cannot hold: the launcher alone (linux-native) has one there while commands of another sandbox run, or the host has made it since this one was created',
    remedy: 'Wait until those commands have ended, use one back end for all sandboxes of a workspace, or remove the link and create a new sandbox.',
  })
}

/** What ends before the launcher speaks is bwrap, and says why on stderr. */
function explained(error: unknown, path: string, said: string): unknown {
  if (!(error instanceof SandboxError) || (error.step !== 'start_launcher' && error.code !== 'launcher_not_found')) return error
  const errno = error.errno ?? 'ENOENT'
  return new SandboxError('set_up_failed', { step: 'bwrap', errno, path }, { cause: error, ...(said === '' ? {} : { detail: said.trim().slice(0, 300) }), remedy: 'Run `codex-sandbox doctor`: it tries bwrap alone.' })
}

/** What `--info-fd` says, as this machine numbers it. Undefined: the stream ended without it. */
function startedProcess(stream: Readable | undefined): Promise<number | undefined> {
  if (stream === undefined) return Promise.resolve(undefined)
  const text = collect(stream, { holds: true })
  return new Promise(resolve => {
    const look = (): void => {
      const pid = /"child-pid":\s*(\d+)\b[\s\S]*\}/.exec(text())?.[1]
      if (pid === undefined && !stream.closed) return
      letGo(stream)
      resolve(pid === undefined ? undefined : Number(pid))
    }
    stream.on('data', look)
    stream.once('close', look)
  })
}

/** @param holds  Node lives as long as something may come */
function collect(stream: Readable | undefined, { holds = false } = {}): () => string {
  const chunks: Buffer[] = []
  let bytes = 0
  stream?.on('data', (chunk: Buffer) => {
    if (bytes < MOST_WORDS_BYTES) chunks.push(chunk)
    bytes += chunk.length
  })
  stream?.on('error', () => {})
  if (!holds) letGo(stream)
  return () => Buffer.concat(chunks).toString('utf8')
}

/** A socket, which its type does not say. */
const letGo = (stream: Readable | undefined): void => (stream as { unref?: () => void } | undefined)?.unref?.()

const hostNamespaces = (): string => NAMESPACES.map(name => `${name}:${statSync(`/proc/self/ns/${name}`, { bigint: true }).ino}`).join(' ')

function kindOf(path: string): EntryKind | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats === undefined ? undefined : entryKind(stats)
}
