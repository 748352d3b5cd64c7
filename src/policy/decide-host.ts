// Decides accesses to the network and to unix sockets.
import type { Access, Decision, FileAccess } from './decision.js'
import { compileDomains, decideName } from './domains.js'
import { parseHost } from './host-name.js'
import { hostRemedy } from './host-remedy.js'
import { isInside, normalizePath } from './path-syntax.js'
import type { ResolvedPolicy } from './resolved-policy.js'
import { ROOT_SOCKETS } from './unix-socket-rules.js'

const ALLOWED: Decision = { verdict: 'allow', rule: undefined }
const NETWORK_OFF: Extract<Decision, { because: 'network-off' | 'unix-socket' }> = {
  verdict: 'deny',
  because: 'network-off',
  remedy: {
    text: 'turn the network on: networkAccess',
    flags: ['--network', 'open'],
    changes: [{ operation: 'set', field: 'networkAccess', value: true }],
    additionalPermissions: { network: { enabled: true } },
  },
}

/**
 * Unless the network is open the loopback is the sandbox's own, so that servers and their clients work inside it; on macOS there is
 * none but the host's, which is closed then. A unix socket is taken for one made outside; those made inside are known by
 * inode, which only the launcher sees. Through the proxy a connection is judged by its name, as one by CONNECT.
 */
export function decideHost(policy: ResolvedPolicy, access: Exclude<Access, { kind: FileAccess }>): Decision {
  if (policy.base === 'write' && access.kind === 'unix-connect') return ALLOWED
  const ownLoopback = policy.platform !== 'macos'
  switch (access.kind) {
    case 'bind': return policy.network === 'open' || ownLoopback || policy.networkRules?.allowLocalBinding === true ? ALLOWED : NETWORK_OFF
    case 'connect':
      if (policy.network === 'open' || ownLoopback && isLoopback(access.host)) return ALLOWED
      return policy.network === 'proxied' ? decideProxied(policy, access) : networkOff(access)
    case 'unix-connect': return decideSocket(policy, access.path)
    default: return access satisfies never
  }
}

/** One name is less than the whole network; an address is what a program connects to that knows of no proxy. */
function networkOff({ host, port }: { readonly host: string; readonly port: number }): Decision {
  return parseHost(host).kind === 'name' ? { ...NETWORK_OFF, remedy: hostRemedy({ host, port }, { verdict: 'ask' }) } : NETWORK_OFF
}

function decideProxied({ networkRules }: ResolvedPolicy, { host, port }: { readonly host: string; readonly port: number }): Decision {
  if (networkRules === undefined) throw new Error('a proxied network has rules')
  // `limited` judges requests, not connections: that of its three methods is asked about.
  const request = networkRules.mode === 'limited' ? { protocol: 'http', method: 'GET' } as const : { protocol: 'https' } as const
  const verdict = decideName(compileDomains(networkRules), { host, port, ...request })
  return verdict.verdict === 'allow' ? ALLOWED : { verdict: 'deny', because: 'host', host: verdict, remedy: hostRemedy({ host, port }, verdict) }
}

function decideSocket(policy: ResolvedPolicy, path: string): Decision {
  const { platform, networkRules, unixSockets = [] } = policy
  const at = normalizePath(platform, path, { field: 'path', controlCharacters: 'accept' })
  const mayBe = networkRules?.dangerouslyAllowDockerSocket === true || !ROOT_SOCKETS.some(name => at.endsWith(`/${name}`))
  if (mayBe && (networkRules?.dangerouslyAllowAllUnixSockets === true || unixSockets.some(rule => isInside(platform, rule.path, at)))) return ALLOWED
  if (!mayBe) return { verdict: 'deny', because: 'unix-socket', remedy: { text: 'nothing: through it a command gets the whole machine', flags: [], changes: [] } }
  const own = 'start the server inside the sandbox, or '
  return {
    verdict: 'deny', because: 'unix-socket',
    remedy: { text: `${own}add ${JSON.stringify(at)} to network.allowUnixSockets`, flags: ['--allow-unix-socket', at], changes: [{ operation: 'add', field: 'network.allowUnixSockets', value: at }] },
  }
}

/** 127.0.0.0/8, ::1, an IPv4 loopback written as IPv6, and `localhost`. A name that only resolves to one is not. */
export function isLoopback(host: string): boolean {
  const text = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  const v4 = /^(?:::ffff:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (v4 !== null) return v4[1] === '127' && v4.slice(2).every(part => Number(part) <= 255)
  return text === 'localhost' || text === '::1' || text === '0:0:0:0:0:0:0:1'
}
