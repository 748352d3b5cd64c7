// Capability SIDs: what a writable root is granted to. Random, kept in the Codex home, and never given to another root. Pure: the
// random numbers come from outside.
import { createHash } from 'node:crypto'
import { SandboxError } from '../../errors.js'
import { foldName } from '../../policy/letter-case.js'
import { isSid } from './sid.js'

/** The key of the SID that every sandbox has: what everybody may write is closed to it. */
export const READ_ONLY_KEY = 'read-only'

export interface CapabilityStore {
  /** By key: `read-only`, or `capabilityKey` of a root. */
  readonly sids: Readonly<Record<string, string>>
  /** Of roots that are gone. Entries for them may still stand somewhere, so none is used again. */
  readonly retired: readonly string[]
}

export const EMPTY_STORE: CapabilityStore = { sids: {}, retired: [] }

/**
 * The key of a root with what is closed in it. Two policies that close other things in one root have other SIDs for it, so that what is
 * denied to the commands of one is not denied to those of the other.
 *
 * @param closed  effect and path of each rule in the root, in whatever order
 */
export function capabilityKey(root: string, closed: readonly string[]): string {
  const digest = createHash('sha256').update([...closed].sort().join('\0')).digest('hex').slice(0, 16)
  return `${foldName(root)}|${digest}`
}

/**
 * Adds SIDs for the keys that have none.
 *
 * @param random  gives whole numbers from 0 to 2^32 - 1
 */
export function assignCapabilities(store: CapabilityStore, keys: readonly string[], random: () => number): CapabilityStore {
  const taken = new Set([...Object.values(store.sids), ...store.retired])
  const sids: Record<string, string> = { ...store.sids }
  for (const key of keys) {
    if (Object.hasOwn(sids, key)) continue
    let sid: string
    do sid = `S-1-5-21-${[random(), random(), random(), random()].join('-')}`
    while (taken.has(sid))
    taken.add(sid)
    sids[key] = sid
  }
  return { ...store, sids }
}

/** Takes keys away for good. */
export function retireCapabilities(store: CapabilityStore, keys: readonly string[]): CapabilityStore {
  const gone = keys.flatMap(key => store.sids[key] ?? [])
  return { sids: Object.fromEntries(Object.entries(store.sids).filter(([key]) => !keys.includes(key))), retired: [...new Set([...store.retired, ...gone])] }
}

const VERSION = 1

export const printStore = ({ sids, retired }: CapabilityStore): string => `${JSON.stringify({ version: VERSION, sids, retired }, null, 2)}\n`

/**
 * Reads what `printStore` wrote. A file that is damaged is an error: with new SIDs what stands on the disk would be forgotten.
 *
 * @throws SandboxError `option_invalid`, `field` = the given one
 */
export function parseStore(text: string, field: string): CapabilityStore {
  const refuse = (detail: string) => new SandboxError('option_invalid', { field, value: undefined }, { detail, remedy: 'Restore the file, or run `codex-sandbox windows uninstall` and set up again.' })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw refuse('it is not JSON')
  }
  const { version, sids, retired } = (value ?? {}) as Partial<Record<'version' | 'sids' | 'retired', unknown>>
  if (version !== VERSION) throw refuse(`it has version ${JSON.stringify(version)}, and this is ${VERSION}`)
  if (typeof sids !== 'object' || sids === null || Array.isArray(sids) || !Array.isArray(retired)) throw refuse('it has no sids or no retired')
  const all = [...Object.values(sids), ...retired]
  if (!all.every(sid => typeof sid === 'string' && isSid(sid))) throw refuse('it has a value that is no SID')
  if (new Set(all).size !== all.length) throw refuse('it has one SID twice')
  return { sids: sids as Record<string, string>, retired: retired as string[] }
}
