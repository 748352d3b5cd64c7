// Whom a request is for: its target, and the Host header that must agree with it.
import { parseHost } from '../policy/host-name.js'
import { HttpSyntaxError, type RequestHead } from './http-syntax.js'

export interface Target {
  /** As it was sent. */
  readonly host: string
  readonly port: number
  /** Host and port as they were sent: what the server is told in Host. */
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
  return { ...parseAuthority(authority, HTTP_PORT), authority, path: rest === '' ? method === 'OPTIONS' ? '*' : '/' : rest }
}

/** `host:port` of CONNECT. @throws HttpSyntaxError */
export function parseConnectTarget({ target }: RequestHead): Target {
  return { ...parseAuthority(target, undefined), authority: target, path: '' }
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
  return named.port === target.port && parseHost(named.host).text === parseHost(target.host).text
}

function parseAuthority(text: string, defaultPort: number | undefined): { host: string; port: number } {
  if (text.includes('@')) throw new HttpSyntaxError(400, 'a user name before the host is not taken')
  const found = /^(\[[^\]]*\]|[^:[\]]*)(?::([0-9]{1,5}))?$/.exec(text)
  const port = found?.[2] === undefined ? defaultPort : Number(found[2])
  if (found === null || found[1] === '' || port === undefined || port < 1 || port > 65_535) throw new HttpSyntaxError(400, 'it names no host and port')
  return { host: found[1] ?? '', port }
}
