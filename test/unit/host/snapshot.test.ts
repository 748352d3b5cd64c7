import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { platformName, realFiles, takeSnapshot } from '../../../src/host/snapshot.js'
import { resolve } from '../../../src/policy/resolve.js'
import { presetPolicy } from '../../../src/policy/presets.js'

let folder = ''
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'snapshot-')))
  mkdirSync(join(folder, 'dir'))
  writeFileSync(join(folder, 'dir/file'), 'text')
  writeFileSync(join(folder, 'long'), 'x'.repeat(100_000))
  symlinkSync('dir/file', join(folder, 'link'))
  symlinkSync('loop', join(folder, 'loop'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('the facts come from the given environment', () => {
  const snapshot = takeSnapshot({ selfPaths: ['/us'], cwd: '/w', env: { HOME: '/h', TMPDIR: '/t', CODEX_HOME: '/c' } })
  expect(snapshot).toMatchObject({ cwd: '/w', home: '/h', tmpdir: '/t', codexHome: '/c', selfPaths: ['/us'], uid: process.getuid?.(), gid: process.getgid?.() })
})

test('an empty TMPDIR is none, CODEX_HOME has a default, a relative HOME is no home', () => {
  expect(takeSnapshot({ selfPaths: [], env: { HOME: '/h', TMPDIR: '', CODEX_HOME: '' } })).toMatchObject({ tmpdir: undefined, codexHome: '/h/.codex' })
  expect(takeSnapshot({ selfPaths: [], env: { HOME: 'h' } }).home).not.toBe('h')
})

test('where HOME names another folder than the account has, both are known: keys and tokens lie in the account\'s', () => {
  const { homedir } = userInfo()
  expect(takeSnapshot({ selfPaths: [], env: { HOME: '/h' } })).toMatchObject({ home: '/h', accountHome: homedir })
  for (const env of [{ HOME: homedir }, {}, { HOME: 'h' }]) expect(takeSnapshot({ selfPaths: [], env })).not.toHaveProperty('accountHome')
})

test('platforms that we do not know are refused', () => {
  expect(['linux', 'darwin', 'win32'].map(name => platformName(name as NodeJS.Platform))).toEqual(['linux', 'macos', 'windows'])
  expect(() => platformName('aix')).toThrowError(expect.objectContaining({ code: 'platform_unsupported' }))
})

describe('files', () => {
  test('kinds, link texts and identities, without following links', () => {
    const { entry } = realFiles()
    expect(entry(join(folder, 'dir'))).toMatchObject({ kind: 'directory' })
    expect(entry(join(folder, 'dir/file'))).toMatchObject({ kind: 'file', device: expect.stringMatching(/^\d+$/), inode: expect.stringMatching(/^\d+$/) })
    expect(entry(join(folder, 'link'))).toMatchObject({ kind: 'symlink', target: 'dir/file' })
    expect(entry('/dev/null')?.kind).toBe('device')
  })

  test('nothing lies below what was missing, though it may come meanwhile', () => {
    const files = realFiles()
    expect(files.entry(join(folder, 'later'))).toBeUndefined()
    mkdirSync(join(folder, 'later'))
    writeFileSync(join(folder, 'later/file'), 'x')
    const answers = (view: typeof files) => [view.entry(join(folder, 'later/file'))?.kind, view.text(join(folder, 'later/file')), view.bytes(join(folder, 'later/file'))?.length]
    expect([answers(files), answers(realFiles())]).toEqual([[undefined, undefined, undefined], ['file', 'x', 1]])
  })

  test('sockets and fifos; no question waits for a fifo\'s writer', async () => {
    const [socket, fifo] = [join(folder, 's'), join(folder, 'f')]
    const server = createServer()
    await new Promise<void>(done => server.listen(socket, done))
    execFileSync('mkfifo', [fifo])
    const files = realFiles()
    expect([files.entry(socket)?.kind, files.entry(fifo)?.kind, files.text(fifo)]).toEqual(['socket', 'fifo', undefined])
    await new Promise(done => server.close(done))
  })

  test('what is missing is undefined', () => {
    const files = realFiles()
    for (const path of [join(folder, 'none'), join(folder, 'dir/file/below'), join(folder, 'loop/x'), `/${'a'.repeat(300)}`]) {
      expect([files.entry(path), files.children(path), files.text(path)]).toEqual([undefined, undefined, undefined])
    }
    expect([files.text(join(folder, 'dir')), files.text(join(folder, 'link')), files.children(join(folder, 'dir/file'))]).toEqual([undefined, undefined, undefined])
  })

  test.skipIf(process.getuid?.() === 0)('what may not be looked at is undefined (root may look at all)', () => {
    mkdirSync(join(folder, 'shut/in'), { recursive: true })
    chmodSync(join(folder, 'shut'), 0)
    expect(realFiles().entry(join(folder, 'shut/in'))).toBeUndefined()
    chmodSync(join(folder, 'shut'), 0o700)
  })

  test('names and text, text cut at 64 KiB', () => {
    const files = realFiles()
    expect(files.children(join(folder, 'dir'))).toEqual(['file'])
    expect([files.text(join(folder, 'dir/file')), files.text(join(folder, 'long'))?.length]).toEqual(['text', 65_536])
  })

  test('an answer once given stays', () => {
    const files = realFiles()
    const before = files.entry(join(folder, 'dir/file'))
    renameSync(join(folder, 'dir/file'), join(folder, 'dir/other'))
    expect(files.entry(join(folder, 'dir/file'))).toBe(before)
    expect(realFiles().entry(join(folder, 'dir/file'))).toBeUndefined()
    renameSync(join(folder, 'dir/other'), join(folder, 'dir/file'))
  })
})

test('a policy resolves on this very machine, with the identities that stat(1) shows', () => {
  mkdirSync(join(folder, 'work/.git'), { recursive: true })
  const { paths } = resolve(presetPolicy('workspace-write', 'library'), takeSnapshot({ selfPaths: [process.execPath], cwd: join(folder, 'work'), env: { HOME: '/nonexistent' } }))
  const rule = paths.find(({ path }) => path === join(folder, 'work/.git'))
  expect(rule).toMatchObject({ effect: 'read', kind: 'directory', owner: join(folder, 'work') })
  if (process.platform === 'linux') expect(`${rule?.identity?.device} ${rule?.identity?.inode}`).toBe(execFileSync('stat', ['-c', '%d %i', join(folder, 'work/.git')], { encoding: 'utf8' }).trim())
})
