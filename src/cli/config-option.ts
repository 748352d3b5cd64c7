// `-c KEY=VALUE`: the keys of config.toml that concern the sandbox. Loaded only when one is given, since it brings TOML and zod.
import { parse, TomlError } from 'smol-toml'
import { SandboxError } from '../errors.js'
import { nearestName } from '../policy/nearest-name.js'
import { parseConfigPolicy, shellEnvironment } from '../policy/parse.js'
import { type DefaultsName, presetPolicy } from '../policy/presets.js'
import type { SandboxMode, SandboxPolicy } from '../policy/sandbox-policy.js'

const TABLES = {
  sandbox_workspace_write: ['writable_roots', 'network_access', 'exclude_tmpdir_env_var', 'exclude_slash_tmp'],
  shell_environment_policy: ['inherit', 'ignore_default_excludes', 'exclude', 'set', 'include_only'],
} as const
const KEYS = ['sandbox_mode', ...Object.entries(TABLES).flatMap(([table, keys]) => keys.map(key => `${table}.${key}`))]
/** A variable by its name: the one key of three parts. */
const SET_VARIABLE = /^shell_environment_policy\.set\.([^.=]+)$/

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
  const preset = presetPolicy(parsed.mode, defaults)
  // What the table does not say stays as the verb has it.
  const env = { ...preset.env, ...shellEnvironment(table['shell_environment_policy'] as Parameters<typeof shellEnvironment>[0]) }
  return { ...preset, writableRoots, network, excludeTmpdirEnvVar, excludeSlashTmp, env }
}

/** Assignments, the later over the earlier, as one object of config.toml's shape. */
function collect(given: readonly string[]): Record<string, unknown> {
  const config: Record<string, unknown> = {}
  for (const text of given) {
    const equals = text.indexOf('=')
    const key = (equals === -1 ? text : text.slice(0, equals)).trim()
    if (equals === -1) throw invalid(text, 'it is not KEY=VALUE', 'Write it like -c sandbox_mode=workspace-write.')
    const [, variable] = SET_VARIABLE.exec(key) ?? []
    if (variable === undefined && !KEYS.includes(key) && !Object.hasOwn(TABLES, key)) {
      const near = nearestName(key, KEYS)
      throw invalid(key, `the keys that concern the sandbox are ${KEYS.join(', ')}`, near === undefined ? 'Remove it.' : `Did you mean ${near}?`)
    }
    const written = text.slice(equals + 1).trim()
    const parsed = parseValue(written)
    // A variable is text, also where it looks like a number.
    const value = variable === undefined || typeof parsed === 'string' ? parsed : written
    const [outer, inner] = key.split('.') as [string, string | undefined]
    const before = config[outer] as Record<string, unknown> | undefined
    if (inner === undefined) config[outer] = value
    else config[outer] = { ...before, [inner]: variable === undefined ? value : { ...(before?.['set'] as object | undefined), [variable]: value } }
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
