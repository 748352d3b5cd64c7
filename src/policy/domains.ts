// Decides which hosts may be reached: a name before it is resolved, then each address that it resolved to. Pure.
import { type DomainPattern, parseDomainPattern, type PortRange } from './domain-pattern.js'
import { type Host, isLocalhost, parseHost } from './host-name.js'
import { type AddressClass, classifyAddress, type ClassifiedAddress, type IpAddress } from './ip-address.js'

/** The network section of a resolved policy. Plain data. */
export interface NetworkRules {
  /** `limited`: GET, HEAD and OPTIONS over plain HTTP; no CONNECT, no SOCKS, no upgrade. */
  readonly mode: 'full' | 'limited'
  /** undefined: no rules, so each host is one that no rule names. `[]`: nothing is allowed, and nobody is asked. */
  readonly allowedDomains: readonly string[] | undefined
  readonly deniedDomains: readonly string[]
  /** Nobody is asked about a host that no rule names: it is denied. Absent: whoever may be asked is. */
  readonly strictAllowlist?: true
  /** Paths of sockets made outside, or of folders of them. In a resolved policy absolute and canonical. */
  readonly allowUnixSockets: readonly string[]
  readonly dangerouslyAllowAllUnixSockets: boolean
  /** Sockets that give the whole machine away, such as docker's, may be allowed as well. */
  readonly dangerouslyAllowDockerSocket: boolean
  /** Ports of the host's loopback, reachable inside on the same port. */
  readonly allowLocalPorts: readonly number[]
  /** Own servers on the loopback, where a sandbox has none of its own (macOS). On Linux it changes nothing. */
  readonly allowLocalBinding: boolean
  /** The proxy goes through the one that HTTP_PROXY of the embedding process names. */
  readonly allowUpstreamProxy: boolean
  /** Of the proxy's listener inside. Absent: any. */
  readonly httpPort?: number
  /** Of a second listener. Absent: the one listener speaks both. */
  readonly socksPort?: number
}

/** As the wire names them. `https`: CONNECT. */
export type HostProtocol = 'http' | 'https' | 'socks5Tcp'

export interface HostRequest {
  /** A name or an address, in any spelling. */
  readonly host: string
  readonly port: number
  readonly protocol: HostProtocol
  /** Of a plain HTTP request. */
  readonly method?: string
  /** The request asks to leave HTTP (WebSocket). */
  readonly upgrade?: boolean
}

/**
 * `ask`: no rule names the host, so whoever may be asked decides; where nobody is, it is denied.
 * `rule`: the pattern that decided, as it was written.
 */
export type HostVerdict =
  | { readonly verdict: 'allow'; readonly rule: string | undefined }
  | { readonly verdict: 'ask' }
  | { readonly verdict: 'deny'; readonly because: 'no-rule' | 'method' }
  | { readonly verdict: 'deny'; readonly because: 'denied'; readonly rule: string }
  | { readonly verdict: 'deny'; readonly because: 'local-address'; readonly class: AddressClass | 'localhost' }
  | { readonly verdict: 'deny'; readonly because: 'invalid-host'; readonly reason: string }

export interface CompiledDomains {
  readonly limited: boolean
  /** Whether a host that no rule names is one to ask about. */
  readonly asks: boolean
  readonly allow: PatternSet
  readonly deny: PatternSet
  /** Permits nothing that these rules do not permit as well. */
  readonly within?: CompiledDomains
  /** Of `within`: it has no list of what is allowed, so only what it denies counts. */
  readonly onlyDenies?: true
}

/** Rules of one command, which only narrow. */
export type NarrowingRules = Partial<Pick<NetworkRules, 'mode' | 'allowedDomains' | 'deniedDomains'>>

/** Names found by lookup, one for each label of the name asked for; addresses by walking their bits. */
interface PatternSet {
  readonly exact: ReadonlyMap<string, PortRules>
  readonly below: ReadonlyMap<string, PortRules>
  readonly networks: { readonly 4: BitNode; readonly 6: BitNode }
  readonly any: PortRules
}
/** Rules that differ in their ports only. The first one that was written for a port is the one that is named. */
interface PortRules {
  every: string | undefined
  readonly single: Map<number, string>
  readonly ranges: (PortRange & { readonly text: string })[]
}
interface BitNode {
  zero?: BitNode
  one?: BitNode
  rules?: PortRules
}

const LIMITED_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
const LOCALHOST = 'localhost'

/**
 * Compiles the lists, so that a decision takes as long with ten thousand rules as with ten.
 * @throws SandboxError `policy_invalid_value`, `field` = `network.allowedDomains[i]` or `network.deniedDomains[i]`
 */
export function compileDomains(rules: Pick<NetworkRules, 'mode' | 'allowedDomains' | 'deniedDomains' | 'strictAllowlist'>): CompiledDomains {
  return {
    limited: rules.mode === 'limited',
    asks: rules.strictAllowlist !== true && (rules.allowedDomains === undefined || rules.allowedDomains.length > 0),
    allow: compileSet(rules.allowedDomains ?? [], 'allow', 'network.allowedDomains'),
    deny: compileSet(rules.deniedDomains, 'deny', 'network.deniedDomains'),
  }
}

/**
 * What both permit. A host that `narrowing` does not name is not asked about: it is outside of what the command was to reach.
 * @throws SandboxError as `compileDomains`
 */
export function narrowDomains(domains: CompiledDomains, { mode = 'full', allowedDomains, deniedDomains = [] }: NarrowingRules): CompiledDomains {
  return { ...domains, within: { ...compileDomains({ mode, allowedDomains, deniedDomains }), ...(allowedDomains === undefined ? { onlyDenies: true } : {}) } }
}

/**
 * The first judgement, before anything is resolved. A literal address gets both of its judgements here.
 *
 * In this order: what is no host is denied; deny rules; a literal that is not public, and `localhost`, need a rule for exactly that;
 * allow rules, then the mode; what is left is asked about, unless the mode would refuse it afterwards.
 *
 * @param hostAddresses canonical texts of the addresses of this host's own interfaces
 */
export function decideName(domains: CompiledDomains, request: HostRequest, hostAddresses?: ReadonlySet<string>): HostVerdict {
  const verdict = decideNameBy(domains, request, hostAddresses)
  if (domains.within === undefined || verdict.verdict === 'deny') return verdict
  const narrower = decideNameBy(domains.within, request, hostAddresses)
  if (narrower.verdict === 'allow') return verdict
  const onlyDenies = domains.within.onlyDenies === true
  if (narrower.verdict === 'ask') return onlyDenies ? verdict : { verdict: 'deny', because: 'no-rule' }
  // Without a list of its own it misses a rule only for what nobody would be asked about; its mode holds there as well.
  if (onlyDenies && (narrower.because === 'no-rule' || narrower.because === 'local-address')) return permittedByMode(domains.within, request) ? verdict : { verdict: 'deny', because: 'method' }
  return narrower
}

function decideNameBy(domains: CompiledDomains, request: HostRequest, hostAddresses: ReadonlySet<string> | undefined): HostVerdict {
  const host = parseHost(request.host)
  const { port } = request
  if (host.kind === 'invalid') return { verdict: 'deny', because: 'invalid-host', reason: host.reason }
  if (!(Number.isInteger(port) && port >= 1 && port <= 65_535)) return { verdict: 'deny', because: 'invalid-host', reason: 'has a port outside 1 to 65535' }

  if (host.kind === 'address') {
    const judged = judgeAddress(domains, host.address, port, hostAddresses)
    if (judged?.verdict === 'deny') return judged
    return withMode(domains, request, judged?.rule ?? ruleFor(domains.allow.any, port))
  }
  const denied = findName(domains.deny, host.text, port)
  if (denied !== undefined) return { verdict: 'deny', because: 'denied', rule: denied }
  const allowed = findName(domains.allow, host.text, port)
  // What `*` says of names cannot mean this one: its addresses need a rule that names them.
  if (allowed === undefined && isLocalhost(host.text)) return { verdict: 'deny', because: 'local-address', class: 'localhost' }
  return withMode(domains, request, allowed ?? ruleFor(domains.allow.any, port))
}

/**
 * The second judgement, of one address that a permitted name resolved to. Deny rules for addresses hold whatever the name; an address
 * that is not public needs a rule that names it (or `localhost`, for the loopback), beside the one for the name.
 *
 * @param request.address as a resolver gives it; what is no address is denied
 */
export function decideAddress(domains: CompiledDomains, request: { readonly address: string; readonly port: number; readonly hostAddresses?: ReadonlySet<string> }): HostVerdict {
  const host: Host = parseHost(request.address)
  if (host.kind !== 'address') return { verdict: 'deny', because: 'invalid-host', reason: 'is not an address' }
  const verdict = judgeAddress(domains, host.address, request.port, request.hostAddresses) ?? { verdict: 'allow', rule: undefined }
  if (domains.within === undefined || verdict.verdict === 'deny') return verdict
  // Its list of what is allowed has named the host already; which of its addresses are no one's business is for the wider rules to say.
  const narrower = judgeAddress(domains.within, host.address, request.port, request.hostAddresses)
  return narrower?.verdict === 'deny' && narrower.because === 'denied' ? narrower : verdict
}

/** undefined: public, and no rule names it. */
function judgeAddress(domains: CompiledDomains, address: IpAddress, port: number, own: ReadonlySet<string> | undefined): Exclude<HostVerdict, { verdict: 'ask' }> | undefined {
  const range: ClassifiedAddress = classifyAddress(address, own)
  const loopback = range.class === 'loopback'
  const denied = findNetwork(domains.deny, address, port, 0) ?? (loopback ? findName(domains.deny, LOCALHOST, port) : undefined)
  if (denied !== undefined) return { verdict: 'deny', because: 'denied', rule: denied }
  const allowed = findNetwork(domains.allow, address, port, range.prefix) ?? (loopback ? findName(domains.allow, LOCALHOST, port) : undefined)
  if (allowed !== undefined) return { verdict: 'allow', rule: allowed }
  return range.class === 'public' ? undefined : { verdict: 'deny', because: 'local-address', class: range.class }
}

function withMode(domains: CompiledDomains, request: HostRequest, rule: string | undefined): HostVerdict {
  const permitted = permittedByMode(domains, request)
  if (rule !== undefined) return permitted ? { verdict: 'allow', rule } : { verdict: 'deny', because: 'method' }
  return domains.asks && permitted ? { verdict: 'ask' } : { verdict: 'deny', because: 'no-rule' }
}

function permittedByMode({ limited }: CompiledDomains, { protocol, upgrade, method = '' }: HostRequest): boolean {
  return !limited || (protocol === 'http' && upgrade !== true && LIMITED_METHODS.has(method))
}

function findName(set: PatternSet, name: string, port: number): string | undefined {
  const exact = ruleFor(set.exact.get(name), port)
  if (exact !== undefined || set.below.size === 0) return exact
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    const found = ruleFor(set.below.get(name.slice(dot + 1)), port)
    if (found !== undefined) return found
  }
  return undefined
}

/** The narrowest rule for `address`, of those with at least `leastPrefix` bits. */
function findNetwork(set: PatternSet, address: IpAddress, port: number, leastPrefix: number): string | undefined {
  let node: BitNode | undefined = set.networks[address.family]
  let found: string | undefined
  const bits = address.bytes.length * 8
  for (let depth = 0; node !== undefined; depth++) {
    if (depth >= leastPrefix) found = ruleFor(node.rules, port) ?? found
    node = depth === bits ? undefined : bitAt(address.bytes, depth) === 1 ? node.one : node.zero
  }
  return found
}

function ruleFor(rules: PortRules | undefined, port: number): string | undefined {
  if (rules === undefined) return undefined
  return rules.every ?? rules.single.get(port) ?? rules.ranges.find(({ from, to }) => from <= port && port <= to)?.text
}

const bitAt = (bytes: readonly number[], index: number): number => (bytes[index >> 3] ?? 0) >> (7 - (index & 7)) & 1
const noRules = (): PortRules => ({ every: undefined, single: new Map(), ranges: [] })

function compileSet(texts: readonly string[], list: 'allow' | 'deny', field: string): PatternSet {
  const set = { exact: new Map<string, PortRules>(), below: new Map<string, PortRules>(), networks: { 4: {} as BitNode, 6: {} as BitNode }, any: noRules() }
  const at = (map: Map<string, PortRules>, name: string): PortRules => {
    const found = map.get(name) ?? noRules()
    map.set(name, found)
    return found
  }
  const places = (pattern: DomainPattern): PortRules[] => {
    switch (pattern.kind) {
      case 'exact':      return [at(set.exact, pattern.name)]
      case 'subdomains': return [at(set.below, pattern.name)]
      case 'both':       return [at(set.exact, pattern.name), at(set.below, pattern.name)]
      case 'network':    return [nodeOf(set.networks[pattern.network.family], pattern.network.bytes, pattern.prefix)]
      case 'any':        return [set.any]
      default:           return pattern satisfies never
    }
  }
  texts.forEach((text, index) => {
    const pattern = parseDomainPattern(text, list, `${field}[${index}]`)
    for (const rules of places(pattern)) addRule(rules, pattern)
  })
  return set
}

function addRule(rules: PortRules, { ports, text }: DomainPattern): void {
  if (ports === undefined) rules.every ??= text
  else if (ports.from !== ports.to) rules.ranges.push({ ...ports, text })
  else if (!rules.single.has(ports.from)) rules.single.set(ports.from, text)
}

function nodeOf(root: BitNode, bytes: readonly number[], prefix: number): PortRules {
  let node = root
  for (let depth = 0; depth < prefix; depth++) {
    const side = bitAt(bytes, depth) === 1 ? 'one' : 'zero'
    node[side] ??= {}
    node = node[side]
  }
  node.rules ??= noRules()
  return node.rules
}
