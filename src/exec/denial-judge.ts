// What judges denials, loaded for the first one.
import type { JudgedFile } from './access-denial.js'
import { RememberedAnswers } from './remembered-answers.js'

export type Judging = typeof import('./access-denial.js') & typeof import('./reported-denials.js')

/**
 * What judges denials, for all commands of a sandbox. Most commands have none, so it is loaded for the first one; and only once, as each
 * `import` of what is loaded already still takes 0.1 ms to find that out.
 */
export class DenialJudge {
  /** Agents, and the programs that they run, try the same again and again. */
  readonly remembered = new RememberedAnswers<JudgedFile>()
  #loaded: Judging | undefined

  get loaded(): Judging | undefined {
    return this.#loaded
  }

  async load(): Promise<Judging> {
    this.#loaded ??= { ...await import('./access-denial.js'), ...await import('./reported-denials.js') }
    return this.#loaded
  }
}
