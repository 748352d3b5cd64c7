// The parameters of a profile: every path is handed over beside the text, so that no path can change what the text says.
import type { Expression } from './sbpl/syntax.js'
import { param } from './sbpl/syntax.js'

/** What a path is to the rule that names it first; its parameter is called so. */
export type PathRole = 'WRITABLE' | 'READABLE' | 'READ_ONLY' | 'DENIED' | 'KEPT' | 'PASSED' | 'FOLDING' | 'UNIX_SOCKET'

export interface Parameter {
  readonly name: string
  readonly value: string
}

/** Names paths in the order in which they are first asked for. */
export class Parameters {
  readonly #names = new Map<string, string>()
  readonly #counts = new Map<PathRole, number>()

  /** `(param "WRITABLE_0")`; a path that has a name keeps it. */
  of(path: string, role: PathRole): Expression {
    const known = this.#names.get(path)
    if (known !== undefined) return param(known)
    const count = this.#counts.get(role) ?? 0
    const name = `${role}_${count}`
    this.#counts.set(role, count + 1)
    this.#names.set(path, name)
    return param(name)
  }

  list(): readonly Parameter[] {
    return [...this.#names].map(([value, name]) => ({ name, value }))
  }
}
