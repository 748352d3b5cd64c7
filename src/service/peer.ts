// Who is at the other end of a unix socket, and whether it may speak to the service: a process of the same user, and not one inside a
// sandbox of this package, which would have the service run its commands outside.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import process from 'node:process'

/** As the kernel cuts the launcher's name: of all processes between a command and the program that started its sandbox. */
const LAUNCHER_NAME = 'codex-sandbox-l'
/** The kernel's unit in /proc/PID/stat on every platform that the launcher is built for. */
const TICKS_A_SECOND = 100
const MOST_ANCESTORS = 4096
const MOST_LOOKS = 5

export interface Peer {
  readonly uid: number
  /** Of the process that called connect(2); 0 where this process cannot see it. */
  readonly pid: number
}

/** What /proc has of a process. */
export interface ProcessFacts {
  readonly name: string
  readonly parent: number
  /** In the kernel's ticks since it was started. */
  readonly startedAtTicks: number
}

/**
 * Undefined: it may speak. Else why not. What cannot be found out is a no.
 *
 * @param ownPid            of the service
 * @param acceptedAtTicks   when the connection was accepted: a process that began later is not the one that connected
 */
export function whyRefused({ uid, pid }: Peer, ownUid: number, ownPid: number, acceptedAtTicks: number, facts: (pid: number) => ProcessFacts | undefined): string | undefined {
  if (uid !== ownUid) return `it is of user ${uid}`
  if (pid === 0) return 'its process is not to be seen from here'
  const first = facts(pid)
  if (first === undefined) return `its process ${pid} is gone`
  if (first.startedAtTicks > acceptedAtTicks) return `its process ${pid} began after it had connected`
  const own = launchersAbove(ownPid, facts)
  let above = launchersAbove(pid, facts)
  // One of them may have ended meanwhile, and its children have another parent now.
  for (let looks = 1; above === undefined && looks < MOST_LOOKS; looks++) above = launchersAbove(pid, facts)
  if (own === undefined || above === undefined) return `the processes above ${pid} cannot be looked at`
  // A service that runs in a sandbox itself serves what runs there with it.
  const between = above.filter(launcher => !own.includes(launcher))
  return between.length === 0 ? undefined : `its process ${pid} runs in a sandbox (launcher ${between[0]})`
}

/** Launchers among a process and all above it; undefined where one of them cannot be looked at. */
function launchersAbove(pid: number, facts: (pid: number) => ProcessFacts | undefined): number[] | undefined {
  const found: number[] = []
  let at = pid
  for (let steps = 0; at > 0; steps++) {
    const process = facts(at)
    if (process === undefined || steps > MOST_ANCESTORS) return undefined
    if (process.name === LAUNCHER_NAME) found.push(at)
    at = process.parent
  }
  return found
}

/** From /proc; undefined where there is no such process. */
export function readProcess(pid: number): ProcessFacts | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The name may hold anything, brackets and blanks too; nothing after it does.
  const [start, end] = [text.indexOf('('), text.lastIndexOf(')')]
  const fields = text.slice(end + 2).split(' ')
  const [parent, startedAtTicks] = [Number(fields[1]), Number(fields[19])]
  return start === -1 || !Number.isInteger(parent) || !Number.isInteger(startedAtTicks) ? undefined : { name: text.slice(start + 1, end), parent, startedAtTicks }
}

/** Now, in ticks since the machine was started, rounded up. */
const nowTicks = (): number => Math.ceil(Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * TICKS_A_SECOND) + 1

/** Asks the launcher's program, since Node cannot ask the kernel. Rejects where that fails. */
function askPeer(launcher: string, socket: Socket): Promise<Peer> {
  return new Promise((resolve, reject) => {
    // At descriptor 3: the first three would be made blocking, for this process too.
    const child = spawn(launcher, ['--peer'], { stdio: ['ignore', 'pipe', 'ignore', socket], env: {}, cwd: '/' })
    let text = ''
    child.stdout?.on('data', chunk => { text += chunk })
    child.once('error', reject)
    child.once('close', code => {
      const [, uid, pid] = /^(\d+) (\d+)\n$/.exec(text) ?? []
      if (code === 0 && uid !== undefined && pid !== undefined) resolve({ uid: Number(uid), pid: Number(pid) })
      else reject(new Error(`the launcher could not tell who is connected (exit ${code})`))
    })
  })
}

/** Undefined: the client may speak. Else why not; nothing of what it sent has been read. */
export async function refusalOf(launcher: string, socket: Socket): Promise<string | undefined> {
  const acceptedAt = nowTicks()
  try {
    return whyRefused(await askPeer(launcher, socket), process.getuid?.() ?? -1, process.pid, acceptedAt, readProcess)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
