// The file for all of a command's output. It is written by this process, with more rights than commands have, so its place must be
// one that no command chose: a symbolic link where commands could have made it is refused, and the folder is held while the file
// is opened.
import { closeSync, constants, fstatSync, ftruncateSync, lstatSync, openSync, readlinkSync, write } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { SandboxError } from '../errors.js'
import { decide } from '../policy/decide.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'

const MOST_LINKS = 40
/** Of Linux; Node does not name it. */
const O_PATH = 0o10000000

export class OutputFile {
  readonly #path: string
  readonly #descriptor: number
  #closed = false

  /**
   * Opens and empties it.
   *
   * @param cwd     where a relative path begins
   * @throws        SandboxError `output_file`, `field` = `output.file`
   */
  constructor(policy: ResolvedPolicy, cwd: string, path: string) {
    this.#path = path
    try {
      this.#descriptor = openFile(policy, resolve(cwd, path))
    } catch (error) {
      throw outputError(path, error)
    }
  }

  /** Resolves when all of it is written. @throws SandboxError `output_file`, where the disk is full for example */
  async add(chunk: Buffer): Promise<void> {
    try {
      for (let at = 0; at < chunk.length;) at += await writeSome(this.#descriptor, chunk.subarray(at))
    } catch (error) {
      throw outputError(this.#path, error)
    }
  }

  /** Idempotent. Nothing may be on its way. */
  close(): void {
    if (!this.#closed) closeSync(this.#descriptor)
    this.#closed = true
  }
}

class Refused extends Error {}

function outputError(path: string, error: unknown): SandboxError {
  if (error instanceof SandboxError) return error
  const detail = error instanceof Refused ? error.message : (error as NodeJS.ErrnoException).code ?? String(error)
  return new SandboxError('output_file', { field: 'output.file', value: path }, { detail, cause: error })
}

function openFile(policy: ResolvedPolicy, path: string): number {
  if (path.includes('\0')) throw new Refused('it has a NUL')
  const folder = realFolder(policy, dirname(path))
  // Not through a link, and not waiting for the other end of a pipe that a command has put there.
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const descriptor = policy.platform === 'linux' ? openIn(folder, basename(path), flags) : openSync(join(folder, basename(path)), flags, 0o666)
  try {
    if (!fstatSync(descriptor).isFile()) throw new Refused('it is no file')
    ftruncateSync(descriptor)
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** Opens a name in exactly this folder, whatever becomes of the names on the way to it. */
function openIn(folder: string, name: string, flags: number): number {
  const held = openSync(folder, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    if (readlinkSync(`/proc/self/fd/${held}`) !== folder) throw new Refused('the way to it changed while it was opened')
    return openSync(`/proc/self/fd/${held}/${name}`, flags, 0o666)
  } finally {
    closeSync(held)
  }
}

/** `folder` without symbolic links. Those of the host's own are followed; one that a command could have made is refused. */
function realFolder(policy: ResolvedPolicy, folder: string): string {
  let real = '/'
  let links = 0
  const names = folder.split('/').filter(name => name !== '')
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '.' || name === '') continue
    if (name === '..') {
      real = dirname(real)
      continue
    }
    const path = join(real, name)
    if (!lstatSync(path).isSymbolicLink()) {
      real = path
      continue
    }
    if (++links > MOST_LINKS) throw new Refused('it is a loop of symbolic links')
    if (isConfined(policy) && decide(policy, { kind: 'create', path }).verdict === 'allow') throw new Refused(`${JSON.stringify(path)} is a symbolic link that a command could have made`)
    const target = readlinkSync(path)
    if (target.startsWith('/')) real = '/'
    names.unshift(...target.split('/'))
  }
  return real
}

/** Where commands are not confined, they have all the rights that this process has. */
const isConfined = ({ mode }: ResolvedPolicy): boolean => mode === 'read-only' || mode === 'workspace-write'

const writeSome = (descriptor: number, bytes: Buffer): Promise<number> => new Promise((done, failed) => {
  write(descriptor, bytes, 0, bytes.length, null, (error, written) => error === null ? done(written) : failed(error))
})
