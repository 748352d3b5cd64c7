// What launchers have put at missing protected names, as they have written it down (native/linux/journal.c). It is there only while commands
// run, so a policy that is resolved meanwhile must take it for absent: what it would make of it, a linked worktree of a `commondir`
// for example, would be wrong as soon as it has gone.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Entry, FileIdentity, FileSystemView } from '../policy/host-snapshot.js'

interface Placeholder extends FileIdentity {
  /** Of a file, or where a link leads. */
  readonly text: string
}

/** A record's name begins with the identity of the folder that the object lies in. */
const RECORD = /^placeholder-(?<device>[0-9a-f]+)-(?<inode>[0-9a-f]+)-/
/** The kind of object, its identity, that of its folder; the folder, the name, the text. */
const FORM = /^\d+ (?<device>\d+) (?<inode>\d+) \d+ \d+\n(?<folder>[^\n]*)\n(?<name>[^\n]*)\n(?<text>.*)$/s

/** What is recorded, by path, of the objects that lie directly in a folder. */
export type PlaceholdersIn = (folder: FileIdentity) => ReadonlyMap<string, Placeholder>

/**
 * Which records there are is looked up when somebody first asks, and what stands in them only for the folders that are asked about: there
 * are several of each sandbox, and a file each, and most questions are about what is not there. What is being written just now is left
 * out, and then taken for what it looks like.
 */
export function readPlaceholders(stateDirectory: string): PlaceholdersIn {
  let records: ReadonlyMap<string, readonly string[]> | undefined
  const known = new Map<string, ReadonlyMap<string, Placeholder>>()
  return folder => {
    records ??= listRecords(stateDirectory)
    const key = keyOf(folder)
    const files = records.get(key)
    if (files === undefined) return NONE
    const found = known.get(key) ?? readRecords(stateDirectory, files)
    known.set(key, found)
    return found
  }
}

/** Names of records, by the folder that they are about. */
function listRecords(stateDirectory: string): ReadonlyMap<string, readonly string[]> {
  const records = new Map<string, string[]>()
  for (const file of listed(stateDirectory)) {
    const { device, inode } = RECORD.exec(file)?.groups ?? {}
    if (device === undefined || inode === undefined) continue
    const key = keyOf({ device: BigInt(`0x${device}`).toString(), inode: BigInt(`0x${inode}`).toString() })
    records.set(key, [...records.get(key) ?? [], file])
  }
  return records
}

const keyOf = ({ device, inode }: FileIdentity): string => `${device} ${inode}`
const NONE: ReadonlyMap<string, Placeholder> = new Map()

function readRecords(stateDirectory: string, files: readonly string[]): ReadonlyMap<string, Placeholder> {
  const found = new Map<string, Placeholder>()
  for (const file of files) {
    const record = FORM.exec(read(join(stateDirectory, file)))?.groups as (Placeholder & { readonly folder: string; readonly name: string }) | undefined
    if (record !== undefined) found.set(join(record.folder, record.name), { device: record.device, inode: record.inode, text: record.text })
  }
  return found
}

/** The same file system without them. What somebody has changed or put in its place shows. */
export function withoutPlaceholders(files: FileSystemView, placeholdersIn: PlaceholdersIn): FileSystemView {
  const recordedIn = (folder: string): ReadonlyMap<string, Placeholder> => {
    const entry = files.entry(folder)
    return entry === undefined ? NONE : placeholdersIn(entry)
  }
  const isHidden = (path: string): boolean => {
    const entry = files.entry(path)
    const placeholder = entry === undefined ? undefined : recordedIn(dirname(path)).get(path)
    return placeholder !== undefined && entry !== undefined && entry.device === placeholder.device && entry.inode === placeholder.inode && isAsMade(files, path, entry, placeholder)
  }
  const shown = (folder: string, names: readonly string[] | undefined): readonly string[] | undefined =>
    recordedIn(folder).size === 0 ? names : names?.filter(name => !isHidden(join(folder, name)))
  return {
    entry: path => isHidden(path) ? undefined : files.entry(path),
    children: path => isHidden(path) ? undefined : shown(path, files.children(path)),
    text: path => isHidden(path) ? undefined : files.text(path),
    bytes: path => isHidden(path) ? undefined : files.bytes(path),
  }
}

function isAsMade(files: FileSystemView, path: string, entry: Entry, { text }: Placeholder): boolean {
  switch (entry.kind) {
    case 'directory': return files.children(path)?.length === 0
    case 'file': return files.text(path) === text
    case 'symlink': return entry.target === text
    // Nobody's: it says nothing.
    case 'socket': return true
    case 'fifo': case 'device': return false
    default: return entry.kind satisfies never
  }
}

/** None, no record at all, or not for this user: then nothing of his is there. */
const GONE = new Set(['ENOENT', 'ENOTDIR', 'EISDIR', 'EACCES', 'EPERM', 'ELOOP'])

const listed = (folder: string): string[] => unlessGone(() => readdirSync(folder), [])
const read = (path: string): string => unlessGone(() => readFileSync(path, 'utf8'), '')

function unlessGone<Answer>(ask: () => Answer, otherwise: Answer): Answer {
  try {
    return ask()
  } catch (error) {
    if (GONE.has((error as NodeJS.ErrnoException).code ?? '')) return otherwise
    throw error
  }
}
