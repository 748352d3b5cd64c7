// What C and TypeScript both write down, where no table makes the one from the other.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { LARGEST_FRAME_BYTES, OUTPUT_WINDOW_BYTES, STDIN_WINDOW_BYTES } from '../../../../../src/platform/frames.js'
import { fsMask, ON_FILE_MASK, SCOPES } from '../../../../../src/platform/linux/landlock/access-rights.js'
import { CORE_DEVICES } from '../../../../../src/platform/linux/native/compile-supervision.js'
import { ACCESS_OPERATIONS } from '../../../../../src/platform/linux/native/frames.js'
import { OWN_SHARED_MEMORY } from '../../../../../src/platform/linux/native/mounts.js'
import { OWN_MARK } from '../../../../../src/platform/linux/seccomp/filter-rules.js'
import { OWN_GIT_OPERATIONS } from '../../../../../src/policy/git-paths.js'
import { ROOT_SOCKETS } from '../../../../../src/policy/unix-socket-rules.js'

/** What stands between `before` and the next `after` in a file below native/. */
function between(file: string, before: string, after: string): string {
  const text = readFileSync(`native/${file}`, 'utf8')
  const start = text.indexOf(before)
  if (start === -1) throw new Error(`${file} has no ${JSON.stringify(before)}`)
  return text.slice(start + before.length, text.indexOf(after, start + before.length))
}

const texts = (list: string): string[] => [...list.matchAll(/"([^"]*)"/g)].map(([, text]) => text!)
/** `1 << 20`, `64u << 20`. */
const number = (value: string): number => value.split('<<').map(part => Number.parseInt(part, 10)).reduce((left, bits) => left * 2 ** bits)
const bits = (value: string): bigint => [...value.matchAll(/1ULL << (\d+)/g)].reduce((mask, [, bit]) => mask | (1n << BigInt(bit!)), 0n)
const defined = (name: string): bigint => bits(between('linux/kernel.h', `#define ${name} `, '\n'))

test('the sizes of frames and windows', () => {
  const linux = (name: string): number => number(between('linux/frames.h', `${name} = `, name === 'STDIN_WINDOW_BYTES' ? ' }' : ','))
  const windows = (name: string): number => number(between('windows/channel.h', `${name} = `, ';'))
  expect([linux('LARGEST_FRAME_BYTES'), linux('OUTPUT_WINDOW_BYTES'), linux('STDIN_WINDOW_BYTES')]).toEqual([LARGEST_FRAME_BYTES, OUTPUT_WINDOW_BYTES, STDIN_WINDOW_BYTES])
  expect([windows('LARGEST_FRAME_BYTES'), windows('OUTPUT_WINDOW_BYTES')]).toEqual([LARGEST_FRAME_BYTES, OUTPUT_WINDOW_BYTES])
})

test('the operations of a report, by their numbers from 1 on', () => {
  const names = [...between('linux/reports.h', 'enum access_operation {', '}').matchAll(/^\tACCESS_(\w+)/gm)].map(([, name]) => name!.toLowerCase().replaceAll('_', '-'))
  expect(names).toEqual(ACCESS_OPERATIONS)
})

test('the bits of Landlock that the launcher knows by name', () => {
  expect({ execute: defined('LANDLOCK_EXECUTE_'), refer: defined('LANDLOCK_REFER_'), truncate: defined('LANDLOCK_TRUNCATE_'), onFile: defined('LANDLOCK_ON_FILE_') })
    .toEqual({ execute: fsMask(['execute']), refer: fsMask(['refer']), truncate: fsMask(['truncate']), onFile: ON_FILE_MASK })
  expect([defined('LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET_'), defined('LANDLOCK_SCOPE_SIGNAL_')]).toEqual(SCOPES.map((_, bit) => 1n << BigInt(bit)))
})

test('the mark of the launcher\'s own calls', () => {
  expect(BigInt(between('linux/raw.h', '#define OWN_MARK ', '\n'))).toBe(OWN_MARK)
})

test('the sockets that give the whole machine away', () => {
  expect(texts(between('linux/socket-files.c', 'ROOT_SOCKETS[] = {', '}'))).toEqual(ROOT_SOCKETS)
})

test('the devices that every program may expect', () => {
  expect(texts(between('linux/devices.c', 'CORE_DEVICES[] = {', '}'))).toEqual(CORE_DEVICES)
})

test('the places of the sandbox\'s own', () => {
  expect(texts(between('linux/git-operations.h', '#define GIT_OPERATIONS ', '\n'))).toEqual([OWN_GIT_OPERATIONS])
  expect(texts(between('linux/shared-memory.h', '#define SHARED_MEMORY ', '\n'))).toEqual([OWN_SHARED_MEMORY])
})
