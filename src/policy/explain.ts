// A decision as one line for people and models.
import { isLoopback } from './decide-host.js'
import type { Access, Decision } from './decision.js'
import { hostReason } from './host-remedy.js'
import { isInside } from './path-syntax.js'
import type { PathRule, ResolvedPolicy } from './resolved-policy.js'

const NOUNS: Record<Access['kind'], string> = {
  read: 'read of', write: 'write to', create: 'creation of', remove: 'removal of', execute: 'execution of',
  connect: 'connection to', bind: 'bind to', 'unix-connect': 'connection to socket',
}

/** What holds where no rule speaks; `policy` as it was resolved. */
type Ground = Pick<ResolvedPolicy, 'base' | 'mode' | 'network' | 'platform' | 'tmp'>

/** `write to "/x/y" denied: outside every writable root, nearest "/x/w". To allow: add "/x" to write.` Values are quoted, so that no name can forge a line. */
export function describeDecision(access: Access, decision: Decision, policy?: Ground): string {
  const subject = `${NOUNS[access.kind]} ${quote('path' in access ? access.path : `${access.host}:${access.port}`)}`
  if (decision.verdict === 'allow') {
    const why = decision.rule !== undefined ? describeRule(decision.rule) : policy === undefined ? undefined : groundOf(access, policy)
    return `${subject} allowed${why === undefined ? '' : `: ${why}`}.`
  }
  return `${subject} denied: ${reason(access, decision)}. To allow: ${decision.remedy.text}.`
}

function groundOf(access: Access, { base, mode, network, platform, tmp }: Ground): string {
  if (base === 'write') return `mode is ${mode}, which enforces nothing`
  if (!('path' in access)) {
    if (network === 'proxied' && access.kind === 'connect' && !isLoopback(access.host)) return 'a rule of network.allowedDomains names it'
    return network === 'open' ? 'the network is open' : 'the loopback is the sandbox\'s own, where the host lets it have one: its servers are there, those of this machine are not'
  }
  return tmp === 'private' && platform !== 'windows' && isInside(platform, '/tmp', access.path) ? 'the sandbox has a /tmp of its own' : 'what no rule closes may be read'
}

function reason(access: Access, decision: Extract<Decision, { verdict: 'deny' }>): string {
  switch (decision.because) {
    case 'rule': return decision.rule.origin === 'secret'
      ? `${quote(decision.rule.path)} is a place of keys or tokens (${decision.rule.field})`
      : `${describeRule(decision.rule)} ${decision.rule.effect === 'deny' ? 'denies it' : 'lets only read'}`
    case 'glob': return `it matches the denied ${quote(decision.pattern)}`
    case 'protected': return decision.rule.origin === 'self'
      ? `${quote(decision.rule.path)} runs or is trusted outside the sandbox`
      : `${quote(decision.rule.path)} is protected in the writable root ${quote(decision.owner)}`
    case 'no-rule': {
      const roots = access.kind === 'read' || access.kind === 'execute' ? 'readable' : 'writable'
      return decision.nearest === undefined ? `nothing is ${roots}` : `outside every ${roots} root, nearest ${quote(decision.nearest)}`
    }
    case 'host': return hostReason(decision.host)
    case 'network-off': return 'the network is off'
    case 'unix-socket': return 'the socket was made outside the sandbox'
    default: return decision satisfies never
  }
}

const describeRule = ({ field, path, origin }: PathRule): string => `${field ?? origin} ${quote(path)}`

const quote = (text: string): string => JSON.stringify(text)
