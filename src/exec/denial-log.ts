// The denials of one command while it runs: what the launcher tells is judged at once and kept, bounded.
import type { AccessReport } from '../platform/backend.js'
import type { Observation } from '../platform/launch-plan.js'
import type { Circumstances } from './access-denial.js'
import { type Denial, keyOf } from './denial.js'
import type { DenialJudge, Judging } from './denial-judge.js'

/** More than the launcher tells of one command. */
const MOST_REPORTS = 4096

export type DenialListener = (denial: Denial) => void

export interface DenialLogOptions {
  readonly judge: DenialJudge
  /** As it is now. */
  readonly circumstances: () => Circumstances
  readonly observe: Observation
  /** Undefined: nobody listens at this moment. */
  readonly listener: () => DenialListener | undefined
  /** The listener threw. */
  readonly failed: (error: unknown) => void
}

export class DenialLog {
  /** Accesses that were too many to be told or kept: some of them may have been denied. */
  lost = 0
  readonly #options: DenialLogOptions
  #reports = 0
  /** Of the launcher's, what is not judged yet. */
  #waiting: AccessReport[] = []
  /** A program that may not be looked into may have tried anything. */
  #blind = false
  /** By their keys. What needs no judging, the proxy's, apart: it comes first. */
  readonly #known = new Map<string, Denial>()
  readonly #found = new Map<string, Denial>()
  readonly #told = new Set<string>()
  /** While something waits. Never rejects. */
  #judging: Promise<void> | undefined
  #failure: { readonly error: unknown } | undefined

  constructor(options: DenialLogOptions) {
    this.#options = options
  }

  /** Judges it while the command goes on, and with the host as it is then: what comes in one turn together. */
  add(report: AccessReport): void {
    if (this.#reports >= MOST_REPORTS) {
      this.lost++
      return
    }
    this.#reports++
    this.#waiting.push(report)
    this.#judging ??= this.#judgeSoon()
  }

  /** A denial that is one already. */
  addKnown(denial: Denial): void {
    const key = keyOf(denial)
    if (this.#known.has(key)) return
    if (this.#known.size >= MOST_REPORTS) {
      this.lost++
      return
    }
    this.#known.set(key, denial)
    this.#tell([denial])
  }

  /**
   * All denials, with what the command wrote about them; a promise where what judges them has to be loaded first. Mostly there are none: then
   * it is not even loaded.
   *
   * @throws what judging threw
   */
  find(text: string): readonly Denial[] | Promise<readonly Denial[]> {
    const { loaded } = this.#options.judge
    const speaks = DENIAL_WORDS.test(text)
    if (loaded === undefined && (speaks || this.#judging !== undefined)) return this.#findLater(speaks ? text : '')
    // What came with the end itself.
    if (loaded !== undefined) this.#judge(loaded)
    return this.#all(speaks ? loaded : undefined, text)
  }

  async #findLater(text: string): Promise<readonly Denial[]> {
    await this.#judging
    return this.#all(text === '' ? undefined : await this.#options.judge.load(), text)
  }

  #all(judging: Judging | undefined, text: string): readonly Denial[] {
    if (this.#failure !== undefined) throw this.#failure.error
    const { circumstances, observe } = this.#options
    const found = [...this.#found.values()]
    const reported = judging === undefined ? [] : judging.reportedDenials(circumstances(), {
      observe: this.lost > 0 || this.#blind ? 'off' : observe, text, seen: new Set(found.map(({ path }) => path)),
    })
    const others = [...found, ...reported]
    const denials = this.#known.size === 0 ? others : [...this.#known.values(), ...others.filter(denial => !this.#known.has(keyOf(denial)))]
    // What only stderr told is news, and all is to whoever listens only now.
    this.#tell(denials)
    return denials
  }

  async #judgeSoon(): Promise<void> {
    try {
      this.#judge(await (this.#options.judge.loaded ?? this.#options.judge.load()))
    } catch (error) {
      this.#failure ??= { error }
    }
    this.#judging = undefined
  }

  #judge({ denialOf }: Judging): void {
    const waiting = this.#waiting
    if (waiting.length === 0) return
    this.#waiting = []
    const circumstances = this.#options.circumstances()
    for (const report of waiting) {
      this.#blind ||= report.path === undefined
      const denial = denialOf(circumstances, report, this.#options.judge.remembered)
      const key = denial === undefined ? '' : keyOf(denial)
      if (denial === undefined || this.#found.has(key)) continue
      this.#found.set(key, denial)
      this.#tell([denial])
    }
  }

  #tell(denials: readonly Denial[]): void {
    for (const denial of denials) {
      const listener = this.#options.listener()
      if (listener === undefined) return
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
