// A connection that the proxy refused, as a denial.
import type { NetworkDenial } from '../../network/client.js'
import { type RefusalReason, refusalSentence } from '../../network/refusal.js'
import type { Remedy } from '../../policy/decision.js'
import { hostRemedy, writtenHost } from '../../policy/host-remedy.js'
import type { Denial } from '../denial.js'

export function denialOfProxy({ host, port, protocol, because, rule, detail, method }: NetworkDenial): Denial {
  const remedy = remedyOf({ host, port, because, rule, detail })
  const sentence = refusalSentence({ because, ...(rule === undefined ? {} : { rule }), ...(detail === undefined ? {} : { detail }) }, host, port)
  return {
    kind: 'network', operation: 'connect', host, port, protocol, ...(method === undefined ? {} : { method }),
    message: `${sentence} To allow: ${remedy.text}.`, remedy, certainty: 'refused',
  }
}

type Refused = Pick<NetworkDenial, 'host' | 'port' | 'because'> & { readonly rule: string | undefined; readonly detail: string | undefined }

function remedyOf({ host, port, because, rule, detail }: Refused): Remedy {
  const target = { host, port }
  switch (because) {
    case 'no-rule': case 'declined': case 'timed-out': case 'unanswered': return hostRemedy(target, { verdict: 'ask' })
    case 'denied': return hostRemedy(target, { verdict: 'deny', because, rule: rule ?? '' })
    case 'method': return hostRemedy(target, { verdict: 'deny', because })
    case 'local-address': return hostRemedy(target, { verdict: 'deny', because, class: 'private' }, RESOLVED.exec(detail ?? '')?.[1])
    case 'invalid-host': return hostRemedy(target, { verdict: 'deny', because, reason: '' })
    default: return { text: OTHERWISE[because](writtenHost(target)), flags: [], changes: [] }
  }
}

/** How the proxy says which address of a name it was. */
const RESOLVED = /^it resolves to ([0-9a-f.:]+)/i

const OTHERWISE: Record<Extract<RefusalReason, 'host-mismatch' | 'server-name-mismatch'>, (host: string) => string> = {
  'host-mismatch': host => `send a Host header that names ${JSON.stringify(host)}`,
  'server-name-mismatch': () => 'connect to the host that TLS names, by its own name',
}
