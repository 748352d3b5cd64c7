// The network of a policy as rules of a profile. Pure.
import type { ResolvedPolicy } from '../../policy/resolved-policy.js'
import type { NetworkEndpoints } from '../backend.js'
import type { Parameters } from './parameters.js'
import { type Form, form, list, string, subpath } from './sbpl/syntax.js'
import type { TemplateName } from './templates.js'

export interface NetworkRules {
  /** What stands before the template, which closes part of what these open. */
  readonly rules: readonly Form[]
  readonly template: TemplateName | undefined
}

/**
 * - Through a proxy (endpoints with ports, whatever the policy's own word): its ports on the loopback and nothing else.
 * - `open`: all addresses, no unix socket.
 * - `off`: nothing. There is no loopback of a sandbox's own here, so that own servers cannot be reached either, unless
 *   `localBinding` opens the host's loopback.
 * - Unix sockets by path in every case: to the kernel a connect to one is `network-outbound`, whatever file rules say.
 */
export function networkRules({ network }: Pick<ResolvedPolicy, 'network'>, endpoints: NetworkEndpoints | undefined, parameters: Parameters): NetworkRules {
  const { proxyPorts = [], localBinding = false, unixSockets = [] } = endpoints ?? {}
  const isOpen = network === 'open' && proxyPorts.length === 0
  return {
    rules: [
      ...(localBinding && !isOpen ? LOCAL_BINDING : []),
      ...(proxyPorts.length === 0 ? [] : [proxyForm(proxyPorts)]),
      ...(unixSockets.length === 0 ? [] : socketForms(unixSockets, parameters)),
    ],
    template: isOpen ? 'network-open' : proxyPorts.length > 0 || localBinding ? 'network-proxied' : undefined,
  }
}

/** `localhost` is 127.0.0.1 and ::1 to the kernel. A server may bind every address, as most do, and is reached from this machine only. */
const LOCAL_BINDING: readonly Form[] = [
  form(list('allow', 'network-bind', list('local', 'ip', string('*:*'))), 'own servers'),
  form(list('allow', 'network-inbound', list('local', 'ip', string('localhost:*')))),
  form(list('allow', 'network-outbound', list('remote', 'ip', string('localhost:*'))), 'own servers, and every other one on the loopback of this machine'),
]

const proxyForm = (ports: readonly number[]): Form =>
  form(list('allow', 'network-outbound', ...[...new Set(ports)].sort((a, b) => a - b).map(port => list('remote', 'tcp', string(`localhost:${port}`)))), 'the proxy')

function socketForms(paths: readonly string[], parameters: Parameters): Form[] {
  const filters = (end: 'local' | 'remote') => [...new Set(paths)].sort().map(path => list(end, 'unix-socket', subpath(parameters.of(path, 'UNIX_SOCKET'))))
  return [
    form(list('allow', 'system-socket', list('socket-domain', 'AF_UNIX')), 'unix sockets that were allowed by path'),
    form(list('allow', 'network-bind', ...filters('local'))),
    form(list('allow', 'network-outbound', ...filters('remote'))),
  ]
}
