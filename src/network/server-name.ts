// Whether the server that a TLS client names is the one it was let through for.
import type { HostRequest } from '../policy/domains.js'
import { parseHost } from '../policy/host-name.js'
import { type Client, report } from './client.js'
import type { Check, FirstMessage } from './tunnel.js'

/** For a name: that name, or none. For an address, whose rule speaks of no name: any that no rule denies. */
export function serverNameCheck(client: Client, request: HostRequest): Check {
  const asked = parseHost(request.host)
  const permits = (first: FirstMessage): boolean => {
    if (first === 'invalid') {
      report(client, request, { because: 'server-name-mismatch', detail: 'the first message of TLS is not readable' })
      return false
    }
    const { serverName } = first
    if (serverName === undefined) return true
    const named = parseHost(serverName)
    const permitted = asked.kind === 'name' ? named.kind === 'name' && named.text === asked.text : named.kind !== 'invalid' && !client.deniesName(named.text, request.port)
    if (!permitted) report(client, request, { because: 'server-name-mismatch', detail: `TLS names ${JSON.stringify(named.text)}` })
    return permitted
  }
  return { permits, timeoutMs: client.timeouts.headMs }
}
