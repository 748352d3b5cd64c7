// `-c KEY=VALUE` → one key of config.toml, as the reference reads it.
import { parse, TomlError } from 'smol-toml'
import { SandboxError } from '../errors.js'
import type { TomlPath } from './toml-text.js'
import { emptyTree, type KeyPath, setAt, type Tree } from './trees.js'
import type { TextPlace } from '../errors.js'

export interface Override {
  readonly config: Readonly<Tree>
  readonly path: KeyPath
  readonly place: (path: TomlPath) => TextPlace
}

/** Variables are texts, also where they look like numbers. */
const isVariable = (path: KeyPath): boolean => path.length > 2 && path.at(-3) === 'shell_environment_policy' && path.at(-2) === 'set'

/** @throws SandboxError `option_invalid` where there is no key */
export function parseOverride(text: string): Override {
  const { path, equals } = splitKey(text)
  const written = text.slice(equals + 1).trim()
  const parsed = parseValue(written)
  const config = emptyTree()
  setAt(config, path, isVariable(path) && typeof parsed !== 'string' ? written : parsed)
  return { config, path, place: () => ({ file: '-c', line: 1, column: equals + 2 }) }
}

/** A key as TOML writes it, `projects."/a.b".trust_level`; what is none is taken apart at its dots, as the reference does. */
function splitKey(text: string): { path: KeyPath; equals: number } {
  for (let equals = text.indexOf('='); equals !== -1; equals = text.indexOf('=', equals + 1)) {
    const key = text.slice(0, equals)
    // A quote that is open: the sign stands in a name.
    const path = /["']/.test(key) ? quotedKey(key) : key.trim().split('.').map(name => name.trim())
    if (path === undefined) continue
    if (path.some(name => name === '')) break
    return { path, equals }
  }
  throw new SandboxError('option_invalid', { field: '-c', value: text }, { detail: 'it is not KEY=VALUE', remedy: 'Write it like -c sandbox_mode=workspace-write.' })
}

function quotedKey(key: string): KeyPath | undefined {
  if (/[\r\n#]/.test(key.replaceAll(/"(?:\\.|[^"\\])*"|'[^']*'/g, ''))) return undefined
  const path: string[] = []
  let at = tomlOrUndefined(`${key} = 0`)
  for (; typeof at === 'object' && at !== null;) {
    const [name] = Object.keys(at)
    if (name === undefined) return undefined
    path.push(name)
    at = (at as Record<string, unknown>)[name]
  }
  return at === 0 ? path : undefined
}

/** A TOML value; what is none is a text: `sandbox_mode=read-only` needs no quotes. */
function parseValue(written: string): unknown {
  // A newline would begin another key, and a comment would hide the rest.
  if (/[\r\n]/.test(written)) return written
  const table = tomlOrUndefined(`value = ${written}`)
  return table === undefined ? written : (table as Tree)['value']
}

function tomlOrUndefined(text: string): unknown {
  try {
    return parse(text, { maxDepth: 30 })
  } catch (error) {
    if (error instanceof TomlError) return undefined
    throw error
  }
}
