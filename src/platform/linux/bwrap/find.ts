// Which bwrap of this machine is run, and what is known of it. It runs with the user's rights, outside of every sandbox.
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { execa, type Options } from 'execa'
import which from 'which'
import { SandboxError } from '../../../errors.js'
import type { LayerReport } from '../../backend.js'
import type { BwrapProgram } from '../../launch-plan.js'

const PROGRAM = 'bwrap'
const INSTALL = 'Install bubblewrap with the system\'s package manager.'
/** It prints a line and ends. */
const ANSWER_TIMEOUT_MS = 10_000
const MOST_ANSWER_BYTES = 64 << 10
/** Nothing of the caller's: neither its variables nor its working directory change what bwrap says or does. */
export const BWRAP_SURROUNDINGS = { env: {}, extendEnv: false, cwd: '/', stripFinalNewline: true, reject: false } as const

/** Beside a program's own descriptors: Node's words, or the number of one of this process's. execa's types know no numbers there; Node does. */
type Stdio = readonly ('ignore' | 'pipe' | 'ipc' | number)[]
interface Ended { readonly exitCode?: number; readonly signal?: string; readonly stdout: string; readonly stderr: string }

type Run = (path: string, argv: readonly string[], options: typeof BWRAP_SURROUNDINGS & Omit<Options, 'stdio'> & { readonly stdio: Stdio }) => ChildProcess & Promise<Ended>

/** More than a start takes. */
const DESCRIPTORS = 32

/**
 * Runs bwrap, or whatever stands in its place, with nothing of the caller's around it.
 *
 * @throws SandboxError `set_up_failed`, step `bwrap`, where descriptors have run out. Told before: a child that has none for its streams makes
 *         execa throw, and Node end, as nobody hears its error then
 */
export const runBwrap: Run = (path, argv, options) => {
  needDescriptors(path)
  return (execa as unknown as Run)(path, argv, options)
}

/** Taken and given back at once: nothing runs before the start that follows. */
function needDescriptors(path: string): void {
  const taken: number[] = []
  try {
    while (taken.length < DESCRIPTORS) taken.push(openSync('/dev/null', 'r'))
  } catch (error) {
    throw new SandboxError('set_up_failed', { step: 'bwrap', errno: (error as NodeJS.ErrnoException).code ?? 'unknown', path }, { cause: error, remedy: 'Close files, or raise the limit of open files (ulimit -n).' })
  } finally {
    for (const descriptor of taken) closeSync(descriptor)
  }
}

/** Options without which no plan can be said; `--perms` came with 0.5.0. */
const NEEDED_OPTIONS = ['--args', '--as-pid-1', '--cap-drop', '--die-with-parent', '--new-session', '--perms', '--remount-ro', '--unshare-cgroup-try'] as const
const SET_USER_ID = 0o4000

/** Absolute, without a link. `named`: as PATH led to it. Undefined: there is none on the absolute entries of `path`. */
export function locateBwrap(path: string): { readonly named: string; readonly path: string } | undefined {
  const absolute = path.split(':').filter(isAbsolute).join(':')
  if (absolute === '') return undefined
  const named = which.sync(PROGRAM, { path: absolute, nothrow: true })
  return named === null ? undefined : { named, path: realpathSync(named) }
}

/** Asks it for its version and its options. Changes nothing. */
export async function inspectBwrap(located: ReturnType<typeof locateBwrap>): Promise<LayerReport> {
  if (located === undefined) return { layer: 'bwrap', available: false, errno: 'ENOENT', reason: 'no bwrap is in a folder of PATH that is absolute', remedy: INSTALL }
  const { path } = located
  const refuse = (reason: string, remedy: string, errno = 'EINVAL'): LayerReport => ({ layer: 'bwrap', available: false, errno, reason: `${JSON.stringify(path)} ${reason}`, remedy })
  const { mode, dev, ino, ctimeNs } = statSync(path, { bigint: true })
  if ((Number(mode) & SET_USER_ID) !== 0) return refuse('is set-user-ID: what goes wrong in it goes wrong with the rights of root', 'Install a bubblewrap that is not (chmod u-s).', 'EPERM')
  const [said, help] = await Promise.all([ask(path, '--version'), ask(path, '--help')])
  const version = said === undefined ? undefined : /^bubblewrap (\d+\.\d+(?:\.\d+)*)$/.exec(said)?.[1]
  if (version === undefined) return refuse(said === undefined ? 'does not say its version' : `says ${JSON.stringify(said.slice(0, 100))} where it should say its version`, INSTALL)
  const missing = NEEDED_OPTIONS.filter(option => help?.includes(`    ${option} `) !== true)
  if (missing.length > 0) return refuse(`${version} has no ${missing.join(', ')}`, 'Install bubblewrap 0.5.0 or newer.', 'ENOSYS')
  const packaged = packageVersion()
  const program: BwrapProgram = { path, version, ...(packaged === undefined || !isOfPackage(path) ? {} : { package: packaged }), identity: { device: String(dev), inode: String(ino) }, changedNs: String(ctimeNs) }
  return { layer: 'bwrap', available: true, program }
}

async function ask(path: string, option: string): Promise<string | undefined> {
  const { exitCode, stdout } = await runBwrap(path, [option], { ...BWRAP_SURROUNDINGS, stdio: ['ignore', 'pipe', 'ignore'], timeout: ANSWER_TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: MOST_ANSWER_BYTES })
  return exitCode === 0 ? stdout : undefined
}

const DPKG = '/var/lib/dpkg'

/** Of Debian and its like, whose files say it without a program being run. Others repair a hole by a newer bwrap. */
function packageVersion(): string | undefined {
  const status = readText(join(DPKG, 'status')) ?? ''
  const entry = status.split('\n\n').find(each => each.startsWith('Package: bubblewrap\n'))
  return entry?.includes('\nStatus: install ok installed\n') === true ? /^Version: (.+)$/m.exec(entry)?.[1] : undefined
}

/** A bwrap that somebody built has no package's version, wherever else one is installed. */
function isOfPackage(path: string): boolean {
  const files = ['', ':amd64', ':arm64'].map(of => readText(join(DPKG, `info/bubblewrap${of}.list`))).find(text => text !== undefined)
  return files?.split('\n').some(file => file !== '' && file.endsWith(`/${PROGRAM}`) && realPathOf(file) === path) === true
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync(path)
  } catch {
    return undefined // listed, and removed since: then it is not the one that was found
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // no package manager of that kind
  }
}

/**
 * Each place that must not be writable for what is run to be what was found: the program, the folder in which PATH finds it, and every link on
 * the way, as whoever changes one chooses the next sandbox's bwrap.
 */
export const placesOf = ({ named, path }: NonNullable<ReturnType<typeof locateBwrap>>): string[] =>
  [...new Set([named, join(realPathOf(dirname(named)) ?? dirname(named), PROGRAM), ...linksOnTheWay(named), path])]

/** As in Linux: a path through more links than this is a loop. */
const MOST_LINKS = 40

/** Each by its own path, without a link in it. */
function linksOnTheWay(path: string): string[] {
  const links: string[] = []
  const waiting = namesBackwards(path)
  let at = '/'
  for (let name = waiting.pop(); name !== undefined && links.length < MOST_LINKS; name = waiting.pop()) {
    const next = join(at, name)
    const target = targetOf(next)
    if (target !== undefined) {
      links.push(next)
      waiting.push(...namesBackwards(target))
    }
    at = target === undefined ? next : isAbsolute(target) ? '/' : at
  }
  return links
}

const namesBackwards = (path: string): string[] => path.split('/').filter(name => name !== '').reverse()

/** Undefined: it is no link. */
function targetOf(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch (error) {
    if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
