// Rules for the network of one command: they only narrow what the sandbox's own permit.
import { SandboxError } from '../../errors.js'
import { parseDomainPattern } from '../../policy/domain-pattern.js'
import { expandDomains, isDomainPreset } from '../../policy/domain-presets.js'
import type { NarrowingRules } from '../../policy/domains.js'

/** `allowedDomains`: of what the sandbox permits, only these; nobody is asked about others. `deniedDomains`: not these. */
export interface CommandNetwork {
  readonly mode?: 'full' | 'limited'
  readonly allowedDomains?: readonly string[]
  readonly deniedDomains?: readonly string[]
}

const KEYS = ['mode', 'allowedDomains', 'deniedDomains'] as const

/** Presets become their hosts. @throws SandboxError `option_invalid`, `policy_invalid_value` */
export function parseNarrowing(given: CommandNetwork): NarrowingRules {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) throw wrong('network', given, 'it must be an object')
  const unknown = Object.keys(given).find(key => !(KEYS as readonly string[]).includes(key))
  if (unknown !== undefined) throw wrong(`network.${unknown}`, (given as Record<string, unknown>)[unknown], `a command has ${KEYS.join(', ')}`)
  const { mode } = given
  if (mode !== undefined && mode !== 'full' && mode !== 'limited') throw wrong('network.mode', mode, 'it must be full or limited')
  const [allowedDomains, deniedDomains] = [list(given, 'allowedDomains', 'allow'), list(given, 'deniedDomains', 'deny')]
  return { ...(mode === undefined ? {} : { mode }), ...(allowedDomains === undefined ? {} : { allowedDomains }), ...(deniedDomains === undefined ? {} : { deniedDomains }) }
}

/** Equal for rules that mean the same; empty where they narrow nothing. */
export function keyOfNarrowing({ mode = 'full', allowedDomains, deniedDomains = [] }: NarrowingRules): string {
  const sorted = (values: readonly string[]) => [...values].sort()
  return mode === 'full' && allowedDomains === undefined && deniedDomains.length === 0 ? '' : JSON.stringify([mode, allowedDomains === undefined ? null : sorted(allowedDomains), sorted(deniedDomains)])
}

function list(given: CommandNetwork, key: 'allowedDomains' | 'deniedDomains', meaning: 'allow' | 'deny'): readonly string[] | undefined {
  const values: unknown = given[key]
  if (values === undefined) return undefined
  const field = `network.${key}`
  if (!Array.isArray(values) || !values.every(each => typeof each === 'string')) throw wrong(field, values, 'it must be a list of hosts')
  values.forEach((text, index) => { if (!isDomainPreset(text)) parseDomainPattern(text, meaning, `${field}[${index}]`) })
  return expandDomains(values, field)
}

const wrong = (field: string, value: unknown, detail: string): SandboxError => new SandboxError('option_invalid', { field, value }, { detail, remedy: 'Correct it or leave it out.' })
