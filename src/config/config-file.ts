// Reads one file of configuration, as bytes that somebody may have put there: bounded, a plain file, valid UTF-8.
import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, readSync } from 'node:fs'
import path from 'node:path'
import { SandboxError } from '../errors.js'
import { MOST_BYTES, readToml, type TomlText } from './toml-text.js'

export interface ConfigFile {
  readonly path: string
  readonly text: TomlText
  /** Where it really lies. */
  readonly real: string
  /** The links on the way to it, each by its real place: whoever may replace one says what is read. */
  readonly links: readonly string[]
}

/** `refuse`: of a file that others than the user may have put there; a link could lead to any file, whose text errors would then print. */
type Links = 'follow' | 'refuse'

/** Not there: a layer less. Anything else that is in the way is an error, since what it forbids would be lost. */
const MISSING = new Set(['ENOENT', 'ENOTDIR'])
const MOST_LINKS = 40

/** @throws SandboxError `config_unreadable`, `config_invalid`, each with the file */
export function readConfigFile(file: string, links: Links): ConfigFile | undefined {
  const bytes = readBytes(file, links)
  return bytes === undefined ? undefined : { path: file, text: readToml(decode(bytes, file), file), ...wayTo(file) }
}

function readBytes(file: string, links: Links): Buffer | undefined {
  let descriptor: number
  try {
    if (links === 'refuse' && lstatSync(path.dirname(file)).isSymbolicLink()) throw unreadable(path.dirname(file), 'it is a symbolic link')
    // O_NONBLOCK: a FIFO put in its place must not hold us up.
    descriptor = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (links === 'refuse' ? constants.O_NOFOLLOW ?? 0 : 0))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === undefined || error instanceof SandboxError) throw error
    // A link that leads nowhere is there all the same.
    if (MISSING.has(code) && !isDanglingLink(file)) return undefined
    throw unreadable(file, code === 'ELOOP' ? 'it is a symbolic link, or a loop of them' : MISSING.has(code) ? 'it is a symbolic link that leads nowhere' : code, error)
  }
  try {
    const stats = fstatSync(descriptor)
    if (!stats.isFile()) throw unreadable(file, 'it is not a file')
    if (stats.size > MOST_BYTES) throw unreadable(file, `it is larger than ${MOST_BYTES} bytes`)
    // One byte more than it may have: it may grow while it is read.
    const buffer = Buffer.alloc(MOST_BYTES + 1)
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) read = readSync(descriptor, buffer, length, buffer.length - length, null)
    if (length > MOST_BYTES) throw unreadable(file, `it is larger than ${MOST_BYTES} bytes`)
    return buffer.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}

function isDanglingLink(file: string): boolean {
  try {
    return lstatSync(file).isSymbolicLink()
  } catch {
    return false
  }
}

function decode(bytes: Buffer, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw unreadable(file, 'it is not UTF-8', error)
  }
}

/** Folders on the way may be links, too. */
function wayTo(file: string): Pick<ConfigFile, 'real' | 'links'> {
  const links: string[] = []
  let real = path.parse(path.resolve(file)).root
  for (let left = partsOf(path.resolve(file)); left.length > 0;) {
    const [name = '', ...rest] = left
    const at = path.join(real, name)
    const target = linkTarget(at)
    if (target === undefined) [real, left] = [at, rest]
    else {
      if (links.push(at) > MOST_LINKS) throw unreadable(file, 'it lies behind a loop of symbolic links')
      const to = path.resolve(real, target)
      ;[real, left] = [path.parse(to).root, [...partsOf(to), ...rest]]
    }
  }
  return { real, links }
}

const partsOf = (absolute: string): string[] => absolute.slice(path.parse(absolute).root.length).split(path.sep).filter(name => name !== '')

function linkTarget(at: string): string | undefined {
  try {
    return readlinkSync(at)
  } catch {
    return undefined // no link, or gone meanwhile
  }
}

const unreadable = (file: string, detail: string, cause?: unknown): SandboxError => new SandboxError('config_unreadable', { field: 'config file', value: file }, { detail, cause })
