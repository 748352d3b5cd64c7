// The file server as a program for Node, where the launcher has none of its own: the requests and answers are those of
// native/linux/file-operations.def. It runs inside, so nothing is checked here: the call that would do what is refused is refused by
// the kernel. No part of the library imports it; scripts/emit-file-server.ts writes it down as text, in serve.generated.ts.
import fs, { constants, type Dirent } from 'node:fs'
import os from 'node:os'
import { randomBytes } from 'node:crypto'
import { FILE_ANSWER, FILE_OPERATION } from '../../platform/linux/native/file-operations.generated.js'

const HEADER_BYTES = 9
const CHUNK_BYTES = 64 << 10
/** The largest file, and a path. */
const MOST_REQUEST_BYTES = (64 << 20) + (64 << 10)
/** No write waits for a reader, and no terminal is taken. */
const CAREFULLY = constants.O_NOCTTY | constants.O_NONBLOCK
const SLASH = 0x2f

/** A path, and what follows it. */
interface Cut { readonly path: Buffer; readonly behind: Buffer }
interface Answer { readonly data?: readonly Buffer[]; readonly done?: Buffer }

/** A call failed; `place`: not at the path that was asked for. */
class Failure extends Error {
  readonly number: number
  readonly place: Buffer | undefined

  constructor(number: number, place?: Buffer) {
    super()
    this.number = number
    this.place = place
  }
}

const failure = (name: 'EFBIG' | 'EISDIR' | 'EINVAL' | 'ENOENT' | 'ENAMETOOLONG'): Failure => new Failure(os.constants.errno[name])
const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** Undefined for what is no failed call. */
function failureOf(error: unknown, place?: Buffer): Failure | undefined {
  if (error instanceof Failure) return error
  const { errno } = error as NodeJS.ErrnoException
  return errno === undefined ? undefined : new Failure(Math.abs(errno), place)
}

/** As open(2) takes it. */
function pathOf(bytes: Buffer): Buffer {
  if (bytes.length === 0) throw failure('ENOENT')
  if (bytes.includes(0)) throw failure('EINVAL')
  return bytes
}

/** What is no regular file has no content of a size: a FIFO would hold up everything behind it. */
function refuseIrregular(state: { isFile(): boolean; isDirectory(): boolean }): void {
  if (!state.isFile()) throw failure(state.isDirectory() ? 'EISDIR' : 'EINVAL')
}

function withFile<Result>(path: Buffer, flags: number, mode: number | undefined, work: (fd: number) => Result): Result {
  const fd = fs.openSync(path, flags | CAREFULLY, mode)
  try {
    return work(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function writeAll(fd: number, content: Buffer): void {
  for (let at = 0; at < content.length;) at += fs.writeSync(fd, content, at)
}

function read(path: Buffer, most: number): Answer {
  return withFile(path, constants.O_RDONLY, undefined, fd => {
    const state = fs.fstatSync(fd)
    refuseIrregular(state)
    if (state.size > most) throw failure('EFBIG')
    const data: Buffer[] = []
    for (let total = 0;;) {
      const chunk = Buffer.alloc(CHUNK_BYTES)
      const length = fs.readSync(fd, chunk, 0, CHUNK_BYTES, null)
      if (length === 0) return { data }
      total += length
      if (total > most) throw failure('EFBIG')
      data.push(chunk.subarray(0, length))
    }
  })
}

/** The folder of a path and the name in it, by text; undefined where the last part is no name. */
function split(path: Buffer): { folder: Buffer; name: Buffer } | undefined {
  const slash = path.lastIndexOf(SLASH)
  const name = path.subarray(slash + 1)
  if (['', '.', '..'].includes(name.toString('latin1'))) return undefined
  return { folder: slash === -1 ? Buffer.from('.') : path.subarray(0, Math.max(slash, 1)), name }
}

/** What a replaced file is called, and what has that name now. */
interface Target {
  readonly path: Buffer
  readonly old: { readonly fd: number; readonly state: fs.BigIntStats } | undefined
}

/** Finds what has the name, through links; undefined where the file itself is to be written. Throws where that would be refused as well. */
function findTarget(path: Buffer): Target | undefined {
  let seen: fs.BigIntStats
  try {
    seen = fs.statSync(path, { bigint: true })
  } catch (error) {
    // Opening it says what else is wrong; a link that leads nowhere is gone through.
    if (codeOf(error) !== 'ENOENT' || isThere(path) || split(path) === undefined) return undefined
    return { path, old: undefined }
  }
  refuseIrregular(seen)
  let fd: number
  let real: Buffer
  try {
    real = fs.realpathSync.native(path, { encoding: 'buffer' })
  } catch {
    return undefined
  }
  try {
    // Whoever may replace a file may not always write it: its own mode and the rules for it decide, as if it were written itself.
    fd = fs.openSync(real, constants.O_WRONLY | constants.O_NOFOLLOW | CAREFULLY)
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ELOOP') return undefined
    throw error
  }
  const state = fs.fstatSync(fd, { bigint: true })
  if (state.ino === seen.ino && state.dev === seen.dev) return { path: real, old: { fd, state } }
  // Something else has the name by now.
  fs.closeSync(fd)
  return undefined
}

function isThere(path: Buffer): boolean {
  try {
    fs.lstatSync(path)
    return true
  } catch {
    return false
  }
}

/** A new file in the target's folder; undefined where there is none to be had, or where it would not be what the old one was. */
function makeBeside({ path, old }: Target, mode: number): { fd: number; path: Buffer } | undefined {
  if (old !== undefined && old.state.nlink !== 1n) return undefined
  const { folder } = split(path) as { folder: Buffer }
  const beside = Buffer.concat([folder, Buffer.from(`/.codex-sandbox-${randomBytes(8).toString('hex')}.tmp`)])
  let fd: number
  try {
    fd = fs.openSync(beside, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, old === undefined ? mode : 0o600)
  } catch {
    return undefined
  }
  const { uid, gid } = fs.fstatSync(fd, { bigint: true })
  if (old === undefined || (uid === old.state.uid && gid === old.state.gid)) return { fd, path: beside }
  fs.closeSync(fd)
  fs.unlinkSync(beside)
  return undefined
}

function overwrite(fd: number, content: Buffer): void {
  fs.ftruncateSync(fd, 0)
  writeAll(fd, content)
}

/** Whole beside the name, and then renamed onto it. False where the file itself has to be written. */
function replace(path: Buffer, mode: number, content: Buffer): boolean {
  const target = findTarget(path)
  if (target === undefined) return false
  const { old } = target
  try {
    const beside = makeBeside(target, mode)
    if (beside === undefined && old === undefined) return false
    if (beside === undefined) overwrite((old as { fd: number }).fd, content)
    else giveName(beside, target, content)
    return true
  } finally {
    if (old !== undefined) fs.closeSync(old.fd)
  }
}

function giveName(beside: { fd: number; path: Buffer }, { path, old }: Target, content: Buffer): void {
  let isNamed = false
  try {
    writeAll(beside.fd, content)
    if (old !== undefined) fs.fchmodSync(beside.fd, Number(old.state.mode) & 0o777)
    try {
      fs.renameSync(beside.path, path)
      isNamed = true
    } catch (error) {
      // The name is held where it is: the content goes into the file that has it.
      if (old === undefined) throw error
      overwrite(old.fd, content)
    }
  } finally {
    fs.closeSync(beside.fd)
    if (!isNamed) fs.unlinkSync(beside.path)
  }
}

const HOW = [constants.O_TRUNC, constants.O_EXCL, constants.O_APPEND] as const

function write({ path: bytes, behind: content }: Cut, how: number, mode: number): Answer {
  const path = pathOf(bytes)
  if (how === 0 && replace(path, mode, content)) return {}
  return withFile(path, constants.O_WRONLY | constants.O_CREAT | (HOW[how] ?? constants.O_EXCL), mode, fd => {
    refuseIrregular(fs.fstatSync(fd))
    writeAll(fd, content)
    return {}
  })
}

function isFolder(path: Buffer): boolean {
  try {
    return fs.statSync(path).isDirectory()
  } catch {
    return false
  }
}

function mkdir(path: Buffer, recursive: boolean, mode: number): Answer {
  if (!recursive) {
    fs.mkdirSync(path, mode)
    return { done: path }
  }
  let first = 0
  for (let at = 1; at <= path.length; at++) {
    if ((at < path.length && path[at] !== SLASH) || path[at - 1] === SLASH) continue
    const part = path.subarray(0, at)
    try {
      fs.mkdirSync(part, mode)
      if (first === 0) first = at
    } catch (error) {
      // A folder above may be one that nobody can be let make: it is there.
      if (isFolder(part)) continue
      if (codeOf(error) === 'EEXIST' && at < path.length) throw new Failure(os.constants.errno.ENOTDIR, part)
      throw failureOf(error, part) ?? error
    }
  }
  return { done: path.subarray(0, first) }
}

function remove(path: Buffer, recursive: boolean, force: boolean): Answer {
  let state: fs.Stats
  try {
    state = fs.lstatSync(path)
  } catch (error) {
    if (force && codeOf(error) === 'ENOENT') return {}
    throw error
  }
  if (!state.isDirectory()) fs.unlinkSync(path)
  else if (recursive) removeFolder(path, undefined)
  else throw failure('EISDIR')
  return {}
}

/** Never through a link: what is removed is the name, and below it only what lies there. */
function removeFolder(path: Buffer, place: Buffer | undefined): void {
  for (let round = 0;; round++) {
    try {
      for (const name of fs.readdirSync(path, { encoding: 'buffer' })) removeEntry(Buffer.concat([path, Buffer.from('/'), name]))
      fs.rmdirSync(path)
      return
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return
      // Somebody makes files in it as fast as they go.
      if ((codeOf(error) === 'ENOTEMPTY' || codeOf(error) === 'EEXIST') && round < 3) continue
      throw failureOf(error, place) ?? error
    }
  }
}

function removeEntry(path: Buffer): void {
  try {
    if (fs.lstatSync(path).isDirectory()) removeFolder(path, path)
    else fs.unlinkSync(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw failureOf(error, path) ?? error
  }
}

/** The DT_* of readdir(3). */
const kindOf = (entry: Dirent<Buffer>): number =>
  entry.isFIFO() ? 1 : entry.isCharacterDevice() ? 2 : entry.isDirectory() ? 4 : entry.isBlockDevice() ? 6 : entry.isFile() ? 8 : entry.isSymbolicLink() ? 10 : entry.isSocket() ? 12 : 0

function list(path: Buffer): Answer {
  const rows = (fs.readdirSync(path, { encoding: 'buffer', withFileTypes: true }) as Dirent<Buffer>[]).map(entry => {
    if (entry.name.length > 255) throw failure('ENAMETOOLONG')
    return Buffer.concat([Buffer.from([kindOf(entry), entry.name.length]), entry.name])
  })
  const data: Buffer[] = []
  let part: Buffer[] = []
  let length = 0
  for (const row of rows) {
    if (length + row.length > CHUNK_BYTES) {
      data.push(Buffer.concat(part))
      part = []
      length = 0
    }
    part.push(row)
    length += row.length
  }
  return { data: length === 0 ? data : [...data, Buffer.concat(part)] }
}

function stat(path: Buffer, follow: boolean): Answer {
  const state = (follow ? fs.statSync : fs.lstatSync)(path, { bigint: true })
  const { dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, atimeNs, mtimeNs, ctimeNs } = state
  const numbers = [dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, atimeNs, mtimeNs, ctimeNs]
  const done = Buffer.alloc(8 * numbers.length)
  numbers.forEach((number, index) => { done.writeBigUInt64LE(BigInt.asUintN(64, number), 8 * index) })
  return { done }
}

const modeOf = (payload: Buffer): number => payload.readUInt32LE(1) & 0o777

function rename({ path, behind }: Cut): Answer {
  fs.renameSync(pathOf(path), pathOf(behind))
  return {}
}

interface Operation {
  /** Bytes before the path. */
  readonly fixed: number
  readonly carryOut: (payload: Buffer, path: Buffer) => Answer
}

const OPERATIONS: Readonly<Record<number, Operation>> = {
  [FILE_OPERATION.READ]:   { fixed: 8, carryOut: (payload, path) => read(pathOf(path), Number(payload.readBigUInt64LE(0))) },
  [FILE_OPERATION.WRITE]:  { fixed: 9, carryOut: (payload, rest) => write(cut(rest, payload.readUInt32LE(5)), payload[0] as number, modeOf(payload)) },
  [FILE_OPERATION.MKDIR]:  { fixed: 5, carryOut: (payload, path) => mkdir(pathOf(path), payload[0] !== 0, modeOf(payload)) },
  [FILE_OPERATION.RENAME]: { fixed: 4, carryOut: (payload, rest) => rename(cut(rest, payload.readUInt32LE(0))) },
  [FILE_OPERATION.REMOVE]: { fixed: 1, carryOut: (payload, path) => remove(pathOf(path), (payload.readUInt8(0) & 1) !== 0, (payload.readUInt8(0) & 2) !== 0) },
  [FILE_OPERATION.LIST]:   { fixed: 0, carryOut: (_payload, path) => list(pathOf(path)) },
  [FILE_OPERATION.STAT]:   { fixed: 1, carryOut: (payload, path) => stat(pathOf(path), payload.readUInt8(0) !== 0) },
}

function cut(bytes: Buffer, length: number): Cut {
  if (length > bytes.length) throw new RangeError('a path that is cut off')
  return { path: bytes.subarray(0, length), behind: bytes.subarray(length) }
}

/** Requests are answered in their order. What does not speak the language ends it. */
class Server {
  #chunks: Buffer[] = []
  #length = 0
  /** Of a whole request, as far as that is known. */
  #needed = HEADER_BYTES

  take(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    while (this.#length >= this.#needed) {
      const all = this.#chunks.length === 1 ? this.#chunks[0] as Buffer : Buffer.concat(this.#chunks)
      this.#chunks = [all]
      const end = 4 + all.readUInt32LE(0)
      if (end < HEADER_BYTES || end > MOST_REQUEST_BYTES) throw new RangeError('a request of a wrong length')
      this.#needed = end
      if (all.length < end) return
      this.#answer(all.readUInt32LE(4), all[8] as number, all.subarray(HEADER_BYTES, end))
      this.#chunks = [all.subarray(end)]
      this.#length -= end
      this.#needed = HEADER_BYTES
    }
  }

  #answer(id: number, operation: number, payload: Buffer): void {
    const row = OPERATIONS[operation]
    if (row === undefined || payload.length < row.fixed) throw new RangeError('no request of ours')
    try {
      const { data = [], done = Buffer.alloc(0) } = row.carryOut(payload, payload.subarray(row.fixed))
      const frames = [...data.map(part => frame(id, FILE_ANSWER.DATA, part)), frame(id, FILE_ANSWER.DONE, done)]
      process.stdout.write(Buffer.concat(frames.flat()))
    } catch (error) {
      const failed = failureOf(error)
      if (failed === undefined) throw error
      const number = Buffer.alloc(4)
      number.writeInt32LE(failed.number)
      process.stdout.write(Buffer.concat(frame(id, FILE_ANSWER.FAILED, failed.place === undefined ? number : Buffer.concat([number, failed.place]))))
    }
  }
}

function frame(id: number, kind: number, payload: Buffer): [Buffer, Buffer] {
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(payload.length + HEADER_BYTES - 4, 0)
  header.writeUInt32LE(id, 4)
  header[8] = kind
  return [header, payload]
}

// A limit on the size of files is an answer, not an end.
process.on('SIGXFSZ', () => {})
// Where nobody reads any more there is nobody to serve.
process.stdout.on('error', () => process.exit(1))
const server = new Server()
process.stdin.on('data', chunk => { server.take(chunk as Buffer) })
