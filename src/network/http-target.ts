// Whom a request is for: its target, and the Host header that must agree with it.
import { formatHostPort, parseHost } from '../policy/host-name.js'
import { HttpSyntaxError, type RequestHead } from './http-syntax.js'

export interface Target {
  /** In its normal form; as it was sent where it is no host. */
  readonly host: string
  readonly port: number
  /** Host and port as the server, or a proxy on the way, is told: what was judged, not how it was spelled. */
  readonly authority: string
  /** From the path on; `*` for OPTIONS of the whole server. */
  readonly path: string
}

const HTTP_PORT = 80

/** Absolute form: `http://host[:port]/path`. @throws HttpSyntaxError */
export function parseAbsoluteTarget({ method, target }: RequestHead): Target {
  const found = /^http:\/\/([^/?#]*)([/?][^#]*)?$/i.exec(target)
  if (found === null) {
    throw new HttpSyntaxError(400, /^https:/i.test(target) ? 'this proxy opens https only through CONNECT' : 'this is a proxy: the target must be http://host/path, or CONNECT host:port')
  }
  const [, authority = '', path = ''] = found
  const rest = path.startsWith('?') ? `/${path}` : path
  const { host, port } = parseAuthority(authority, HTTP_PORT)
  return { host, port, authority: port === HTTP_PORT ? formatHostPort(host, port).replace(/:80$/, '') : formatHostPort(host, port), path: rest === '' ? method === 'OPTIONS' ? '*' : '/' : rest }
}

/** `host:port` of CONNECT. @throws HttpSyntaxError */
export function parseConnectTarget({ target }: RequestHead): Target {
  const { host, port } = parseAuthority(target, undefined)
  return { host, port, authority: formatHostPort(host, port), path: '' }
}

/**
 * Whether Host names the host and port of the target. HTTP/1.0 may leave it out.
 * @param port  what a Host header without a port means; of CONNECT, whose clients often leave it out, the target's own
 * @throws      HttpSyntaxError where there is none or more than one, or it is no host
 */
export function hostAgrees({ headers, version }: RequestHead, target: Target, port: number = HTTP_PORT): boolean {
  const hosts = headers.filter(({ key }) => key === 'host')
  const [first] = hosts
  if (hosts.length > 1 || (first === undefined && version === '1.1')) throw new HttpSyntaxError(400, 'there must be one Host header')
  if (first === undefined) return true
  const named = parseAuthority(first.value, port)
  return named.port === target.port && named.host === target.host
}

function parseAuthority(text: string, defaultPort: number | undefined): { host: string; port: number } {
  if (text.includes('@')) throw new HttpSyntaxError(400, 'a user name before the host is not taken')
  const found = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]{1,5}))?$/.exec(text)
  const port = found?.[2] === undefined ? defaultPort : Number(found[2])
  if (found === null || found[1] === '' || port === undefined || port < 1 || port > 65_535) throw new HttpSyntaxError(400, 'it names no host and port')
  return { host: parseHost(found[1] ?? '').text, port }
}
