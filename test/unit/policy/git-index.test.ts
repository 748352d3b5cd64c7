// Indexes as git writes them, in all of its forms, and ones that it would not write.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type GitIndex, readGitIndex } from '../../../src/policy/git-index.js'

let folder: string
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'git-index-')) })
afterEach(() => rmSync(folder, { recursive: true }))

const parse = (index: Uint8Array, format: 'sha1' | 'sha256' = 'sha1'): GitIndex => readGitIndex(index, format === 'sha1' ? 20 : 32, name => {
  const path = join(folder, '.git', `sharedindex.${name}`)
  return existsSync(path) ? readFileSync(path) : undefined
})
const gitLinksIn = (index: Uint8Array, format?: 'sha1' | 'sha256'): readonly string[] => parse(index, format).links

/** Files before, between and after two submodules. */
function makeIndex(format: 'sha1' | 'sha256', ...settings: readonly string[]): Buffer {
  const git = (...args: string[]) => execFileSync('git', [...settings.flatMap(each => ['-c', each]), ...args], { cwd: folder, env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' } })
  git('init', '-q', `--object-format=${format}`)
  mkdirSync(join(folder, 'libs'))
  for (const name of ['a', 'libs/b', 'libs/long-name-that-is-shared', 'libs/long-name-that-is-shared-too', 'z'.repeat(200)]) writeFileSync(join(folder, name), name)
  git('add', '.')
  git('add', '--intent-to-add', '.')
  for (const path of ['libs/foo', 'vendored é']) git('update-index', '--add', '--cacheinfo', `160000,${'1'.repeat(format === 'sha1' ? 40 : 64)},${path}`)
  return readFileSync(join(folder, '.git/index'))
}

describe.each(['sha1', 'sha256'] as const)('%s', format => {
  test.each(['2', '3', '4'])('version %s', version => {
    expect(parse(makeIndex(format, `index.version=${version}`), format)).toEqual({ links: ['libs/foo', 'vendored é'], folders: [] })
  })

  test('in two files', () => {
    const index = makeIndex(format, 'core.splitIndex=true')
    expect(readdirSync(join(folder, '.git')).filter(name => name.startsWith('sharedindex.'))).not.toEqual([])
    expect([...gitLinksIn(index, format)].sort()).toEqual(['libs/foo', 'vendored é'])
    // What is not there git cannot read either; here it may be there for git alone.
    expect(readGitIndex(index, format === 'sha1' ? 20 : 32, () => undefined).unread).toMatch(/sharedindex/)
  })
})

test('one that is cut off, or has another byte anywhere, gives paths or none, and ends', () => {
  for (const version of ['2', '4']) {
    rmSync(join(folder, '.git'), { recursive: true, force: true })
    rmSync(join(folder, 'libs'), { recursive: true, force: true })
    const index = makeIndex('sha1', `index.version=${version}`)
    expect(gitLinksIn(index)).toHaveLength(2)
    for (let length = 0; length < index.length; length++) {
      gitLinksIn(index.subarray(0, length))
      for (const byte of [0, 0x7f, 0xff]) gitLinksIn(Uint8Array.from(index, (old, at) => at === length ? byte : old))
    }
  }
  expect(gitLinksIn(new Uint8Array())).toEqual([])
})

describe('what a command wrote so that git sees a submodule, and a reader that is stricter than git does not', () => {
  const indexWith = (change: (index: Buffer) => void): Buffer => {
    const bytes = makeIndex('sha1')
    change(bytes)
    return bytes
  }
  /** Git's own word for each path that it would enter. */
  const enteredByGit = (index: Buffer): string[] => {
    writeFileSync(join(folder, '.git/index'), index)
    return execFileSync('git', ['ls-files', '-z', '--format=%(objectmode) %(path)'], { cwd: folder, encoding: 'utf8' }).split('\0').filter(line => line.startsWith('16')).map(line => line.slice(line.indexOf(' ') + 1))
  }

  test.each([
    { name: 'a mode with other bits',                        change: (index: Buffer) => { index[index.indexOf(Buffer.from([0, 0, 0xe0, 0])) + 3] = 1 } },
    { name: 'no zero byte behind the name of another entry', change: (index: Buffer) => index.fill(0x41, 12 + 62 + 1, 12 + 64) },
    { name: 'nothing',                                       change: () => {} },
  ])('$name', ({ change }) => {
    const index = indexWith(change)
    expect(enteredByGit(index)).toEqual(['libs/foo', 'vendored é'])
    expect(gitLinksIn(index)).toEqual(['libs/foo', 'vendored é'])
  })
})

/** Written by hand, as nobody's git would. */
describe('what git reads otherwise than it stands there', () => {
  const entry = (mode: number, name: string, version = 2, cut = 0): Buffer => {
    const head = Buffer.alloc(62)
    head.writeUInt32BE(mode, 24)
    head.fill(0x11, 40, 60)
    head.writeUInt16BE(name.length, 60)
    return version === 4 ? Buffer.concat([head, Buffer.from([cut]), Buffer.from(`${name}\0`)]) : Buffer.concat([head, Buffer.from(name), Buffer.alloc(8 - (62 + name.length) % 8)])
  }
  const header = (version: number, count: number): Buffer => Buffer.concat([Buffer.from('DIRC'), Buffer.from([0, 0, 0, version, 0, 0, 0, count])])
  const extension = (name: string, ...numbers: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(8 + 4 * numbers.length)
    bytes.write(name, 'latin1')
    for (const [index, number] of [4 * numbers.length, ...numbers].entries()) bytes.writeUInt32BE(number, 4 + 4 * index)
    return bytes
  }
  const endOf = (at: number, ...before: readonly Buffer[]): Buffer => {
    const sum = createHash('sha1').update(Buffer.concat(before.map(each => each.subarray(0, 8)))).digest()
    return Buffer.concat([extension('EOIE', at, 0, 0, 0, 0, 0).subarray(0, 12), sum])
  }
  const FILE = 0o100644
  const LINK = 0o160000
  const sum = Buffer.alloc(20)

  /** Has the name before and its own twelve bytes, which are a number to who counts without an end. */
  const tooLarge = Buffer.concat([entry(FILE, 'x'.repeat(13), 4).subarray(0, 62), Buffer.alloc(12, 0xff), Buffer.alloc(1)])

  const elsewhere = (version: number): Buffer => {
    const start = Buffer.concat([header(version, 2), entry(FILE, 'a', version), entry(FILE, 'b', version, 1)])
    const hidden = Buffer.concat([entry(LINK, 'made', version, 7), entry(FILE, 'zero', version, 4)])
    const table = extension('IEOT', 1, start.length, 2)
    return Buffer.concat([start, hidden, table, endOf(start.length + hidden.length, table), sum])
  }

  test.each([
    { name: 'version 4: the first name leaves out more than there is', index: () => Buffer.concat([header(4, 1), entry(LINK, 'made', 4, 9), sum]) },
    { name: 'version 4: a number that is too large is none',            index: () => Buffer.concat([header(4, 3), entry(FILE, 'a', 4), tooLarge, entry(LINK, 'made', 4, 13), sum]) },
    { name: 'the last entries lie behind the file\'s end',              index: () => Buffer.concat([header(2, 2), entry(LINK, 'made')]) },
    { name: 'the table of offsets leads elsewhere',                    index: () => elsewhere(2) },
    { name: 'and in version 4',                                        index: () => elsewhere(4) },
  ])('$name', ({ index }) => {
    execFileSync('git', ['init', '-q'], { cwd: folder })
    writeFileSync(join(folder, '.git/index'), index())
    const entered = execFileSync('git', ['-c', 'index.threads=4', 'ls-files', '-z', '--format=%(objectmode) %(path)'], { cwd: folder, encoding: 'utf8' }).split('\0').filter(line => line.startsWith('16'))
    expect([entered, gitLinksIn(index())]).toEqual([['160000 made'], ['made']])
  })

  test.each([
    { name: 'version 2', index: () => Buffer.concat([header(2, 1), entry(LINK, 'made').fill(0x58, 66, 67), sum]) },
    { name: 'version 4', index: () => Buffer.concat([header(4, 1), entry(LINK, 'made', 4).fill(0x58, 67, 68), sum]) },
  ])('$name: no zero byte behind the name of a submodule: it is one longer', ({ index }) => {
    execFileSync('git', ['init', '-q'], { cwd: folder })
    writeFileSync(join(folder, '.git/index'), index())
    expect(execFileSync('git', ['ls-files', '-z', '--format=%(objectmode) %(path)'], { cwd: folder, encoding: 'utf8' })).toBe('160000 madeX\0')
    expect(parse(index())).toEqual({ links: ['made', 'madeX'], folders: [] })
  })

  test('a table that has the same entries again and again is not read to its end, and that is said', () => {
    const start = Buffer.concat([header(2, 1), entry(FILE, 'a')])
    const table = extension('IEOT', 1, ...Array.from({ length: 4000 }, () => [12, 1]).flat())
    expect(parse(Buffer.concat([start, table, endOf(start.length, table), sum]))).toMatchObject({ links: [], unread: expect.stringMatching(/offsets/) })
    const long = extension('IEOT', 1, ...Array.from({ length: 5000 }, () => [12, 0]).flat())
    expect(parse(Buffer.concat([start, long, endOf(start.length, long), sum]))).toMatchObject({ links: [], unread: expect.stringMatching(/offsets/) })
    const endless = Buffer.concat([start, Buffer.alloc(1 << 20, 0xff)])
    const often = extension('IEOT', 1, ...Array.from({ length: 4000 }, () => [start.length, 1]).flat())
    expect(parse(Buffer.concat([endless, often, endOf(endless.length, often), sum]))).toMatchObject({ links: [], unread: expect.stringMatching(/offsets/) })
    const far = extension('IEOT', 1, 12, 0xffffffff)
    expect(parse(Buffer.concat([start, far, endOf(start.length, far), sum]))).toMatchObject({ links: [], unread: expect.stringMatching(/offsets/) })
  })

  test('a bitmap of a split index that has no end is read as far as there are entries', () => {
    const index = (words: readonly number[]): Buffer => {
      const link = extension('link', 0x22222222, 0x22222222, 0x22222222, 0x22222222, 0x22222222, 0, 0, 0, 64, words.length / 2, ...words, 0)
      return Buffer.concat([header(2, 1), entry(LINK, ''), link, sum])
    }
    const shared = Buffer.concat([header(2, 2), entry(FILE, 'a'), entry(FILE, 'made'), sum])
    const links = (words: readonly number[]): GitIndex => readGitIndex(index(words), 20, name => name === '22'.repeat(20) ? shared : undefined)
    // The second bit; a run of nearly 2^38 bits; literals that are not there.
    expect([links([2, 0, 0, 2]), links([1, 0xffffffff]), links([0xffffffff, 0xfffffffe])]).toMatchObject([{ links: ['made'] }, { links: ['a'] }, { links: [] }])
  })

  test('an entry that cannot be there takes no place in the shared index, and it is not searched for without an end', () => {
    const start = Buffer.concat([header(2, 0), entry(FILE, 'a')])
    start.fill(0xff, 8, 12)
    const nameless = entry(LINK, '')
    const table = extension('IEOT', 1, 12, 0xfffffffe, start.length, 1)
    const link = extension('link', ...Array<number>(5).fill(0x22222222), 0, 0, 0, 64, 1, 1, 0xffffffff, 0)
    const index = Buffer.concat([start, nameless, table, link, endOf(start.length + nameless.length, table, link), sum])
    expect(readGitIndex(index, 20, () => Buffer.concat([header(2, 1), entry(FILE, 'made'), sum])).links).toEqual([])
  })

  test('more than one shared index is said', () => {
    const link = extension('link', 1, 1, 1, 1, 1)
    expect(parse(Buffer.concat([header(2, 0), link, sum])).unread).toMatch(/cannot be read/)
    expect(parse(Buffer.concat([header(2, 0), link, link, sum])).unread).toMatch(/more than one/)
  })

  test('what nobody reads yet, or has no plain name, is said', () => {
    expect(parse(Buffer.concat([header(5, 0), sum])).unread).toMatch(/version/)
    const senseless = Buffer.concat([header(4, 3), entry(FILE, 'long', 4), entry(FILE, '', 4), entry(LINK, 'made', 4), sum])
    expect(parse(senseless)).toMatchObject({ links: [], unread: expect.stringMatching(/shorter/) })
    const index = Buffer.concat([header(2, 1), entry(LINK, 'x'), sum])
    index[12 + 62] = 0xff
    expect(parse(index).unread).toMatch(/UTF-8/)
  })

  test('a folder of a sparse index is named, with the name of its tree', () => {
    expect(parse(Buffer.concat([header(2, 1), entry(0o040000, 'lib/'), sum]))).toEqual({ links: [], folders: [{ path: 'lib/', object: '11'.repeat(20) }] })
  })
})

test('a name ends at a zero byte, so that system calls take it', () => {
  const bytes = makeIndex('sha1')
  bytes[bytes.indexOf('libs/foo') + 5] = 0
  expect(gitLinksIn(bytes)).toEqual(['libs/', 'vendored é'])
})

test('in a split index, an entry that takes a place of the shared one has its name', () => {
  makeIndex('sha1', 'core.splitIndex=true')
  const git = (...args: string[]) => execFileSync('git', ['-c', 'core.splitIndex=true', ...args], { cwd: folder })
  git('update-index', '--split-index')
  const links = (): readonly string[] => [...gitLinksIn(readFileSync(join(folder, '.git/index')))].sort()
  expect(links()).toEqual(['libs/foo', 'vendored é'])
  git('update-index', '--cacheinfo', `160000,${'2'.repeat(40)},vendored é`)
  expect(links()).toEqual(['libs/foo', 'vendored é'])
  git('update-index', '--cacheinfo', `160000,${'2'.repeat(40)},libs/long-name-that-is-shared`)
  expect(links()).toEqual(['libs/foo', 'libs/long-name-that-is-shared', 'vendored é'])
  expect(parse(readFileSync(join(folder, '.git/index'))).unread).toBe(undefined)
})

test('version 4 with names that grow: no more is kept than can be a path', () => {
  const entry = Buffer.alloc(65)
  entry.writeUInt32BE(0o160000, 24)
  entry.writeUInt16BE(0xfff, 60)
  entry[63] = 0x61
  const n = 20_000
  const index = Buffer.concat([Buffer.from('DIRC\0\0\0\x04'), Buffer.from([0, 0, n >> 8, n & 255]), ...Array<Buffer>(n).fill(entry), Buffer.alloc(20)])
  const links = gitLinksIn(index)
  expect(links[0]).toBe('a')
  expect(links.at(-1)).toBe('a'.repeat(4095))
})
