// Values of options: times, sizes, counts, variables. Pure.
import { SandboxError } from '../errors.js'

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const
const UNIT_BYTES = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 } as const

/** setTimeout takes no more: 24.8 days. */
const LONGEST_MS = 2 ** 31 - 1

/** `30s`, `1.5m`, `250ms`, `1h`. A unit is required, since a bare number would be seconds to one reader and milliseconds to the next. */
export function parseDurationMs(field: string, text: string, { zero = false } = {}): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text)
  const ms = match === null ? Number.NaN : Math.round(Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS])
  if (!(ms <= LONGEST_MS)) throw invalid(field, text, 'a time is a number and one of ms, s, m, h, and at most 596h', 'Write it like 30s.')
  if (ms === 0 && !zero) throw invalid(field, text, 'no command can end in no time', 'Write it like 30s, or leave it out for no limit.')
  return ms
}

/** `512M`, `2G`, `1048576`. Units are powers of 1024; `MiB` and `m` are understood too. */
export function parseSizeBytes(field: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text)
  const bytes = match === null ? Number.NaN : Math.round(Number(match[1]) * UNIT_BYTES[(match[2] as string).toUpperCase() as keyof typeof UNIT_BYTES])
  if (!Number.isSafeInteger(bytes) || bytes === 0) throw invalid(field, text, 'a size is a number above 0 of bytes, or with K, M or G', 'Write it like 512M.')
  return bytes
}

export function parseCount(field: string, text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(count) || count === 0) throw invalid(field, text, 'it is a whole number above 0', 'Write it like 100.')
  return count
}

export function parsePort(field: string, text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw invalid(field, text, 'it is a port from 1 to 65535', 'Write it like 5432.')
  return port
}

/** `3000`, or `3000:8080`: a port inside, and the one of the host that leads to it (0: any). */
export function parsePorts(field: string, text: string): { readonly port: number; readonly hostPort: number } {
  const match = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text)
  const port = Number(match?.[1] ?? Number.NaN)
  const hostPort = Number(match?.[2] ?? port)
  if (!(port >= 1 && port <= 65_535 && hostPort <= 65_535)) throw invalid(field, text, 'it is a port inside, and after a colon one of the host, each up to 65535', 'Write it like 3000 or 3000:8080.')
  return { port, hostPort }
}

/** `NAME=VALUE` sets, `NAME` keeps a variable of ours that would be dropped. */
export type Assignment = { readonly name: string; readonly value: string | undefined }

export function parseAssignment(field: string, text: string): Assignment {
  const equals = text.indexOf('=')
  const name = equals === -1 ? text : text.slice(0, equals)
  if (name === '' || text.includes('\0')) throw invalid(field, text, 'a variable needs a name', 'Write it like NAME=VALUE.')
  return { name, value: equals === -1 ? undefined : text.slice(equals + 1) }
}

export function oneOf<T extends string>(field: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find(candidate => candidate === text)
  if (found === undefined) throw invalid(field, text, `it is one of ${allowed.join(', ')}`, `Write ${field} ${allowed[0]}, for example.`)
  return found
}

const invalid = (field: string, value: string, detail: string, remedy: string): SandboxError =>
  new SandboxError('option_invalid', { field, value }, { detail, remedy })
