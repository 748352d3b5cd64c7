// What `stat`, `lstat` and `readdir` give: the part of Node's own that tools use, with the same names.

interface FileKind {
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
  isFIFO(): boolean
  isSocket(): boolean
  isCharacterDevice(): boolean
  isBlockDevice(): boolean
}

export interface DirectoryEntry extends FileKind {
  readonly name: string
  /** The folder, as it was asked for. */
  readonly parentPath: string
}

type Numbers = Readonly<Record<(typeof NUMBERS)[number] | `${(typeof TIMES)[number]}Ms`, number>>
export interface FileStat extends FileKind, Numbers, Readonly<Record<(typeof TIMES)[number], Date>> {}

const FORMAT = 0o170000
const KINDS = { file: 0o100000, directory: 0o040000, symlink: 0o120000, fifo: 0o010000, socket: 0o140000, characterDevice: 0o020000, blockDevice: 0o060000 } as const

/** The kind of a file, by the bits of its mode. */
class Kind implements FileKind {
  readonly #format: number

  constructor(format: number) {
    this.#format = format
  }

  isFile(): boolean { return this.#format === KINDS.file }
  isDirectory(): boolean { return this.#format === KINDS.directory }
  isSymbolicLink(): boolean { return this.#format === KINDS.symlink }
  isFIFO(): boolean { return this.#format === KINDS.fifo }
  isSocket(): boolean { return this.#format === KINDS.socket }
  isCharacterDevice(): boolean { return this.#format === KINDS.characterDevice }
  isBlockDevice(): boolean { return this.#format === KINDS.blockDevice }
}

class Entry extends Kind implements DirectoryEntry {
  readonly name: string
  readonly parentPath: string

  constructor(name: string, parentPath: string, format: number) {
    super(format)
    this.name = name
    this.parentPath = parentPath
  }
}

const NUMBERS = ['dev', 'ino', 'mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'blksize', 'blocks'] as const
const TIMES = ['atime', 'mtime', 'ctime'] as const

/** @throws Error for what no server of ours answers */
export function readStat(done: Buffer): FileStat {
  const count = NUMBERS.length + TIMES.length
  if (done.length !== 8 * count) throw new Error(`an answer of ${done.length} bytes about a file`)
  const values = Array.from({ length: count }, (_, index) => done.readBigUInt64LE(8 * index))
  const numbers = NUMBERS.map((name, index) => [name, Number(values[index])] as const)
  const times = TIMES.flatMap((name, index) => {
    // As Node adds the two up, to the last bit.
    const nanoseconds = BigInt.asIntN(64, values[NUMBERS.length + index] as bigint)
    const milliseconds = Number(nanoseconds / 1_000_000_000n) * 1e3 + Number(nanoseconds % 1_000_000_000n) / 1e6
    return [[`${name}Ms`, milliseconds], [name, new Date(Math.round(milliseconds))]] as const
  })
  return Object.assign(new Kind(Number(values[NUMBERS.indexOf('mode')]) & FORMAT), Object.fromEntries([...numbers, ...times])) as FileStat
}

/** The rows of one answer: kind (DT_* of readdir(3), which is the mode's format shifted), length, name. */
export function readEntries(rows: Buffer, parentPath: string): DirectoryEntry[] {
  const entries: DirectoryEntry[] = []
  for (let at = 0; at < rows.length;) {
    const end = at + 2 + (rows[at + 1] ?? Number.POSITIVE_INFINITY)
    if (end > rows.length) throw new Error('an answer about a folder that is cut off')
    entries.push(new Entry(rows.toString('utf8', at + 2, end), parentPath, (rows[at] as number) << 12))
    at = end
  }
  return entries
}
