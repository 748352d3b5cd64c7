import { describe, expect, test } from 'vitest'
import { decide } from '../../../src/policy/decide.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve, resolveBeforeCaches, type ResolveOptions } from '../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../src/policy/resolved-policy.js'
import type { SandboxMode, SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { device, fakeHost, type FakeHostOptions, symlink, type Tree } from '../../support/fake-host.js'

const policy = (rest: Partial<SandboxPolicy> = {}, mode: SandboxMode = 'workspace-write'): SandboxPolicy => ({ ...presetPolicy(mode, 'reference'), ...rest })

/** One line a rule: effect, path, and what is special about it. */
const lines = ({ paths }: ResolvedPolicy): string[] =>
  paths.map(({ effect, path, kind, placeholder }) => `${effect} ${path}${kind === 'missing' ? ` missing${placeholder === undefined ? '' : `:${placeholder}`}` : ''}`)

/** The home folder of every test, with a workspace in it. */
const home = (work: Tree, rest: Tree = {}, root: Tree = {}): Tree => ({ home: { user: { work, ...rest } }, ...root })
const resolved = (tree: Tree, rest: Partial<SandboxPolicy> = {}, host: FakeHostOptions = {}, options: ResolveOptions = {}) => resolve(policy(rest), fakeHost(tree, host), options)

const W = '/home/user/work'
const HELD = [`read ${W}/.agents missing`, `read ${W}/.codex missing`, `read ${W}/.git missing`]

describe('roots', () => {
  test('the cwd, /tmp and $TMPDIR are writable; the names in the cwd are protected, present or absent', () => {
    expect(lines(resolved(home({}, {}, { tmp: {}, var: { t: {} } }), {}, { tmpdir: '/var/t' }))).toEqual(['write /tmp', 'write /var/t', `write ${W}`, ...HELD])
  })

  test('/tmp and $TMPDIR can be excluded, and count only as folders', () => {
    const tree = home({}, {}, { tmp: {}, var: { t: {} } })
    expect(lines(resolved(tree, { excludeSlashTmp: true, excludeTmpdirEnvVar: true }, { tmpdir: '/var/t' }))).toEqual([`write ${W}`, ...HELD])
    expect(lines(resolved(home({}, {}, { tmp: 'file' })))).toEqual([`write ${W}`, ...HELD])
    expect(lines(resolved(tree, { tmp: 'private' }, { tmpdir: '/var/t' }))).toEqual([`write ${W}`, ...HELD])
    expect(lines(resolved(tree, { tmp: 'none' }))).toEqual([`write ${W}`, ...HELD])
  })

  test('in /tmp only existing names are protected, unless it is the cwd', () => {
    const tree = { tmp: { '.codex': {} }, home: { user: {} } }
    expect(lines(resolve(policy(), fakeHost(tree, { cwd: '/tmp' })))).toEqual(['write /tmp', 'read /tmp/.agents missing', 'read /tmp/.codex', 'read /tmp/.git missing'])
    expect(lines(resolve(policy({ writableRoots: ['/tmp'] }), fakeHost({ ...tree, w: {} }, { cwd: '/w' })))).toEqual(['write /tmp', 'write /w', 'read /tmp/.codex', 'read /w/.agents missing', 'read /w/.codex missing', 'read /w/.git missing'])
  })

  test('a home folder inside /tmp is protected there, and a workspace in it is still writable', () => {
    expect(lines(resolved({ tmp: { h: { w: {} } } }, {}, { home: '/tmp/h', cwd: '/tmp/h/w' }))).toEqual(['write /tmp', 'read /tmp/h', 'write /tmp/h/w', 'read /tmp/h/w/.agents missing', 'read /tmp/h/w/.codex missing', 'read /tmp/h/w/.git missing'])
  })

  test('roots are canonical; duplicates and missing ones are reported', () => {
    const result = resolved(home({}, { a: {}, b: symlink('a') }), { writableRoots: ['/home/user/b/', '/home//user/a', '/home/user/none', `${W}/.`] })
    expect(lines(result).filter(line => line.startsWith('write'))).toEqual(['write /home/user/a', `write ${W}`])
    expect(result.ignored).toEqual([
      { field: 'writableRoots[1]', value: '/home//user/a', reason: 'duplicate' },
      { field: 'writableRoots[2]', value: '/home/user/none', reason: 'missing' },
      { field: 'writableRoots[3]', value: `${W}/.`, reason: 'duplicate' },
    ])
  })

  test('a rule carries origin, field, owner and the identity of its file', () => {
    const { paths } = resolved(home({ '.git': {} }), { writableRoots: [] })
    expect(paths).toContainEqual({ path: W, effect: 'write', origin: 'cwd', field: 'cwd', owner: undefined, kind: 'directory', identity: { device: '1', inode: '4' } })
    expect(paths).toContainEqual({ path: `${W}/.git`, effect: 'read', origin: 'protected', field: undefined, owner: W, kind: 'directory', identity: { device: '1', inode: '5' } })
    expect(paths).toContainEqual({ path: `${W}/.codex`, effect: 'read', origin: 'protected', field: undefined, owner: W, kind: 'missing', identity: undefined })
  })

  test('a file may be a root; nothing is protected in it', () => {
    expect(lines(resolved(home({}, { f: '' }, { dev: { ttyUSB0: device() } }), { writableRoots: ['/home/user/f'], write: ['/dev/ttyUSB0'] }))).toEqual(['write /dev/ttyUSB0', 'write /home/user/f', `write ${W}`, ...HELD])
  })

  test('read-only: only `write` is writable', () => {
    expect(lines(resolve(policy({}, 'read-only'), fakeHost(home({}, {}, { tmp: {} }))))).toEqual([])
    expect(lines(resolve(policy({ write: ['out'] }, 'read-only'), fakeHost(home({ out: {} }))))).toEqual([`write ${W}/out`, `read ${W}/out/.agents missing`, `read ${W}/out/.codex missing`, `read ${W}/out/.git missing`])
  })

  test('nested roots are protected each', () => {
    expect(lines(resolved(home({ sub: { '.git': {} } }), { writableRoots: [`${W}/sub`] }))).toEqual([`write ${W}`, ...HELD, `write ${W}/sub`, `read ${W}/sub/.agents missing`, `read ${W}/sub/.codex missing`, `read ${W}/sub/.git`])
  })

  test('a root inside another one\'s protected path stays closed unless `write` names it', () => {
    const tree = home({ '.git': { x: {} } })
    const closed = resolved(tree, { writableRoots: [`${W}/.git/x`, `${W}/.git`] })
    expect(lines(closed)).toEqual([`write ${W}`, ...HELD.slice(0, 2), `read ${W}/.git`])
    expect(closed.ignored).toEqual([{ field: 'writableRoots[0]', value: `${W}/.git/x`, reason: 'protected' }, { field: 'writableRoots[1]', value: `${W}/.git`, reason: 'protected' }])
    expect(lines(resolved(tree, { write: ['.git/x'] }))).toEqual(expect.arrayContaining([`read ${W}/.git`, `write ${W}/.git/x`]))
    expect(lines(resolved(tree, { write: ['.git'] }))).toEqual(expect.arrayContaining([`write ${W}/.git`]))
  })

  test.each([
    ['/', '/w'],
    ['/home', '/w'],
    ['/home/user', '/w'],
    ['/home/user/', '/w'],
    ['/alias', '/w'],
  ])('%s is too broad without a word for it', (root, cwd) => {
    const host = fakeHost({ home: { user: {} }, w: {}, alias: symlink('/home/user') }, { cwd })
    expect(() => resolve(policy({ writableRoots: [root] }), host)).toThrowError(expect.objectContaining({ code: 'path_too_broad', field: 'writableRoots[0]' }))
    expect(() => resolve(policy({ writableRoots: [root] }), host, { allowBroadRoots: true })).not.toThrow()
  })

  test('to start in the home folder is an error that says what to do; reading there is not', () => {
    const host = fakeHost(home({}), { cwd: '/home/user' })
    expect(() => resolve(policy(), host)).toThrow('cwd "/home/user" is too broad to be writable: it is your home folder. Start in a project folder, or allow it by name: allowBroadRoots.')
    expect(() => resolve(policy({}, 'read-only'), host)).not.toThrow()
  })

  test('$TMPDIR is checked like a root', () => {
    expect(() => resolved(home({}), {}, { tmpdir: '/home/user' })).toThrowError(expect.objectContaining({ code: 'path_too_broad', field: '$TMPDIR' }))
  })

  test.each([
    [{ writableRoots: ['work'] }, {}, 'path_not_absolute', 'writableRoots[0]'],
    [{ writableRoots: ['/a/../b'] }, {}, 'path_invalid', 'writableRoots[0]'],
    [{ writableRoots: ['/a\nb'] }, {}, 'path_invalid', 'writableRoots[0]'],
    [{ write: ['a\0b'] }, {}, 'path_invalid', 'write[0]'],
    [{ write: ['../x'] }, {}, 'path_invalid', 'write[0]'],
    [{ deny: [''] }, {}, 'path_invalid', 'deny[0]'],
    [{ deny: [`/${'a'.repeat(4095)}`] }, {}, 'path_invalid', 'deny[0]'],
    [{ writableRoots: ['/home/user/work/loop'] }, {}, 'path_symlink_loop', 'writableRoots[0]'],
    [{ deny: ['loop/x'] }, {}, 'path_symlink_loop', 'deny[0]'],
    [{ devices: ['/etc/passwd'] }, {}, 'policy_invalid_value', 'devices[0]'],
    [{ devices: ['../etc'] }, {}, 'policy_invalid_value', 'devices[0]'],
    [{ devices: ['ptmx'] }, {}, 'policy_invalid_value', 'devices[0]'],
    [{ devices: ['/dev/pts/3'] }, {}, 'policy_invalid_value', 'devices[0]'],
    [{ devices: ['shm'] }, {}, 'policy_invalid_value', 'devices[0]'],
    [{ write: ['*.txt'] }, {}, 'glob_invalid', 'write[0]'],
    [{ read: ['a/*/b'] }, {}, 'glob_invalid', 'read[0]'],
    [{ writableRoots: Array.from({ length: 10_000 }, (_, index) => `/r${index}`) }, {}, 'policy_too_large', 'writableRoots'],
    [{}, { cwd: '/nowhere' }, 'path_not_found', 'cwd'],
    [{}, { cwd: '/home/user/work/file' }, 'path_not_directory', 'cwd'],
    [{}, { cwd: 'work' }, 'path_not_absolute', 'cwd'],
    [{ deny: ['/home/user/work'] }, {}, 'policy_contradiction', 'cwd'],
  ] as const)('%j %j: %s at %s', (rest, options, code, field) => {
    const tree = home({ loop: symlink('loop'), file: '' })
    expect(() => resolved(tree, rest, {}, options)).toThrowError(expect.objectContaining({ code, field }))
  })

  test('1,024 roots with their protected names are the limit', () => {
    const roots = Object.fromEntries(Array.from({ length: 1100 }, (_, index) => [`r${index}`, {}]))
    const named = (count: number) => ({ writableRoots: Array.from({ length: count }, (_, index) => `/r/r${index}`) })
    expect(resolved(home({}, {}, { r: roots }), named(1023)).paths).toHaveLength(4096)
    expect(() => resolved(home({}, {}, { r: roots }), named(1024))).toThrowError(expect.objectContaining({ code: 'policy_too_large' }))
  })

  test('a link into a protected place is refused as a root, the plain name is not', () => {
    const tree = home({ '.git': { hooks: {} }, link: symlink('.git/hooks') })
    expect(() => resolved(tree, { writableRoots: [`${W}/link`] })).toThrowError(expect.objectContaining({ code: 'path_into_protected', field: 'writableRoots[0]' }))
    expect(() => resolved(tree, { write: ['link'] })).toThrowError(expect.objectContaining({ code: 'path_into_protected', field: 'write[0]' }))
    expect(() => resolved(tree, { write: ['.git/hooks'] })).not.toThrow()
  })

  test('a link into a denied place is refused as a root and as a read rule', () => {
    const tree = home({ link: symlink('../keys/mine') }, { keys: { mine: {} } })
    expect(() => resolved(tree, { deny: ['/home/user/keys'], write: ['link'] })).toThrowError(expect.objectContaining({ code: 'path_into_protected', field: 'write[0]' }))
    expect(() => resolved(tree, { deny: ['/home/user/keys'], read: ['link'] })).toThrowError(expect.objectContaining({ code: 'path_into_protected', field: 'read[0]' }))
    expect(() => resolved(tree, { deny: ['/home/user/keys'], read: ['/home/user/keys/mine'] })).not.toThrow()
  })
})

describe('protected names', () => {
  test.each([
    ['a folder', {}, `read ${W}/.codex`],
    ['a file', 'text', `read ${W}/.codex`],
    ['nothing', undefined, `read ${W}/.codex missing`],
  ])('%s', (_, node, expected) => {
    expect(lines(resolved(home(node === undefined ? {} : { '.codex': node })))).toContain(expected)
  })

  test('a link is protected itself, and its target in the root as well', () => {
    const rules = resolved(home({ '.codex': symlink('decoy'), decoy: {} })).paths
    expect(rules.filter(({ path }) => /codex|decoy/.test(path)).map(({ path, kind, effect }) => [path, kind, effect])).toEqual([[`${W}/.codex`, 'symlink', 'read'], [`${W}/decoy`, 'directory', 'read']])
  })

  test('a link to what does not exist yet holds the name that would be made', () => {
    expect(lines(resolved(home({ '.codex': symlink('a/b') })))).toContain(`read ${W}/a/b missing`)
  })

  test('a link to the root itself cannot be protected: refused', () => {
    expect(() => resolved(home({ '.codex': symlink('.') }))).toThrowError(expect.objectContaining({ code: 'path_into_protected', field: 'cwd' }))
  })

  test('`protect` names hold in every root, paths from their first missing part', () => {
    expect(lines(resolved(home({ config: {} }), { protect: ['.vscode', 'config/keys', 'a/b/c'] }))).toEqual([
      `write ${W}`, ...HELD.slice(0, 2), `read ${W}/.git missing`, `read ${W}/.vscode missing`, `read ${W}/a missing`, `read ${W}/config/keys missing`,
    ])
  })

  test('a rule of the policy for exactly the path stands in for the protection, even where nothing exists', () => {
    expect(lines(resolved(home({ '.codex': {} }), { write: ['.codex', '.agents'] })).filter(line => !/\.codex\//.test(line))).toEqual([`write ${W}`, `write ${W}/.codex`, `read ${W}/.git missing`])
    expect(lines(resolved(home({}), { deny: ['.codex'] }))).toContain(`deny ${W}/.codex missing`)
  })

  test('a denied root stays denied at its protected names', () => {
    expect(lines(resolved(home({}, {}, { r: { '.git': {} } }), { writableRoots: ['/r'], deny: ['/r'] }))).toEqual(expect.arrayContaining(['deny /r', 'deny /r/.git', 'deny /r/.codex missing']))
  })
})

describe('git', () => {
  const worktree = { main: { '.git': { HEAD: '', objects: {}, refs: {}, config: '', worktrees: { wt: { commondir: '../..', gitdir: `${W}/.git`, HEAD: '' } } } } }

  test('a linked worktree: the pointer file, and what it names where that lies in a writable root', () => {
    const tree = home({ '.git': 'gitdir: /home/user/main/.git/worktrees/wt\n' }, worktree)
    expect(lines(resolved(tree))).toEqual([`write ${W}`, ...HELD.slice(0, 2), `read ${W}/.git`])
    expect(lines(resolved(tree, { writableRoots: ['/home/user/main'] }))).toEqual([
      'write /home/user/main', `write ${W}`,
      'read /home/user/main/.agents missing', 'read /home/user/main/.codex missing', 'read /home/user/main/.git',
      ...HELD.slice(0, 2), `read ${W}/.git`,
      'read /home/user/main/.git/worktrees/wt',
    ])
  })

  test('where the common dir is a root of its own, it stays open but for what git runs', () => {
    const rules = lines(resolved(home({ '.git': 'gitdir: /home/user/main/.git/worktrees/wt\n' }, worktree), { writableRoots: ['/home/user/main/.git'] }))
    expect(rules).toEqual(expect.arrayContaining(['write /home/user/main/.git', 'read /home/user/main/.git/hooks missing', 'read /home/user/main/.git/config', 'read /home/user/main/.git/worktrees/wt']))
  })

  test.each([
    ['the home folder', 'gitdir: /home/user'],
    ['a folder outside', 'gitdir: ../other/.git'],
    ['nothing', 'gitdir: /gone'],
    ['no pointer at all', 'hello'],
    ['an empty pointer', 'gitdir:'],
    ['NUL', 'gitdir: /a\0b'],
  ])('a forged pointer to %s grants nothing', (_, text) => {
    expect(lines(resolved(home({ '.git': text }, { other: { '.git': { HEAD: '' } } })))).toEqual([`write ${W}`, ...HELD.slice(0, 2), `read ${W}/.git`])
  })

  test('a pointer into the root closes what it names; one to the root itself is refused', () => {
    expect(lines(resolved(home({ '.git': 'gitdir: src', src: {} })))).toContain(`read ${W}/src`)
    expect(() => resolved(home({ '.git': 'gitdir: .' }))).toThrowError(expect.objectContaining({ code: 'path_into_protected' }))
  })

  test('submodules and worktrees that the repository knows keep their pointer files', () => {
    const tree = home({
      '.git': { HEAD: '', objects: {}, refs: {}, modules: { lib: { foo: { HEAD: '', objects: {}, refs: {}, config: '[core]\n\tworktree = ../../../../libs/foo\n' } } }, worktrees: { b: { gitdir: `${W}/trees/b/.git\n`, commondir: '../..' } } },
      libs: { foo: { '.git': 'gitdir: ../../.git/modules/lib/foo' } },
      trees: { b: { '.git': `gitdir: ${W}/.git/worktrees/b` } },
    })
    expect(lines(resolved(tree))).toEqual([`write ${W}`, ...HELD.slice(0, 2), `read ${W}/.git`, `read ${W}/libs/foo/.git`, `read ${W}/trees/b/.git`])
  })

  const index = (...links: readonly string[]): string => `DIRC\0\0\0\x04\0\0\0${String.fromCharCode(links.length)}${links.map((link, at) => `${'\0'.repeat(24)}\0\0\xe0\0${'\0'.repeat(33)}${String.fromCharCode(link.length)}${String.fromCharCode(links[at - 1]?.length ?? 0)}${link}\0`).join('')}`

  test('what the index takes for a submodule can get no git dir, and one that it has stays as it is', () => {
    const tree = home({
      '.git': { HEAD: '', objects: {}, refs: {}, index: index('empty', 'own', 'libs/none', 'file', 'link', '../up', '.git/x', '/etc', 'pointer', 'up') },
      empty: {}, own: { '.git': { HEAD: '', objects: {}, refs: {}, index: index('inner') }, inner: {} }, file: '', link: symlink('empty'), store: { HEAD: '' }, pointer: { '.git': 'gitdir: ../store' }, up: { '.git': 'gitdir: ..' },
    })
    expect(lines(resolved(tree)).slice(3)).toEqual([
      `read ${W}/.git`, `read ${W}/file`, `read ${W}/libs missing`, `read ${W}/link`, `read ${W}/store`, `read ${W}/empty/.git missing:symlink`, `read ${W}/own/.git`,
      `read ${W}/pointer/.git`, `read ${W}/up/.git`, `read ${W}/own/inner/.git missing:symlink`,
    ])
    const open = lines(resolved(tree, { git: 'commits' }))
    expect(open).toEqual(expect.arrayContaining([`read ${W}/empty/.git missing:symlink`, `read ${W}/own/.git/hooks missing`, `read ${W}/own/inner/.git missing:symlink`, `read ${W}/store/config missing:file`]))
    expect(open).not.toContain(`read ${W}/own/.git`)
    expect(lines(resolved(tree, { write: ['own/.git'] }))).toContain(`write ${W}/own/.git`)
  })

  test('a root further down in a repository, too', () => {
    const tree = { home: { user: { '.git': { HEAD: '', objects: {}, refs: {}, index: index('work/lib', 'beside') }, beside: {}, work: { lib: {} } } } }
    expect(lines(resolved(tree))).toEqual([`write ${W}`, ...HELD, `read ${W}/lib/.git missing:symlink`])
    expect(lines(resolved({ home: { user: { ...tree.home.user, '.git': symlink('.git') } } }))).toEqual([`write ${W}`, ...HELD])
  })

  test('what its configuration includes, and the folder of its hooks, stay closed in every mode', () => {
    const config = '[core]\n\tbare = false\n\thooksPath = "tools/git hooks" # ours\n[include]\n\tpath = ../.gitconfig\n[includeIf "gitdir:x"] PATH=own\n[include]\n path = ~/outside\n path = ../..\n path = ../circle\n[other]\n\tpath = ../free\n'
    const tree = home({ '.git': { HEAD: '', objects: {}, refs: {}, config }, '.gitconfig': '[include]\n\tpath = more\n[core]\n\thooksPath = .\n', free: '', circle: symlink('circle') }, { outside: '' })
    expect(lines(resolved(tree)).slice(3)).toEqual([`read ${W}/.git`, `read ${W}/.gitconfig`, `read ${W}/more missing:file`, `read ${W}/tools missing`])
    expect(lines(resolved(tree, { git: 'commits' }))).toEqual(expect.arrayContaining([`read ${W}/.git/own missing:file`, `read ${W}/.gitconfig`, `read ${W}/more missing:file`, `read ${W}/tools missing`]))
    expect(lines(resolved(tree, { write: ['.gitconfig'] }))).toContain(`write ${W}/.gitconfig`)
  })

  test('commits: .git is open but for what git on the host would run or believe, present or absent', () => {
    const tree = home({ '.git': { HEAD: '', objects: {}, refs: {}, config: '', hooks: {}, info: {}, 'rebase-merge': {} } })
    expect(lines(resolved(tree, { git: 'commits' }))).toEqual([
      `write ${W}`, ...HELD.slice(0, 2),
      `read ${W}/.git/branches missing`, `read ${W}/.git/commondir missing:file`, `read ${W}/.git/config`, `read ${W}/.git/config.worktree missing:file`,
      `read ${W}/.git/hooks`, `read ${W}/.git/modules missing`, `read ${W}/.git/rebase-apply missing:symlink`, `read ${W}/.git/rebase-merge`,
      `read ${W}/.git/remotes missing`, `read ${W}/.git/sequencer missing:symlink`, `read ${W}/.git/info/attributes missing:file`,
    ])
  })

  test('commits: submodules and worktrees included, and no new submodule can appear', () => {
    const module = { HEAD: '', objects: {}, refs: {}, config: '', hooks: {} }
    const tree = home({ '.git': { ...module, modules: { a: module }, worktrees: { b: { HEAD: '', commondir: '../..', gitdir: '/x/.git' } } } })
    expect(lines(resolved(tree, { git: 'commits' }))).toEqual(expect.arrayContaining([
      `read ${W}/.git/modules`, `write ${W}/.git/modules/a`, `read ${W}/.git/modules/a/hooks`, `read ${W}/.git/modules/a/config`,
      `read ${W}/.git/worktrees/b/commondir`, `read ${W}/.git/worktrees/b/gitdir`, `read ${W}/.git/worktrees/b/config.worktree missing:file`,
    ]))
  })

  test('commits: a closed .git is not opened again at its submodules', () => {
    const module = { HEAD: '', objects: {}, refs: {}, config: '' }
    expect(lines(resolved(home({ '.git': { ...module, modules: { a: module } } }), { git: 'commits', read: ['.git'] }))).not.toContain(`write ${W}/.git/modules/a`)
  })

  // Another sandbox of the same folder may have its commands running, and so its placeholders in place.
  test.each([
    { name: 'the placeholder of another sandbox', commondir: '.\n' },
    { name: 'itself, in full',                    commondir: `${W}/.git` },
    { name: 'nothing',                            commondir: '' },
    { name: 'nowhere',                            commondir: '../gone' },
    { name: 'a file',                             commondir: 'HEAD' },
  ])('commits: a commondir that leads to $name opens neither hooks nor config', ({ commondir }) => {
    const rules = lines(resolved(home({ '.git': { HEAD: '', objects: {}, refs: {}, hooks: {}, config: '', commondir } }), { git: 'commits' }))
    expect(rules).toEqual(expect.arrayContaining([`read ${W}/.git/hooks`, `read ${W}/.git/config`, `read ${W}/.git/commondir`, `read ${W}/.git/info missing`]))
  })

  test('commits: a missing .git stays closed, and so does the pointer file of a worktree', () => {
    expect(lines(resolved(home({}), { git: 'commits' }))).toEqual([`write ${W}`, ...HELD])
    expect(lines(resolved(home({ '.git': 'gitdir: /home/user/main/.git/worktrees/wt' }, worktree), { git: 'commits' }))).toContain(`read ${W}/.git`)
  })

  test('a bare repository as root: hooks and config are closed, objects are not', () => {
    const rules = lines(resolved(home({ HEAD: '', objects: {}, refs: {}, config: '', hooks: {} })))
    expect(rules).toEqual(expect.arrayContaining([`read ${W}/config`, `read ${W}/hooks`, `read ${W}/commondir missing:file`]))
    expect(rules.some(line => line.includes('objects'))).toBe(false)
  })
})

describe('what runs outside', () => {
  test('inside a writable root it is read-only, missing or not; elsewhere it needs no rule', () => {
    const rules = resolved(home({ node_modules: { us: {} } }, {}, { tmp: {} }), {}, { selfPaths: [`${W}/node_modules/us`, '/usr/bin/node'], codexHome: '/tmp/codex/home' }).paths
    expect(rules.filter(({ origin }) => origin === 'self').map(({ path, effect, owner, kind }) => [path, effect, owner, kind])).toEqual([
      ['/tmp/codex', 'read', '/tmp', 'missing'],
      [`${W}/node_modules/us`, 'read', W, 'directory'],
    ])
  })

  test('no rule of the policy suppresses it, and a root in it is refused', () => {
    const host = { selfPaths: [`${W}/us`] }
    expect(lines(resolved(home({ us: {} }), { read: ['us'] }, host))).toContain(`read ${W}/us`)
    expect(() => resolved(home({ us: { x: {} } }), { write: ['us/x'] }, host)).toThrowError(expect.objectContaining({ code: 'self_not_protectable', field: 'write[0]' }))
    expect(() => resolved(home({ us: { x: {} } }), {}, { ...host, cwd: `${W}/us` })).toThrowError(expect.objectContaining({ code: 'self_not_protectable', field: 'cwd' }))
  })

  test('a link to it is held, and so is what it leads to', () => {
    const rules = lines(resolved(home({ bin: { node: symlink('../real/node') }, real: { node: '' } }), {}, { selfPaths: [`${W}/bin/node`] }))
    expect(rules).toEqual(expect.arrayContaining([`read ${W}/bin/node`, `read ${W}/real/node`]))
  })
})

describe('secrets', () => {
  const secret = (rest: Partial<SandboxPolicy> = {}, tree: Tree = home({}, { '.ssh': { id_rsa: '', 'id_rsa.pub': '', known_hosts: '', config: '', 'link.pub': symlink('id_rsa') }, '.npmrc': '', '.gitconfig': '' })) =>
    lines(resolved(tree, { denySecrets: { except: [] }, ...rest })).filter(line => !line.includes(W))

  test('what exists is denied, the public parts stay readable', () => {
    expect(secret()).toEqual(['deny /home/user/.npmrc', 'deny /home/user/.ssh', 'read /home/user/.ssh/config', 'read /home/user/.ssh/id_rsa.pub', 'read /home/user/.ssh/known_hosts'])
  })

  test('except takes out a place, or opens a part of one', () => {
    expect(secret({ denySecrets: { except: ['~/.npmrc', '~/.ssh/id_rsa'] } })).toEqual(['deny /home/user/.ssh', 'read /home/user/.ssh/config', 'read /home/user/.ssh/id_rsa', 'read /home/user/.ssh/id_rsa.pub', 'read /home/user/.ssh/known_hosts'])
  })

  test('a place that is a link is denied at its target too, though the target\'s folder is granted', () => {
    const tree = home({}, { '.ssh': symlink('dotfiles/ssh'), dotfiles: { ssh: { id_rsa: '' } } })
    expect(secret({ read: ['~/dotfiles'] }, tree)).toEqual(['deny /home/user/.ssh', 'read /home/user/dotfiles', 'deny /home/user/dotfiles/ssh'])
  })

  test('the public parts are not opened where the policy denies their place', () => {
    expect(secret({ deny: ['~/.ssh'] })).toEqual(['deny /home/user/.npmrc', 'deny /home/user/.ssh'])
    expect(secret({ deny: ['/home/user'] })).toEqual(['deny /home/user'])
  })

  test('where HOME names another folder, those of the account\'s home are denied as well; its other files are not', () => {
    const tree = { root: { '.npmrc': '', '.ssh': { id: '' }, '.gitconfig': '', '.codex': { 'auth.json': '' } }, ...home({}, { '.npmrc': '' }) as object }
    const rules = lines(resolved(tree, { denySecrets: { except: [] } }, { accountHome: '/root' })).filter(line => !line.includes(W))
    expect([...rules].sort()).toEqual(['deny /home/user/.npmrc', 'deny /root/.codex/auth.json', 'deny /root/.npmrc', 'deny /root/.ssh'])
    expect(lines(resolved(tree, { denySecrets: { except: [] } })).filter(line => !line.includes(W))).toEqual(['deny /home/user/.npmrc'])
  })

  test('CODEX_HOME: the token file', () => {
    expect(lines(resolved(home({}, { '.codex': { 'auth.json': '' } }), { denySecrets: { except: [] } }, { codexHome: '/home/user/.codex' }))).toContain('deny /home/user/.codex/auth.json')
  })
})

describe('rules', () => {
  test('~ and relative paths, and a trailing /** as the folder', () => {
    expect(lines(resolved(home({ a: {}, b: {} }, { c: {} }), { read: ['a/**', '~/c'], deny: ['./b'] }))).toEqual(expect.arrayContaining([`read ${W}/a`, 'read /home/user/c', `deny ${W}/b`]))
  })

  test('at one path the strictest stays', () => {
    const { paths } = resolved(home({ a: {} }), { read: ['a'], deny: ['a'], write: ['a'] })
    expect(paths.filter(({ path }) => path === `${W}/a`).map(({ effect, field }) => [effect, field])).toEqual([['deny', 'deny[0]']])
  })

  test('a denied link is denied itself and at its target', () => {
    expect(lines(resolved(home({ l: symlink('../k') }, { k: '' }), { deny: ['l'] }))).toEqual(expect.arrayContaining(['deny /home/user/k', `deny ${W}/l`]))
  })

  test('a missing denied path is held: in a root by its first missing part, elsewhere as it is', () => {
    expect(lines(resolved(home({}), { deny: ['a/b/c', '/opt/x/y'], read: ['d/e', '/opt/z'] }))).toEqual(expect.arrayContaining([`deny ${W}/a missing`, 'deny /opt/x/y missing', `read ${W}/d missing`]))
  })

  test('a missing read rule outside every root is reported', () => {
    expect(resolved(home({}), { read: ['/opt/z'] }).ignored).toEqual([{ field: 'read[0]', value: '/opt/z', reason: 'missing' }])
  })

  test('deny globs: matches become rules, links at their targets too, and the pattern is kept', () => {
    const result = resolved(home({ a: { '.env': '', b: { 'x.env': '' } }, 'l.env': symlink('../secret') }, { secret: '' }), { deny: ['**/*.env'] })
    expect(lines(result).filter(line => line.startsWith('deny'))).toEqual(['deny /home/user/secret', `deny ${W}/l.env`, `deny ${W}/a/.env`, `deny ${W}/a/b/x.env`])
    expect(result.globs).toEqual([{ pattern: `${W}/**/*.env`, effect: 'deny', field: 'deny[0]' }])
  })

  test('a glob through a link has a canonical pattern', () => {
    expect(resolved(home({}, { real: {}, alias: symlink('real') }), { deny: ['~/alias/*.key'] }).globs[0]?.pattern).toBe('/home/user/real/*.key')
  })

  test('below a denied match only what is opened again gets rules of its own', () => {
    const tree = home({ priv1: { priv2: { x: '' } }, priv3: { pub: { priv4: '' } } })
    expect(lines(resolved(tree, { deny: ['**/priv*'], read: ['priv3/pub'] })).filter(line => /priv/.test(line))).toEqual([`deny ${W}/priv1`, `deny ${W}/priv3`, `read ${W}/priv3/pub`, `deny ${W}/priv3/pub/priv4`])
  })

  test('too many matches are an error, not a slow start', () => {
    const many = Object.fromEntries(Array.from({ length: 8193 }, (_, index) => [`f${index}`, '']))
    expect(() => resolved(home({ many }), { deny: ['many/f*'] })).toThrowError(expect.objectContaining({ code: 'glob_too_many_matches', field: 'deny[0]' }))
  })

  test('letter case: roots are asked, and rules there are one rule in every spelling', () => {
    const tree = { mnt: { c: { w: { '.git': {}, '.Codex': {} } } }, home: { user: {} } }
    const result = resolve(policy({ deny: ['.CODEX'] }), fakeHost(tree, { cwd: '/mnt/c/w', caseInsensitive: ['/mnt/c'] }))
    expect(result.caseInsensitiveRoots).toEqual(['/mnt/c/w'])
    expect(lines(result)).toEqual(['write /mnt/c/w', 'deny /mnt/c/w/.CODEX', 'read /mnt/c/w/.agents missing', 'read /mnt/c/w/.git'])
  })
})

test('the folders between a root and a rule in it are known with their identities', () => {
  const { directories } = resolved(home({ a: { b: { c: {} } }, d: {} }), { deny: ['a/b/c', 'd/new/x', '/opt/x'] })
  expect(directories).toEqual([`${W}/a`, `${W}/a/b`, `${W}/d`].map((path, index) => ({ path, identity: { device: '1', inode: ['5', '6', '8'][index] } })))
})

describe('restricted reads', () => {
  const tree = home({}, {}, { usr: { lib64: {} }, lib64: symlink('usr/lib64'), etc: {}, data: {} })
  const readAccess = { kind: 'restricted', includePlatformDefaults: true, readableRoots: ['/data', '/none'] } as const

  test('the named roots, the platform\'s, and the cwd', () => {
    const result = resolve(policy({ readAccess }, 'read-only'), fakeHost(tree))
    expect(result.base).toBe('deny')
    expect(lines(result)).toEqual(['read /data', 'read /etc', 'read /usr', 'read /usr/lib64', `read ${W}`])
    expect(result.ignored).toEqual([{ field: 'readAccess.readableRoots[1]', value: '/none', reason: 'missing' }])
  })

  test('a readable root in a writable one leaves it writable', () => {
    expect(lines(resolve(policy({ readAccess: { ...readAccess, readableRoots: [W] } }), fakeHost(tree)))).toContain(`write ${W}`)
  })
})

test.each(['danger-full-access', 'external-sandbox'] as const)('%s: all is writable, and a rule that asks for more is a contradiction', mode => {
  expect(resolve(policy({}, mode), fakeHost(home({})))).toMatchObject({ base: 'write', paths: [] })
  expect(() => resolve(policy({ deny: ['/x'] }, mode), fakeHost(home({})))).toThrowError(expect.objectContaining({ code: 'policy_contradiction', field: 'deny' }))
})

test('devices are absolute below /dev', () => {
  const tree = home({}, {}, { dev: { kvm: device(), dri: { card0: device() } } })
  expect(resolved(tree, { devices: ['kvm', '/dev/dri/card0'] }).devices).toEqual(['/dev/kvm', '/dev/dri/card0'])
  expect(() => resolved(tree, { devices: ['/dev/nope'] })).toThrowError(expect.objectContaining({ code: 'path_not_found', field: 'devices[0]' }))
})

test('Windows: roots, letter case, protected names', () => {
  const host = fakeHost({ 'C:': { Users: { u: {} }, w: { '.git': {} } } }, { platform: 'windows', cwd: 'c:/w/', home: 'C:\\Users\\u' })
  expect(lines(resolve(policy(), host))).toEqual(['write C:\\w', 'read C:\\w\\.agents missing', 'read C:\\w\\.codex missing', 'read C:\\w\\.git'])
})

test('Windows: two files whose names fold to the same keep a rule each, and the stricter one decides; two spellings of one file are one', () => {
  const host = fakeHost({ 'C:': { Users: { u: {} }, w: { 'caf\u00e9': '', 'cafe\u0301': '', x: '' } } }, { platform: 'windows', cwd: 'C:\\w', home: 'C:\\Users\\u' })
  const two = resolve(policy({ deny: ['caf\u00e9', 'cafe\u0301'] }), host)
  expect(two.paths.filter(({ effect }) => effect === 'deny').map(({ path }) => path).sort()).toEqual(['C:\\w\\cafe\u0301', 'C:\\w\\caf\u00e9'])
  const mixed = resolve(policy({ read: ['cafe\u0301'], deny: ['caf\u00e9'] }), host)
  for (const name of ['caf\u00e9', 'cafe\u0301']) expect(decide(mixed, { kind: 'read', path: `C:\\w\\${name}` }).verdict).toBe('deny')
  const ignoring = { ...host, files: { ...host.files, entry: (path: string) => host.files.entry(path.replace(/X$/, 'x')) } }
  expect(resolve(policy({ deny: ['x', 'X'] }), ignoring).paths.filter(({ effect }) => effect === 'deny')).toHaveLength(1)
})

test('a root that is closed, since it lies in a protected place, opens nothing for the pointers that lead to it either', () => {
  const repository = { HEAD: '', objects: {}, refs: {}, config: '', modules: { m: { HEAD: '', objects: {}, refs: {}, config: '' } } }
  const host = fakeHost({ w: { '.git': repository }, other: { '.git': 'gitdir: ../w/.git' } }, { cwd: '/w' })
  const resolved = resolve({ ...presetPolicy('workspace-write', 'reference'), writableRoots: ['/w/.git', '/other'] }, host)
  expect(resolved.paths.filter(({ path, effect }) => effect === 'write' && path.includes('.git'))).toEqual([])
})

describe('protectAgentFiles', () => {
  const tree = home({ '.vscode': {}, '.mcp.json': '', sub: { '.claude': {} } }, {}, { tmp: { '.claude': {} } })
  test('holds what exists in each root but those for temporary files', () => {
    expect(lines(resolved(tree, { protectAgentFiles: true, writableRoots: [`${W}/sub`] })).filter(line => !HELD.includes(line))).toEqual([
      'write /tmp', `write ${W}`, `read ${W}/.mcp.json`, `read ${W}/.vscode`, `write ${W}/sub`, `read ${W}/sub/.agents missing`, `read ${W}/sub/.claude`, `read ${W}/sub/.codex missing`, `read ${W}/sub/.git missing`,
    ].sort((a, b) => a.split('/').length - b.split('/').length || (a.split(' ')[1]! < b.split(' ')[1]! ? -1 : 1)))
  })
  test('is off for the reference, and gives way to the name itself', () => {
    expect(lines(resolved(tree)).filter(line => /vscode|mcp/.test(line))).toEqual([])
    expect(lines(resolved(tree, { protectAgentFiles: true, write: ['.vscode'] })).filter(line => / \/home\/user\/work\/\.(?:vscode|mcp.json)$/.test(line))).toEqual([`read ${W}/.mcp.json`, `write ${W}/.vscode`])
  })
})

test.each<{ name: string; rest: Partial<SandboxPolicy>; mode?: SandboxMode; ignored: readonly object[] }>([
  { name: 'read-only with git: commits is told',          rest: { git: 'commits' }, mode: 'read-only', ignored: [{ field: 'git', value: 'commits', reason: 'nothing-writable' }] },
  { name: 'with a writable folder it has an effect',      rest: { git: 'commits', write: [`${W}/sub`] }, mode: 'read-only', ignored: [] },
  { name: 'under workspace-write as well',                rest: { git: 'commits' }, ignored: [] },
])('$name', ({ rest, mode = 'workspace-write', ignored }) => {
  expect(resolve(policy(rest, mode), fakeHost(home({ sub: {} }))).ignored).toEqual(ignored)
})

describe('caches', () => {
  const tree = home({}, { '.cache': { cs: { own: { files: {}, settings: {} }, other: {} } } }, { tmp: {} })
  const host = { selfPaths: ['/home/user/.cache/cs'] }
  const caches = { files: '/home/user/.cache/cs/own/files', settings: '/home/user/.cache/cs/own/settings' }
  const written = (rest: Partial<SandboxPolicy>): string[] => lines(resolved(tree, rest, host, { caches })).filter(line => line.includes('.cache'))
  test.each<{ name: string; rest: Partial<SandboxPolicy>; rules: readonly string[] }>([
    { name: 'their folder is writable',                                     rest: {}, rules: [`write ${caches.files}`] },
    { name: 'read-only roots do not matter',                                rest: { mode: 'read-only' }, rules: [`write ${caches.files}`] },
    { name: 'a root that holds all caches opens only this one',             rest: { write: ['/home/user/.cache'] }, rules: ['write /home/user/.cache', 'read /home/user/.cache/.agents missing', 'read /home/user/.cache/.codex missing', 'read /home/user/.cache/.git missing', 'read /home/user/.cache/cs', `write ${caches.files}`, `read ${caches.settings}`] },
    { name: 'below a denied folder there are none',                         rest: { deny: ['/home/user/.cache'] }, rules: ['deny /home/user/.cache'] },
    { name: 'where reads are restricted, settings are readable',            rest: { readAccess: { kind: 'restricted', includePlatformDefaults: false, readableRoots: [] } }, rules: [`write ${caches.files}`, `read ${caches.settings}`] },
  ])('$name', ({ rest, rules }) => {
    expect(written(rest)).toEqual(rules)
    // Made only when the policy was found right, they open the same.
    const finish = resolveBeforeCaches(policy(rest), fakeHost(home({}, { '.cache': { cs: { other: {} } } }, { tmp: {} }), host))
    expect(lines(finish(caches, fakeHost(tree, host).files)).filter(line => line.includes('.cache'))).toEqual(rules)
    expect(lines(finish())).toEqual(lines(resolved(tree, rest, host)))
  })
})

describe('git: commits in a worktree or submodule whose repository lies outside', () => {
  const repository = (worktree: string, rest: Tree = {}): Tree => ({ HEAD: 'ref: refs/heads/main\n', objects: {}, refs: {}, config: '', hooks: {}, worktrees: { tree: { HEAD: '', commondir: '../..\n', gitdir: `${worktree}\n` } }, ...rest })
  const pointing = (text: string, outside: Tree, rest: Tree = {}): Tree => home({ '.git': text, a: '' }, { repo: { '.git': outside }, ...rest })
  const POINTER = 'gitdir: /home/user/repo/.git/worktrees/tree\n'
  const GIT = '/home/user/repo/.git'
  const commits = { git: 'commits' } as const
  const opened = (tree: Tree, policyChanges: Partial<SandboxPolicy> = commits): string[] => lines(resolved(tree, policyChanges)).filter(line => line.startsWith('write ') && line.includes(GIT))

  test('it is one more root, and what git runs there is held', () => {
    const tree = pointing(POINTER, repository(`${W}/.git`))
    expect(opened(tree)).toEqual([`write ${GIT}`])
    const all = lines(resolved(tree, commits))
    for (const held of ['config', 'hooks', 'worktrees/tree/commondir', 'worktrees/tree/gitdir']) expect(all).toContain(`read ${GIT}/${held}`)
    for (const held of ['rebase-merge missing:symlink', 'commondir missing:file', 'modules missing', 'worktrees/tree/config.worktree missing:file']) expect(all).toContain(`read ${GIT}/${held}`)
    expect(all).toContain(`read ${W}/.git`)
  })
  test('a submodule\'s git dir too', () => {
    const module: Tree = { HEAD: '', objects: {}, refs: {}, config: `[core]\n\tworktree = ${W}\n` }
    expect(lines(resolved(home({ '.git': 'gitdir: /home/user/super/.git/modules/m\n' }, { super: { '.git': { HEAD: '', objects: {}, refs: {}, modules: { m: module } } } }), commits)).filter(line => line.startsWith('write ') && line.includes('super'))).toEqual(['write /home/user/super/.git/modules/m'])
  })
  test.each<{ name: string; tree: Tree; policy?: Partial<SandboxPolicy> }>([
    { name: 'without git: commits',                                   tree: pointing(POINTER, repository(`${W}/.git`)), policy: {} },
    { name: 'where it points back to another worktree',               tree: pointing(POINTER, repository('/home/user/elsewhere/.git')) },
    { name: 'where it does not point back',                           tree: pointing(POINTER, repository(`${W}/.git`, { worktrees: { tree: { HEAD: '', commondir: '../..\n' } } })) },
    { name: 'where the pointer leads to the repository itself',       tree: pointing('gitdir: /home/user/repo/.git\n', repository(`${W}/.git`)) },
    { name: 'where its commondir leads elsewhere',                    tree: pointing(POINTER, repository(`${W}/.git`, { worktrees: { tree: { HEAD: '', commondir: '/home/user/other\n', gitdir: `${W}/.git\n` } } }), { other: { HEAD: '', objects: {}, refs: {} } }) },
    { name: 'where it is no repository',                              tree: pointing(POINTER, { worktrees: { tree: { HEAD: '', commondir: '../..\n', gitdir: `${W}/.git\n` } } }) },
    { name: 'where the policy denies it',                             tree: pointing(POINTER, repository(`${W}/.git`)), policy: { ...commits, deny: ['/home/user/repo'] } },
    { name: 'where a deny glob matches it',                           tree: pointing(POINTER, repository(`${W}/.git`)), policy: { ...commits, deny: ['/home/user/*/.git'] } },
    { name: 'where a deny glob matches something in it',              tree: pointing(POINTER, repository(`${W}/.git`, { key: '' })), policy: { ...commits, deny: ['/home/user/**/key'] } },
    { name: 'where reads are restricted to other places',             tree: pointing(POINTER, repository(`${W}/.git`)), policy: { ...commits, readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [] } } },
  ])('not $name', ({ tree, policy: changes = commits }) => {
    expect(opened(tree, changes)).toEqual([])
  })
  test('not in a place of keys, nor of what runs outside, and the report says so', () => {
    const inStore = home({ '.git': 'gitdir: /home/user/.password-store/.git/worktrees/tree\n' }, { '.password-store': { '.git': repository(`${W}/.git`) } })
    const result = resolved(inStore, { ...commits, denySecrets: { except: [] } })
    expect(lines(result).filter(line => line.startsWith('write ') && line.includes('.password-store'))).toEqual([])
    expect(result.ignored).toContainEqual({ field: 'git', value: '/home/user/.password-store/.git', reason: 'covered' })
    const own = resolved(pointing(POINTER, repository(`${W}/.git`)), commits, { selfPaths: ['/home/user/repo'] })
    expect(own.ignored).toContainEqual({ field: 'git', value: GIT, reason: 'covered' })
    expect(lines(own).filter(line => line.startsWith('write ') && line.includes('repo'))).toEqual([])
  })
})
