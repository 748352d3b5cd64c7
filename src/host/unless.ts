// Calls whose failure is an answer: only by the codes that are named, any other is thrown on.
import { existsSync, readFileSync } from 'node:fs'

const MISSING: ReadonlySet<string> = new Set(['ENOENT'])

/** What `ask` returns; undefined where it throws one of `codes`, such as `ENOENT`. */
export function unless<Answer>(codes: ReadonlySet<string>, ask: () => Answer): Answer | undefined {
  try {
    return ask()
  } catch (error) {
    if (error instanceof Error && 'code' in error && codes.has(String(error.code))) return undefined
    throw error
  }
}

/** What `ask` returns; undefined where the file or folder that it names is not there. */
export const unlessMissing = <Answer>(ask: () => Answer): Answer | undefined => unless(MISSING, ask)

/** The text of a file; undefined where it is not there or cannot be read. Looks first: an exception costs several times a look. */
export function textIfReadable(path: string): string | undefined {
  if (!existsSync(path)) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
