// The filters of sandbox profiles: which there are, what they take and what they match.
import type { Category } from './filter-categories.js'
import { compileRegex } from './regex.js'
import type { Endpoint, PreparedRequest, Request } from './request.js'
import { describe, isKind, isList, Problem, type Value } from './values.js'

/** `size` is what it costs to ask, in units of one comparison. */
export type Filter = { readonly kind: 'filter'; readonly size: number } & (
  | { readonly type: 'all' | 'any'; readonly filters: readonly Filter[] }
  | { readonly type: 'not'; readonly filter: Filter }
  | { readonly type: 'test'; readonly name: string; readonly category: Category; readonly matches: (request: PreparedRequest) => boolean })

/** Of one filter. Filters are values, so a few names can stand for one of any size. */
const MAX_SIZE = 100_000

type FactOf<Type> = { [Key in keyof Request]-?: NonNullable<Request[Key]> extends Type ? Key : never }[keyof Request]

/**
 * `text`: also as NAME-prefix and NAME-regex. `set`: the request has several. All take several arguments, of which one must match.
 * Source: `filter_info` of libsandbox of macOS 10.15 and the names of 14.4 (0xbf00/simbple, Protonk/sandbox-boostrap).
 */
const FILTERS = [
  { filter: 'xattr',                       category: 'xattr',             takes: 'text',     fact: 'xattr' },
  { filter: 'ipc-posix-name',              category: 'posix-ipc',         takes: 'text',     fact: 'ipcName' },
  { filter: 'global-name',                 category: 'mach',              takes: 'text',     fact: 'globalName' },
  { filter: 'local-name',                  category: 'mach',              takes: 'text',     fact: 'localName' },
  { filter: 'xpc-service-name',            category: 'mach',              takes: 'text',     fact: 'xpcServiceName' },
  { filter: 'control-name',                category: 'network',           takes: 'text',     fact: 'controlName' },
  { filter: 'sysctl-name',                 category: 'sysctl',            takes: 'text',     fact: 'sysctlName' },
  { filter: 'iokit-registry-entry-class',  category: 'iokit-user-client', takes: 'text',     fact: 'iokitClass' },
  { filter: 'iokit-user-client-class',     category: 'iokit-user-client', takes: 'text',     fact: 'iokitClass' },
  { filter: 'iokit-property',              category: 'iokit-property',    takes: 'text',     fact: 'iokitProperty' },
  { filter: 'iokit-connection',            category: 'iokit-connection',  takes: 'text',     fact: 'iokitConnection' },
  { filter: 'preference-domain',           category: 'preference-domain', takes: 'text',     fact: 'preferenceDomain' },
  { filter: 'appleevent-destination',      category: 'ae-destination',    takes: 'text',     fact: 'appleEventDestination' },
  { filter: 'right-name',                  category: 'auth-right-name',   takes: 'text',     fact: 'rightName' },
  { filter: 'notification-name',           category: 'notification',      takes: 'text',     fact: 'notificationName' },
  { filter: 'info-type',                   category: 'info',              takes: 'text',     fact: 'infoType' },
  { filter: 'kext-bundle-id',              category: 'kext-bundle-id',    takes: 'text',     fact: 'kextBundleId' },
  { filter: 'nvram-variable',              category: 'nvram',             takes: 'text',     fact: 'nvramVariable' },
  { filter: 'extension-class',             category: 'extension-class',   takes: 'text',     fact: 'extensionClass' },
  { filter: 'filesystem-name',             category: 'fs',                takes: 'text',     fact: 'filesystemName' },
  { filter: 'signing-identifier',          category: 'process',           takes: 'text',     fact: 'signingIdentifier' },
  { filter: 'mac-policy-name',             category: 'mac-policy',        takes: 'text',     fact: 'macPolicyName' },
  { filter: 'vnode-type',                  category: 'vnode-type',        takes: 'constant', fact: 'vnodeType', constants: ['REGULAR-FILE', 'DIRECTORY', 'SYMLINK', 'SOCKET', 'FIFO', 'BLOCK-DEVICE', 'CHARACTER-DEVICE', 'TTY'] },
  { filter: 'target',                      category: 'target',            takes: 'set',      fact: 'targets', constants: ['self', 'pgrp', 'others', 'children', 'same-sandbox', 'initproc'] },
  { filter: 'semaphore-owner',             category: 'semaphore',         takes: 'set',      fact: 'semaphoreOwners', constants: ['self', 'pgrp', 'others', 'children', 'same-sandbox', 'initproc'] },
  { filter: 'extension',                   category: 'extension',         takes: 'set',      fact: 'extensions' },
  { filter: 'system-attribute',            category: 'system',            takes: 'set',      fact: 'systemAttributes', constants: ['apple-internal', 'developer-mode', 'internal-build', 'sandbox-debug-mode'] },
  { filter: 'process-attribute',           category: 'process',           takes: 'set',      fact: 'processAttributes', constants: ['is-plugin', 'is-installer', 'is-restricted', 'is-initproc', 'is-platform-binary', 'is-sandboxed', 'is-apple-signed-executable', 'is-datavault-controller'] },
  { filter: 'socket-domain',               category: 'socket',            takes: 'number',   fact: 'socketDomain' },
  { filter: 'socket-type',                 category: 'socket',            takes: 'number',   fact: 'socketType' },
  { filter: 'socket-protocol',             category: 'socket',            takes: 'number',   fact: 'socketProtocol' },
  { filter: 'signal-number',               category: 'signal',            takes: 'number',   fact: 'signalNumber' },
  { filter: 'uid',                         category: 'process',           takes: 'number',   fact: 'uid' },
  { filter: 'device-major',                category: 'device',            takes: 'number',   fact: 'deviceMajor' },
  { filter: 'device-minor',                category: 'device',            takes: 'number',   fact: 'deviceMinor' },
  { filter: 'ioctl-command',               category: 'ioctl',             takes: 'command',  fact: 'command' },
  { filter: 'fsctl-command',               category: 'fsctl',             takes: 'command',  fact: 'command' },
  { filter: 'syscall-number',              category: 'syscall',           takes: 'command',  fact: 'command' },
  { filter: 'mac-syscall-number',          category: 'mac-policy',        takes: 'command',  fact: 'command' },
] as const satisfies readonly FilterRow[]

type FilterRow = { readonly filter: string; readonly category: Category } & (
  | { readonly takes: 'text'; readonly fact: FactOf<string> }
  | { readonly takes: 'number'; readonly fact: FactOf<number> }
  | { readonly takes: 'command'; readonly fact: FactOf<string | number> }
  | { readonly takes: 'constant'; readonly fact: FactOf<string>; readonly constants: readonly string[] }
  | { readonly takes: 'set'; readonly fact: FactOf<readonly string[]>; readonly constants?: readonly string[] })

/** Names with numbers of the system, from its headers (sys/socket.h, sys/signal.h). */
export const SYSTEM_NUMBERS: Readonly<Record<string, number>> = {
  AF_UNSPEC: 0, AF_UNIX: 1, AF_LOCAL: 1, AF_INET: 2, AF_APPLETALK: 16, AF_ROUTE: 17, AF_LINK: 18, AF_NDRV: 27, AF_INET6: 30, AF_SYSTEM: 32, AF_PPP: 34, AF_UTUN: 38,
  SOCK_STREAM: 1, SOCK_DGRAM: 2, SOCK_RAW: 3, SOCK_RDM: 4, SOCK_SEQPACKET: 5,
  SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGILL: 4, SIGTRAP: 5, SIGABRT: 6, SIGFPE: 8, SIGKILL: 9, SIGBUS: 10, SIGSEGV: 11, SIGSYS: 12, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15,
  SIGURG: 16, SIGSTOP: 17, SIGTSTP: 18, SIGCONT: 19, SIGCHLD: 20, SIGTTIN: 21, SIGTTOU: 22, SIGIO: 23, SIGXCPU: 24, SIGXFSZ: 25, SIGVTALRM: 26, SIGPROF: 27, SIGWINCH: 28,
  SIGINFO: 29, SIGUSR1: 30, SIGUSR2: 31,
}

const PROTOCOLS: Readonly<Record<string, { readonly protocol?: Endpoint['protocol']; readonly version?: 4 | 6 }>> = {
  ip: {}, ip4: { version: 4 }, ip6: { version: 6 }, tcp: { protocol: 'tcp' }, tcp4: { protocol: 'tcp', version: 4 }, tcp6: { protocol: 'tcp', version: 6 },
  udp: { protocol: 'udp' }, udp4: { protocol: 'udp', version: 4 }, udp6: { protocol: 'udp', version: 6 },
}
const UNIX = ['unix', 'unix-socket']

const CONSTANTS: ReadonlySet<string> = new Set([...Object.keys(PROTOCOLS), ...UNIX, ...FILTERS.flatMap(row => 'constants' in row ? row.constants : [])])
/** System calls and control commands, by name: more than a table here should hold. */
const COMMAND_NAMES = /^(SYS|FSIOC|APFSIOC|APFS_FSCTL|HFSIOC|DKIOC|FIO|SIOC|TIOC|CTLIOC|NFS_IOC|FSEVENTS|afpfs|smbfs)_?[A-Za-z0-9_]+$/

/** Whether a name that the profile does not define stands for itself, as an argument of filters. */
export const isConstant = (name: string): boolean => CONSTANTS.has(name) || COMMAND_NAMES.test(name)

/**
 * What `literal` matches: the path itself. `subpath`: that and what is below. Apple's `path` is `literal`.
 * Bytes are compared: another letter case or Unicode form is another path.
 */
const PATH_TESTS: Readonly<Record<string, (pattern: string) => (path: string) => boolean>> = {
  path: pattern => path => path === pattern,
  subpath: pattern => path => pattern === '/' || path === pattern || path.startsWith(`${pattern}/`),
  'path-prefix': pattern => path => path.startsWith(pattern),
}
const PATH_ALIASES: Readonly<Record<string, string>> = { literal: 'path', 'path-literal': 'path', record: 'path', prefix: 'path-prefix', regex: 'path-regex' }
const PATH_FILTERS = [
  { before: '',         fact: 'path',        category: 'path' },
  { before: 'process-', fact: 'processPath', category: 'process' },
] as const

type Build = (values: readonly Value[]) => Filter

/** How letters in regular expressions match. Exactly, as far as is documented; one project saw macOS 27.0 ignore their case. */
export type RegexCase = 'exact' | 'ignored'

/** All filters by name. A builder throws `Problem` for arguments that its filter does not take. */
export const filterBuilders = (regexCase: RegexCase): ReadonlyMap<string, Build> => new Map<string, Build>([
  ...FILTERS.flatMap(row => buildersOf(row, regexCase)), ...PATH_FILTERS.flatMap(row => pathBuilders(row, regexCase)),
  ...['local', 'remote', 'from', 'to'].map((name): [string, Build] => [name, values => networkFilter(name === 'local' || name === 'from' ? 'local' : 'remote', values)]),
  ['file-mode', values => someOf('file-mode', 'file-mode', values, value => {
    if (typeof value !== 'number' || value <= 0 || (value & (value - 1)) !== 0) throw new Problem(`file-mode takes one permission bit, not ${describe(value)}`)
    return request => request.fileMode !== undefined && (request.fileMode & value) === value
  })],
  ['path-ancestors', values => someOf('path-ancestors', 'path', values, value => {
    const ancestors = ancestorsOf(checkPath('path-ancestors', value))
    return request => request.path !== undefined && ancestors.includes(request.path)
  })],
  ['tty', values => {
    if (values.length > 0) throw new Problem('tty takes no argument')
    return test('tty', 'vnode-type', request => request.vnodeType === 'TTY')
  }],
  ['debug-mode', values => {
    if (values.length > 0) throw new Problem('debug-mode takes no argument')
    return test('debug-mode', 'system', request => request.systemAttributes?.includes('sandbox-debug-mode') ?? false)
  }],
  ['require-entitlement', ([name, ...values]) => {
    if (typeof name !== 'string' || values.length > 0) throw new Problem('require-entitlement takes one name; what it may be worth is not known')
    return test('require-entitlement', 'process', request => request.entitlements?.includes(name) ?? false)
  }],
  ['require-all', values => combineFilters('all', filtersOf('require-all', values))],
  ['require-any', values => combineFilters('any', filtersOf('require-any', values))],
  ['require-not', values => {
    const [filter, ...others] = filtersOf('require-not', values)
    if (filter === undefined || others.length > 0) throw new Problem('require-not takes one filter')
    return { kind: 'filter', type: 'not', filter, size: filter.size }
  }],
])

/** Whether `filter` matches. Its time grows with the filter and the request, never more than with their product. */
export function filterMatches(filter: Filter, request: PreparedRequest): boolean {
  switch (filter.type) {
    case 'all': return filter.filters.every(each => filterMatches(each, request))
    case 'any': return filter.filters.some(each => filterMatches(each, request))
    case 'not': return !filterMatches(filter.filter, request)
    case 'test': return filter.matches(request)
    default: return filter satisfies never
  }
}

/** One filter of several. */
export function combineFilters(type: 'all' | 'any', filters: readonly Filter[]): Filter {
  const [first, ...others] = filters
  if (first !== undefined && others.length === 0) return first
  const size = filters.reduce((sum, filter) => sum + filter.size, 0)
  if (size > MAX_SIZE) throw new Problem(`a filter of more than ${MAX_SIZE} comparisons`)
  return { kind: 'filter', type, filters, size }
}

/** The tests that a filter consists of, one of each name. A part that stands in several places is looked at once. */
export function testsOf(filter: Filter): Extract<Filter, { type: 'test' }>[] {
  const seen = new Set<Filter>()
  const tests = new Map<string, Extract<Filter, { type: 'test' }>>()
  const waiting = [filter]
  for (let each = waiting.pop(); each !== undefined; each = waiting.pop()) {
    if (seen.has(each)) continue
    seen.add(each)
    if (each.type === 'test') tests.set(each.name, each)
    else waiting.push(...(each.type === 'not' ? [each.filter] : each.filters.toReversed()))
  }
  return [...tests.values()]
}

/** The proper ancestors of an absolute path, `/` first. */
const ancestorsOf = (path: string): string[] => path === '/' ? [] : ['/', ...path.split('/').slice(1, -1).map((_, index, names) => `/${names.slice(0, index + 1).join('/')}`)]

const test = (name: string, category: Category, matches: (request: PreparedRequest) => boolean, size = 1): Filter => ({ kind: 'filter', type: 'test', name, category, matches, size })

/** One of several arguments must match; none at all is no filter. */
function someOf(name: string, category: Category, values: readonly Value[], compile: (value: Value) => (request: PreparedRequest) => boolean): Filter {
  if (values.length === 0) throw new Problem(`${name} without an argument`)
  const tests = values.map(compile)
  // A regular expression is asked once for each of its characters.
  const size = name.includes('regex') ? values.reduce((sum: number, value) => sum + (typeof value === 'string' ? value.length : 1), 0) : tests.length
  return test(name, category, request => tests.some(each => each(request)), size)
}

function filtersOf(name: string, values: readonly Value[]): Filter[] {
  if (values.length === 0) throw new Problem(`${name} without a filter`)
  return values.map(value => {
    if (!isKind(value, 'filter')) throw new Problem(`${name} takes filters, not ${describe(value)}`)
    return value
  })
}

function buildersOf(row: (typeof FILTERS)[number], regexCase: RegexCase): [string, Build][] {
  const { filter: name, category } = row
  switch (row.takes) {
    case 'text': {
      const { fact } = row
      const variant = (suffix: string, compile: (pattern: string) => (text: string, request: PreparedRequest) => boolean): [string, Build] =>
        [name + suffix, values => someOf(name + suffix, category, values, value => {
          const matches = compile(checkText(name + suffix, value))
          return request => {
            const text = request[fact]
            return text !== undefined && matches(text, request)
          }
        })]
      return [
        variant('', pattern => text => text === pattern),
        variant('-prefix', pattern => text => text.startsWith(pattern)),
        variant('-regex', pattern => {
          const regex = checkRegex(`${name}-regex`, pattern, regexCase)
          return (text, request) => regex.matches(request.bytes(text))
        }),
      ]
    }
    case 'number': return [[name, values => someOf(name, category, values, value => {
      if (typeof value !== 'number') throw new Problem(`${name} takes a number, not ${describe(value)}`)
      return request => request[row.fact] === value
    })]]
    case 'command': return [[name, values => someOf(name, category, values, value => {
      if (typeof value !== 'number' && !isKind(value, 'constant')) throw new Problem(`${name} takes a number or the name of a command, not ${describe(value)}`)
      const wanted = typeof value === 'number' ? value : value.name
      return request => request[row.fact] === wanted
    })]]
    case 'constant': return [[name, values => someOf(name, category, values, value => {
      const wanted = checkConstant(name, row.constants, value)
      return request => request[row.fact] === wanted
    })]]
    case 'set': return [[name, values => someOf(name, category, values, value => {
      const wanted = 'constants' in row ? checkConstant(name, row.constants, value) : checkText(name, value)
      return request => (request[row.fact] as readonly string[] | undefined)?.includes(wanted) ?? false
    })]]
    default: return row satisfies never
  }
}

function pathBuilders({ before, fact, category }: (typeof PATH_FILTERS)[number], regexCase: RegexCase): [string, Build][] {
  const names = [...Object.keys(PATH_TESTS), 'path-regex'].map(base => [before + base, base] as const)
  const aliases = before === '' ? Object.entries(PATH_ALIASES) : []
  return [...names, ...aliases].map(([name, base]): [string, Build] => {
    const compile = PATH_TESTS[base]
    return [name, values => someOf(name, category, values, value => {
      if (compile === undefined) {
        const regex = checkRegex(name, checkText(name, value), regexCase)
        return request => request[fact] !== undefined && regex.matches(request.bytes(request[fact]))
      }
      const matches = compile(checkPath(name, value))
      return request => request[fact] !== undefined && matches(request[fact])
    })]
  })
}

/**
 * `(remote tcp "localhost:80")`, `(local ip)`, `(remote unix-socket (subpath "/s"))`. `localhost` is 127.0.0.1, ::1 and the
 * any-address, not ::ffff:127.0.0.1: so `(local ip "localhost:*")` matches every socket that is not bound.
 */
function networkFilter(side: 'local' | 'remote', [kind, address, ...more]: readonly Value[]): Filter {
  if (kind === undefined || !isKind(kind, 'constant') || more.length > 0) throw new Problem(`${side} takes a protocol and at most one address`)
  if (UNIX.includes(kind.name)) {
    if (address === undefined) return test(side, 'network', request => request.path !== undefined)
    if (!isKind(address, 'filter')) throw new Problem(`${side} ${kind.name} takes a filter on the path, not ${describe(address)}`)
    return combineFilters('all', [test(side, 'network', request => request.path !== undefined), address])
  }
  const protocol = Object.hasOwn(PROTOCOLS, kind.name) ? PROTOCOLS[kind.name] : undefined
  if (protocol === undefined) throw new Problem(`${side} does not take ${kind.name}`)
  const [, host, port] = address === undefined ? ['', '*', '*'] : /^(\*|localhost):(\*|\d{1,5})$/.exec(typeof address === 'string' ? address : '') ?? []
  if (host === undefined || Number(port) > 65_535) throw new Problem(`${side} takes "HOST:PORT" with * or localhost as host, not ${describe(address as Value)}`)
  return test(side, 'network', request => {
    const endpoint = request[side]
    return endpoint !== undefined && (protocol.protocol === undefined || protocol.protocol === endpoint.protocol)
      && (protocol.version === undefined || (protocol.version === 6) === endpoint.host.includes(':'))
      && (host === '*' || ['127.0.0.1', '::1', '0.0.0.0', '::'].includes(endpoint.host)) && (port === '*' || Number(port) === endpoint.port)
  })
}

function checkText(name: string, value: Value): string {
  if (typeof value !== 'string') throw new Problem(`${name} takes a string, not ${isList(value) ? 'a list' : describe(value)}`)
  return value
}

/** Paths that no file ever has are mistakes: a rule on them would silently match nothing. */
function checkPath(name: string, value: Value): string {
  const path = checkText(name, value)
  if (!path.startsWith('/')) throw new Problem(`${name} takes an absolute path, not ${describe(path)}`)
  if (/\/\/|\/\.{1,2}(\/|$)/.test(path)) throw new Problem(`${name} takes a path without //, . and .., not ${describe(path)}`)
  if (path !== '/' && path.endsWith('/') && !name.endsWith('prefix')) throw new Problem(`${name} takes a path without / at its end, not ${describe(path)}`)
  return path
}

function checkRegex(name: string, pattern: string, regexCase: RegexCase) {
  const regex = compileRegex(pattern, regexCase === 'ignored')
  if ('problem' in regex) throw new Problem(`${name}, at character ${regex.offset + 1} of ${JSON.stringify(pattern.slice(0, 80))}: ${regex.problem}`)
  return regex
}

function checkConstant(name: string, constants: readonly string[], value: Value): string {
  if (!isKind(value, 'constant') || !constants.includes(value.name)) throw new Problem(`${name} takes ${constants.join(', ')}, not ${describe(value)}`)
  return value.name
}
