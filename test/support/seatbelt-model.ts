// What a Mac's kernel would make of a compiled profile: calls on a host made by hand, judged by the evaluator. It looks paths up
// as XNU does: links followed, letters from the disk, and of a new name the letters that the caller wrote.
import { evaluate, type Reading } from '../../src/platform/macos/sbpl/evaluate.js'
import type { RegexCase } from '../../src/platform/macos/sbpl/filters.js'
import { parseProfile, type Profile } from '../../src/platform/macos/sbpl/profile.js'
import type { Request, VnodeType } from '../../src/platform/macos/sbpl/request.js'
import type { FileAccess } from '../../src/policy/decision.js'
import { followLinks, followLinksToParent } from '../../src/policy/follow-links.js'
import type { EntryKind, HostSnapshot } from '../../src/policy/host-snapshot.js'

export interface ProfileText {
  readonly profile: readonly string[]
  readonly parameters: Readonly<Record<string, string>>
}

const VNODE_TYPES: Readonly<Record<EntryKind, VnodeType>> = {
  file: 'REGULAR-FILE', directory: 'DIRECTORY', symlink: 'SYMLINK', socket: 'SOCKET', fifo: 'FIFO', device: 'CHARACTER-DEVICE',
}

/** The operation that stands for an access of `decide`. Others of its group are held to it by a test of their own. */
const OPERATION: Readonly<Record<FileAccess, string>> = { read: 'file-read-data', write: 'file-write-data', create: 'file-write-create', remove: 'file-write-unlink', execute: 'process-exec*' }

export class SeatbeltModel {
  readonly profile: Profile
  readonly #host: HostSnapshot
  readonly #readings: readonly Reading[]

  /** @param readings  where they differ, the profile is not one that means the same to everybody: an error */
  constructor({ profile, parameters }: ProfileText, host: HostSnapshot, { readings = ['kernel', 'sourceOrder'], regexCase = 'exact' }: { readings?: readonly Reading[]; regexCase?: RegexCase } = {}) {
    this.profile = parseProfile(profile.join('\n'), { params: parameters, regexCase })
    this.#host = host
    this.#readings = readings
  }

  /** One question, in every reading. */
  asks(request: Request): boolean {
    const verdicts = this.#readings.map(reading => evaluate(this.profile, request, reading).verdict)
    if (new Set(verdicts).size > 1) throw new Error(`the readings differ: ${JSON.stringify(request)}: ${verdicts.join(', ')}`)
    return verdicts[0] === 'allow'
  }

  /** One operation on a path as the kernel has it. */
  operation(operation: string, path: string): boolean {
    const entry = this.#host.files.entry(path)
    return this.asks({ operation, path, ...(entry === undefined ? {} : { vnodeType: VNODE_TYPES[entry.kind] }) })
  }

  /** An access of `decide`, on a path as the kernel has it. */
  allows(kind: FileAccess, path: string): boolean {
    return this.operation(OPERATION[kind], path)
  }

  /** As the caller writes it, links followed; `name`: the last part is the name itself. */
  kernelPath(path: string, last: 'follow' | 'name' = 'follow'): string {
    return (last === 'follow' ? followLinks : followLinksToParent)(this.#host, path, 'path').path
  }

  open(path: string, how: 'read' | 'write'): boolean {
    return this.allows(how, this.kernelPath(path))
  }

  /** open(2) with O_CREAT, mkdir(2), mkfifo(2), symlink(2), and bind(2) of a unix socket. */
  create(path: string): boolean {
    return this.allows('create', this.kernelPath(path, 'name'))
  }

  unlink(path: string): boolean {
    return this.allows('remove', this.kernelPath(path, 'name'))
  }

  /** rename(2): the old name goes, the new one is made, and what stood there goes too. */
  rename(from: string, to: string): boolean {
    const target = this.kernelPath(to, 'name')
    return this.unlink(from) && this.allows('create', target) && (this.#host.files.entry(target) === undefined || this.allows('remove', target))
  }

  /** renamex_np(2) with RENAME_SWAP. */
  swap(one: string, other: string): boolean {
    return [one, other].every(path => this.unlink(path) && this.create(path))
  }

  /** link(2): both ends are asked for. */
  link(from: string, to: string): boolean {
    const [source, target] = [this.kernelPath(from, 'name'), this.kernelPath(to, 'name')]
    return this.operation('file-link', source) && this.operation('file-link', target) && this.allows('create', target)
  }

  /** clonefile(2). */
  clone(from: string, to: string): boolean {
    return this.operation('file-clone', this.kernelPath(from)) && this.allows('create', this.kernelPath(to, 'name'))
  }

  connectUnix(path: string): boolean {
    return this.asks({ operation: 'network-outbound', path: this.kernelPath(path), vnodeType: 'SOCKET', socketDomain: 1 })
  }

  connect(host: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): boolean {
    return this.asks({ operation: 'network-outbound', remote: { protocol, host, port }, socketDomain: host.includes(':') ? 30 : 2 })
  }

  bind(host: string, port: number): boolean {
    return this.asks({ operation: 'network-bind', local: { protocol: 'tcp', host, port }, socketDomain: host.includes(':') ? 30 : 2 })
  }

  /** A connection from elsewhere to an own server at `host`. */
  accept(host: string, port: number): boolean {
    return this.asks({ operation: 'network-inbound', local: { protocol: 'tcp', host, port }, socketDomain: host.includes(':') ? 30 : 2 })
  }

  lookup(globalName: string): boolean {
    return this.asks({ operation: 'mach-lookup', globalName })
  }
}
