// What launchers have put at missing protected names, as they have written it down (native/linux/journal.c). It is there only while commands
// run, so a policy that is resolved meanwhile must take it for absent: what it would make of it, a linked worktree of a `commondir`
// for example, would be wrong as soon as it has gone.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Entry, FileIdentity, FileSystemView } from '../policy/host-snapshot.js'

interface Placeholder extends FileIdentity {
  /** Of a file, or where a link leads. */
  readonly text: string
}

const RECORD = /^placeholder-/
/** The kind of object, its identity, that of its folder; the folder, the name, the text. */
const FORM = /^\d+ (?<device>\d+) (?<inode>\d+) \d+ \d+\n(?<folder>[^\n]*)\n(?<name>[^\n]*)\n(?<text>.*)$/s

/** By path. What is being written just now is left out, and then taken for what it looks like. */
export function readPlaceholders(stateDirectory: string): ReadonlyMap<string, Placeholder> {
  const found = new Map<string, Placeholder>()
  for (const name of listed(stateDirectory).filter(each => RECORD.test(each))) {
    const record = FORM.exec(read(join(stateDirectory, name)))?.groups as (Placeholder & { readonly folder: string; readonly name: string }) | undefined
    if (record !== undefined) found.set(join(record.folder, record.name), { device: record.device, inode: record.inode, text: record.text })
  }
  return found
}

/** The same file system without them. What somebody has changed or put in its place shows. */
export function withoutPlaceholders(files: FileSystemView, placeholders: ReadonlyMap<string, Placeholder>): FileSystemView {
  if (placeholders.size === 0) return files
  const isHidden = (path: string): boolean => {
    const placeholder = placeholders.get(path)
    const entry = placeholder === undefined ? undefined : files.entry(path)
    return placeholder !== undefined && entry !== undefined && entry.device === placeholder.device && entry.inode === placeholder.inode && isAsMade(files, path, entry, placeholder)
  }
  return {
    entry: path => isHidden(path) ? undefined : files.entry(path),
    children: path => isHidden(path) ? undefined : files.children(path)?.filter(name => !isHidden(join(path, name))),
    text: path => isHidden(path) ? undefined : files.text(path),
    bytes: path => isHidden(path) ? undefined : files.bytes(path),
  }
}

function isAsMade(files: FileSystemView, path: string, entry: Entry, { text }: Placeholder): boolean {
  switch (entry.kind) {
    case 'directory': return files.children(path)?.length === 0
    case 'file': return files.text(path) === text
    case 'symlink': return entry.target === text
    case 'socket': case 'fifo': case 'device': return false
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
