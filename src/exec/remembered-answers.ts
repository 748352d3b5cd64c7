// Answers that took looks at the file system, each kept with what those showed: it is given again where all of them still show the same.
import type { FileSystemView } from '../policy/host-snapshot.js'

/** What commands of a sandbox try again and again is a few dozen; of long paths, or many looks, an answer is worked out each time. */
const MOST_ANSWERS = 128
const MOST_CHARACTERS = 8192

interface Look {
  readonly path: string
  readonly shows: (files: FileSystemView, path: string) => string
  readonly shown: string
}

interface Kept<Answer> {
  readonly subject: object
  readonly looks: readonly Look[]
  readonly answer: Answer
}

export class RememberedAnswers<Answer> {
  readonly #kept = new Map<string, Kept<Answer>>()

  /**
   * @param subject  what the answer is about; another object is another subject, whatever stands in it
   * @param key      all else that `work` takes
   * @param see      asked for the files where any were looked at
   * @param work     must follow from these two and what it sees in the files that it is given, alone
   */
  answer(subject: object, key: string, see: () => FileSystemView, work: (files: FileSystemView) => Answer): Answer {
    const kept = this.#kept.get(key)
    if (kept?.subject === subject && stillShows(kept.looks, see)) return kept.answer
    const seen = new SeenFiles(see())
    const answer = work(seen)
    this.#kept.delete(key)
    if (seen.looks === undefined || key.length + seen.characters > MOST_CHARACTERS) return answer
    // The oldest goes.
    if (this.#kept.size >= MOST_ANSWERS) this.#kept.delete(this.#kept.keys().next().value as string)
    this.#kept.set(key, { subject, looks: seen.looks, answer })
    return answer
  }
}

function stillShows(looks: readonly Look[], see: () => FileSystemView): boolean {
  if (looks.length === 0) return true
  const files = see()
  return looks.every(({ path, shows, shown }) => shows(files, path) === shown)
}

/** The same files, with a list of what was seen of them. */
class SeenFiles implements FileSystemView {
  characters = 0
  /** Undefined: not all of it is listed. */
  looks: Look[] | undefined = []
  readonly #files: FileSystemView

  constructor(files: FileSystemView) {
    this.#files = files
  }

  entry(path: string): ReturnType<FileSystemView['entry']> {
    this.#list(path, showEntry)
    return this.#files.entry(path)
  }

  children(path: string): ReturnType<FileSystemView['children']> {
    this.#list(path, showChildren)
    return this.#files.children(path)
  }

  text(path: string): ReturnType<FileSystemView['text']> {
    this.#list(path, showText)
    return this.#files.text(path)
  }

  bytes(path: string): ReturnType<FileSystemView['bytes']> {
    this.looks = undefined
    return this.#files.bytes(path)
  }

  #list(path: string, shows: Look['shows']): void {
    if (this.looks === undefined) return
    const shown = shows(this.#files, path)
    this.characters += path.length + shown.length
    if (this.characters > MOST_CHARACTERS) this.looks = undefined
    else this.looks.push({ path, shows, shown })
  }
}

function showEntry(files: FileSystemView, path: string): string {
  const entry = files.entry(path)
  return entry === undefined ? '' : `${entry.kind} ${entry.device} ${entry.inode} ${entry.target ?? ''}`
}

/** Each in a form of its own where there is nothing. */
const showChildren = (files: FileSystemView, path: string): string => JSON.stringify(files.children(path) ?? null)
const showText = (files: FileSystemView, path: string): string => JSON.stringify(files.text(path) ?? null)
