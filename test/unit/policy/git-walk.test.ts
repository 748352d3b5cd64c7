// A workspace that somebody has made up can name repositories in repositories without end. What is looked at has one, and beyond it nothing is
// protected by halves: no sandbox is made, or it is told.
import { describe, expect, test } from 'vitest'
import { GitLinks } from '../../../src/exec/git-links.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { fakeHost, type Tree } from '../../support/fake-host.js'

const W = '/home/user/work'
const OBJECTS = { HEAD: '', objects: {}, refs: {} }
const hostWith = (work: Tree, rest: Tree = {}) => fakeHost({ home: { user: { work, ...rest } } })
const resolved = (host: ReturnType<typeof hostWith>, git: SandboxPolicy['git']) => resolve({ ...presetPolicy('workspace-write', 'library'), git }, host)

/** An index that names submodules, one character a byte. */
function indexOf(names: readonly string[]): string {
  const number = (value: number): string => String.fromCharCode(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255)
  const entry = (name: string): string => `${'\0'.repeat(24)}${number(0o160000)}${'\0'.repeat(32)}${String.fromCharCode(0, name.length)}${name}${'\0'.repeat(8 - (62 + name.length) % 8)}`
  return `DIRC${number(2)}${number(names.length)}${names.map(entry).join('')}${'\0'.repeat(20)}`
}
const named = (count: number, prefix: string): string[] => Array.from({ length: count }, (_, index) => `${prefix}${index}`)
const folderOf = <Each>(names: readonly string[], each: (name: string) => Each): Record<string, Each> => Object.fromEntries(names.map(name => [name, each(name)]))

const tooLarge = expect.objectContaining({ code: 'policy_too_large', field: 'cwd', message: expect.stringMatching(/of its git repository not everything can be protected/) })

describe.each(['protected', 'commits'] as const)('git: %s', git => {
  test('submodules in submodules are held at any depth, by whatever pointer they are one', () => {
    const at = (depth: number): Tree => ({ '.git': depth === 0 ? { ...OBJECTS, index: indexOf(['lib', 'none']) } : `gitdir: ${'../'.repeat(depth)}.git\n`, ...(depth < 6 ? { lib: at(depth + 1) } : {}) })
    const held = resolved(hostWith(at(0)), git).paths.map(({ path }) => path)
    for (let depth = 0; depth <= 6; depth++) expect(held).toContain(`${W}/${'lib/'.repeat(depth)}none`)
  })

  test.each([
    { name: 'repositories in repositories', tree: (): Tree => {
      const names = named(20, 'm')
      const level = (depth: number): Tree => folderOf(names, (): Tree => ({ '.git': `gitdir: ${W}/made\n`, ...(depth < 3 ? level(depth + 1) : {}) }))
      return { '.git': { ...OBJECTS, index: indexOf(names) }, made: { ...OBJECTS, index: indexOf(names) }, ...level(1) }
    } },
    { name: 'linked worktrees',  tree: (): Tree => ({ '.git': { ...OBJECTS, worktrees: folderOf(named(5000, 'w'), () => ({})) } }) },
    { name: 'submodules of it',  tree: (): Tree => ({ '.git': { ...OBJECTS, modules: folderOf(named(5000, 'm'), () => OBJECTS) } }) },
    { name: 'included files',    tree: (): Tree => {
      const text = named(100, '../c').map(path => `[include]\npath = ${path}\n`).join('')
      return { '.git': { ...OBJECTS, config: text.replaceAll('../', '../in/') }, in: folderOf(named(100, 'c'), () => text.replaceAll('../', '')) }
    } },
    { name: 'a submodule that lies too deep', tree: (): Tree => ({ '.git': { ...OBJECTS, modules: named(70, 'n').reduce<Tree>((below, name) => ({ [name]: below }), OBJECTS) } }) },
  ])('$name: more than is looked at is no sandbox', ({ tree }) => {
    const host = hostWith(tree())
    let asked = 0
    const counted = { ...host, files: { ...host.files, entry: (path: string) => { asked++; return host.files.entry(path) } } }
    expect(() => resolved(counted, git)).toThrow(tooLarge)
    expect(asked).toBeLessThan(200_000)
  })

  test('and so are indexes', () => {
    const host = hostWith({ '.git': { ...OBJECTS, worktrees: folderOf(named(12, 'w'), name => ({ index: 'DIRC', gitdir: `${W}/${name}/.git` })) }, ...folderOf(named(12, 'w'), () => ({})) })
    const large = Buffer.alloc(60 * 1024 * 1024)
    large.write('DIRC\0\0\0\x02\0\0\0\0TREE\x03\x00\0\0')
    let read = 0
    const bytes = (path: string): Uint8Array | undefined => {
      if (!path.endsWith('/index')) return host.files.bytes(path)
      read++
      return large
    }
    const files = { ...host.files, bytes }
    expect(() => resolved({ ...host, files }, git)).toThrow(tooLarge)
    expect(read).toBe(9)
  })

  test('a folder of them that cannot be listed is no sandbox, as git looks names up in it', () => {
    const host = hostWith({ '.git': { ...OBJECTS, worktrees: { w: {} } } })
    const files = { ...host.files, children: (path: string) => path.endsWith('/worktrees') ? undefined : host.files.children(path) }
    expect(() => resolved({ ...host, files }, git)).toThrow(tooLarge)
    expect(() => resolved(host, git)).not.toThrow()
  })
})

test('what commands make of it is told', () => {
  const repository = (worktrees: Tree, index: string): Tree => ({ '.git': { ...OBJECTS, worktrees, index } })
  let host = hostWith(repository({}, ''))
  const links = new GitLinks([W], () => host)
  expect(links.find()).toEqual([])
  host = hostWith(repository(folderOf(named(5000, 'w'), () => ({})), ''))
  expect(links.find()).toEqual([`${W}/.git`])
  host = hostWith(repository({ w: {} }, ''))
  host = { ...host, files: { ...host.files, children: path => path.endsWith('/worktrees') ? undefined : host.files.children(path) } }
  expect(links.find()).toEqual([`${W}/.git`])
})
