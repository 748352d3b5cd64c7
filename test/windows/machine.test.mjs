// What the addon says of a machine, and that a policy becomes a plan with it: real under Wine too, but for access lists, of which Wine keeps
// three entries, and links, which it does not make.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { linkSync, lstatSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'

const { CODEX_SANDBOX_ADDON, CODEX_SANDBOX_PRODUCT, CODEX_SANDBOX_WINE, SystemRoot } = process.env
const addon = createRequire(import.meta.url)(CODEX_SANDBOX_ADDON)
const { machineFacts, parseDescriptor, readMachine, windowsFiles } = await import(CODEX_SANDBOX_PRODUCT)
const onWine = CODEX_SANDBOX_WINE === '1'
const folder = mkdtempSync(join(tmpdir(), 'codex-sandbox-'))
after(() => rmSync(folder, { recursive: true, force: true }))

describe('the machine', () => {
  const machine = readMachine(addon)
  test('its account, folders and processor', () => {
    assert.equal(machine.user.name.toLowerCase(), userInfo().username.toLowerCase())
    assert.match(machine.user.sid, /^S-1-5-21-/)
    assert.equal(machine.systemRoot.toLowerCase(), SystemRoot.toLowerCase())
    assert.equal(machine.architecture, process.arch === 'arm64' ? 'arm64' : machine.architecture)
    assert.ok(['x64', 'arm64'].includes(machine.architecture))
    for (const path of [machine.profile, machine.programFiles, machine.programData]) assert.ok(addon.lookAt(path)?.isDirectory, path)
    assert.equal(typeof machine.isElevated, 'boolean')
  })
  test('its drives', () => {
    const system = machine.drives.find(({ letter }) => letter === SystemRoot.slice(0, 2).toUpperCase())
    assert.equal(system.kind, 'fixed')
    assert.match(system.fileSystem, /^(NTFS|ReFS)$/)
    for (const { letter, kind, substituted } of machine.drives) {
      assert.match(letter, /^[A-Z]:$/)
      assert.ok(['fixed', 'removable', 'remote', 'optical', 'memory'].includes(kind))
      assert.equal(substituted, undefined)
    }
  })
  test('a letter that is another name of a folder says so', onWine ? { skip: 'Wine has no subst' } : {}, () => {
    const letter = ['Q:', 'R:', 'S:'].find(each => !machine.drives.some(drive => drive.letter === each))
    execFileSync('subst', [letter, folder])
    try {
      assert.equal(readMachine(addon).drives.find(drive => drive.letter === letter).substituted.toLowerCase(), folder.toLowerCase())
    } finally {
      execFileSync('subst', [letter, '/D'])
    }
  })
})

describe('what stands at a path', () => {
  const file = join(folder, 'a file \u00fc.txt')
  writeFileSync(file, 'text')
  test('files and folders, each with an identity of its own', () => {
    const [found, of] = [addon.lookAt(file), addon.lookAt(folder)]
    assert.deepEqual([found.kind, found.isDirectory, of.kind, of.isDirectory], ['file', false, 'directory', true])
    assert.match(found.inode, /^[1-9]\d*$/)
    assert.equal(found.device, of.device)
    assert.notEqual(found.inode, of.inode)
    assert.deepEqual(addon.lookAt(file), found)
  })
  test('a second name is the same file; another letter case is no other name', () => {
    const second = join(folder, 'second')
    linkSync(file, second)
    assert.deepEqual(addon.lookAt(second), addon.lookAt(file))
    assert.equal(addon.lookAt(file.toUpperCase()).inode, addon.lookAt(file).inode)
  })
  test('what is not there is nothing, and no failure', () => {
    for (const path of [join(folder, 'nothing'), join(folder, 'nothing', 'below'), join(file, 'in a file'), 'Q:\\x', `${folder}\\a:b`]) {
      assert.equal(addon.lookAt(path), undefined, path)
      assert.equal(addon.readDescriptor(path), undefined, path)
    }
  })
  test('names that are long, or end in a dot, are taken as they stand', () => {
    const long = join(folder, ...Array.from({ length: 6 }, (_, index) => `${index}`.repeat(60)))
    mkdirSync(`\\\\?\\${long}`, { recursive: true })
    assert.equal(addon.lookAt(long).kind, 'directory')
    assert.equal(addon.lookAt(`${folder}.`), undefined)
  })
  test('a short name is the same file as its long one', context => {
    const short = shortName(folder)
    if (short === undefined) return context.skip('this volume makes no short names')
    assert.equal(addon.lookAt(short).inode, addon.lookAt(folder).inode)
  })
  test('links are themselves, and say where they lead', onWine ? { skip: 'Wine makes no links' } : {}, () => {
    const junction = join(folder, 'junction')
    symlinkSync(folder, junction, 'junction')
    const found = addon.lookAt(junction)
    assert.deepEqual([found.kind, found.isDirectory], ['symlink', true])
    assert.equal(found.target.replace(/^\\\?\?\\/, '').replace(/\\$/, '').toLowerCase(), folder.toLowerCase())
    assert.equal(lstatSync(junction).isSymbolicLink(), true)
    assert.equal(readlinkSync(junction).replace(/\\$/, '').toLowerCase(), folder.toLowerCase())
    assert.notEqual(found.inode, addon.lookAt(folder).inode)
  })
  test('a descriptor has its SIDs in full', () => {
    for (const path of [file, folder, SystemRoot, `${SystemRoot.slice(0, 2)}\\`]) {
      const sddl = addon.readDescriptor(path)
      const { owner, dacl } = parseDescriptor(sddl, path)
      assert.match(owner, /^S-1-/)
      assert.ok(dacl.aces.length > 0)
      assert.equal(/;;;[A-Z]{2}[);]|[OG]:[A-RT-Z]/.test(sddl), false, sddl)
    }
  })
})

describe('as a host', () => {
  test('the facts that a plan needs', () => {
    const files = windowsFiles(addon)
    const facts = machineFacts(readMachine(addon), addon, files, readMachine(addon).profile)
    assert.equal(files.entry(folder).kind, 'directory')
    assert.deepEqual([facts.kind(folder), facts.kind(join(folder, 'nothing'))], ['directory', undefined])
    assert.equal(facts.descriptor(folder), addon.readDescriptor(folder))
    assert.ok(files.children(folder).includes('second'))
    assert.equal(files.text(join(folder, 'second')), 'text')
    assert.equal(files.text(folder), undefined)
    assert.ok(facts.profileEntries.every(path => path.startsWith(readMachine(addon).profile)))
  })
})

/** As `dir /x` has it; undefined where there is none. */
function shortName(path) {
  const script = `for %I in ("${path}") do @echo %~sI`
  const short = execFileSync('cmd.exe', ['/d', '/c', script], { encoding: 'utf8', windowsVerbatimArguments: true }).trim()
  return /~\d/.test(short) ? short : undefined
}
