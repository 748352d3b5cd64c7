// The planned access lists mean what `decide` says: random policies on random hosts, both modes, and thousands of accesses judged by the
// model of access checks. Longer runs: WINDOWS_RUNS=20000. A failure prints its seed; WINDOWS_SEED repeats it.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../../../src/errors.js'
import { DEGRADATIONS, type DegradationName, type WindowsMode, type WindowsPlan } from '../../../../src/platform/launch-plan.js'
import { GENERIC_EXECUTE, GENERIC_READ, GENERIC_WRITE } from '../../../../src/platform/windows/access-rights.js'
import { EVERY_CHANGE, FILE_RIGHTS } from '../../../../src/platform/windows/access-rights.js'
import { grantedAccess } from '../../../../src/platform/windows/access-check.js'
import { compileWindows } from '../../../../src/platform/windows/compile.js'
import { parseDescriptor } from '../../../../src/platform/windows/sddl.js'
import { plainToken } from '../../../../src/platform/windows/token.js'
import type { FileAccess } from '../../../../src/policy/decision.js'
import { escapeGlob } from '../../../../src/policy/glob.js'
import type { HostSnapshot, WindowsFacts } from '../../../../src/policy/host-snapshot.js'
import { judge } from '../../../../src/policy/judge-path.js'
import { isInside, joinPath, parentOf } from '../../../../src/policy/path-syntax.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { ResolvedPolicy } from '../../../../src/policy/resolved-policy.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { SECRET_PLACES } from '../../../../src/policy/secrets.js'
import { symlink, type Tree } from '../../../support/fake-host.js'
import { compileOptions } from '../../../support/linux-layers.js'
import { EVERYBODYS, ME, ONLY_MINE, WIN_TREE, WINDOWS_THERE, winHost } from '../../../support/windows-host.js'
import { WindowsModel } from '../../../support/windows-model.js'

const RUNS = Number(process.env['WINDOWS_RUNS'] ?? 200)
const parameters = { numRuns: RUNS, ...(process.env['WINDOWS_SEED'] === undefined ? {} : { seed: Number(process.env['WINDOWS_SEED']) }) }
const KINDS: readonly FileAccess[] = ['read', 'write', 'create', 'remove', 'execute']
const ALL_DEGRADED = new Set(Object.keys(DEGRADATIONS) as DegradationName[])

const NAMES = ['a', 'b', 'c', 'Sub', 'x.key', '.git', '.codex', '.vscode', '.env', 'a b', 'caf\u00e9'] as const
const name = fc.constantFrom<string>(...NAMES)
const leaf = fc.oneof({ weight: 4, arbitrary: fc.constant('') }, { weight: 1, arbitrary: fc.constantFrom('C:\\data', 'C:\\Users\\me\\work\\a', '..\\b', 'nowhere').map(symlink) })
const folder = (depth: number): fc.Arbitrary<Tree> => fc.dictionary(name, depth === 0 ? leaf : fc.oneof({ weight: 1, arbitrary: leaf }, { weight: 2, arbitrary: folder(depth - 1) }), { maxKeys: 4 }).map(tree => tree as Tree)

/** Lists that people and installers leave behind. */
const LISTS = [EVERYBODYS, ONLY_MINE, `O:${ME}D:P(A;OICI;FA;;;WD)`, `O:${ME}D:NO_ACCESS_CONTROL`, `O:${ME}D:AI(A;CI;0x116;;;WD)(A;OICI;FR;;;WD)`, `O:${ME}D:AI(D;OICI;SD;;;WD)`, `O:${ME}D:PAI(A;OICI;0x1200a9;;;BU)(A;OICI;FA;;;${ME})`, `O:SYD:AI(A;OICI;FA;;;WD)`, `O:${ME}D:AI(A;;0x40;;;WD)`] as const

interface Scene { readonly host: HostSnapshot; readonly lists: Readonly<Record<string, string>> }

/** What the scan and the walk of set-up find: an entry of its own by which everybody changes something; and every list of its own. */
function scan(host: HostSnapshot, lists: Readonly<Record<string, string>>): Pick<WindowsFacts, 'worldWritable' | 'ownLists'> {
  const paths = Object.keys(lists).map(path => ({ path, kind: host.files.entry(path)?.kind === 'directory' ? 'directory' as const : 'file' as const }))
  const worldWritable = paths.filter(({ path, kind }) => {
    const { dacl, owner } = parseDescriptor(lists[path] as string, path)
    const own = dacl === 'null' || dacl === undefined ? dacl : { ...dacl, aces: dacl.aces.filter(({ flags }) => !flags.includes('inherited')).map(ace => ({ ...ace, flags: ace.flags.filter(flag => flag !== 'inherit-only') })) }
    return kind === 'directory' && (grantedAccess(EVERYONE, { owner, group: undefined, dacl: own, sacl: undefined }) & EVERY_CHANGE) !== 0
  })
  const ownLists = paths.filter(({ path }) => {
    const { dacl } = parseDescriptor(lists[path] as string, path)
    return dacl === 'null' || dacl === undefined || dacl.isProtected || dacl.aces.some(({ type, flags }) => type === 'A' && !flags.includes('inherited'))
  })
  return { worldWritable: worldWritable.map(({ path }) => path), ownLists }
}

const EVERYONE = { user: 'S-1-1-0', groups: [], denyOnly: [], restricting: [], isWriteRestricted: false, integrity: 8192 }

const scene: fc.Arbitrary<Scene> = fc.record({
  work: folder(3), data: folder(2), other: folder(1), temp: folder(1), lists: fc.array(fc.tuple(fc.nat(), fc.constantFrom(...LISTS)), { maxLength: 4 }), self: fc.constantFrom([], ['C:\\Users\\me\\work\\a'], ['C:\\data']),
}).map(({ work, data, other, temp, lists: drawn, self }) => {
  const c = WIN_TREE['C:'] as Tree
  const users = c['Users'] as Tree
  const tree: Tree = { 'C:': { ...c, data, Users: { ...users, me: { ...users['me'] as Tree, work, other, AppData: { Local: { Temp: temp }, Roaming: { 'GitHub CLI': { 'hosts.yml': '' } } } } } }, 'D:': { x: '' } }
  const bare = winHost(tree)
  const folders: string[] = []
  const walk = (path: string, depth: number): void => {
    folders.push(path)
    for (const child of depth === 0 ? [] : bare.files.children(path) ?? []) {
      const at = joinPath('windows', path, child)
      if (bare.files.entry(at)?.kind === 'directory') walk(at, depth - 1)
      // A file that everybody may write by itself is what the scan of folders does not see; others are found in roots and denied folders.
      else folders.push(`${at}|file`)
    }
  }
  for (const start of ['C:\\Users\\me\\work', 'C:\\data', 'C:\\Users\\me\\other']) walk(start, 4)
  const lists = { 'C:\\data': `O:${ME}D:AI`, ...Object.fromEntries(drawn.map(([at, list]) => {
    const [path, file] = (folders[at % folders.length] as string).split('|')
    return [path as string, file === undefined || !list.includes(';;;WD') && !list.includes('NO_ACCESS') ? list : `O:${ME}D:AI(A;;FR;;;WD)(A;;FR;;;BU)`]
  })) }
  const found = scan(bare, lists)
  return { lists, host: winHost(tree, { lists, selfPaths: self, facts: found }) }
})

const BASES = ['C:\\Users\\me\\work', 'C:\\data', 'C:\\Users\\me\\other', 'C:\\Users\\me\\AppData\\Local\\Temp', 'c:\\users\\ME\\Work', 'C:\\Users\\me\\Documents'] as const
const place = fc.tuple(fc.constantFrom<string>(...BASES), fc.array(name, { maxLength: 3 })).map(([base, names]) => [base, ...names].join('\\'))
const rule = place.map(path => escapeGlob('windows', path))
const glob = fc.tuple(fc.constantFrom('C:\\Users\\me\\work', 'C:\\data'), fc.array(fc.constantFrom('**', '*', 'a'), { maxLength: 2 }), fc.constantFrom('*.key', '.env', 'a', '{a,c}')).map(([base, middle, last]) => [base, ...middle, last].join('\\'))
const policy: fc.Arbitrary<SandboxPolicy> = fc.record({
  mode: fc.constantFrom('workspace-write' as const, 'workspace-write' as const, 'read-only' as const),
  writableRoots: fc.uniqueArray(place, { maxLength: 2 }), read: fc.uniqueArray(rule, { maxLength: 3 }), write: fc.uniqueArray(rule, { maxLength: 3 }),
  deny: fc.uniqueArray(fc.oneof({ weight: 3, arbitrary: rule }, { weight: 1, arbitrary: glob }), { maxLength: 4 }),
  protect: fc.constantFrom([], ['own'], ['a/b']), protectAgentFiles: fc.boolean(), denySecrets: fc.constantFrom(false as const, { except: [] }), tmp: fc.constantFrom('host' as const, 'none' as const),
  readAccess: fc.oneof({ weight: 4, arbitrary: fc.constant({ kind: 'full' as const }) }, { weight: 1, arbitrary: fc.uniqueArray(place, { maxLength: 2 }).map(readableRoots => ({ kind: 'restricted' as const, includePlatformDefaults: true, readableRoots })) }),
}).map(rest => ({ ...presetPolicy(rest.mode, 'reference'), ...rest, writableRoots: rest.mode === 'read-only' ? [] : rest.writableRoots }))

function orRefused<Result>(step: () => Result): Result | undefined {
  try {
    return step()
  } catch (error) {
    if (error instanceof SandboxError) return undefined
    throw error
  }
}

const NEEDED: Readonly<Record<FileAccess, number>> = { read: GENERIC_READ, execute: GENERIC_READ | GENERIC_EXECUTE, write: GENERIC_WRITE, create: FILE_RIGHTS.writeData | FILE_RIGHTS.appendData, remove: FILE_RIGHTS.delete }

/** Why the plan may allow less than the policy; undefined: it may not. */
function whyLess(kind: FileAccess, path: string, mode: WindowsMode, { host, lists }: Scene, resolved: ResolvedPolicy, bare: WindowsModel): string | undefined {
  const facts = host.windows as WindowsFacts
  const user = plainToken(ME, [])
  const asked = kind === 'create' ? parentOf('windows', path) : path
  const granted = bare.granted(asked, user)
  // By the folder's right alone nothing is removed in a root: it would remove what is protected as well.
  if ((NEEDED[kind] & ~granted) !== 0) return 'the user may not either'
  if (kind === 'create' && bare.exists(path) && !bare.allows('write', path, user)) return 'the user may not either'
  if (mode === 'unelevated') return undefined
  const everyAccount = plainToken('S-1-5-21-99-99-99-9', [])
  const isPlaceOfKeys = SECRET_PLACES.some(secret => isInside('windows', joinPath('windows', 'C:\\Users\\me', secret.path), path))
  if (isPlaceOfKeys || isInside('windows', 'C:\\Users\\me\\.codex', path)) return 'keys and tokens'
  if ((resolved.selfPaths ?? []).some(self => isInside('windows', self, path))) return 'what is our own'
  const inRoot = resolved.paths.some(each => each.effect === 'write' && isInside('windows', each.path, path))
  if (!inRoot && !((NEEDED[kind] & ~bare.granted(asked, everyAccount)) === 0)) {
    if (resolved.base === 'deny' || !isInside('windows', 'C:\\Users\\me', path)) return 'only this user may read it'
    if (facts.ownLists.some(({ path: at }) => isInside('windows', at, path))) return 'only this user may read it'
  }
  // An entry that denies everybody something, on the object itself, stands where what the accounts get is inherited.
  if (Object.keys(lists).some(at => isInside('windows', at, path) && lists[at]?.includes('(D;') === true)) return 'everybody is denied it'
  return undefined
}

const PATHS_A_RUN = 60

describe('the access lists mean what decide says', { timeout: 1_800_000 }, () => {
  test.each(['elevated', 'unelevated'] as const)('every access on every path: %s', mode => {
    let judged = 0
    let denied = 0
    let refused = 0
    fc.assert(fc.property(policy, scene, fc.nat(), (input, on, pick) => {
      const resolved = orRefused(() => resolve(input, on.host))
      const plan: WindowsPlan | undefined = resolved === undefined ? undefined : orRefused(() => compileWindows(resolved, mode, WINDOWS_THERE, compileOptions({ allowDegraded: ALL_DEGRADED, windows: on.host.windows as WindowsFacts, supposeSetUp: true })))
      if (resolved === undefined || plan === undefined) {
        refused++
        return
      }
      const model = new WindowsModel(on.host, plan)
      const bare = new WindowsModel(on.host, { token: plan.token, access: [], placeholders: [] })
      const known = model.paths()
      const all = [...known, ...known.filter(path => model.isFolder(path)).flatMap(path => ['new', 'x.KEY', '.git'].map(extra => joinPath('windows', path, extra)))].filter(path => !resolved.paths.some(({ kind, path: link }) => kind === 'symlink' && link !== path && isInside('windows', link, path)))
      const stride = Math.ceil(all.length / PATHS_A_RUN)
      for (const path of all.filter((_, index) => index % stride === pick % stride)) {
        for (const kind of KINDS) {
          if (kind !== 'create' && !model.exists(path)) continue
          if (kind === 'create' && model.exists(path) && on.host.files.entry(path)?.kind !== 'file') continue
          const decision = judge(resolved, { kind, path })
          const verdict = model.allows(kind, path) ? 'allow' : 'deny'
          judged++
          if (decision.verdict === 'deny') denied++
          if (verdict === decision.verdict) continue
          if (verdict === 'deny' && whyLess(kind, path, mode, on, resolved, bare) !== undefined) continue
          if (verdict === 'allow' && (kind === 'read' || kind === 'execute') && (mode === 'unelevated' || (plan.degraded.includes('restricted-reads') && decision.verdict === 'deny' && decision.because === 'no-rule'))) continue
          // Made later: nothing stands there yet, or an empty placeholder.
          if (verdict === 'allow' && (kind === 'create' || plan.placeholders.some(each => each.path.toLowerCase() === path.toLowerCase())) && plan.degraded.includes('later-glob-matches') && decision.verdict === 'deny' && decision.because === 'glob') continue
          expect(`${mode} ${kind} ${path}: ${verdict}`).toBe(`${mode} ${kind} ${path}: ${decision.verdict}`)
        }
      }
    }), parameters)
    expect(judged).toBeGreaterThan(RUNS * 30)
    expect(denied / judged).toBeGreaterThan(0.2)
    expect(denied / judged).toBeLessThan(0.95)
    expect(refused / RUNS).toBeLessThan(0.75)
  })
})
