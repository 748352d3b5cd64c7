// Why the proxy refuses, in the header's word and in a sentence.
import { formatHostPort } from '../policy/host-name.js'
import type { HostVerdict } from '../policy/domains.js'

/** `limited`: GET, HEAD and OPTIONS only. `unanswered`: somebody should have been asked and nobody answered. */
export type RefusalReason =
  | 'no-rule' | 'denied' | 'method' | 'local-address' | 'invalid-host' | 'host-mismatch' | 'server-name-mismatch' | 'declined' | 'timed-out' | 'unanswered'

export interface Refusal {
  readonly because: RefusalReason
  /** The pattern that denies. */
  readonly rule?: string
  /** The address that was refused, where that is not the host itself; or what else is known. */
  readonly detail?: string
}

export const REFUSALS: Record<RefusalReason, { readonly header: string; readonly sentence: string }> = {
  'no-rule':              { header: 'blocked-by-allowlist',     sentence: 'no rule allows it' },
  'denied':               { header: 'blocked-by-denylist',      sentence: 'a rule denies it' },
  'method':               { header: 'blocked-by-method-policy', sentence: 'the limited mode permits plain GET, HEAD and OPTIONS only' },
  'local-address':        { header: 'blocked-by-local-address', sentence: 'it is not a public address, and no rule names that address' },
  'invalid-host':         { header: 'blocked-by-policy',        sentence: 'it is not a valid host' },
  'host-mismatch':        { header: 'blocked-by-policy',        sentence: 'the Host header names another host than the request' },
  'server-name-mismatch': { header: 'blocked-by-policy',        sentence: 'TLS names another server than the request' },
  'declined':             { header: 'blocked-by-policy',        sentence: 'it was asked about and declined' },
  'timed-out':            { header: 'blocked-by-policy',        sentence: 'it was asked about and nobody answered in time' },
  'unanswered':           { header: 'blocked-by-policy',        sentence: 'it was asked about and got no valid answer' },
}

export function fromVerdict(verdict: Extract<HostVerdict, { verdict: 'deny' }>): Refusal {
  switch (verdict.because) {
    case 'no-rule': case 'method': return { because: verdict.because }
    case 'denied':                 return { because: 'denied', rule: verdict.rule }
    case 'local-address':          return { because: 'local-address', detail: verdict.class }
    case 'invalid-host':           return { because: 'invalid-host', detail: `it ${verdict.reason}` }
    default:                       return verdict satisfies never
  }
}

/** The value of `x-proxy-error`. */
export function refusalHeader({ because }: Refusal): string {
  return REFUSALS[because].header
}

/** `Network access to "example.com:443" was refused: no rule allows it.` What the client sent is quoted: it cannot forge a line. */
export function refusalSentence({ because, rule, detail }: Refusal, host: string, port: number): string {
  const more = rule !== undefined ? ` (${JSON.stringify(rule)})` : detail !== undefined ? ` (${detail})` : ''
  return `Network access to ${JSON.stringify(formatHostPort(host, port))} was refused: ${REFUSALS[because].sentence}${more}.`
}
