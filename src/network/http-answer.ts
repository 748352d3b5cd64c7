// The proxy's own answers to HTTP clients.
import { STATUS_CODES } from 'node:http'
import { type Refusal, refusalHeader, refusalSentence } from './refusal.js'

export interface Answer {
  readonly status: number
  /** One plain sentence. */
  readonly text: string
  readonly headers?: Readonly<Record<string, string>>
}

export function refusalAnswer(refusal: Refusal, host: string, port: number): Answer {
  return { status: 403, text: refusalSentence(refusal, host, port), headers: { 'x-proxy-error': refusalHeader(refusal) } }
}

export const TOKEN_MISSING: Answer = {
  status: 407,
  text: 'This proxy serves one sandbox and needs its token as the password.',
  headers: { 'Proxy-Authenticate': 'Basic realm="codex-sandbox"' },
}

/** @param method  HEAD gets no body */
export function formatAnswer({ status, text, headers = {} }: Answer, close: boolean, method: string): string {
  const body = `${text}\n`
  const lines = Object.entries({
    ...headers,
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'Connection': close ? 'close' : 'keep-alive',
  })
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${method === 'HEAD' ? '' : body}`
}
