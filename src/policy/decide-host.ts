// Decides accesses to the network and to unix sockets.
import type { Access, Decision, FileAccess } from './decision.js'
import { normalizePath } from './path-syntax.js'
import type { ResolvedPolicy } from './resolved-policy.js'

const ALLOWED: Decision = { verdict: 'allow', rule: undefined }
const NETWORK_OFF: Decision = {
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
 * With the network off the loopback is the sandbox's own, so that servers and their clients work inside it; on macOS there is
 * none but the host's, which is closed then. A unix socket is taken for one made outside; those made inside are known by
 * inode, which only the launcher sees.
 */
export function decideHost(policy: ResolvedPolicy, access: Exclude<Access, { kind: FileAccess }>): Decision {
  if (policy.base === 'write' && access.kind === 'unix-connect') return ALLOWED
  const ownLoopback = policy.platform !== 'macos'
  switch (access.kind) {
    case 'bind': return policy.network === 'open' || ownLoopback ? ALLOWED : NETWORK_OFF
    case 'connect': return policy.network === 'open' || ownLoopback && isLoopback(access.host) ? ALLOWED : NETWORK_OFF
    case 'unix-connect':
      normalizePath(policy.platform, access.path, { field: 'path', controlCharacters: 'accept' })
      return { verdict: 'deny', because: 'unix-socket', remedy: { text: 'start the server inside the sandbox; a socket made outside is not reachable', flags: [], changes: [] } }
    default: return access satisfies never
  }
}

/** 127.0.0.0/8, ::1, an IPv4 loopback written as IPv6, and `localhost`. A name that only resolves to one is not. */
export function isLoopback(host: string): boolean {
  const text = host.toLowerCase().replace(/^\[(.*)\]$/, '$1')
  const v4 = /^(?:::ffff:)?(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (v4 !== null) return v4[1] === '127' && v4.slice(2).every(part => Number(part) <= 255)
  return text === 'localhost' || text === '::1' || text === '0:0:0:0:0:0:0:1'
}
