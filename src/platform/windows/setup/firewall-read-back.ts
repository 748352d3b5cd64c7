// Whether a rule that the firewall holds is the one that was asked for: it writes addresses in forms of its own. Pure.
import type { WindowsFirewallRule } from '../../launch-plan.js'
import type { FirewallRuleState } from './system.js'

/** By these a rule is known for ours, and only then changed or removed. */
export const FIREWALL_MARK = { grouping: 'codex-sandbox', description: 'Keeps commands of codex-sandbox from the network; removed by `codex-sandbox windows uninstall`' } as const

export const isOurRule = ({ grouping, description }: FirewallRuleState): boolean => grouping === FIREWALL_MARK.grouping && description === FIREWALL_MARK.description

export function holdsRule(found: FirewallRuleState, wanted: WindowsFirewallRule): boolean {
  return found.name === wanted.name && isOurRule(found) && found.isEnabled && found.blocks && found.isForAll
    && found.direction === wanted.direction && found.protocol === wanted.protocol && found.localUser.toUpperCase() === wanted.localUser.toUpperCase()
    && sameRanges(found.remoteAddresses, wanted.remoteAddresses, addressRange) && sameRanges(portsOf(found.remotePorts), portsOf(wanted.remotePorts), portRange)
}

const portsOf = (text: string | undefined): readonly string[] | undefined => text === undefined || text === '' || text === '*' ? undefined : text.split(',')

/** First and last, in one order for all: those of IPv6 come behind those of IPv4. */
type Range = readonly [bigint, bigint]

/** Undefined: any. What is not understood is never the same. */
function sameRanges(a: readonly string[] | undefined, b: readonly string[] | undefined, rangeOf: (text: string) => Range | undefined): boolean {
  if (a === undefined || b === undefined) return a === b
  const [x, y] = [merge(a.map(rangeOf)), merge(b.map(rangeOf))]
  return x !== undefined && y !== undefined && x.length === y.length && x.every(([first, last], index) => first === y[index]?.[0] && last === y[index]?.[1])
}

function merge(ranges: readonly (Range | undefined)[]): Range[] | undefined {
  const merged: Range[] = []
  for (const range of [...ranges].sort((a, b) => a === undefined || b === undefined ? 0 : a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0)) {
    if (range === undefined) return undefined
    const before = merged.at(-1)
    if (before === undefined || range[0] > before[1] + 1n) merged.push(range)
    else if (range[1] > before[1]) merged[merged.length - 1] = [before[0], range[1]]
  }
  return merged
}

function portRange(text: string): Range | undefined {
  const [, first, last] = /^\s*(\d{1,5})(?:-(\d{1,5}))?\s*$/.exec(text) ?? []
  return first === undefined ? undefined : [BigInt(first), BigInt(last ?? first)]
}

/** `1.2.3.4`, `1.2.3.4-1.2.3.9`, `1.2.3.0/24`, `1.2.3.0/255.255.255.0`, and the same in IPv6. */
function addressRange(text: string): Range | undefined {
  const [, head = '', sign, tail = ''] = /^\s*([^-/\s]+)(?:([-/])([^-/\s]+))?\s*$/.exec(text) ?? []
  const first = numberOf(head)
  if (first === undefined) return undefined
  if (sign === undefined) return [first, first]
  if (sign === '-') {
    const last = numberOf(tail)
    return last === undefined || isSix(head) !== isSix(tail) ? undefined : [first, last]
  }
  const bits = isSix(head) ? 128 : 32
  const length = prefixOf(tail, bits)
  if (length === undefined) return undefined
  const size = 1n << BigInt(bits - length)
  const start = first / size * size
  return [start, start + size - 1n]
}

function prefixOf(text: string, bits: number): number | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text) <= bits ? Number(text) : undefined
  const mask = numberOf(text)
  if (mask === undefined || bits !== 32) return undefined
  const ones = mask.toString(2).padStart(32, '0')
  return /^1*0*$/.test(ones) ? ones.lastIndexOf('1') + 1 : undefined
}

const SIX = 1n << 64n << 64n
const isSix = (text: string): boolean => text.includes(':')

function numberOf(text: string): bigint | undefined {
  if (!isSix(text)) {
    const parts = text.split('.').map(part => /^\d{1,3}$/.test(part) ? Number(part) : 256)
    return parts.length === 4 && parts.every(part => part < 256) ? parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n) : undefined
  }
  const [before = '', after, ...more] = text.split('::')
  if (more.length > 0) return undefined
  const groups = (half: string | undefined) => half === undefined || half === '' ? [] : half.split(':')
  const [head, tail] = [groups(before), groups(after)]
  const missing = 8 - head.length - tail.length
  if (after === undefined ? missing !== 0 : missing < 1) return undefined
  const all = [...head, ...Array.from({ length: after === undefined ? 0 : missing }, () => '0'), ...tail]
  if (!all.every(group => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  return SIX + all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n)
}
