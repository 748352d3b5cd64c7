// The denials of one command while it runs: what the launcher tells is kept, bounded, and, where somebody listens, judged at once.
import type { AccessReport } from '../platform/backend.js'
import type { Circumstances } from './access-denial.js'
import { type Denial, keyOf } from './denial.js'
import type { DenialSources } from './denials.js'

/** More than the launcher tells of one command. */
const MOST_REPORTS = 4096

export type DenialListener = (denial: Denial) => void

type Judging = typeof import('./access-denial.js') & typeof import('./denials.js')

/**
 * What judges denials, for all commands of a sandbox. Most commands have none, so it is loaded for the first one; and only once, as each
 * `import` of what is loaded already still takes 0.1 ms to find that out.
 */
export class DenialJudge {
  #loaded: Judging | undefined

  get loaded(): Judging | undefined {
    return this.#loaded
  }

  async load(): Promise<Judging> {
    this.#loaded ??= { ...await import('./access-denial.js'), ...await import('./denials.js') }
    return this.#loaded
  }
}

export interface DenialLogOptions {
  readonly judge: DenialJudge
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
   * All denials, with what the command wrote about them. Mostly there are none: then what judges them is not even loaded; a promise
   * where it has to be. A listener has heard all of the launcher's by then.
   */
  find(text: string): readonly Denial[] | Promise<readonly Denial[]> {
    const told = DENIAL_WORDS.test(text) ? text : ''
    if (this.#reports.length === 0 && this.#known.length === 0 && told === '') return NONE
    const { loaded } = this.#options.judge
    return loaded === undefined || this.#judging !== undefined ? this.#findLater(told) : this.#find(loaded, told)
  }

  async #findLater(text: string): Promise<readonly Denial[]> {
    await this.#judging
    return this.#find(await this.#options.judge.load(), text)
  }

  #find({ findDenials }: Judging, text: string): readonly Denial[] {
    const { circumstances, observe } = this.#options
    const found = findDenials({ ...circumstances(), observe: this.lost > 0 ? 'off' : observe, text, reports: this.#reports })
    const denials = this.#known.length === 0 ? found : [...new Map([...this.#known, ...found].reverse().map(denial => [keyOf(denial), denial])).values()].reverse()
    // What only stderr told is news.
    this.#tell(denials)
    return denials
  }

  /** What came in one turn together, with one look at the host. */
  async #judge(): Promise<void> {
    const { denialOf } = await this.#options.judge.load()
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

const NONE: readonly Denial[] = []

/** What the C library has for EACCES, EPERM and EROFS (other programs start theirs in lower case), and git where it cannot sign. */
const DENIAL_WORDS = /permission denied|operation not permitted|read-only file system|No private key found for|failed to sign the data|^fatal: Stray .+ directory found/im
