import { describe, expect, test } from 'vitest'
import { interpretFilter } from '../../../../../src/platform/linux/seccomp/interpret.js'

const ALLOW = 0x7fff_0000
type Row = readonly [code: number, jumpTrue: number, jumpFalse: number, operand: number]

function filter(...rows: readonly Row[]): Uint8Array {
  const bytes = Buffer.alloc(rows.length * 8)
  for (const [index, [code, jumpTrue, jumpFalse, operand]] of rows.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(jumpTrue, index * 8 + 2)
    bytes.writeUInt8(jumpFalse, index * 8 + 3)
    bytes.writeUInt32LE(operand, index * 8 + 4)
  }
  return bytes
}

test.each([
  { value: 0x8000_0000, action: 'kill_process', data: 0 },
  { value: 0x0000_0000, action: 'kill_thread', data: 0 },
  { value: 0x0003_0007, action: 'trap', data: 7 },
  { value: 0x0005_0026, action: 'errno', data: 38 },
  { value: 0x7fc0_0000, action: 'user_notification', data: 0 },
  { value: 0x7ff0_0001, action: 'trace', data: 1 },
  { value: 0x7ffc_0000, action: 'log', data: 0 },
  { value: 0x7fff_0000, action: 'allow', data: 0 },
  { value: 0x1234_0000, action: 'kill_process', data: 0 },
])('$value means $action', ({ value, action, data }) => {
  expect(interpretFilter(filter([0x06, 0, 0, value]), { number: 0, arch: 0 })).toEqual({ action, data, instructions: 1, readArguments: false })
})

test('a load of an argument is seen, and words are little-endian', () => {
  const program = filter([0x20, 0, 0, 36], [0x15, 0, 1, 0xdead_beef], [0x06, 0, 0, ALLOW], [0x06, 0, 0, 0])
  const args = [0n, 0n, 0xdead_beef_0000_0000n]
  expect(interpretFilter(program, { number: 0, arch: 0, args })).toEqual({ action: 'allow', data: 0, instructions: 3, readArguments: true })
})

test('a negative number is what the kernel makes of it', () => {
  const program = filter([0x20, 0, 0, 0], [0x15, 0, 1, 0xffff_ffff], [0x06, 0, 0, ALLOW], [0x06, 0, 0, 0])
  expect(interpretFilter(program, { number: -1, arch: 0 }).action).toBe('allow')
})

describe('each instruction', () => {
  const RET_A: Row = [0x16, 0, 0, 0]
  test.each<{ name: string; rows: Row[]; data: number }>([
    { name: 'ld #k', rows: [[0x00, 0, 0, 5]], data: 5 },
    { name: 'ld len', rows: [[0x80, 0, 0, 0]], data: 64 },
    { name: 'ldx len, txa', rows: [[0x81, 0, 0, 0], [0x87, 0, 0, 0]], data: 64 },
    { name: 'st and ld M[]', rows: [[0x00, 0, 0, 9], [0x02, 0, 0, 3], [0x00, 0, 0, 0], [0x60, 0, 0, 3]], data: 9 },
    { name: 'stx and ldx M[]', rows: [[0x01, 0, 0, 9], [0x03, 0, 0, 3], [0x01, 0, 0, 0], [0x61, 0, 0, 3], [0x87, 0, 0, 0]], data: 9 },
    { name: 'tax and add x', rows: [[0x00, 0, 0, 4], [0x07, 0, 0, 0], [0x0c, 0, 0, 0]], data: 8 },
    { name: 'add', rows: [[0x00, 0, 0, 0xffff_ffff], [0x04, 0, 0, 3]], data: 2 },
    { name: 'sub', rows: [[0x00, 0, 0, 5], [0x14, 0, 0, 3]], data: 2 },
    { name: 'mul', rows: [[0x00, 0, 0, 5], [0x24, 0, 0, 3]], data: 15 },
    { name: 'or', rows: [[0x00, 0, 0, 5], [0x44, 0, 0, 2]], data: 7 },
    { name: 'and', rows: [[0x00, 0, 0, 5], [0x54, 0, 0, 4]], data: 4 },
    { name: 'lsh', rows: [[0x00, 0, 0, 5], [0x64, 0, 0, 1]], data: 10 },
    { name: 'rsh', rows: [[0x00, 0, 0, 5], [0x74, 0, 0, 1]], data: 2 },
    { name: 'neg', rows: [[0x00, 0, 0, 0xffff_fffd], [0x84, 0, 0, 0]], data: 3 },
    { name: 'xor', rows: [[0x00, 0, 0, 5], [0xa4, 0, 0, 1]], data: 4 },
    { name: 'ja', rows: [[0x00, 0, 0, 1], [0x05, 0, 0, 1], [0x00, 0, 0, 2]], data: 1 },
    { name: 'jgt is strict', rows: [[0x00, 0, 0, 2], [0x25, 0, 1, 2], [0x00, 0, 0, 9]], data: 2 },
    { name: 'jge is not', rows: [[0x00, 0, 0, 2], [0x35, 0, 1, 2], [0x00, 0, 0, 9]], data: 9 },
    { name: 'jset', rows: [[0x00, 0, 0, 6], [0x45, 0, 1, 2], [0x00, 0, 0, 9]], data: 9 },
    { name: 'jeq x', rows: [[0x00, 0, 0, 6], [0x01, 0, 0, 6], [0x1d, 0, 1, 0], [0x00, 0, 0, 9]], data: 9 },
  ])('$name', ({ rows, data }) => {
    expect(interpretFilter(filter(...rows, RET_A), { number: 0, arch: 0 }).data).toBe(data)
  })
})

test.each([
  { name: 'no instruction', program: filter() },
  { name: 'a broken instruction', program: new Uint8Array(7) },
  { name: 'an end without a return', program: filter([0x20, 0, 0, 0]) },
  { name: 'a jump past the end', program: filter([0x15, 9, 9, 0], [0x06, 0, 0, ALLOW]) },
  { name: 'a load past the data', program: filter([0x20, 0, 0, 64], [0x06, 0, 0, ALLOW]) },
  { name: 'an unaligned load', program: filter([0x20, 0, 0, 2], [0x06, 0, 0, ALLOW]) },
  { name: 'memory that is not there', program: filter([0x02, 0, 0, 16], [0x06, 0, 0, ALLOW]) },
  { name: 'an unknown instruction', program: filter([0x28, 0, 0, 0], [0x06, 0, 0, ALLOW]) },
  { name: 'an unknown jump', program: filter([0x55, 0, 0, 0], [0x06, 0, 0, ALLOW]) },
])('$name is refused, as by the kernel', ({ program }) => {
  expect(() => interpretFilter(program, { number: 0, arch: 0 })).toThrow()
})
