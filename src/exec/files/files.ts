// `sandbox.files`: file work for tools that edit in the embedding process itself. It is carried out inside, by a command of the
// sandbox, so that the kernel judges each call by the same rules, and nothing can change between a check and its use.
import { resolve as resolvePath } from 'node:path'
import { SandboxError } from '../../errors.js'
import type { FileAccess } from '../../policy/decision.js'
import { FILE_OPERATION } from '../../platform/linux/native/file-operations.generated.js'
import type { Denial } from '../denial.js'
import { type DeniedContext, deniedAccess, fileError } from './file-errors.js'
import { type FileAnswer, FileServer, type FileServerHost, FileServerLost } from './file-server.js'
import { makeHostFiles } from './host-files.js'
import type { BackendName } from '../../platform/launch-plan.js'
import { type DirectoryEntry, type FileStat, readEntries, readStat } from './file-stat.js'

/** Of one file, read or written at once. */
export const LARGEST_FILE_BYTES = 64 << 20

export interface ReadFileOptions { readonly encoding?: BufferEncoding | null }
export interface WriteFileOptions {
  readonly encoding?: BufferEncoding | null
  /** Of a new file, less the umask; an old one keeps its own. Default: 0o666. */
  readonly mode?: number
  /** `w` replaces (default), `wx` refuses where the name is taken, `a` appends. */
  readonly flag?: 'w' | 'wx' | 'a'
}
export interface MkdirOptions { readonly recursive?: boolean; readonly mode?: number }
export interface RmOptions { readonly recursive?: boolean; readonly force?: boolean }

/**
 * File work inside the sandbox. Paths start at the policy's cwd. Each call rejects with what Node's own has (`code: 'ENOENT'`,
 * `errno`, `syscall`, `path`); where the policy is what refused it, with a `DeniedError`: a SandboxError `denied` with the same
 * fields and the Denial. After `close`, with SandboxError `sandbox_closed`.
 */
export interface SandboxFiles {
  /** A regular file of at most 64 MiB. */
  readFile(path: string, options?: ReadFileOptions & { readonly encoding?: null } | null): Promise<Buffer>
  readFile(path: string, options: BufferEncoding | ReadFileOptions & { readonly encoding: BufferEncoding }): Promise<string>
  readFile(path: string, options?: BufferEncoding | ReadFileOptions | null): Promise<string | Buffer>
  /**
   * At most 64 MiB. With flag `w` readers see the old file or the new one, never a part: the content is written beside the name and
   * renamed onto it, with the old file's mode. Where that would lose something (hard links, another owner, extended attributes) or is
   * refused (a single writable file), the file itself is written.
   */
  writeFile(path: string, data: string | Uint8Array, options?: BufferEncoding | WriteFileOptions | null): Promise<void>
  /** Recursive: resolves to the first folder that it made, as Node has it. */
  mkdir(path: string, options?: MkdirOptions | number | null): Promise<string | undefined>
  rename(from: string, to: string): Promise<void>
  rm(path: string, options?: RmOptions): Promise<void>
  readdir(path: string, options?: { readonly withFileTypes?: false } | null): Promise<string[]>
  readdir(path: string, options: { readonly withFileTypes: true }): Promise<DirectoryEntry[]>
  stat(path: string): Promise<FileStat>
  /** Of a link itself. */
  lstat(path: string): Promise<FileStat>
}

/** What `sandbox.files` needs of its sandbox; asked for each call, since a grant changes it. */
export interface FilesHost extends FileServerHost, DeniedContext {}

const HOW = { w: 0, wx: 1, a: 2 } as const
/** Repeating these changes nothing. */
const REPEATABLE: readonly number[] = [FILE_OPERATION.READ, FILE_OPERATION.LIST, FILE_OPERATION.STAT]

interface Request {
  readonly operation: number
  /** As Node's errors have it. */
  readonly syscall: string
  readonly path: string
  readonly dest?: string
  readonly payload: readonly Uint8Array[]
  /** What the policy would have to permit, in the order in which it is asked. */
  readonly accesses: readonly { readonly path: string; readonly operations: readonly FileAccess[] }[]
}

/**
 * @param backend  where nothing is confined, there is nothing to go into: Node's own functions do the work
 * @param host     the sandbox as it is now; throws where it is closed
 */
export const makeFiles = (backend: BackendName, host: () => FilesHost): SandboxFiles =>
  backend === 'unconfined' ? makeHostFiles(() => host().plan.cwd.path) : new Files(host) as SandboxFiles

class Files {
  readonly #host: () => FilesHost
  #server: FileServer | undefined

  constructor(host: () => FilesHost) {
    this.#host = host
  }

  async readFile(path: string, options?: BufferEncoding | ReadFileOptions | null): Promise<string | Buffer> {
    const encoding = typeof options === 'string' ? options : options?.encoding
    checkPath('path', path)
    checkEncoding(encoding)
    const { data } = await this.#carryOut({ operation: FILE_OPERATION.READ, syscall: 'open', path, payload: [u64(LARGEST_FILE_BYTES), Buffer.from(path)], accesses: [{ path, operations: ['read'] }] })
    const content = data.length === 1 ? Buffer.from(data[0] as Buffer) : Buffer.concat(data)
    return encoding === undefined || encoding === null ? content : content.toString(encoding)
  }

  async writeFile(path: string, data: string | Uint8Array, options?: BufferEncoding | WriteFileOptions | null): Promise<void> {
    const { encoding = 'utf8', mode = 0o666, flag = 'w' } = typeof options === 'string' ? { encoding: options } : options ?? {}
    checkPath('path', path)
    checkEncoding(encoding)
    checkMode(mode)
    if (!Object.hasOwn(HOW, flag)) throw new SandboxError('option_invalid', { field: 'flag', value: flag }, { detail: 'it must be w, wx or a', remedy: 'Correct it or leave it out.' })
    if (typeof data !== 'string' && !(data instanceof Uint8Array)) throw new SandboxError('option_invalid', { field: 'data', value: typeof data }, { detail: 'it must be a string or bytes', remedy: 'Convert it first.' })
    const content = typeof data === 'string' ? Buffer.from(data, encoding ?? 'utf8') : data
    if (content.length > LARGEST_FILE_BYTES) throw fileError({ errno: 'EFBIG', syscall: 'write', path })
    const name = Buffer.from(path)
    await this.#carryOut({ operation: FILE_OPERATION.WRITE, syscall: 'open', path, payload: [bytes(HOW[flag]), u32(mode), u32(name.length), name, content], accesses: [{ path, operations: ['write', 'create'] }] })
  }

  async mkdir(path: string, options?: MkdirOptions | number | null): Promise<string | undefined> {
    const { recursive = false, mode = 0o777 } = typeof options === 'number' ? { mode: options } : options ?? {}
    checkPath('path', path)
    checkMode(mode)
    const { done } = await this.#carryOut({ operation: FILE_OPERATION.MKDIR, syscall: 'mkdir', path, payload: [bytes(recursive ? 1 : 0), u32(mode), Buffer.from(path)], accesses: [{ path, operations: ['create'] }] })
    return recursive && done.length > 0 ? resolvePath(this.#host().plan.cwd.path, done.toString()) : undefined
  }

  async rename(from: string, to: string): Promise<void> {
    checkPath('from', from)
    checkPath('to', to)
    const name = Buffer.from(from)
    await this.#carryOut({
      operation: FILE_OPERATION.RENAME, syscall: 'rename', path: from, dest: to, payload: [u32(name.length), name, Buffer.from(to)],
      accesses: [{ path: from, operations: ['remove'] }, { path: to, operations: ['create', 'remove'] }],
    })
  }

  async rm(path: string, { recursive = false, force = false }: RmOptions = {}): Promise<void> {
    checkPath('path', path)
    const trimmed = path.replace(/(?<=[^/])\/+$/, '')
    await this.#carryOut({ operation: FILE_OPERATION.REMOVE, syscall: 'rm', path, payload: [bytes((recursive ? 1 : 0) | (force ? 2 : 0)), Buffer.from(trimmed)], accesses: [{ path: trimmed, operations: ['remove'] }] })
  }

  async readdir(path: string, options?: { readonly withFileTypes?: boolean } | null): Promise<string[] | DirectoryEntry[]> {
    checkPath('path', path)
    const { data } = await this.#carryOut({ operation: FILE_OPERATION.LIST, syscall: 'scandir', path, payload: [Buffer.from(path)], accesses: [{ path, operations: ['read'] }] })
    const entries = data.flatMap(rows => readEntries(rows, path))
    return options?.withFileTypes === true ? entries : entries.map(({ name }) => name)
  }

  async stat(path: string): Promise<FileStat> { return this.#stat(path, 'stat') }
  async lstat(path: string): Promise<FileStat> { return this.#stat(path, 'lstat') }

  async #stat(path: string, syscall: 'stat' | 'lstat'): Promise<FileStat> {
    checkPath('path', path)
    const { done } = await this.#carryOut({ operation: FILE_OPERATION.STAT, syscall, path, payload: [bytes(syscall === 'stat' ? 1 : 0), Buffer.from(path)], accesses: [{ path, operations: ['read'] }] })
    return readStat(done)
  }

  async #carryOut(request: Request): Promise<Extract<FileAnswer, { ok: true }>> {
    const answer = await this.#ask(request)
    if (answer.ok) return answer
    const { syscall, path, dest } = request
    throw fileError({ errno: answer.errno, syscall, path, dest }, this.#denialOf(request, answer))
  }

  /** One that is idle may end just when it is asked: what changes nothing is asked again. */
  async #ask({ operation, payload, syscall }: Request): Promise<FileAnswer> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#serverFor(this.#host()).request(operation, payload)
      } catch (error) {
        if (!(error instanceof FileServerLost)) throw error
        if (tries === 1 && REPEATABLE.includes(operation)) continue
        throw new SandboxError('files_lost', { step: syscall, errno: error.message }, { cause: error })
      }
    }
  }

  #serverFor(host: FilesHost): FileServer {
    if (this.#server?.serves(host.launcher) !== true) this.#server = new FileServer(host)
    return this.#server
  }

  #denialOf({ accesses }: Request, { errno, path }: Extract<FileAnswer, { ok: false }>): Denial | undefined {
    const host = this.#host()
    for (const access of accesses) {
      const denial = deniedAccess(host, errno, path ?? access.path, access.operations)
      if (denial !== undefined) return denial
    }
    return undefined
  }
}

function checkPath(field: string, path: unknown): void {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new SandboxError('path_invalid', { field, value: path }, { detail: typeof path === 'string' ? path === '' ? 'it is empty' : 'it contains NUL' : 'it must be a string' })
  }
}

function checkEncoding(encoding: unknown): void {
  if (encoding !== undefined && encoding !== null && !(typeof encoding === 'string' && Buffer.isEncoding(encoding))) {
    throw new SandboxError('option_invalid', { field: 'encoding', value: encoding }, { detail: 'there is no such encoding', remedy: 'Correct it or leave it out.' })
  }
}

function checkMode(mode: unknown): void {
  if (!Number.isInteger(mode) || (mode as number) < 0 || (mode as number) > 0o777) throw new SandboxError('option_invalid', { field: 'mode', value: mode }, { detail: 'it must be from 0 to 0o777', remedy: 'Correct it or leave it out.' })
}

const bytes = (...values: number[]): Buffer => Buffer.from(values)

function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32LE(value)
  return buffer
}

function u64(value: number): Buffer {
  const buffer = Buffer.alloc(8)
  buffer.writeBigUInt64LE(BigInt(value))
  return buffer
}
