// What a rules file may use up. Evaluation is deterministic: the same text always ends at the same place.

export const LIMITS = {
  /** Characters of a file. */
  characters: 1 << 20,
  /** Nodes visited, and elements that an operation walks over. */
  steps: 1_000_000,
  /** Characters and elements made, all together. */
  size: 10_000_000,
  /** Functions that wait for one another, as in the reference. */
  calls: 50,
  /** Constructs inside constructs, over all calls: each is a few frames of this process's stack. */
  depth: 500,
} as const

/** Why evaluation stops. The evaluator says where. */
export class BudgetError extends Error {
  override readonly name = 'BudgetError'
}

/** Counts what one evaluation uses. */
export class Budget {
  #steps = 0
  #size = 0

  /** Before the work is done. */
  spend(steps: number): void {
    this.#steps += steps
    if (this.#steps > LIMITS.steps) throw new BudgetError(`this file needs more than ${LIMITS.steps} steps`)
  }

  /** Before the memory is taken. */
  make(size: number): void {
    this.spend(Math.ceil(size / 16))
    this.#size += size
    if (this.#size > LIMITS.size) throw new BudgetError(`this file makes more than ${LIMITS.size} characters and elements`)
  }
}
