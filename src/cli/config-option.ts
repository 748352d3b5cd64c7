// `-c KEY=VALUE`: the keys of config.toml that concern the sandbox. Loaded only when one is given, since it brings TOML and zod.
import { parse, TomlError } from 'smol-toml'
import { SandboxError } from '../errors.js'
import { nearestName } from '../policy/nearest-name.js'
import { parseConfigPolicy } from '../policy/parse.js'
import { type DefaultsName, presetPolicy } from '../policy/presets.js'
import type { SandboxMode, SandboxPolicy } from '../policy/sandbox-policy.js'

const TABLE = 'sandbox_workspace_write'
const KEYS = ['sandbox_mode', TABLE, ...['writable_roots', 'network_access', 'exclude_tmpdir_env_var', 'exclude_slash_tmp'].map(key => `${TABLE}.${key}`)]

export interface ConfigContext {
  /** What -s or --full-auto said; it wins over `sandbox_mode`, unless they contradict each other. */
  readonly mode: SandboxMode | undefined
  /** The verb's own mode where nothing says one. */
  readonly normal: SandboxMode
  readonly defaults: DefaultsName
  readonly cwd: string
}

/** @throws SandboxError `option_invalid`, naming the nearest key, and what `parseConfigPolicy` throws */
export function applyConfig(given: readonly string[], { mode, normal, defaults, cwd }: ConfigContext): SandboxPolicy {
  const { sandbox_mode: said, ...table } = collect(given)
  if (mode !== undefined && said !== undefined && said !== mode) {
    throw new SandboxError('policy_contradiction', { field: 'sandbox_mode', value: said }, { detail: `the mode was given as ${mode}` })
  }
  const parsed = parseConfigPolicy({ sandbox_mode: said ?? mode ?? normal, ...table }, cwd)
  const { writableRoots, network, excludeTmpdirEnvVar, excludeSlashTmp } = parsed
  return { ...presetPolicy(parsed.mode, defaults), writableRoots, network, excludeTmpdirEnvVar, excludeSlashTmp }
}

/** Assignments, the later over the earlier, as one object of config.toml's shape. */
function collect(given: readonly string[]): Record<string, unknown> {
  const config: Record<string, unknown> = {}
  for (const text of given) {
    const equals = text.indexOf('=')
    const key = (equals === -1 ? text : text.slice(0, equals)).trim()
    if (equals === -1) throw invalid(text, 'it is not KEY=VALUE', 'Write it like -c sandbox_mode=workspace-write.')
    if (!KEYS.includes(key)) {
      const near = nearestName(key, KEYS)
      throw invalid(key, `the keys that concern the sandbox are ${KEYS.filter(known => known !== TABLE).join(', ')}`, near === undefined ? 'Remove it.' : `Did you mean ${near}?`)
    }
    const value = parseValue(text.slice(equals + 1).trim())
    const [outer, inner] = key.split('.') as [string, string | undefined]
    config[outer] = inner === undefined ? value : { ...(config[outer] as object | undefined), [inner]: value }
  }
  return config
}

/** A TOML value; what is none is taken as a string, as the reference does: `sandbox_mode=read-only` needs no quotes. */
function parseValue(text: string): unknown {
  // A newline would begin another key.
  if (/[\r\n]/.test(text)) return text
  try {
    return parse(`value = ${text}`)['value']
  } catch (error) {
    if (error instanceof TomlError) return text
    throw error
  }
}

/** @throws SandboxError `option_invalid` with line and column */
export function parseToml(text: string, field: string, value: string): unknown {
  try {
    return parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new SandboxError('option_invalid', { field, value }, { detail: `line ${error.line}, column ${error.column}: ${error.message.split('\n')[0]}`, cause: error })
  }
}

const invalid = (value: string, detail: string, remedy: string): SandboxError => new SandboxError('option_invalid', { field: '-c', value }, { detail, remedy })
