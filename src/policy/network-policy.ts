// What of the network a policy opens: the fields that speak of it, in whatever spelling, become one of off, proxied and open.
// docs/network.md has the table of combinations.
import { SandboxError } from '../errors.js'
import { parseDomainPattern } from './domain-pattern.js'
import { expandDomains, isDomainPreset } from './domain-presets.js'
import type { NetworkRules } from './domains.js'
import type { NetworkMode, SandboxPolicy } from './sandbox-policy.js'

/** The keys of `network` in code; undefined and absent are the same. */
export interface NetworkTable {
  readonly enabled?: boolean | undefined
  readonly mode?: 'full' | 'limited' | undefined
  readonly allowedDomains?: readonly string[] | undefined
  readonly deniedDomains?: readonly string[] | undefined
  /** The later spelling of both lists. */
  readonly domains?: Readonly<Record<string, 'allow' | 'deny'>> | undefined
  readonly strictAllowlist?: boolean | undefined
  readonly allowUnixSockets?: readonly string[] | undefined
  /** The later spelling. */
  readonly unixSockets?: Readonly<Record<string, 'allow' | 'deny' | 'none'>> | undefined
  readonly dangerouslyAllowAllUnixSockets?: boolean | undefined
  readonly dangerouslyAllowDockerSocket?: boolean | undefined
  readonly allowLocalPorts?: readonly number[] | undefined
  readonly allowLocalBinding?: boolean | undefined
  readonly allowUpstreamProxy?: boolean | undefined
  readonly httpPort?: number | undefined
  readonly socksPort?: number | undefined
}

/** What was given, with the name that each field has there. */
export interface NetworkInput {
  readonly networkAccess?: { readonly field: string; readonly value: boolean } | undefined
  /** `network: "proxied"`. */
  readonly word?: { readonly field: string; readonly value: NetworkMode } | undefined
  readonly table?: NetworkTable | undefined
  /** How the table's keys are spelled. Default: as in code, below `network`. */
  readonly spell?: ((key: keyof NetworkTable) => string) | undefined
}

/** What holds where nothing is said. */
export const NO_NETWORK_RULES: NetworkRules = {
  mode: 'full', allowedDomains: undefined, deniedDomains: [], allowUnixSockets: [], dangerouslyAllowAllUnixSockets: false,
  dangerouslyAllowDockerSocket: false, allowLocalPorts: [], allowLocalBinding: false, allowUpstreamProxy: false,
}

/**
 * Undefined where nothing speaks of the network: the mode's own word holds.
 *
 * @throws SandboxError `policy_contradiction` naming the field that speaks against another; `policy_invalid_value` for a preset or a pattern
 */
export function combineNetwork(input: NetworkInput): Pick<SandboxPolicy, 'network' | 'networkRules'> | undefined {
  const spell = input.spell ?? (key => `network.${key}`)
  const table = input.table === undefined ? {} : withoutLaterSpellings(input.table, spell)
  const said = [
    ...(input.word === undefined ? [] : [{ field: input.word.field, value: input.word.value, opens: input.word.value !== 'off' }]),
    ...(table.enabled === undefined ? [] : [{ field: spell('enabled'), value: table.enabled, opens: table.enabled }]),
    ...(input.networkAccess === undefined ? [] : [{ field: input.networkAccess.field, value: input.networkAccess.value, opens: input.networkAccess.value }]),
  ]
  const against = said.find(({ opens }) => opens !== said[0]?.opens)
  if (against !== undefined) throw contradiction(against, `${said[0]?.field} says ${JSON.stringify(said[0]?.value)}`)

  const closes = said.find(({ opens }) => !opens)
  const byRules = rulesOfProxy(table, spell)
  const grants = byRules.filter(({ closesOnly }) => !closesOnly)
  // What only closes more may stand where everything is closed.
  if (closes !== undefined && grants[0] !== undefined) throw contradiction(grants[0], `${closes.field} is ${JSON.stringify(closes.value)}`)
  if (input.word?.value === 'open' && byRules[0] !== undefined) throw contradiction(byRules[0], `${input.word.field} is "open": say "proxied", and only what rules allow is reached`)

  const network: NetworkMode | undefined = closes !== undefined ? 'off'
    : byRules.length > 0 || input.word?.value === 'proxied' ? 'proxied'
    : said.length > 0 ? 'open' : undefined
  const ports = table.allowLocalPorts ?? []
  if (network === 'open' && ports.length > 0) {
    throw contradiction({ field: spell('allowLocalPorts'), value: ports }, 'the open network reaches every port of this machine')
  }
  if (network === undefined && Object.values(table).every(value => value === undefined)) return undefined
  for (const key of ['httpPort', 'socksPort'] as const) {
    if (table[key] !== undefined && ports.includes(table[key])) throw contradiction({ field: spell(key), value: table[key] }, `${spell('allowLocalPorts')} leads that port to this machine`)
  }
  const networkRules = rulesOf(table, spell)
  return { network: network ?? 'off', ...(network === 'proxied' || !isEmpty(networkRules) ? { networkRules } : {}) }
}

/** Rules that only the proxy can hold: with one of them there is no other way out. */
function rulesOfProxy(table: NetworkTable, spell: (key: keyof NetworkTable) => string): { field: string; value: unknown; closesOnly: boolean }[] {
  const row = (key: 'allowedDomains' | 'deniedDomains' | 'mode' | 'strictAllowlist', closesOnly: boolean) => ({ field: spell(key), value: table[key], closesOnly })
  return [
    ...(table.allowedDomains === undefined ? [] : [row('allowedDomains', table.allowedDomains.length === 0)]),
    ...((table.deniedDomains ?? []).length === 0 ? [] : [row('deniedDomains', true)]),
    ...(table.mode === 'limited' ? [row('mode', true)] : []),
    ...(table.strictAllowlist === undefined ? [] : [row('strictAllowlist', table.strictAllowlist)]),
  ]
}

/** One map in place of two lists; both at once would be two words for one thing. */
function withoutLaterSpellings({ domains, unixSockets, ...table }: NetworkTable, spell: (key: keyof NetworkTable) => string): NetworkTable {
  const refuseBoth = (one: keyof NetworkTable, other: 'allowedDomains' | 'deniedDomains' | 'allowUnixSockets', value: unknown): void => {
    if (table[other] !== undefined) throw contradiction({ field: spell(one), value }, `${spell(other)} is the same in another spelling`)
  }
  if (domains !== undefined) {
    refuseBoth('domains', 'allowedDomains', domains)
    refuseBoth('domains', 'deniedDomains', domains)
  }
  if (unixSockets !== undefined) refuseBoth('unixSockets', 'allowUnixSockets', unixSockets)
  const keys = <Value>(map: Readonly<Record<string, Value>>, wanted: Value): string[] => Object.entries(map).filter(([, value]) => value === wanted).map(([key]) => key)
  return {
    ...table,
    ...(domains === undefined ? {} : { allowedDomains: keys(domains, 'allow'), deniedDomains: keys(domains, 'deny') }),
    ...(unixSockets === undefined ? {} : { allowUnixSockets: keys(unixSockets, 'allow') }),
  }
}

function rulesOf(table: NetworkTable, spell: (key: keyof NetworkTable) => string): NetworkRules {
  return {
    mode: table.mode ?? 'full',
    allowedDomains: table.allowedDomains === undefined ? undefined : patterns(table.allowedDomains, 'allow', spell('allowedDomains')),
    deniedDomains: patterns(table.deniedDomains ?? [], 'deny', spell('deniedDomains')),
    allowUnixSockets: [...new Set(table.allowUnixSockets ?? [])],
    dangerouslyAllowAllUnixSockets: table.dangerouslyAllowAllUnixSockets ?? false,
    dangerouslyAllowDockerSocket: table.dangerouslyAllowDockerSocket ?? false,
    allowLocalPorts: [...new Set(table.allowLocalPorts ?? [])].sort((a, b) => a - b),
    allowLocalBinding: table.allowLocalBinding ?? false,
    allowUpstreamProxy: table.allowUpstreamProxy ?? false,
    ...(table.strictAllowlist === true ? { strictAllowlist: true } : {}),
    ...(table.httpPort === undefined ? {} : { httpPort: table.httpPort }),
    ...(table.socksPort === undefined ? {} : { socksPort: table.socksPort }),
  }
}

function patterns(list: readonly string[], meaning: 'allow' | 'deny', field: string): readonly string[] {
  list.forEach((text, index) => { if (!isDomainPreset(text)) parseDomainPattern(text, meaning, `${field}[${index}]`) })
  return expandDomains(list, field)
}

const isEmpty = (rules: NetworkRules): boolean => JSON.stringify(rules) === JSON.stringify(NO_NETWORK_RULES)

const contradiction = ({ field, value }: { readonly field: string; readonly value: unknown }, detail: string): SandboxError =>
  new SandboxError('policy_contradiction', { field, value }, { detail })
