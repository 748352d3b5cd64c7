// A folder of root's, held open. Names in it are reached through the descriptor (as by openat(2), which Node does not have), so that
// nobody can exchange a folder on the way, and no link is followed.
import {
  closeSync, constants, fchmodSync, fchownSync, fstatSync, fsyncSync, lstatSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmdirSync, type Stats, unlinkSync, writeSync,
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { SandboxError } from '../../../errors.js'
import { whyUnowned } from '../native/installed-launcher.js'

const FOLDER_MODE = 0o755
/** Names of files that are being written; what an interrupted run has left of them is removed by the next. */
const UNFINISHED = /^\.codex-sandbox-[0-9a-f]{16}\.unfinished$/

export class HeldFolder {
  /** As people name it. */
  readonly path: string
  readonly #descriptor: number
  readonly #owner: number

  private constructor(path: string, descriptor: number, owner: number) {
    this.path = path
    this.#descriptor = descriptor
    this.#owner = owner
  }

  /**
   * The folder that all others lie in.
   *
   * @throws SandboxError `installation_failed` where it is not the owner's alone
   */
  static open(path: string, owner: number): HeldFolder {
    return HeldFolder.#hold(path, path, owner)
  }

  /** A folder in this one. Undefined: there is none. */
  folder(name: string): HeldFolder | undefined {
    if (this.entry(name) === undefined) return undefined
    return HeldFolder.#hold(this.#at(name), this.#name(name), this.#owner)
  }

  /** The same, made where it is missing. */
  madeFolder(name: string): { folder: HeldFolder; isNew: boolean } {
    const there = this.folder(name)
    if (there !== undefined) return { folder: there, isNew: false }
    this.#carryOut('make_folder', name, () => mkdirSync(this.#at(name), FOLDER_MODE))
    const folder = this.folder(name)
    if (folder === undefined) throw failed('make_folder', this.#name(name), 'ENOENT')
    // Whatever the umask is.
    folder.#carryOut('make_folder', '', () => fchmodSync(folder.#descriptor, FOLDER_MODE))
    this.sync()
    return { folder, isNew: true }
  }

  /** Of the link itself, where it is one. */
  entry(name: string): Stats | undefined {
    return lstatSync(this.#at(name), { throwIfNoEntry: false })
  }

  names(): string[] {
    return readdirSync(this.#at('')).sort()
  }

  /** @throws SandboxError `installation_failed` where it is no regular file of the owner's alone */
  read(name: string): Buffer {
    this.#refuseForeign(name)
    const descriptor = this.#carryOut('read', name, () => openSync(this.#at(name), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK))
    try {
      return readFileSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
  }

  /** Whole or not at all: under another name first, which takes the place of `name` once all of it is on the disk. */
  write(name: string, bytes: Uint8Array, mode: number): void {
    if (this.entry(name) !== undefined) this.#refuseForeign(name)
    const unfinished = `.codex-sandbox-${randomBytes(8).toString('hex')}.unfinished`
    const descriptor = this.#carryOut('write', name, () => openSync(this.#at(unfinished), constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600))
    try {
      this.#carryOut('write', name, () => {
        for (let at = 0; at < bytes.length;) at += writeSync(descriptor, bytes, at)
        fchownSync(descriptor, this.#owner, fstatSync(this.#descriptor).gid)
        fchmodSync(descriptor, mode)
        fsyncSync(descriptor)
        renameSync(this.#at(unfinished), this.#at(name))
      })
    } catch (error) {
      unlinkSync(this.#at(unfinished))
      throw error
    } finally {
      closeSync(descriptor)
    }
    this.sync()
  }

  remove(name: string): void {
    this.#refuseForeign(name)
    this.#carryOut('remove', name, () => unlinkSync(this.#at(name)))
  }

  /** What runs that were interrupted have left. */
  removeUnfinished(): string[] {
    const left = this.names().filter(name => UNFINISHED.test(name))
    for (const name of left) this.remove(name)
    return left.map(name => this.#name(name))
  }

  removeFolder(name: string): void {
    this.#carryOut('remove', name, () => rmdirSync(this.#at(name)))
  }

  /** Names that were made or removed are on the disk afterwards. */
  sync(): void {
    this.#carryOut('sync', '', () => fsyncSync(this.#descriptor))
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  static #hold(place: string, path: string, owner: number): HeldFolder {
    let descriptor: number
    try {
      descriptor = openSync(place, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    } catch (error) {
      const errno = (error as NodeJS.ErrnoException).code ?? 'unknown'
      // With both flags a link is no directory.
      throw failed('open_folder', path, errno, errno === 'ENOTDIR' || errno === 'ELOOP' ? 'it is a link or a file, where a folder of root\'s has to be' : undefined, error)
    }
    const reason = whyUnowned(fstatSync(descriptor), owner, 'folder')
    if (reason === undefined) return new HeldFolder(path, descriptor, owner)
    closeSync(descriptor)
    throw failed('open_folder', path, 'EPERM', `it ${reason}`)
  }

  #refuseForeign(name: string): void {
    const stats = this.entry(name)
    const reason = stats === undefined ? undefined : whyUnowned(stats, this.#owner, 'file')
    if (reason !== undefined) throw failed('replace', this.#name(name), 'EEXIST', `it ${reason}`)
  }

  #carryOut<Result>(step: string, name: string, act: () => Result): Result {
    try {
      return act()
    } catch (error) {
      if (error instanceof SandboxError) throw error
      throw failed(step, this.#name(name), (error as NodeJS.ErrnoException).code ?? 'unknown', undefined, error)
    }
  }

  #at(name: string): string {
    return `/proc/self/fd/${this.#descriptor}${name === '' ? '' : `/${name}`}`
  }

  #name(name: string): string {
    return name === '' ? this.path : `${this.path === '/' ? '' : this.path}/${name}`
  }
}

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'Make room on that file system, and run it again.',
  EDQUOT: 'Make room within the quota, and run it again.',
  EROFS: 'It lies on a file system that is mounted read-only: set this machine up by its image.',
}

function failed(step: string, path: string, errno: string, detail?: string, cause?: unknown): SandboxError {
  const remedy = detail === undefined ? REMEDIES[errno] : 'Look at who put it there; mend it or move it away, and run it again.'
  return new SandboxError('installation_failed', { step, errno, path }, {
    ...(remedy === undefined ? {} : { remedy }), ...(detail === undefined ? {} : { detail }), ...(cause === undefined ? {} : { cause }),
  })
}
