// The binary form of a plan and of a command. Its C twin is native/linux/plan.c; native/linux/plan.h describes the bytes, and
// test/golden/plan-codec holds both to the same ones. All numbers little-endian, no padding.
import { SandboxError } from '../../../errors.js'
import type { CommandPlan, LandlockRule, LinuxBwrapPlan, LinuxLauncherPlan, LinuxNativePlan, MountStep, PlannedListener } from '../../launch-plan.js'
import type { EntryKind, FileIdentity } from '../../../policy/host-snapshot.js'
import type { Effect } from '../../../policy/resolved-policy.js'
import type { Limits } from '../../../policy/sandbox-policy.js'

const PLAN_MAGIC = 0x31585343
const PLAN_VERSION = 5
const PLAN_FLAG = { privateNetwork: 1, landlock: 2, landlockFiles: 4, ownProc: 8, groupMemory: 16, groupPids: 32, supervised: 64, noNetwork: 128, makeSockets: 256, observe: 512, groupEnds: 1024, inside: 2048, observeReads: 4096, readsInRoots: 8192 } as const
const COMMAND_FLAG = { terminal: 1, stdinPipe: 2, reportStart: 4, groupMemory: 8, groupPids: 16, keep: 32, helper: 64 } as const

const MOUNT_KIND: Record<MountStep['step'], number> = {
  bind_writable: 1, bind_read_only: 2, mask: 3, pin: 4, placeholder: 5, watch: 6, private_directory: 7,
}
const ENTRY_KIND: Record<EntryKind | 'missing', number> = { missing: 0, file: 1, directory: 2, symlink: 3, socket: 4, fifo: 5, device: 6 }
const LISTENER_KIND: Record<PlannedListener['kind'], number> = { proxy: 1, 'local-port': 2 }
const SOCKETS_FLAG = { all: 1, ofRoot: 2 } as const
const EFFECT: Record<Effect, number> = { write: 1, read: 2, deny: 3 }

/** Compared with nothing: for paths that do not exist, or whose file is the sandbox's own. */
const NO_IDENTITY: FileIdentity = { device: '0', inode: '0' }

const LIMITS = ['memoryBytes', 'pids', 'cpuSeconds', 'openFiles', 'fileSizeBytes'] as const satisfies readonly (keyof Limits)[]

/** Bytes of a command beside its strings: flags, size of the terminal, identity, limits, and the lengths of cwd and argv. */
const COMMAND_FIXED_BYTES = 4 + 2 + 2 + 4 + 16 + 8 * LIMITS.length + 4

/**
 * @throws SandboxError `argument_invalid`, `field` = the string that has a NUL
 */
export function encodePlan(plan: LinuxNativePlan | LinuxBwrapPlan): Buffer {
  const writer = new ByteWriter()
  writer.u32(PLAN_MAGIC)
  writer.u32(PLAN_VERSION)
  writer.u32(flagsOf(plan))
  writer.u32(plan.uid)
  writer.u32(plan.gid)
  writer.string(plan.stateDirectory, 'stateDirectory')
  writer.string(plan.cwd.path, 'cwd')
  writer.identity(plan.cwd.identity)
  writer.u32(plan.mounts.length)
  plan.mounts.forEach((step, index) => writeMount(writer, step, `mounts[${index}]`))
  writer.u32(plan.devices.length)
  plan.devices.forEach((path, index) => writer.string(path, `devices[${index}]`))
  writer.u64(plan.landlock?.scopes ?? 0)
  writer.u64(plan.landlock?.handledNet ?? 0)
  writer.u64(plan.landlock?.files?.handled ?? 0)
  writer.u64(plan.landlock?.files?.proc ?? 0)
  writeLandlockRules(writer, plan.landlock?.files?.rules ?? [], 'landlock.files.rules')
  writer.bytes(Buffer.from(plan.seccomp.command, 'base64'))
  writer.bytes(Buffer.from(plan.seccomp.listener ?? '', 'base64'))
  writer.string(plan.groups?.parent ?? '', 'groups.parent')
  writeSupervision(writer, plan.supervision)
  writeNetwork(writer, plan)
  return writer.done()
}

function writeLandlockRules(writer: ByteWriter, rules: readonly LandlockRule[], field: string): void {
  writer.u32(rules.length)
  rules.forEach((rule, index) => writeLandlockRule(writer, rule, `${field}[${index}]`))
}

function writeLandlockRule(writer: ByteWriter, { path, allowed, identity }: LandlockRule, field: string): void {
  writer.u64(allowed)
  writer.string(path, field)
  writer.identity(identity ?? NO_IDENTITY)
}

/** Nothing of each where the plan has none. */
function writeSupervision(writer: ByteWriter, supervision: LinuxLauncherPlan['supervision']): void {
  const { base = 'read', rules = [], outer, reads = [] } = supervision ?? {}
  writer.u8(EFFECT[base])
  writer.u32(rules.length)
  rules.forEach(({ path, effect, foldsCase }, index) => {
    writer.u8(EFFECT[effect])
    writer.string(path, `supervision.rules[${index}]`)
    writer.u8(foldsCase ? 1 : 0)
  })
  writer.u64(outer?.handledNet ?? 0)
  writeLandlockRules(writer, outer?.rules ?? [], 'supervision.outer.rules')
  writer.u32(reads.length)
  reads.forEach((tree, index) => {
    writeLandlockRule(writer, tree, `supervision.reads[${index}]`)
    writer.u32(tree.closed.length)
    tree.closed.forEach((path, at) => writer.string(path, `supervision.reads[${index}].closed[${at}]`))
  })
}

function writeNetwork(writer: ByteWriter, { listeners = [], unixSockets }: LinuxLauncherPlan): void {
  writer.u32(listeners.length)
  for (const { kind, port } of listeners) {
    writer.u8(LISTENER_KIND[kind])
    writer.u32(port)
  }
  writer.u8((unixSockets?.all === true ? SOCKETS_FLAG.all : 0) | (unixSockets?.ofRoot === true ? SOCKETS_FLAG.ofRoot : 0))
  const allowed = unixSockets?.allowed ?? []
  writer.u32(allowed.length)
  allowed.forEach(({ path, identity }, index) => {
    writer.string(path, `unixSockets.allowed[${index}]`)
    writer.identity(identity ?? NO_IDENTITY)
  })
}

function flagsOf(plan: LinuxNativePlan | LinuxBwrapPlan): number {
  return (plan.network === 'private' ? PLAN_FLAG.privateNetwork : 0)
    | (plan.landlock === undefined ? 0 : PLAN_FLAG.landlock)
    | (plan.landlock?.files === undefined ? 0 : PLAN_FLAG.landlockFiles)
    | (plan.degraded.includes('no-own-proc') || plan.supervision !== undefined || plan.backend === 'linux-bwrap' ? 0 : PLAN_FLAG.ownProc)
    | (plan.groups?.holds.includes('memoryBytes') === true ? PLAN_FLAG.groupMemory : 0)
    | (plan.groups?.holds.includes('pids') === true ? PLAN_FLAG.groupPids : 0)
    | (plan.supervision === undefined ? 0 : PLAN_FLAG.supervised)
    | (plan.network === 'none' ? PLAN_FLAG.noNetwork : 0)
    | (plan.sockets === 'made' ? PLAN_FLAG.makeSockets : 0)
    | (plan.groups?.ends === true ? PLAN_FLAG.groupEnds : 0)
    | (plan.observe === 'writes' || plan.observe === 'reads' ? PLAN_FLAG.observe : 0)
    | (plan.backend === 'linux-bwrap' ? PLAN_FLAG.inside : 0)
    | (plan.observe === 'reads' ? PLAN_FLAG.observeReads : 0)
    | (plan.supervision?.judgedReads === 'all' ? PLAN_FLAG.readsInRoots : 0)
}

function writeMount(writer: ByteWriter, step: MountStep, field: string): void {
  const { entry, effect, identity } = mountRow(step)
  writer.u8(MOUNT_KIND[step.step])
  writer.u8(ENTRY_KIND[entry])
  writer.u8(EFFECT[effect])
  writer.string(step.path, field)
  writer.identity(identity)
  writer.string(textOf(step), `${field}.text`)
  const openings = step.step === 'mask' ? step.openings : []
  writer.u32(openings.length)
  openings.forEach((opening, index) => {
    writer.u8(EFFECT[opening.effect])
    writer.string(opening.path, `${field}.openings[${index}]`)
    writer.identity(opening.identity)
  })
}

function textOf(step: MountStep): string {
  if (step.step === 'placeholder') return step.text ?? ''
  return step.step === 'bind_read_only' && step.gone !== 'nothing' ? step.gone?.text ?? '' : ''
}

/** What the launcher's one row has for each kind of step. The kind of entry is `missing` where the step does not depend on it. */
function mountRow(step: MountStep): { entry: EntryKind | 'missing'; effect: Effect; identity: FileIdentity } {
  switch (step.step) {
    case 'bind_writable':     return { entry: 'missing', effect: 'write', identity: step.identity }
    case 'bind_read_only':    return { entry: step.gone === 'nothing' ? 'missing' : step.gone?.kind ?? 'directory', effect: 'read', identity: step.identity }
    case 'mask':              return { entry: step.kind, effect: 'deny', identity: step.identity }
    case 'pin':               return { entry: 'directory', effect: 'write', identity: step.identity }
    case 'placeholder':       return { entry: step.kind, effect: step.effect, identity: step.parent }
    case 'watch':             return { entry: 'missing', effect: step.effect, identity: NO_IDENTITY }
    case 'private_directory': return { entry: 'directory', effect: 'write', identity: NO_IDENTITY }
    default:                  return step satisfies never
  }
}

/**
 * @param environment  `encodeEnvironment(command.env)`, which a caller may keep for commands with the same one
 * @param reserve      bytes left free at the start, for a frame's header
 * @throws SandboxError `argument_invalid`, `field` = the string that has a NUL
 */
export function encodeCommand(command: CommandPlan, environment: Buffer = encodeEnvironment(command.env), reserve = 0): Buffer {
  const { argv, cwd, terminal } = command
  let length = reserve + COMMAND_FIXED_BYTES + Buffer.byteLength(cwd.path) + environment.length
  for (const argument of argv) length += 4 + Buffer.byteLength(argument)

  const bytes = Buffer.allocUnsafe(length)
  let at = reserve
  at = bytes.writeUInt32LE(commandFlags(command), at)
  at = bytes.writeUInt16LE(terminal?.rows ?? 0, at)
  at = bytes.writeUInt16LE(terminal?.cols ?? 0, at)
  at = writeString(bytes, cwd.path, at, 'cwd')
  at = bytes.writeBigUInt64LE(BigInt(cwd.identity.device), at)
  at = bytes.writeBigUInt64LE(BigInt(cwd.identity.inode), at)
  for (const limit of LIMITS) at = writeSafeInteger(bytes, command.limits[limit] ?? 0, at)
  at = bytes.writeUInt32LE(argv.length, at)
  for (let index = 0; index < argv.length; index++) at = writeString(bytes, argv[index] as string, at, 'argv', index)
  bytes.set(environment, at)
  return bytes
}

const commandFlags = ({ terminal, stdin, reportStart, groupLimits, keep, helper }: CommandPlan): number =>
  (terminal === undefined ? 0 : COMMAND_FLAG.terminal) | (stdin === 'pipe' ? COMMAND_FLAG.stdinPipe : 0) | (reportStart === true ? COMMAND_FLAG.reportStart : 0)
  | (groupLimits?.includes('memoryBytes') === true ? COMMAND_FLAG.groupMemory : 0) | (groupLimits?.includes('pids') === true ? COMMAND_FLAG.groupPids : 0)
  | (keep === true ? COMMAND_FLAG.keep : 0) | (helper === true ? COMMAND_FLAG.helper : 0)

/** `u32 envc { string }`, the end of a command's bytes. */
export function encodeEnvironment(env: readonly string[]): Buffer {
  let length = 4
  for (const variable of env) length += 4 + Buffer.byteLength(variable)
  const bytes = Buffer.allocUnsafe(length)
  let at = bytes.writeUInt32LE(env.length, 0)
  for (let index = 0; index < env.length; index++) at = writeString(bytes, env[index] as string, at, 'env', index)
  return bytes
}

/** Writes length and text. `bytes` has room; the length is that of the text just written, so nothing is measured twice. */
function writeString(bytes: Buffer, text: string, at: number, field: string, index?: number): number {
  if (text.includes('\0')) throw nulIn(index === undefined ? field : `${field}[${index}]`, text)
  const length = bytes.write(text, at + 4)
  bytes.writeUInt32LE(length, at)
  return at + 4 + length
}

/** A u64 from a number below 2^53. */
function writeSafeInteger(bytes: Buffer, value: number, at: number): number {
  bytes.writeUInt32LE(value % 2 ** 32, at)
  return bytes.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4)
}

const nulIn = (field: string, value: string): SandboxError => new SandboxError('argument_invalid', { field, value }, { detail: 'it has a NUL' })

/** Bytes that grow as they are written. */
class ByteWriter {
  #bytes = Buffer.allocUnsafe(4096)
  #length = 0

  u8(value: number): void { this.#room(1).writeUInt8(value, this.#take(1)) }
  u32(value: number): void { this.#room(4).writeUInt32LE(value, this.#take(4)) }
  u64(value: number | string): void { this.#room(8).writeBigUInt64LE(BigInt(value), this.#take(8)) }

  identity({ device, inode }: FileIdentity): void {
    this.u64(device)
    this.u64(inode)
  }

  string(text: string, field: string): void {
    if (text.includes('\0')) throw nulIn(field, text)
    this.bytes(Buffer.from(text))
  }

  /** Bytes with their length before them. */
  bytes(bytes: Buffer): void {
    this.u32(bytes.length)
    this.#room(bytes.length).set(bytes, this.#take(bytes.length))
  }

  done(): Buffer { return this.#bytes.subarray(0, this.#length) }

  #room(bytes: number): Buffer {
    if (this.#length + bytes > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + bytes))
      this.#bytes.copy(grown, 0, 0, this.#length)
      this.#bytes = grown
    }
    return this.#bytes
  }

  #take(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    return at
  }
}
