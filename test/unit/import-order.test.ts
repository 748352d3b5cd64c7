// Imports go one way, from the command line down to the policy; which platform this is gets read in one place.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

/** The order of DESIGN: what stands in a row may import its own row and those above it. */
const RANKS = [
  ['errors.ts'],
  ['policy'],
  ['host'],
  ['platform'],
  ['network'],
  ['approval'],
  ['config'],
  ['exec'],
  ['learn'],
  ['doctor'],
  ['service'],
  ['cli', 'index.ts'],
] as const

/** The same below platform/linux. */
const LINUX_RANKS = [['landlock', 'seccomp'], ['native'], ['bwrap', 'outer']] as const

const PLATFORMS = ['linux', 'macos', 'windows'] as const

/** Pure code: it runs for every platform on every other one, so it may not ask the host for anything. */
const PURE = [/^policy\//, /^platform\/launch-plan\.ts$/, /^platform\/(linux|macos|windows)\/(.*\/)?compile/, /^platform\/linux\/(landlock|seccomp)\//, /^platform\/macos\/sbpl\//, /^platform\/windows\/(?!(?:backend|launcher|probe|addon|start|find-runner|placeholders|runner-process|setup\/(?:addon-system|elevation|open))\.ts)/]
const REACHES_THE_HOST = /^node:(fs|os|child_process|net|http|https|dns|process|worker_threads)(\/|$)/

interface Import { readonly target: string; readonly names: string }
interface Source { readonly path: string; readonly text: string }

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))
const sources: Source[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.ts')).sort()
  .map(path => ({ path, text: readFileSync(join(SRC, path), 'utf8') }))

test('no file of src imports from a higher rank', () => {
  expect(sources.flatMap(source => upwardImports(source))).toEqual([])
})
test('every file of src has a rank', () => {
  expect(sources.filter(({ path }) => rankOf(path, RANKS) === undefined).map(({ path }) => path)).toEqual([])
})
test('the platforms never import each other', () => {
  expect(sources.flatMap(source => crossPlatformImports(source))).toEqual([])
})
test('process.platform is read in src/host only', () => {
  expect(sources.flatMap(source => platformReads(source))).toEqual([])
})
test('pure code names win32 or posix when it takes node:path, and does not reach the host', () => {
  expect(sources.flatMap(source => impureImports(source))).toEqual([])
})

// The rules themselves, on sources that break them.
test.each([
  { name: 'a static import upwards',        check: upwardImports,        path: 'policy/a.ts',                 text: "import { x } from '../exec/x.js'",                     found: ['policy/a.ts imports exec/x.ts'] },
  { name: 'a type-only import upwards',     check: upwardImports,        path: 'host/a.ts',                   text: "import type { X } from '../platform/backend.js'",      found: ['host/a.ts imports platform/backend.ts'] },
  { name: 'an import over several lines',   check: upwardImports,        path: 'errors.ts',                   text: "import {\n  x,\n} from './policy/x.js'",               found: ['errors.ts imports policy/x.ts'] },
  { name: 'a dynamic import upwards',       check: upwardImports,        path: 'exec/a.ts',                   text: "const x = await import('../cli/main.js')",             found: ['exec/a.ts imports cli/main.ts'] },
  { name: 'a re-export upwards',            check: upwardImports,        path: 'config/a.ts',                 text: "export * from '../index.js'",                          found: ['config/a.ts imports index.ts'] },
  { name: 'landlock imports native',        check: upwardImports,        path: 'platform/linux/landlock/a.ts', text: "import { x } from '../native/x.js'",                   found: ['platform/linux/landlock/a.ts imports platform/linux/native/x.ts'] },
  { name: 'an import downwards is right',   check: upwardImports,        path: 'cli/main.ts',                 text: "import { x } from '../errors.js'\nimport './run.js'",  found: [] },
  { name: 'linux imports macos',            check: crossPlatformImports, path: 'platform/linux/a.ts',         text: "import { x } from '../macos/x.js'",                    found: ['platform/linux/a.ts imports platform/macos/x.ts'] },
  { name: 'a platform read in exec',        check: platformReads,        path: 'exec/a.ts',                   text: "if (process.platform === 'win32') x()",                found: ['exec/a.ts reads the platform'] },
  { name: 'a platform read through node:os', check: platformReads,       path: 'exec/a.ts',                   text: "import { platform } from 'node:os'",                   found: ['exec/a.ts reads the platform'] },
  { name: 'a platform read in host',        check: platformReads,        path: 'host/a.ts',                   text: 'const name = process.platform',                        found: [] },
  { name: 'a comment about the platform',   check: platformReads,        path: 'exec/a.ts',                   text: '// never process.platform',                            found: [] },
  { name: 'the host\'s own path rules',     check: impureImports,        path: 'policy/a.ts',                 text: "import { join } from 'node:path'",                     found: ['policy/a.ts imports { join } from node:path'] },
  { name: 'posix path rules',               check: impureImports,        path: 'policy/a.ts',                 text: "import { posix, win32 as windows } from 'node:path'",  found: [] },
  { name: 'a compiler that reads files',    check: impureImports,        path: 'platform/linux/native/compile.ts', text: "import { readFileSync } from 'node:fs'",          found: ['platform/linux/native/compile.ts imports { readFileSync } from node:fs'] },
])('found: $name', ({ check, path, text, found }) => {
  expect(check({ path, text })).toEqual(found)
})

function upwardImports({ path, text }: Source): string[] {
  return importsOf({ path, text }).map(({ target }) => target).filter(target => {
    const [from, to] = [rankOf(path, RANKS), rankOf(target, RANKS)]
    if (from !== undefined && to !== undefined && to > from) return true
    const [linuxFrom, linuxTo] = [path, target].map(file => rankOf(file.replace(/^platform\/linux\//, ''), LINUX_RANKS))
    return linuxFrom !== undefined && linuxTo !== undefined && linuxTo > linuxFrom
  }).map(target => `${path} imports ${target}`)
}

function crossPlatformImports({ path, text }: Source): string[] {
  const platformOf = (file: string) => PLATFORMS.find(platform => file.startsWith(`platform/${platform}/`))
  const from = platformOf(path)
  return importsOf({ path, text }).map(({ target }) => target)
    .filter(target => from !== undefined && platformOf(target) !== undefined && platformOf(target) !== from)
    .map(target => `${path} imports ${target}`)
}

function platformReads({ path, text }: Source): string[] {
  if (path.startsWith('host/')) return []
  const takesPlatform = importsOf({ path, text }).some(({ target, names }) => /^node:(os|process)$/.test(target) && /\bplatform\b/.test(names))
  return takesPlatform || /\b(process\.platform|os\.platform\()/.test(withoutComments(text)) ? [`${path} reads the platform`] : []
}

function impureImports({ path, text }: Source): string[] {
  if (!PURE.some(pattern => pattern.test(path))) return []
  return importsOf({ path, text })
    .filter(({ target, names }) => REACHES_THE_HOST.test(target) || (target === 'node:path' && !namesPathRules(names)))
    .map(({ target, names }) => `${path} imports ${names} from ${target}`)
}

/** Whether `{ … }` takes nothing but `posix` and `win32`. */
function namesPathRules(names: string): boolean {
  const taken = /^\{(.*)\}$/s.exec(names)?.[1]?.split(',').map(name => name.trim().split(' ')[0])
  return taken?.every(name => name === '' || name === 'posix' || name === 'win32') ?? false
}

/** Static and dynamic imports, type imports and re-exports. Relative targets become paths below src, ending in .ts. */
function importsOf({ path, text }: Source): Import[] {
  const code = withoutComments(text)
  const statements = [...code.matchAll(/^(?:import|export)\s+(?:type\s+)?((?:[\w*{}\s,$]+?)\s+from\s+)?['"]([^'"]+)['"]/gm)].map(([, names, target]) => ({ names: (names ?? '').replace(/\s+from\s+$/, ''), target: target ?? '' }))
  const dynamic = [...code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)].map(([, target]) => ({ names: 'all', target: target ?? '' }))
  return [...statements, ...dynamic].map(({ names, target }) => ({
    names,
    target: target.startsWith('.') ? new URL(target, `file:///${path}`).pathname.slice(1).replace(/\.js$/, '.ts') : target,
  }))
}

/** Whole-line comments only: those are the ones that this project writes code examples in. */
function withoutComments(text: string): string {
  return text.replace(/^\s*\/\*\*?[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')
}

function rankOf(path: string, ranks: readonly (readonly string[])[]): number | undefined {
  const rank = ranks.findIndex(row => row.some(entry => path === entry || path.startsWith(`${entry}/`)))
  return rank === -1 ? undefined : rank
}
