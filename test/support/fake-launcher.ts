// A launcher that confines nothing: it speaks the frames of native/linux/frames.def and does what a command's first word says,
// so that its client is tested without privileges, and with answers that the real one never gives.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { LinuxNativePlan } from '../../src/platform/launch-plan.js'

/** `set-up` of the plan's state directory: what to answer to it. */
export type SetUp = 'ready' | 'fail' | 'die' | 'garbage' | 'wrong-order'

/** Writes the program; `remove` deletes it. */
export function makeFakeLauncher(): { path: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'fake-launcher-'))
  const path = join(folder, 'launcher.cjs')
  // The kernel starts it by its first line: it gets no PATH.
  writeFileSync(path, `#!${process.execPath}\n(${program.toString()})()\n`)
  chmodSync(path, 0o755)
  return { path, remove: () => rmSync(folder, { recursive: true }) }
}

export function fakePlan(setUp: SetUp = 'ready'): LinuxNativePlan {
  return {
    backend: 'linux-native', platform: 'linux', uid: 1000, gid: 1000, rung: 'namespaces', network: 'private', sockets: 'taken', stateDirectory: setUp, mounts: [], devices: [],
    seccomp: { command: Buffer.alloc(8).toString('base64') }, observe: 'writes', limits: {}, limitMechanisms: {}, cwd: { path: '/', identity: { device: '0', inode: '0' } },
    degraded: [], enforcement: { backend: 'linux-native', layers: ['fake'], degraded: [], limits: {}, notes: [] },
  }
}

/** Self-contained: its text is what runs. */
function program(): void {
  const { Socket } = require('node:net') as typeof import('node:net')
  const socket = new Socket({ fd: 3, readable: true, writable: true })
  const WINDOW = 1 << 20

  interface Command {
    id: number
    words: string[]
    env: string[]
    unconsumed: number
    left: number
    inputBytes: number
    most: number
  }
  const commands = new Map<number, Command>()

  const frame = (type: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
    const header = Buffer.alloc(9)
    header.writeUInt32LE(payload.length, 0)
    header[4] = type
    header.writeUInt32LE(id, 5)
    return Buffer.concat([header, payload])
  }
  const send = (type: number, id: number, payload?: Buffer): void => void socket.write(frame(type, id, payload))
  const u32 = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value)
    return bytes
  }
  const failed = (id: number, step: number, errno: number, path = ''): void => {
    const bytes = Buffer.alloc(6)
    bytes.writeUInt16LE(step, 0)
    bytes.writeInt32LE(errno, 2)
    send(65, id, Buffer.concat([bytes, Buffer.from(path)]))
  }
  const exit = (id: number, status: number, reason = 0, path = '', ended: [number, string][] = []): void => {
    const bytes = Buffer.alloc(26)
    bytes.writeInt32LE(status, 0)
    bytes.writeUInt32LE(reason, 4)
    bytes.writeBigUInt64LE(1500n, 8)
    bytes.writeBigUInt64LE(4096n, 16)
    bytes.writeUInt16LE(ended.length, 24)
    const rows = ended.map(([pid, name]) => Buffer.concat([u32(pid), Buffer.from([name.length]), Buffer.from(name)]))
    send(72, id, Buffer.concat([bytes, ...rows, Buffer.from(path)]))
    commands.delete(id)
  }

  const decodeCommand = (payload: Buffer): { words: string[]; env: string[] } => {
    let at = 8
    const string = (): string => {
      const length = payload.readUInt32LE(at)
      at += 4 + length
      return payload.toString('utf8', at - length, at)
    }
    const strings = (): string[] => {
      const count = payload.readUInt32LE(at)
      at += 4
      return Array.from({ length: count }, string)
    }
    string()
    at += 16 + 40
    return { words: strings(), env: strings() }
  }

  /** Output as far as the window allows, then the end. */
  const flood = (command: Command): void => {
    while (command.left > 0 && command.unconsumed < WINDOW) {
      const bytes = Math.min(command.left, 256 << 10, WINDOW - command.unconsumed)
      send(67, command.id, Buffer.alloc(bytes, 0x61))
      command.left -= bytes
      command.unconsumed += bytes
    }
    if (command.left === 0) exit(command.id, 0)
  }

  const start = (id: number, payload: Buffer): void => {
    const { words, env } = decodeCommand(payload)
    const [verb = '', ...rest] = words
    const command: Command = { id, words, env, unconsumed: 0, left: 0, inputBytes: 0, most: 0 }
    commands.set(id, command)
    if (verb !== 'fail') send(66, id, u32(4242))
    switch (verb) {
      case 'print':
        if (rest[0]) send(67, id, Buffer.from(rest[0]))
        if (rest[1]) send(68, id, Buffer.from(rest[1]))
        return exit(id, 0)
      case 'env':
        send(67, id, Buffer.from(env.join('\n')))
        return exit(id, 0)
      case 'exit': return exit(id, Number(rest[0]) << 8)
      case 'signal': return exit(id, Number(rest[0]))
      case 'reason': return exit(id, 9, Number(rest[0]), rest[1], [[7, 'sleep'], [8, 'node']])
      case 'fail':
        commands.delete(id)
        return failed(id, Number(rest[0]), Number(rest[1]), rest[2])
      case 'flood':
        command.left = Number(rest[0])
        return flood(command)
      case 'refuse':
        send(73, id, Buffer.concat([u32(99), Buffer.from([6, 1, 6]), Buffer.from('docker'), Buffer.from(rest[0] ?? '')]))
        send(74, id, u32(3))
        return exit(id, 1 << 8)
      case 'stop':
        send(70, id, u32(20))
        send(71, id)
        return exit(id, 0)
      case 'split': {
        const bytes = Buffer.concat([frame(67, id, Buffer.from('one')), frame(68, id, Buffer.from('two')), frame(67, id, Buffer.from('three'))])
        let at = 0
        const next = (): void => {
          if (at === bytes.length) return exit(id, 0)
          socket.write(bytes.subarray(at, ++at), () => setImmediate(next))
        }
        return next()
      }
      case 'garbage': return void socket.write(Buffer.alloc(64, 0xee))
      case 'unknown-type': return send(99, id)
      case 'unknown-id': return send(67, 12345, Buffer.from('x'))
      case 'over-drain': return send(69, id, u32(1))
      case 'late-failure': return failed(0, 0, 5)
      case 'die': return process.exit(3)
    }
  }

  const takeInput = (command: Command, payload: Buffer): void => {
    command.inputBytes += payload.length
    command.most = Math.max(command.most, command.inputBytes)
    if (command.words[0] === 'cat') {
      send(67, command.id, payload)
      send(69, command.id, u32(payload.length))
      command.inputBytes -= payload.length
    }
  }

  const take = (type: number, id: number, payload: Buffer): void => {
    const command = commands.get(id)
    switch (type) {
      case 1: {
        const length = payload.readUInt32LE(20)
        const setUp = payload.toString('utf8', 24, 24 + length)
        if (setUp === 'fail') {
          failed(0, 0, 2, '/gone')
          return void socket.end(() => process.exit(1))
        }
        if (setUp === 'die') process.exit(7)
        if (setUp === 'garbage') return void socket.write(Buffer.alloc(64, 0xee))
        if (setUp === 'wrong-order') return send(67, 0, Buffer.from('x'))
        return send(64, 0)
      }
      case 2: return start(id, payload)
      case 3: return command && takeInput(command, payload)
      case 4: return command && (command.words[0] === 'cat' || command.words[0] === 'most-input') ? exit(id, 0) : undefined
      case 5: {
        if (command === undefined) return
        if (command.words[0] === 'most-input') {
          // Takes everything only now, and says how much had been sent unasked.
          send(68, id, Buffer.from(`${command.most} `))
          send(69, id, u32(command.inputBytes))
          command.inputBytes = command.most = 0
          return
        }
        return command.words[0] === 'stubborn' ? undefined : exit(id, payload.readUInt32LE(0))
      }
      case 6: return command && exit(id, 9, 1)
      case 7: return command && void send(67, id, Buffer.from(`${payload.readUInt16LE(0)}x${payload.readUInt16LE(2)}`))
      case 8:
        if (command === undefined) return
        command.unconsumed -= payload.readUInt32LE(1)
        return command.words[0] === 'flood' ? flood(command) : undefined
      case 9: return process.exit(0)
    }
  }

  let held = Buffer.alloc(0)
  socket.on('data', chunk => {
    held = Buffer.concat([held, chunk as Buffer])
    while (held.length >= 9 && held.length >= 9 + held.readUInt32LE(0)) {
      const end = 9 + held.readUInt32LE(0)
      const [type, id, payload] = [held[4] as number, held.readUInt32LE(5), held.subarray(9, end)]
      held = held.subarray(end)
      take(type, id, payload)
    }
  })
  socket.on('end', () => process.exit(0))
  socket.on('error', () => process.exit(0))
}
