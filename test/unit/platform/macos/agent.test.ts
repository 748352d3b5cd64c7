// A command that tries to get out: random policies, and random series of calls on files that change with each call that the
// compiled profile lets through. Judged by what is left of the files, not by verdicts. Longer runs: SEATBELT_RUNS=20000. A failure
// prints its seed; SEATBELT_SEED repeats it.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../../src/errors.js'
import { compileProfile } from '../../../../src/platform/macos/compile.js'
import { parseForms } from '../../../../src/platform/macos/sbpl/parse.js'
import { printProfile } from '../../../../src/platform/macos/sbpl/print.js'
import { parseProfile, type Profile } from '../../../../src/platform/macos/sbpl/profile.js'
import type { Expression, Form } from '../../../../src/platform/macos/sbpl/syntax.js'
import type { FileAccess } from '../../../../src/policy/decision.js'
import type { HostSnapshot } from '../../../../src/policy/host-snapshot.js'
import { judge } from '../../../../src/policy/judge-path.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { fakeHost } from '../../../support/fake-host.js'
import { type Call, MacFiles, MacKernel, type MacKernelOptions, type Node, type Sapling } from '../../../support/mac-kernel.js'

const RUNS = Number(process.env['SEATBELT_RUNS'] ?? 25)
const SEED = process.env['SEATBELT_SEED'] === undefined ? {} : { seed: Number(process.env['SEATBELT_SEED']) }
/** Series of calls against each policy. */
const SERIES = 12
const W = '/Users/me/work'

/** Every file has a content of its own. */
const TREE: Sapling = {
  Users: {
    me: {
      work: {
        '.git': { HEAD: 'ref: refs/heads/main', config: '[core]', hooks: { 'pre-commit': '#!' }, info: {}, objects: {}, refs: {} },
        src: { 'a.ts': 'a', gen: { 'b.ts': 'b' } }, deep: { er: { 'secret.txt': 's', 'open.txt': 'o' } }, 'id.key': 'k', 'Caf\u00e9': { x: 'x' }, stra\u00dfe: 'ss', link: { link: 'src' }, '.agents': { link: 'shared/agents' }, shared: { agents: { rules: 'r' } },
      },
      other: { file: 'f', sub: { 'z.key': 'z' } }, '.ssh': { id: 'i' },
    },
    them: { notes: 'n' },
  },
  private: { tmp: { scratch: {} }, var: { folders: { zz: { T: {} } } } }, data: { d: { e: 'e' } },
  tmp: { link: 'private/tmp' }, var: { link: 'private/var' }, System: { Volumes: { Data: {} } }, usr: { bin: { env: 'env' } },
}

/** The same with a worktree: its `.git` is a file, and what it names lies in another root or outside. */
const WORKTREE: Sapling = grafted(TREE, ['Users', 'me'], {
  work: { '.git': 'gitdir: /Users/me/other/repo/.git/worktrees/work', src: { 'a.ts': 'a' }, deep: { er: { 'open.txt': 'o' } } },
  other: { file: 'f', repo: { '.git': { HEAD: 'ref: refs/heads/other', config: '[other]', hooks: {}, objects: {}, refs: {}, worktrees: { work: { HEAD: 'ref: refs/heads/work', commondir: '../..', gitdir: '/Users/me/work/.git' } } } } },
})

function grafted(tree: Sapling, [name, ...rest]: readonly string[], branch: Sapling): Sapling {
  if (name === undefined) return { ...tree as object, ...branch as object }
  const folder = tree as Readonly<Record<string, Sapling>>
  return { ...folder, [name]: grafted(folder[name] as Sapling, rest, branch) }
}

const hostOf = (files: MacFiles): HostSnapshot => ({
  ...fakeHost({}, { platform: 'macos', cwd: W, home: '/Users/me', tmpdir: '/var/folders/zz/T/', codexHome: '/Users/me/.codex', uid: 501, gid: 20 }), files: files.view(),
})

const rule = fc.constantFrom(
  'src', 'src/gen', 'deep', 'deep/er', 'deep/er/secret.txt', 'later', 'later/on', 'deep/new', 'id.key', 'Caf\u00e9', 'Caf\u00e9/x', 'stra\u00dfe', 'link', '/Users/me/other', '/Users/me/other/sub', '/Users/me', '/Users/me/.ssh', '/Users/them',
  '/private/tmp', '/private/tmp/scratch', '/data', '/data/d', '/data/new/er', '/System/Volumes/Data/Users/them',
)
const glob = fc.constantFrom('**/*.key', '*/er/*.txt', '**/sub/*', '/Users/**/.ssh', '/data/*/on', '*/on', '*/er/x', 'deep/**/s*', '/Users/me/other/**/*.key', '**/er/**/new', '[c]af*/*')

const policy: fc.Arbitrary<SandboxPolicy> = fc.record({
  writableRoots: fc.uniqueArray(fc.constantFrom('/data', '/Users/me/other', '/Users/me', '/private/tmp/scratch'), { maxLength: 2 }),
  read: fc.uniqueArray(rule, { maxLength: 2 }), write: fc.uniqueArray(rule, { maxLength: 2 }), deny: fc.uniqueArray(fc.oneof({ weight: 3, arbitrary: rule }, { weight: 2, arbitrary: glob }), { maxLength: 3 }),
  protect: fc.constantFrom([], ['later'], ['later/on'], ['deep']), git: fc.constantFrom('protected' as const, 'commits' as const),
  readAccess: fc.oneof({ weight: 3, arbitrary: fc.constant({ kind: 'full' as const }) }, { weight: 1, arbitrary: fc.uniqueArray(fc.constantFrom('/Users/me/other', '/Users/me', '/data/d', '/'), { maxLength: 2 }).map(readableRoots => ({ kind: 'restricted' as const, includePlatformDefaults: false, readableRoots })) }),
  denySecrets: fc.constantFrom(false as const, { except: [] }), tmp: fc.constantFrom('host' as const, 'none' as const),
}).map(rest => ({ ...presetPolicy('workspace-write', 'reference'), ...rest }))

const NAMES = ['.git', '.codex', 'later', 'on', 'deep', 'er', 'src', 'gen', 'x', 'y', 'id.key', 'info', 'hooks', 'config', 'attributes', 'secret.txt', 'Caf\u00e9', 'scratch', 'sub', 'd', 'new', '.agents', 'shared', 'agents', 'repo', 'worktrees', 'work', '..'] as const
const FOLDERS = [W, W, W, `${W}/.git`, `${W}/.git/info`, `${W}/src`, `${W}/deep`, `${W}/deep/er`, `${W}/x`, `${W}/y`, `${W}/later`, `${W}/shared`, '/Users/me/other/repo', '/Users/me/other/repo/.git', '/Users/me/other/repo/.git/worktrees/work', '/Users/me', '/Users/me/other', '/Users/me/other/sub', '/private/tmp', '/tmp/x', '/data', '/data/d', '/Users/them', '/Users/me/.ssh'] as const

const EXISTING = [TREE, WORKTREE].flatMap(tree => new MacFiles(tree).paths()).map(({ path }) => path).filter(path => path.startsWith('/Users/') || path.startsWith('/data/'))

/** Other ways to write a path that leads to the same place. */
const SPELLINGS: readonly ((path: string) => string)[] = [
  path => path, path => path, path => path, path => path.toUpperCase(), path => path.normalize('NFD'), path => path.replace('\u00df', 'ss').replace('s', '\u017f').replace('k', '\u212a'),
  path => path.startsWith('/data') ? path : `/System/Volumes/Data${path}`, path => path.replace('/work/', '/work/link/../'), path => path.replace(/(?=.$)/u, '\u200c'), path => `/usr/..${path}`,
]

const READS_AND_MAKES = ['read', 'write', 'create', 'mkdir', 'mkdir', 'unlink'] as const
const TWO_PATHS = ['symlink', 'link', 'rename', 'rename', 'rename', 'swap', 'clone'] as const

/** A series of calls from one number: shorter ones are found by leaving calls out. */
function callsOf(seed: number): Call[] {
  const next = randomOf(seed)
  const one = <Item>(items: readonly Item[]): Item => items[next(items.length)] as Item
  const respell = (path: string): string => one(SPELLINGS)(next(4) === 0 ? one(SPELLINGS)(path) : path)
  const path = (): string => respell(next(3) === 0 ? one(EXISTING) : [one(FOLDERS), ...Array.from({ length: next(3) }, () => one(NAMES))].join('/'))
  return Array.from({ length: 10 + next(30) }, () => next(7) < 3 ? { call: one(READS_AND_MAKES), path: path() } : { call: one(TWO_PATHS), from: path(), to: path() })
}

/** Numbers below a bound, the same ones for a seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return below => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, state | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return ((mixed ^ mixed >>> 14) >>> 0) % below
  }
}

function resolveOrRefuse(input: SandboxPolicy, on: HostSnapshot): ResolvedPolicy | undefined {
  try {
    return resolve(input, on, { allowBroadRoots: true })
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}

/** Which paths of the tree a policy closes. */
interface Closed {
  readonly reads: ReadonlySet<string>
  readonly writes: ReadonlySet<string>
  /** Nothing is there, and nothing may come. */
  readonly missing: readonly string[]
}

function closedBy(policy: ResolvedPolicy, tree: Sapling): Closed {
  const paths = new MacFiles(tree).paths().map(({ path }) => path)
  const denied = (kind: FileAccess) => new Set(paths.filter(path => judge(policy, { kind, path }).verdict === 'deny'))
  return { reads: denied('read'), writes: denied('write'), missing: policy.paths.filter(({ kind, effect }) => kind === 'missing' && effect !== 'write').map(({ path }) => path) }
}

/** What must be as it was, whatever a command does. */
class Witness {
  readonly #files: MacFiles
  readonly #missing: readonly string[]
  readonly #secret = new Set<string | Node>()
  readonly #kept: { readonly path: string; readonly node: Node; readonly content: string; readonly names: readonly string[] }[] = []

  constructor({ reads, writes, missing }: Closed, files: MacFiles) {
    this.#files = files
    this.#missing = missing
    for (const { path, node } of files.paths()) {
      // A copy has the same content.
      if (reads.has(path)) this.#secret.add(node.kind === 'file' ? node.content : node)
      if (writes.has(path)) this.#kept.push({ path, node, content: node.content, names: [...node.children.keys()] })
    }
  }

  isKept(node: Node): boolean {
    return this.#kept.some(each => each.node === node)
  }

  isSecret(node: Node): boolean {
    return this.#secret.has(node) || node.kind === 'file' && this.#secret.has(node.content)
  }

  /** The first thing that is not as it was. */
  broken(): string | undefined {
    for (const { path, node, content, names } of this.#kept) {
      const now = this.#files.find(path, 'name')?.node
      if (now === undefined) return `${path} is gone`
      if (now !== node) return `${path} is another file`
      if (now.content !== content) return `${path} has another content`
      const added = [...now.children.keys()].find(name => !names.includes(name))
      if (added !== undefined) return `${path} holds ${added}`
    }
    const made = this.#missing.find(path => this.#files.find(path, 'name')?.node !== undefined)
    return made === undefined ? undefined : `${made} was made`
  }
}

/** How many of `calls` were let through, and what went wrong. */
function attempt(closed: Closed, profile: Profile, options: MacKernelOptions, calls: readonly Call[], tree = TREE): { done: number; broken: string | undefined } {
  const files = new MacFiles(tree)
  const witness = new Witness(closed, files)
  const kernel = new MacKernel(files, profile, options)
  let done = 0
  for (const each of calls) {
    const result = kernel.do(each)
    if (result === undefined) continue
    done++
    if (result !== 'done' && witness.isSecret(result)) return { done, broken: `what is denied was read: ${each.call === 'read' ? each.path : ''}` }
  }
  // At the end it reads whatever it can, and writes to it.
  for (const { path, node } of files.paths()) {
    const read = witness.isSecret(node) ? kernel.do({ call: 'read', path }) : undefined
    if (read !== undefined && read !== 'done' && witness.isSecret(read)) return { done, broken: `what is denied was read: ${path}` }
    if (witness.isKept(node)) kernel.do({ call: 'write', path })
  }
  return { done, broken: witness.broken() }
}

/** The calls without those that it does not need. */
function shortest(calls: readonly Call[], isBroken: (calls: readonly Call[]) => boolean): readonly Call[] {
  let kept = calls
  for (let at = calls.length - 1; at >= 0; at--) {
    const fewer = kept.toSpliced(at, 1)
    if (isBroken(fewer)) kept = fewer
  }
  return kept
}

describe('a command that tries everything', { timeout: 1_800_000 }, () => {
  test.each([{ reading: 'kernel', nearEnds: true }, { reading: 'sourceOrder', nearEnds: true }, { reading: 'kernel', nearEnds: false }] as const)('$reading, near ends: $nearEnds', options => {
    let done = 0
    fc.assert(fc.property(policy, fc.constantFrom(TREE, TREE, WORKTREE), fc.integer(), (input, tree, seed) => {
      const resolved = resolveOrRefuse(input, hostOf(new MacFiles(tree)))
      if (resolved === undefined) return
      const { profile: text, parameters } = compileProfile(resolved)
      const profile = parseProfile(text.join('\n'), { params: parameters })
      const closed = closedBy(resolved, tree)
      for (let round = 0; round < SERIES; round++) {
        const calls = callsOf(seed + round)
        const outcome = attempt(closed, profile, options, calls, tree)
        done += outcome.done
        if (outcome.broken === undefined) continue
        const fewest = shortest(calls, each => attempt(closed, profile, options, each, tree).broken !== undefined)
        expect(fewest.map(each => JSON.stringify(each)).join('\n')).toBe(attempt(closed, profile, options, fewest, tree).broken)
      }
    }), { numRuns: RUNS, ...SEED })
    expect(done).toBeGreaterThan(RUNS * SERIES)
  })

  // What the series are worth: without one of the rules they get out.
  const without = (isDropped: (expression: Expression, comment: string) => boolean) => (form: Form): Form[] => {
    const { expression, comment = '' } = form
    if (expression.kind !== 'list' || isDropped(expression, comment)) return []
    const items = expression.items.filter(item => !isDropped(item, comment))
    return items.length > 1 || items.length === expression.items.length ? [{ ...form, expression: { ...expression, items } }] : []
  }
  const isCall = (expression: Expression, head: string) => expression.kind === 'list' && expression.items[0]?.kind === 'symbol' && expression.items[0].name === head
  test.each<[what: string, input: Partial<SandboxPolicy>, isDropped: (expression: Expression, comment: string) => boolean]>([
    ['folders keep their names', { protect: ['deep/er'] }, (_, comment) => comment.includes('so they keep theirs')],
    ['roots keep their names', {}, (_, comment) => comment.includes('the roots themselves')],
    ['no hard links to what may not be written', {}, expression => expression.kind === 'symbol' && expression.name === 'file-link'],
    ['no copies of whole folders', { deny: ['deep/er/secret.txt'] }, expression => isCall(expression, 'deny') && JSON.stringify(expression).includes('"DIRECTORY"')],
    ['no names with zero-width characters', {}, expression => isCall(expression, 'deny') && JSON.stringify(expression).includes('\u200c')],
    ['every spelling of a missing name', { protect: ['later'] }, (expression, comment) => isCall(expression, 'regex') && comment.includes('read-only inside')],
    ['what is denied', { deny: ['src'] }, (_, comment) => comment === 'denied'],
  ])('and gets out without: %s', (_, changes, isDropped) => {
    const resolved = resolve({ ...presetPolicy('workspace-write', 'reference'), ...changes }, hostOf(new MacFiles(TREE)))
    const { profile: text, parameters } = compileProfile(resolved)
    const whole = parseForms(text.join('\n'))
    const closed = closedBy(resolved, TREE)
    const [complete, incomplete] = [whole, whole.flatMap(without(isDropped))].map(forms => parseProfile(printProfile(forms), { params: parameters })) as [Profile, Profile]
    const isBroken = (profile: Profile, seed: number) => attempt(closed, profile, { reading: 'kernel', nearEnds: true }, callsOf(seed)).broken !== undefined
    const found = Array.from({ length: 2000 }, (_, seed) => seed).find(seed => isBroken(incomplete, seed))
    expect(found).toBeDefined()
    expect(isBroken(complete, found as number)).toBe(false)
  })
})
