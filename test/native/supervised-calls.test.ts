// A program that makes system calls in a supervised root cannot tell it from an ordinary folder: the same calls, chosen at random, give the
// same results, descriptors and files as without a sandbox. As this user and, where this is root, as an ordinary one.
import { spawnSync } from 'node:child_process'
import { lchownSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Architecture, SYSTEM_CALLS, type SystemCallName } from '../../src/platform/linux/seccomp/system-calls.js'
import { makeSupervisedFolders, SUPERVISE_TOOL_SOURCES } from '../support/supervised.js'
import { buildCTool, buildProgram, type CTool } from './c-tool.js'

let tool: CTool | string
let program: CTool | string
beforeAll(() => {
  tool = process.platform === 'linux' ? buildCTool('supervise-tool', SUPERVISE_TOOL_SOURCES) : 'the launcher is for Linux'
  program = typeof tool === 'string' ? tool : buildProgram('test/native/programs/file-calls.c')
})
afterAll(() => { for (const each of [tool, program]) if (typeof each === 'object') each.remove() })
beforeEach(context => {
  if (typeof tool === 'string') context.skip(tool)
  if (typeof program === 'string') context.skip(program)
})

const AT_FDCWD = -100
const number = (name: SystemCallName): number | undefined => SYSTEM_CALLS[process.arch as Architecture][name]
const string = (text: string): string => `s:${Buffer.from(text).toString('hex')}`
const words = (...numbers: (number | bigint)[]): string => {
  const bytes = Buffer.alloc(numbers.length * 8)
  numbers.forEach((value, i) => { bytes.writeBigInt64LE(BigInt(value), i * 8) })
  return `b:${bytes.toString('hex')}`
}
const call = (name: SystemCallName, ...args: (string | number)[]): string => `${number(name)} ${args.join(' ')}`

/** What stands there at the start: a file, folders, links of every kind. */
function fill(folder: string): void {
  mkdirSync(join(folder, 'd/e'), { recursive: true })
  writeFileSync(join(folder, 'a'), 'content of a')
  writeFileSync(join(folder, 'd/a'), 'deep')
  for (const [name, target] of [['l', 'a'], ['dl', 'd'], ['dangling', 'new'], ['loop', 'loop'], ['d/up', '../a'], ['chain', 'dl/up']] as const) symlinkSync(target, join(folder, name))
}

/** All that can be seen of a tree, but for times and inode numbers. */
function look(folder: string, at = ''): string[] {
  return readdirSync(join(folder, at)).toSorted().flatMap(name => {
    const path = join(folder, at, name)
    const found = lstatSync(path)
    const kind = found.isDirectory() ? 'directory' : found.isSymbolicLink() ? `link to ${readlinkSync(path)}` : found.isFile() ? `file ${readFileSync(path, 'latin1')}` : found.isFIFO() ? 'FIFO' : 'other'
    const line = `${join(at, name)} ${(found.mode & 0o7777).toString(8)} ${found.isDirectory() ? '' : found.nlink} ${kind}`
    return found.isDirectory() ? [line, ...look(folder, join(at, name))] : [line]
  })
}

interface User { readonly name: string; readonly uid: number | undefined }
const USERS: readonly User[] = [{ name: 'this user', uid: undefined }, ...(process.getuid?.() === 0 ? [{ name: 'an ordinary user', uid: 54_321 }] : [])]

interface Seen { readonly results: string[]; readonly tree: string[] }

/** Makes the calls in `folder`, which is `play` in a supervised root, or of the same name and depth outside of any sandbox. */
function run(config: string, folder: string, calls: readonly string[], uid: number | undefined): Seen {
  const { status, stdout, stderr } = spawnSync((tool as CTool).path, [config, (program as CTool).path], {
    cwd: folder, input: `${calls.join('\n')}\n`, encoding: 'utf8', timeout: 60_000, env: { ASAN_OPTIONS: 'detect_leaks=0' }, ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  if (status !== 0) throw new Error(`status ${status}: ${stderr}`)
  return { results: stdout.split('\n').slice(0, -1), tree: look(folder) }
}

/** `granted`: `play` is a folder of which commands' own domain lets write, as it was there at the start. */
function compare(calls: readonly string[], { uid }: User, granted: boolean): { inside: Seen; outside: Seen } {
  const folders = makeSupervisedFolders({ grants: granted, folders: granted ? ['play'] : [] })
  const [inside, outside] = [join(folders.work, 'play'), join(folders.base, 'same', 'play')]
  for (const folder of [inside, outside]) {
    mkdirSync(folder, { recursive: true })
    fill(folder)
  }
  if (uid !== undefined) giveTo(folders.base, uid)
  try {
    return { inside: run(folders.config, inside, calls, uid), outside: run('--open', outside, calls, uid) }
  } finally {
    folders.remove()
  }
}

function giveTo(path: string, uid: number): void {
  const found = lstatSync(path)
  lchownSync(path, uid, uid)
  if (found.isDirectory()) for (const name of readdirSync(path)) giveTo(join(path, name), uid)
}

const NAMES = ['a', 'b', 'c', 'd', 'd/a', 'd/b', 'd/e', 'd/e/x', 'l', 'dl', 'dl/a', 'dangling', 'loop', 'chain', 'd/', 'a/', 'b/', 'dl/', 'dangling/', './a', 'd/../b', 'd/./e', 'd//e', '.', '..', 'd/.', 'd/e/..', 'nope/x', 'a/x', '',
  '/proc/self/cwd/a', '/proc/self/cwd/b', '/proc/thread-self/cwd/d/n', '../play/c', 'x'.repeat(255), 'x'.repeat(256)]
const name = fc.constantFrom(...NAMES).map(string)
/** Also links of /proc to the caller's own, which are meant only where they are followed: what they are themselves, each /proc says for its reader. */
const followed = fc.oneof({ weight: 12, arbitrary: name }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }).map(slot => `p:${slot}`) }, { weight: 1, arbitrary: fc.constant(string('/proc/self/cwd')) })
const at = fc.oneof({ weight: 3, arbitrary: fc.constant(String(AT_FDCWD)) }, { weight: 2, arbitrary: fc.integer({ min: 4, max: 5 }).map(slot => `f:${slot}`) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }).map(slot => `f:${slot}`) })
const slot = fc.integer({ min: 0, max: 3 })
const bits = (...each: number[]): fc.Arbitrary<number> => fc.subarray(each).map(some => some.reduce((all, bit) => all | bit, 0))
const O = { WRONLY: 1, RDWR: 2, CREAT: 0o100, EXCL: 0o200, NOCTTY: 0o400, TRUNC: 0o1000, APPEND: 0o2000, NONBLOCK: 0o4000, CLOEXEC: 0o2000000, PATH: 0o10000000, TMPFILE: 0o20000000, ...(process.arch === 'arm64' ? { DIRECTORY: 0o40000, NOFOLLOW: 0o100000 } : { DIRECTORY: 0o200000, NOFOLLOW: 0o400000 }) }
const openFlags = fc.tuple(fc.constantFrom(0, O.WRONLY, O.RDWR), fc.oneof(fc.constant(0), fc.constant(O.CREAT), fc.constant(O.CREAT | O.EXCL), fc.constant(O.TMPFILE | O.DIRECTORY)), bits(O.TRUNC, O.APPEND, O.CLOEXEC, O.NONBLOCK), fc.constantFrom(0, 0, 0, O.DIRECTORY, O.PATH))
  .map(([access, create, more, rare]) => access | create | more | rare)
const mode = fc.constantFrom(0o600, 0o644, 0o666, 0o755, 0o777, 0o2711, 0o1777, 0)
/** Slot 3 has the descriptors with O_NOFOLLOW, which F_GETFL tells only outside. */
const operation: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.integer({ min: 0, max: 2 }), at, followed, openFlags, mode).map(([slot, at, name, flags, mode]) => `=${slot} ${call('openat', at, name, flags, mode)}`) },
  { weight: 1, arbitrary: fc.tuple(at, name, openFlags, mode).map(([at, name, flags, mode]) => `=3 ${call('openat', at, name, flags | O.NOFOLLOW, mode)}`) },
  { weight: 2, arbitrary: fc.tuple(at, name, mode).map(([at, name, mode]) => call('mkdirat', at, name, mode)) },
  { weight: 1, arbitrary: fc.tuple(at, name, mode).map(([at, name, mode]) => call('mknodat', at, name, 0o100000 | mode, 0)) },
  { weight: 2, arbitrary: fc.tuple(at, name, fc.constantFrom(0, 0, 0x200, 0x4000)).map(([at, name, flags]) => call('unlinkat', at, name, flags)) },
  { weight: 4, arbitrary: fc.tuple(at, name, at, name, fc.constantFrom(0, 0, 1, 2, 3)).map(([from, old, to, fresh, flags]) => call('renameat2', from, old, to, fresh, flags)) },
  { weight: 3, arbitrary: fc.tuple(at, name, at, name, fc.constantFrom(0, 0x400, 0x1000, 0x1400, 1)).map(([from, old, to, fresh, flags]) => call('linkat', from, old, to, fresh, flags)) },
  { weight: 2, arbitrary: fc.tuple(fc.constantFrom('a', 'd', 'b', '../play/d', 'nope/nope', '').map(string), at, name).map(([target, at, name]) => call('symlinkat', target, at, name)) },
  { weight: 1, arbitrary: fc.tuple(followed, fc.constantFrom(0, 3, 100, -1)).map(([name, length]) => call('truncate', name, length)) },
  { weight: 1, arbitrary: fc.tuple(at, followed, mode).map(([at, name, mode]) => call('fchmodat', at, name, mode | 0o500)) },
  { weight: 1, arbitrary: fc.tuple(at, name, mode, fc.constantFrom(0, 0x100, 0x1000, 0x1100, 2)).map(([at, name, mode, flags]) => call('fchmodat2', at, name, mode | 0o700, flags)) },
  { weight: 1, arbitrary: fc.tuple(slot, mode).map(([slot, mode]) => call('fchmod', `f:${slot}`, mode | 0o700)) },
  { weight: 1, arbitrary: fc.tuple(at, name, fc.constantFrom(0, 0x100, 0x1000, 7)).map(([at, name, flags]) => call('fchownat', at, name, -1, -1, flags)) },
  { weight: 1, arbitrary: slot.map(slot => call('fchown', `f:${slot}`, -1, -1)) },
  { weight: 2, arbitrary: fc.tuple(at, fc.oneof(name, fc.constant('0')), fc.constantFrom('0', words(1, 2, 3, 4), words(1, 0x3fffffff, 0, 0x3ffffffe), words(1, -5, 1, 2)), fc.constantFrom(0, 0x100, 0x1000)).map(([at, name, times, flags]) => call('utimensat', at, name, times, flags)) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('setxattr' as const, 'lsetxattr' as const), name, fc.constantFrom('user.one', 'user.two', 'nonsense', 'trusted.x', '', 'user.'.padEnd(300, 'x')), fc.constantFrom(0, 1, 2)).map(([call_, name, key, flags]) => call(call_, name, string(key), string('value'), 5, flags)) },
  { weight: 1, arbitrary: fc.tuple(slot, fc.constantFrom('user.one', 'user.three')).map(([slot, key]) => call('fsetxattr', `f:${slot}`, string(key), string('value'), 5, 0)) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('removexattr' as const, 'lremovexattr' as const), name, fc.constantFrom('user.one', 'user.two')).map(([call_, name, key]) => call(call_, name, string(key))) },
  { weight: 1, arbitrary: fc.constantFrom(0, 0o22, 0o77, 0o777, 0o27).map(mask => call('umask', mask)) },
  { weight: 2, arbitrary: slot.map(slot => call('write', `f:${slot}`, string('written'), 7)) },
  { weight: 1, arbitrary: slot.map(slot => call('ftruncate', `f:${slot}`, 2)) },
  { weight: 2, arbitrary: fc.integer({ min: 0, max: 2 }).map(slot => call('fcntl', `f:${slot}`, 3)) },
  { weight: 1, arbitrary: slot.map(slot => call('fcntl', `f:${slot}`, 1)) },
  { weight: 1, arbitrary: slot.map(slot => call('close', `f:${slot}`)) },
  { weight: 1, arbitrary: fc.constantFrom('d', '../play', 'd/..').map(where => call('chdir', string(where))) },
)
/** Slots 4 and 5 are open on folders. */
const START = [`=4 ${call('openat', AT_FDCWD, string('.'), O.DIRECTORY)}`, `=5 ${call('openat', AT_FDCWD, string('d'), O.DIRECTORY | O.PATH)}`]

describe.each(USERS)('as $name', { timeout: 600_000 }, user => {
  test.each([{ granted: false }, { granted: true }])('random calls, in a folder that is granted: $granted', ({ granted }) => {
    fc.assert(fc.property(fc.array(operation, { minLength: 25, maxLength: 40 }), calls => {
      const { inside, outside } = compare([...START, ...calls], user, granted)
      const numbered = (seen: Seen) => [...START, ...calls].map((call, i) => `${readable(call)} -> ${isLoop(inside, outside, i) ? 'a loop' : seen.results[i]}`)
      expect(numbered(inside)).toEqual(numbered(outside))
      expect(inside.tree).toEqual(outside.tree)
    }), { numRuns: Number(process.env['CALLS_RUNS'] ?? 8) })
  })
})

/** A loop of links and a link that leads to where its reader stands look alike to the launcher: of metadata it refuses both. */
const isLoop = (inside: Seen, outside: Seen, index: number): boolean => outside.results[index] === 'ELOOP' && inside.results[index] === 'EACCES'

/** For a failure's words: names of calls, texts. */
function readable(line: string): string {
  const names = new Map(Object.entries(SYSTEM_CALLS[process.arch as Architecture]).map(([name, number]) => [String(number), name]))
  const parts = line.split(' ')
  const first = parts[0]?.startsWith('=') ? 1 : 0
  return parts.map((part, i) => i === first ? names.get(part) ?? part : part.startsWith('s:') ? JSON.stringify(Buffer.from(part.slice(2), 'hex').toString()) : part).join(' ')
}
