import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { nativeTables } from '../../../../../scripts/emit-native-tables.js'
import { FrameDecoder, LARGEST_FRAME_BYTES, makeFrame, MalformedFrame, OUTPUT_FRAMES, readU32 } from '../../../../../src/platform/frames.js'
import { errnoName, readAccessReport, readExit, readFailure } from '../../../../../src/platform/linux/native/frames.js'
import { FROM_LAUNCHER } from '../../../../../src/platform/linux/native/frames.generated.js'
import { STEPS } from '../../../../../src/platform/linux/native/steps.generated.js'

test.each([...nativeTables().keys()])('%s is current', path => {
  expect(readFileSync(path, 'utf8')).toBe(nativeTables().get(path))
})

test('output frames have the types that the decoder takes for output', () => {
  expect([FROM_LAUNCHER.STDOUT, FROM_LAUNCHER.STDERR]).toEqual(OUTPUT_FRAMES)
})

interface Frame { type: number; id: number; payload: string }

function frameOf({ type, id, payload }: Frame): Buffer {
  const frame = makeFrame(type, id, Buffer.byteLength(payload))
  frame.write(payload, 9)
  return frame
}

/** All frames that came, pieces of one output frame joined. */
function decodeAll(chunks: readonly Buffer[]): { frames: Frame[]; atBoundary: boolean } {
  const frames: Frame[] = []
  const decoder = new FrameDecoder((type, id, payload) => {
    const last = frames.at(-1)
    const isOutput = type === FROM_LAUNCHER.STDOUT || type === FROM_LAUNCHER.STDERR
    if (isOutput && last?.type === type && last.id === id) last.payload += payload.toString('latin1')
    else frames.push({ type, id, payload: payload.toString('latin1') })
  })
  for (const chunk of chunks) decoder.decode(chunk)
  return { frames, atBoundary: decoder.atBoundary }
}

test('frames are the same however the socket splits and joins them', () => {
  const anyFrame = fc.record({ type: fc.constantFrom(...Object.values(FROM_LAUNCHER)), id: fc.nat(0xffff_ffff), payload: fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }) })
  fc.assert(fc.property(fc.array(anyFrame, { maxLength: 8 }), fc.array(fc.nat(400)), (frames, cuts) => {
    const bytes = Buffer.concat(frames.map(frameOf))
    const ends = [...new Set([...cuts.filter(cut => cut < bytes.length), bytes.length])].sort((a, b) => a - b)
    const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end))
    const whole = decodeAll([bytes])
    expect(decodeAll(chunks)).toEqual(whole)
    expect(whole.atBoundary).toBe(true)
  }))
})

test('output is passed on without a copy', () => {
  const bytes = Buffer.concat([frameOf({ type: FROM_LAUNCHER.STDOUT, id: 1, payload: 'x'.repeat(1000) })])
  let seen: Buffer | undefined
  new FrameDecoder((_type, _id, payload) => { seen = payload }).decode(bytes)
  expect(seen?.buffer).toBe(bytes.buffer)
})

test('the first piece of an output frame does not wait for the rest', () => {
  const bytes = frameOf({ type: FROM_LAUNCHER.STDERR, id: 1, payload: 'abcdef' })
  expect(decodeAll([bytes.subarray(0, 12)])).toEqual({ frames: [{ type: FROM_LAUNCHER.STDERR, id: 1, payload: 'abc' }], atBoundary: false })
})

test.each<{ name: string; header: Buffer }>([
  { name: 'an output frame above the bound', header: (() => { const frame = makeFrame(FROM_LAUNCHER.STDOUT, 1); frame.writeUInt32LE(LARGEST_FRAME_BYTES + 1, 0); return frame })() },
  { name: 'a message of a megabyte', header: (() => { const frame = makeFrame(FROM_LAUNCHER.EXIT, 1); frame.writeUInt32LE(1 << 20, 0); return frame })() },
])('$name is refused before it is waited for', ({ header }) => {
  expect(() => decodeAll([header])).toThrow(MalformedFrame)
})

const exitPayload = (status: number, reason: number, ended: readonly [number, string][], path: string, count = ended.length): Buffer => {
  const fixed = Buffer.alloc(26)
  fixed.writeInt32LE(status, 0)
  fixed.writeUInt32LE(reason, 4)
  fixed.writeBigUInt64LE(2500n, 8)
  fixed.writeBigUInt64LE(2n ** 33n, 16)
  fixed.writeUInt16LE(count, 24)
  return Buffer.concat([fixed, ...ended.map(([pid, name]) => Buffer.from([pid, 0, 0, 0, name.length, ...Buffer.from(name)])), Buffer.from(path)])
}
const exit = { exitCode: undefined, signal: undefined, reason: 'none', path: undefined, cpuMs: 2.5, maxRssBytes: 2 ** 33, ended: [] }

test.each([
  { name: 'exit code 3', payload: exitPayload(3 << 8, 0, [], ''), expected: { ...exit, exitCode: 3 } },
  { name: 'signal 11 with a core', payload: exitPayload(11 | 0x80, 0, [], ''), expected: { ...exit, signal: 11 } },
  { name: 'killed', payload: exitPayload(9, 1, [[2, 'sleep'], [3, 'sh']], ''), expected: { ...exit, signal: 9, reason: 'killed', ended: [{ pid: 2, name: 'sleep' }, { pid: 3, name: 'sh' }] } },
  { name: 'a changed path', payload: exitPayload(9, 2, [[2, 'a']], '/w/.git'), expected: { ...exit, signal: 9, reason: 'host-changed-protected-path', path: '/w/.git', ended: [{ pid: 2, name: 'a' }] } },
])('EXIT: $name', ({ payload, expected }) => {
  expect(readExit(payload)).toEqual(expected)
})

test.each([
  { name: 'EXIT cut short', read: () => readExit(Buffer.alloc(25)) },
  { name: 'EXIT with fewer names than it says', read: () => readExit(exitPayload(0, 0, [[2, 'sh']], '', 2)) },
  { name: 'EXIT with an unknown reason', read: () => readExit(exitPayload(0, 9, [], '')) },
  { name: 'FAILED cut short', read: () => readFailure(Buffer.alloc(5)) },
  { name: 'FAILED at an unknown step', read: () => readFailure(Buffer.from([0xff, 0xff, 0, 0, 0, 0])) },
  { name: 'ACCESS cut short within the name', read: () => readAccessReport(Buffer.from([1, 0, 0, 0, 2, 0, 9, 65])) },
  { name: 'ACCESS with an unknown operation', read: () => readAccessReport(Buffer.from([1, 0, 0, 0, 9, 0, 0])) },
  { name: 'a u32 of three bytes', read: () => readU32(Buffer.alloc(3)) },
])('$name is malformed', ({ read }) => {
  expect(read).toThrow(MalformedFrame)
})

test.each([
  { name: 'observed', bytes: [7, 0, 0, 0, 2, 0, 2, 0x76, 0x69, 0x2f, 0x78], expected: { operation: 'write', path: '/x', refused: false, modeRefuses: false, pid: 7, program: 'vi' } },
  { name: 'refused', bytes: [7, 0, 0, 0, 8, 1, 0, 0x6d], expected: { operation: 'system-call', path: 'm', refused: true, modeRefuses: false, pid: 7, program: '' } },
  { name: 'a path that is not known, a mode that refuses', bytes: [7, 0, 0, 0, 1, 6, 0], expected: { operation: 'read', path: undefined, refused: false, modeRefuses: true, pid: 7, program: '' } },
  { name: 'of a name at which nothing stood', bytes: [7, 0, 0, 0, 3, 8, 0, 0x2f], expected: { operation: 'create', path: '/', refused: false, modeRefuses: false, missing: true, pid: 7, program: '' } },
])('ACCESS: $name', ({ bytes, expected }) => {
  expect(readAccessReport(Buffer.from(bytes))).toEqual(expected)
})

test('FAILED names step, errno and path', () => {
  const step = STEPS.findIndex(({ name }) => name === 'bind_writable')
  expect(readFailure(Buffer.concat([Buffer.from([step, 0, 2, 0, 0, 0]), Buffer.from('/w')]))).toEqual({ step: 'bind_writable', errno: 'ENOENT', path: '/w' })
})

test('an errno without a name stays a number', () => {
  expect([errnoName(13), errnoName(4242)]).toEqual(['EACCES', 'errno 4242'])
})
