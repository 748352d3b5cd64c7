// One access, as the kernel presents it to the sandbox: what filters are asked about.
import { SandboxError } from '../../../errors.js'
import { toBytes } from './regex.js'

export type VnodeType = 'REGULAR-FILE' | 'DIRECTORY' | 'SYMLINK' | 'SOCKET' | 'FIFO' | 'BLOCK-DEVICE' | 'CHARACTER-DEVICE' | 'TTY'

export type Target = 'self' | 'pgrp' | 'others' | 'children' | 'same-sandbox' | 'initproc'

export interface Endpoint {
  readonly protocol: 'tcp' | 'udp'
  /** An address in its shortest form: `127.0.0.1`, `::1`, `::ffff:127.0.0.1`; `0.0.0.0` and `::` for any. */
  readonly host: string
  readonly port: number
}

/** What is absent has no such property, so no filter on it matches. */
export interface Request {
  readonly operation: string
  /** Absolute, without symlinks, as the kernel spells it. Of a file, a program, or a unix socket (bind, connect). */
  readonly path?: string
  /** Default REGULAR-FILE where there is a path. */
  readonly vnodeType?: VnodeType
  /** Permission bits. Default 0o644 where there is a path. */
  readonly fileMode?: number
  readonly xattr?: string
  /** Of an IP socket. On `network-outbound`, absent means not bound: the any-address. */
  readonly local?: Endpoint
  readonly remote?: Endpoint
  readonly controlName?: string
  /** AF_UNIX 1, AF_INET 2, AF_INET6 30, AF_SYSTEM 32 */
  readonly socketDomain?: number
  /** SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_RAW 3 */
  readonly socketType?: number
  readonly socketProtocol?: number
  readonly globalName?: string
  readonly localName?: string
  readonly xpcServiceName?: string
  /** All that is true of the process that is signalled or looked at. */
  readonly targets?: readonly Target[]
  readonly signalNumber?: number
  readonly sysctlName?: string
  readonly ipcName?: string
  readonly semaphoreOwners?: readonly string[]
  readonly iokitClass?: string
  readonly iokitProperty?: string
  readonly iokitConnection?: string
  readonly preferenceDomain?: string
  readonly appleEventDestination?: string
  readonly notificationName?: string
  readonly rightName?: string
  readonly infoType?: string
  readonly kextBundleId?: string
  readonly nvramVariable?: string
  readonly extensionClass?: string
  readonly filesystemName?: string
  readonly macPolicyName?: string
  /** By name (`SYS_fork`, `DKIOCEJECT`) or number, in the form that the profile uses. */
  readonly command?: string | number
  readonly deviceMajor?: number
  readonly deviceMinor?: number
  readonly processPath?: string
  readonly signingIdentifier?: string
  readonly uid?: number
  /** Of the process: sandbox extensions that it holds, by class; entitlements; what the system is. Default: none. */
  readonly extensions?: readonly string[]
  readonly entitlements?: readonly string[]
  readonly systemAttributes?: readonly string[]
  readonly processAttributes?: readonly string[]
}

/** A request with its defaults, whose texts become bytes once. */
export interface PreparedRequest extends Request {
  bytes(text: string): Uint8Array
}

/** @throws SandboxError `path_not_absolute`, `path_invalid` (NUL), `field` = `request.path` */
export function prepareRequest(request: Request): PreparedRequest {
  const { path, local, remote, operation } = request
  if (path !== undefined && !path.startsWith('/')) throw new SandboxError('path_not_absolute', { field: 'request.path', value: path })
  if (path?.includes('\0')) throw new SandboxError('path_invalid', { field: 'request.path', value: path })
  const known = new Map<string, Uint8Array>()
  const unbound = remote !== undefined && local === undefined && operation === 'network-outbound'
    ? { local: { protocol: remote.protocol, host: remote.host.includes(':') ? '::' : '0.0.0.0', port: 0 } } : {}
  return {
    ...(path === undefined ? {} : { vnodeType: 'REGULAR-FILE', fileMode: 0o644 }), ...unbound, ...request,
    bytes(text) {
      const bytes = known.get(text) ?? toBytes(text)
      known.set(text, bytes)
      return bytes
    },
  }
}
