// The shape of the attempts that only the tests make: like those of `doctor --escape`, some with a program in C.
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Act, type EscapeAttempt, findProgram, pause, type Scene, SECRET } from '../../../src/doctor/escapes/attempt.js'

export interface HostileAttempt extends EscapeAttempt {
  /** Needs one of ./programs, and so a C compiler. */
  readonly compiled?: true
  /** What root could do anyway. */
  readonly asUser?: true
}

/** The compiled programs are where this variable says; unset where there is no compiler. */
export const PROGRAMS = 'CODEX_SANDBOX_ESCAPE_PROGRAMS'

/** Compiles ./programs into `folder`, which must be readable for every user. False where this machine has no compiler. */
export function compilePrograms(folder: string): boolean {
  const compiler = ['cc', 'gcc', 'clang'].map(findProgram).find(path => path !== undefined)
  if (compiler === undefined) return false
  const sources = fileURLToPath(new URL('../programs', import.meta.url))
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(sources).filter(each => each.endsWith('.c'))) {
    execFileSync(compiler, ['-D_GNU_SOURCE', '-O1', '-w', '-pthread', '-o', join(folder, name.replace(/\.c$/, '')), join(sources, name)], { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  return true
}

export const program = (name: string): string => join(process.env[PROGRAMS] ?? '', name)

/** Why an attempt of ours cannot be made here. */
export function lackOf({ compiled, asUser }: HostileAttempt): string | undefined {
  if (compiled === true && process.env[PROGRAMS] === undefined) return 'there is no C compiler'
  return asUser === true && process.getuid?.() === 0 ? 'it is about users other than root' : undefined
}

/** Runs one of the programs inside. */
export const runProgram = (name: string, words: (scene: Scene) => readonly string[]): Act => async scene => { await scene.run([program(name), ...words(scene)]) }

/** Runs a script inside that waits in its middle, while `host` acts. It says that it is there by `$W/ready`, and goes on at `$W/go`. */
export async function whileItWaits(scene: Scene, before: string, host: () => void | Promise<void>, after: string): Promise<void> {
  const running = scene.run(['sh', '-c', `${before}\ntouch "$W/ready"; i=0; while [ ! -e "$W/go" ] && [ $i -lt 400 ]; do sleep 0.02; i=$((i+1)); done\n${after}`])
  for (let i = 0; i < 400 && !existsSync(`${scene.workspace}/ready`); i++) await pause(10)
  await host()
  // A command may close its folder for a moment, or have been ended.
  let over = false
  const ended = running.finally(() => { over = true })
  while (!over && !letGo(scene)) await pause(1)
  await ended
}

function letGo({ workspace }: Scene): boolean {
  try {
    writeFileSync(`${workspace}/go`, '')
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error
    return false
  }
}

/** A server of the host's in C; its contacts stand in the returned file. */
export async function serveOutside(scene: Scene, kind: 'stream' | 'seqpacket' | 'datagram', address: string): Promise<void> {
  const server = spawn(program('sockets'), ['serve', kind, address, contacts(scene)], { stdio: ['ignore', 'pipe', 'inherit'] })
  scene.defer(() => { server.kill('SIGKILL') })
  await new Promise<void>((done, fail) => { server.stdout.once('data', () => done()); server.once('exit', () => fail(new Error('the server outside did not start'))) })
}
/** Not in `outside`: a file that grows there would count as a change by itself. */
export const contacts = (scene: Scene): string => `${scene.outside}-contacts`

/** A file in the workspace's folder `private`, with content that shows when it is leaked. */
export function privateKey(scene: Scene): void {
  mkdirSync(`${scene.workspace}/private`)
  writeFileSync(`${scene.workspace}/private/key`, `${SECRET}\n`)
}

/** Sets a variable of the embedding process for one scene. */
export function setVariable(scene: Scene, name: string, value: string): void {
  const before = process.env[name]
  process.env[name] = value
  scene.defer(() => {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  })
}
