// Set-up in a folder that stands for the whole machine, with a parser that writes down what it is asked. Real files, links and modes.
import { chmodSync, chownSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { execFileSync, spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { chooseLauncher, installedLauncherPath, RESTRICTION } from '../../../../../src/platform/linux/native/installed-launcher.js'
import { packageVersion } from '../../../../../src/host/package-version.js'
import { LAUNCHER_PROFILE, PROFILE_MARK } from '../../../../../src/platform/linux/setup/apparmor-profile.js'
import { type ParserOutcome, type SetUpMachine, type SetUpOptions, setUpLinux } from '../../../../../src/platform/linux/setup/set-up.js'

const VERSION = packageVersion()
const PROFILE = 'etc/apparmor.d/codex-sandbox-launcher'
const INSTALLED = installedLauncherPath().slice(1)
const uid = process.getuid?.() ?? -1
const isRoot = uid === 0

let root: string
let launcher: string
let asked: { words: readonly string[]; input: string }[]
let answer: (words: readonly string[]) => ParserOutcome
let machine: SetUpMachine

beforeEach(() => {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'set-up-')))
  root = join(base, 'root')
  launcher = join(base, 'launcher')
  writeFileSync(launcher, 'the launcher', { mode: 0o755 })
  for (const folder of ['usr/lib', 'etc/apparmor.d', dirname(RESTRICTION)]) mkdirSync(join(root, folder), { recursive: true, mode: 0o755 })
  restrict('1')
  asked = []
  answer = () => ({ status: 0, stderr: '' })
  machine = { root, owner: uid, uid, version: VERSION, runParser: (words, input) => {
    asked.push({ words, input })
    return answer(words)
  } }
})
afterEach(() => rmSync(dirname(root), { recursive: true, force: true }))

const restrict = (value: string): void => writeFileSync(join(root, RESTRICTION), `${value}\n`)
const run = (options: Partial<SetUpOptions> = {}): ReturnType<typeof setUpLinux> => setUpLinux({ launcher, command: 'codex-sandbox setup linux', ...options }, machine)
/** Everything below usr and etc, with what it is. */
const tree = (): Record<string, string> => Object.fromEntries(['usr', 'etc'].flatMap(top => readdirSync(join(root, top), { recursive: true, encoding: 'utf8' }).map(name => {
  const stats = lstatSync(join(root, top, name))
  return [`${top}/${name}`, `${(stats.mode & 0o7777).toString(8)} ${stats.isFile() ? readFileSync(join(root, top, name), 'utf8') : stats.isDirectory() ? 'folder' : 'link'}`] as const
})).sort())
const write = (name: string, content: string, mode = 0o644): void => {
  mkdirSync(dirname(join(root, name)), { recursive: true, mode: 0o755 })
  writeFileSync(join(root, name), content)
  chmodSync(join(root, name), mode)
}
const AFTER = {
  'etc/apparmor.d': '755 folder', [PROFILE]: `644 ${LAUNCHER_PROFILE}`,
  'usr/lib': '755 folder', 'usr/lib/codex-sandbox': '755 folder', [`usr/lib/codex-sandbox/${VERSION}`]: '755 folder', [INSTALLED]: '755 the launcher',
}
const BEFORE = { 'etc/apparmor.d': '755 folder', 'usr/lib': '755 folder' }

describe('install and uninstall', () => {
  test('the launcher and the profile are there afterwards, whatever the umask, checked before and loaded after', () => {
    const umask = process.umask(0o077)
    onTestFinished(() => void process.umask(umask))
    expect(run()).toMatchObject({ result: 'installed', launcher: join(root, INSTALLED), profile: join(root, PROFILE), left: [] })
    expect(tree()).toEqual(AFTER)
    expect(asked).toEqual([{ words: ['--skip-kernel-load', '--skip-cache'], input: LAUNCHER_PROFILE }, { words: ['--replace', '--skip-cache'], input: LAUNCHER_PROFILE }])
  })
  test('a second time nothing is changed, and the profile is loaded again', () => {
    run()
    const inode = lstatSync(join(root, INSTALLED)).ino
    expect(run()).toMatchObject({ result: 'unchanged', changes: [{ did: 'loaded', path: join(root, PROFILE) }] })
    expect(lstatSync(join(root, INSTALLED)).ino).toBe(inode)
  })
  test('uninstalling leaves nothing, unloads first, and a second time finds nothing', () => {
    run()
    const present: boolean[] = []
    answer = () => {
      present.push(existsSync(join(root, PROFILE)))
      return { status: 0, stderr: '' }
    }
    asked = []
    expect(run({ uninstall: true })).toMatchObject({ result: 'removed', left: [] })
    expect(tree()).toEqual(BEFORE)
    expect([asked, present]).toEqual([[{ words: ['--remove', '--skip-cache'], input: LAUNCHER_PROFILE }], [true]])
    expect(run({ uninstall: true })).toMatchObject({ result: 'removed', changes: [] })
  })
  test('a profile that is not loaded any more is removed all the same', () => {
    run()
    answer = () => ({ status: 254, stderr: 'apparmor_parser: Unable to remove "codex-sandbox-launcher".  Profile doesn\'t exist\n' })
    expect(run({ uninstall: true }).result).toBe('removed')
    expect(tree()).toEqual(BEFORE)
  })
  test('an older launcher of this version, and an older profile of this program, are replaced', () => {
    write(INSTALLED, 'older', 0o755)
    write(PROFILE, `${PROFILE_MARK}\nolder\n`)
    expect(run().changes.map(({ did }) => did)).toEqual(['replaced', 'replaced', 'loaded'])
    expect(tree()).toEqual(AFTER)
  })
  test('launchers of older versions go, those of newer ones stay, and --uninstall takes all', () => {
    const [major = 0, minor = 0] = VERSION.split('.').map(Number)
    const newer = `usr/lib/codex-sandbox/${major}.${minor + 10}.0/codex-sandbox-launcher`
    write('usr/lib/codex-sandbox/0.0.9/codex-sandbox-launcher', 'old', 0o755)
    write(newer, 'new', 0o755)
    run()
    expect(Object.keys(tree()).filter(name => name.endsWith('-launcher'))).toEqual([PROFILE, INSTALLED, newer])
    run({ uninstall: true })
    expect(tree()).toEqual(BEFORE)
  })
})

describe('where it is not needed', () => {
  test.each([
    { name: 'the restriction is off', prepare: () => restrict('0'), reason: /is 0/ },
    { name: 'the kernel has none', prepare: () => rmSync(join(root, RESTRICTION)), reason: /there is no/ },
  ])('nothing is changed where $name, but with force', ({ prepare, reason }) => {
    prepare()
    const before = tree()
    expect(run()).toMatchObject({ result: 'not-needed', changes: [], reason: expect.stringMatching(reason) })
    expect([tree(), asked]).toEqual([before, []])
    machine = { ...machine, uid: uid + 1 }
    expect(run()).toMatchObject({ result: 'not-needed', changes: [] })
    expect(() => run({ force: true })).toThrow(expect.objectContaining({ code: 'root_required' }))
    machine = { ...machine, uid }
    expect(run({ force: true }).result).toBe('installed')
    expect(tree()).toEqual(AFTER)
  })
})

describe('what goes wrong', () => {
  test('not as root: the command that would be', () => {
    machine = { ...machine, uid: uid + 1 }
    expect(() => run()).toThrow(expect.objectContaining({ code: 'root_required', remedy: 'Run it as root: sudo codex-sandbox setup linux.' }))
    expect(tree()).toEqual(BEFORE)
  })
  test.each([
    { name: 'AppArmor\'s tools are missing', prepare: () => { machine = { ...machine, runParser: undefined } }, step: 'find_apparmor_parser' },
    { name: 'the parser does not understand the profile', prepare: () => { answer = () => ({ status: 1, stderr: 'syntax error\nat line 3' }) }, step: 'check_profile' },
    { name: 'the parser is killed', prepare: () => { answer = () => ({ status: null, stderr: '' }) }, step: 'check_profile' },
  ])('$name: nothing is changed', ({ prepare, step }) => {
    prepare()
    expect(() => run()).toThrow(expect.objectContaining({ code: 'installation_failed', step }))
    expect(tree()).toEqual(BEFORE)
  })
  test('the kernel refuses the profile: said with the parser\'s words; running it again, or uninstalling, mends it', () => {
    answer = words => words.includes('--replace') ? { status: 2, stderr: 'Unable to replace\n' } : { status: 0, stderr: '' }
    expect(() => run()).toThrow(expect.objectContaining({ code: 'installation_failed', step: 'load_profile', errno: 'exit code 2', message: expect.stringContaining('Unable to replace') }))
    answer = () => ({ status: 0, stderr: '' })
    run()
    expect(tree()).toEqual(AFTER)
    run({ uninstall: true })
    expect(tree()).toEqual(BEFORE)
  })
  test('the kernel does not let the profile go: everything stays', () => {
    run()
    answer = () => ({ status: 1, stderr: 'Permission denied' })
    expect(() => run({ uninstall: true })).toThrow(expect.objectContaining({ step: 'unload_profile' }))
    expect(tree()).toEqual(AFTER)
  })
  test.each([
    { name: 'only a part of a file', left: () => write(`usr/lib/codex-sandbox/${VERSION}/.codex-sandbox-0123456789abcdef.unfinished`, 'the lau', 0o600) },
    { name: 'a launcher without a profile', left: () => write(INSTALLED, 'the launcher', 0o755) },
    { name: 'a part of the profile', left: () => write('etc/apparmor.d/.codex-sandbox-fedcba9876543210.unfinished', '# Made', 0o600) },
    { name: 'an empty folder', left: () => mkdirSync(join(root, `usr/lib/codex-sandbox/${VERSION}`), { recursive: true, mode: 0o755 }) },
  ])('an interrupted run left $name: the next goes on from there, and uninstalling removes it', ({ left }) => {
    left()
    run({ uninstall: true })
    expect(tree()).toEqual(BEFORE)
    left()
    run()
    expect(tree()).toEqual(AFTER)
  })
  test.skipIf(!isRoot || spawnSync('mount', ['--version']).status !== 0)('a full disk: what was there stays, and nothing half written does (only root can mount a small one)', () => {
    const folder = join(root, `usr/lib/codex-sandbox/${VERSION}`)
    mkdirSync(folder, { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k,mode=755', 'small', folder])
    try {
      write(INSTALLED, 'older', 0o755)
      writeFileSync(launcher, Buffer.alloc(100_000))
      expect(() => run()).toThrow(expect.objectContaining({ code: 'installation_failed', step: 'write', errno: 'ENOSPC', path: join(root, INSTALLED), remedy: expect.stringContaining('Make room') }))
      expect(readdirSync(folder)).toEqual(['codex-sandbox-launcher'])
      expect(readFileSync(join(root, INSTALLED), 'utf8')).toBe('older')
      expect(existsSync(join(root, PROFILE))).toBe(false)
    } finally {
      execFileSync('umount', [folder])
    }
  })
})

describe('what others have planted', () => {
  const outside = (): string => {
    const folder = join(dirname(root), 'outside')
    mkdirSync(folder, { mode: 0o755 })
    return folder
  }
  test.each([
    { name: 'a link in the place of the folder',          plant: (to: string) => symlinkSync(to, join(root, 'usr/lib/codex-sandbox')), step: 'open_folder' },
    { name: 'a link in the place of the version',         plant: (to: string) => { mkdirSync(join(root, 'usr/lib/codex-sandbox')); symlinkSync(to, join(root, `usr/lib/codex-sandbox/${VERSION}`)) }, step: 'open_folder' },
    { name: 'a link in the place of the launcher',        plant: (to: string) => { write(INSTALLED, ''); rmSync(join(root, INSTALLED)); writeFileSync(join(to, 'x'), 'theirs'); symlinkSync(join(to, 'x'), join(root, INSTALLED)) }, step: 'replace' },
    { name: 'a folder in the place of the launcher',      plant: () => mkdirSync(join(root, INSTALLED), { recursive: true, mode: 0o755 }), step: 'replace' },
    { name: 'a folder that others can write',             plant: () => { write('usr/lib/codex-sandbox/x', ''); chmodSync(join(root, 'usr/lib/codex-sandbox'), 0o777) }, step: 'open_folder' },
    { name: 'a folder that a group can write, above all', plant: () => chmodSync(join(root, 'usr'), 0o775), step: 'open_folder' },
    { name: 'a launcher that others can write',           plant: () => write(INSTALLED, 'theirs', 0o777), step: 'replace' },
    { name: 'a link in the place of the profile',         plant: (to: string) => { writeFileSync(join(to, 'x'), 'theirs'); symlinkSync(join(to, 'x'), join(root, PROFILE)) }, step: 'replace' },
    { name: 'somebody else\'s profile of that name',      plant: () => write(PROFILE, 'profile codex-sandbox-launcher {}\n'), step: 'replace' },
  ])('$name: refused with the place, and nothing is written through it', ({ plant, step }) => {
    const to = outside()
    plant(to)
    const [before, theirs] = [tree(), readdirSync(to).map(name => readFileSync(join(to, name), 'utf8'))]
    expect(() => run()).toThrow(expect.objectContaining({ code: 'installation_failed', step, path: expect.stringContaining(root) }))
    expect(readdirSync(to).map(name => readFileSync(join(to, name), 'utf8'))).toEqual(theirs)
    const after = tree()
    for (const [name, content] of Object.entries(before)) expect(after[name], name).toBe(content)
  })
  test.skipIf(!isRoot)('a folder, or a launcher, of another user (only root can make one)', () => {
    for (const name of ['usr/lib/codex-sandbox', INSTALLED]) {
      write(INSTALLED, 'theirs', 0o755)
      chownSync(join(root, name), 1234, 1234)
      expect(() => run()).toThrow(expect.objectContaining({ code: 'installation_failed', message: expect.stringContaining('belongs to user 1234') }))
      chownSync(join(root, name), 0, 0)
    }
  })
  test('uninstalling removes nobody else\'s: it stays, with the folders above it, and is named', () => {
    run()
    write('usr/lib/codex-sandbox/notes', 'theirs')
    write(`usr/lib/codex-sandbox/${VERSION}/other`, 'theirs')
    symlinkSync('/etc', join(root, 'usr/lib/codex-sandbox/9.9.9'))
    expect([...run({ uninstall: true }).left].sort()).toEqual([`usr/lib/codex-sandbox/${VERSION}/other`, 'usr/lib/codex-sandbox/9.9.9', 'usr/lib/codex-sandbox/notes'].map(name => join(root, name)).sort())
    expect([existsSync(join(root, INSTALLED)), existsSync(join(root, PROFILE))]).toEqual([false, false])
  })
})

describe('which launcher is started', () => {
  const choose = (): ReturnType<typeof chooseLauncher> => chooseLauncher(launcher, { root, owner: uid, uid: 1000 })
  test('the installed one where AppArmor restricts, for users', () => {
    run()
    expect(choose()).toEqual({ path: join(root, INSTALLED) })
    expect(chooseLauncher(launcher, { root, owner: uid, uid: 0 })).toEqual({ path: launcher })
  })
  test.each([
    { name: 'nothing is restricted', prepare: () => restrict('0') },
    { name: 'the kernel cannot restrict', prepare: () => rmSync(join(root, RESTRICTION)) },
    { name: 'none is installed', prepare: () => rmSync(join(root, INSTALLED)) },
  ])('the package\'s own where $name, without a word', ({ prepare }) => {
    run()
    prepare()
    expect(choose()).toEqual({ path: launcher })
  })
  test.each([
    { name: 'another content',               spoil: () => write(INSTALLED, 'another', 0o755), says: /is not the one of this package \(its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64}\)/ },
    { name: 'a file that others can write',  spoil: () => chmodSync(join(root, INSTALLED), 0o775), says: /can be written by others \(mode 775\)/ },
    { name: 'a set-user-id file',            spoil: () => chmodSync(join(root, INSTALLED), 0o4755), says: /set-id/ },
    { name: 'a folder that others can write', spoil: () => chmodSync(join(root, 'usr/lib/codex-sandbox'), 0o757), says: /codex-sandbox" can be written by others/ },
    { name: 'a link to the package\'s own',  spoil: () => { rmSync(join(root, INSTALLED)); symlinkSync(launcher, join(root, INSTALLED)) }, says: /is no file but a symbolic link/ },
  ])('the package\'s own where the installed one has $name, and it is told', ({ spoil, says }) => {
    run()
    spoil()
    expect(choose()).toEqual({ path: launcher, refused: expect.stringMatching(says) })
    expect(choose().refused).toContain('codex-sandbox setup linux')
  })
  test.skipIf(!isRoot)('nor one of another user (only root can make one)', () => {
    run()
    chownSync(join(root, INSTALLED), 1234, 1234)
    expect(choose()).toEqual({ path: launcher, refused: expect.stringContaining('belongs to user 1234') })
  })
})

describe('the profile', () => {
  const parser = ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser'].find(path => existsSync(path))
  const [, major = '0'] = /version (\d+)/.exec(parser === undefined ? '' : spawnSync(parser, ['-V'], { encoding: 'utf8' }).stdout) ?? []
  const reason = parser === undefined ? 'apparmor_parser is not installed' : Number(major) < 4 ? `apparmor_parser here is of version ${major}, which does not know the rule userns` : undefined

  test('gives the permission to one path below a folder of root\'s, and neither it nor a capability to what the launcher starts', () => {
    const [, own = '', command = ''] = LAUNCHER_PROFILE.split(/^profile /m)
    expect(own).toMatch(/^codex-sandbox-launcher \/usr\/lib\/codex-sandbox\/\*\/codex-sandbox-launcher flags=\(attach_disconnected,mediate_deleted\) \{\n/)
    expect([/\buserns,/.test(own), /\bcapability,/.test(own), /\buserns\b/.test(command), /\bcapability\b/.test(command), LAUNCHER_PROFILE.includes('(unconfined')]).toEqual([true, true, false, false, false])
    // One way out of the first profile, into both.
    expect(own.match(/\S*x \/\*\*.*,/g)).toEqual(['px /** -> codex-sandbox-launcher//&codex-sandbox-command,'])
  })
  test.skipIf(reason !== undefined)(`the real parser takes it${reason === undefined ? '' : ` (${reason}; scripts/verify-apparmor.mjs loads it in a VM)`}`, () => {
    const { status, stderr } = spawnSync(parser as string, ['--skip-kernel-load', '--skip-cache'], { input: LAUNCHER_PROFILE, encoding: 'utf8' })
    expect([status, stderr]).toEqual([0, ''])
  })
})
