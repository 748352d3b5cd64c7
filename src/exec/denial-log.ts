// The denials of one command while it runs: what the launcher tells is kept, bounded, and, where somebody listens, judged at once.
import type { AccessReport } from '../platform/backend.js'
import type { Circumstances } from './access-denial.js'
import { type Denial, keyOf } from './denial.js'
import type { DenialSources } from './denials.js'

/** More than the launcher tells of one command. */
const MOST_REPORTS = 4096

export type DenialListener = (denial: Denial) => void

export interface DenialLogOptions {
  /** As it is now. */
  readonly circumstances: () => Circumstances
  readonly observe: DenialSources['observe']
  /** Undefined: nobody listens at this moment. */
  readonly listener: () => DenialListener | undefined
  /** The listener threw. */
  readonly failed: (error: unknown) => void
}

export class DenialLog {
  /** Accesses that were too many to be told or kept: some of them may have been denied. */
  lost = 0
  readonly #options: DenialLogOptions
  readonly #reports: AccessReport[] = []
  /** What needs no judging: the proxy's. */
  readonly #known: Denial[] = []
  /** Those from here on were not judged for a listener yet. */
  #judged = 0
  #told: Set<string> | undefined
  #judging: Promise<void> | undefined

  constructor(options: DenialLogOptions) {
    this.#options = options
  }

  add(report: AccessReport): void {
    if (this.#reports.length >= MOST_REPORTS) {
      this.lost++
      return
    }
    this.#reports.push(report)
    if (this.#options.listener() !== undefined) this.#judging ??= this.#judge()
  }

  /** A denial that is one already. */
  addKnown(denial: Denial): void {
    if (this.#known.length >= MOST_REPORTS) {
      this.lost++
      return
    }
    this.#known.push(denial)
    this.#tell([denial])
  }

  /**
   * All denials, with what the command wrote about them. Mostly there are none: then their reader is not even loaded.
   * A listener has heard all of the launcher's by then.
   */
  find(text: string): Promise<readonly Denial[]> | undefined {
    if (this.#reports.length === 0 && this.#known.length === 0 && !DENIAL_WORDS.test(text)) return undefined
    return this.#find(text)
  }

  async #find(text: string): Promise<readonly Denial[]> {
    await this.#judging
    const { findDenials } = await import('./denials.js')
    const { circumstances, observe } = this.#options
    const found = findDenials({ ...circumstances(), observe: this.lost > 0 ? 'off' : observe, text, reports: this.#reports })
    const denials = [...new Map([...this.#known, ...found].reverse().map(denial => [keyOf(denial), denial])).values()].reverse()
    // What only stderr told is news.
    this.#tell(denials)
    return denials
  }

  /** What came in one turn together, with one look at the host. */
  async #judge(): Promise<void> {
    const { denialOf } = await import('./access-denial.js')
    const waiting = this.#reports.slice(this.#judged)
    this.#judged = this.#reports.length
    this.#judging = undefined
    const circumstances = this.#options.circumstances()
    this.#tell(waiting.flatMap(report => denialOf(circumstances, report) ?? []))
  }

  #tell(denials: readonly Denial[]): void {
    for (const denial of denials) {
      const listener = this.#options.listener()
      if (listener === undefined) return
      this.#told ??= new Set()
      const key = keyOf(denial)
      if (this.#told.has(key)) continue
      this.#told.add(key)
      try {
        listener(denial)
      } catch (error) {
        return this.#options.failed(error)
      }
    }
  }
}

/** What the C library has for EACCES, EPERM and EROFS (other programs start theirs in lower case), and git where it cannot sign. */
const DENIAL_WORDS = /permission denied|operation not permitted|read-only file system|No private key found for|failed to sign the data|^fatal: Stray .+ directory found/im
