// Programs under the supervised rung's handlers alone: native/linux/test/supervise-tool.c in a workspace of its own.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isInside } from '../../src/policy/path-syntax.js'
import type { Effect } from '../../src/policy/resolved-policy.js'
import { assembleFilter } from '../../src/platform/linux/seccomp/assemble.js'
import type { SystemCallRule } from '../../src/platform/linux/seccomp/filter-rules.js'
import { supervisedFileCalls } from '../../src/platform/linux/seccomp/supervised-calls.js'
import { type Architecture, SYSTEM_CALLS } from '../../src/platform/linux/seccomp/system-calls.js'

/** What of native/linux the tool is made of. */
export const SUPERVISE_TOOL_SOURCES = [
  'notifications', 'caller', 'supervise', 'supervise-open', 'supervise-read', 'listed-folders', 'supervise-names', 'supervise-metadata', 'supervised-path', 'supervised-rules', 'supervised-grants',
  'reports', 'process-tree', 'file-systems', 'shared-memory', 'terminals',
]

export interface SupervisedRule { readonly effect: Effect; readonly path: string; readonly foldsCase?: boolean }

/** The tool's CONFIG. A writable root with something closed below is writable in the outer domain alone. */
function superviseConfig(rules: readonly SupervisedRule[], { base = 'read' as 'read' | 'deny', grants = false } = {}): string {
  const hex = (text: string) => Buffer.from(text).toString('hex')
  const holdsSomething = (root: string) => rules.some(({ effect, path }) => effect !== 'write' && isInside('linux', root, path))
  return [
    `base ${base}`,
    ...rules.map(({ effect, path, foldsCase = false }) => `rule ${effect} ${foldsCase ? 1 : 0} ${hex(path)}`),
    ...rules.filter(({ effect }) => effect === 'write').map(({ path }) => `${holdsSomething(path) ? 'outer' : 'inner'} ${hex(path)}`),
    ...(grants ? ['grants'] : []),
    `filter ${Buffer.from(fileFilter(process.arch as Architecture)).toString('hex')}`,
    '',
  ].join('\n')
}

/** The rows for files alone. */
function fileFilter(arch: Architecture): Uint8Array {
  const rules = supervisedFileCalls(arch, 'shared-memory')
    .flatMap(({ calls, cases }) => calls.map((call): SystemCallRule => ({ call, action: 'user_notification', ...(cases && { cases }) })))
    .filter(({ call }) => Object.hasOwn(SYSTEM_CALLS[arch], call))
  return assembleFilter(rules, arch, 'allow')
}

export interface SupervisedFolders {
  /** Holds all of the others, writable for nobody inside. */
  readonly base: string
  /** A writable root in which `.git` (a folder with `config`) and the missing `.codex` are protected, and `secret` is denied. */
  readonly work: string
  /** Writable, with nothing closed in it. */
  readonly free: string
  /** Readable. */
  readonly outside: string
  readonly rules: readonly SupervisedRule[]
  readonly config: string
  remove(): void
}

/** Under /var/tmp, as rules for /tmp would be another matter. */
export function makeSupervisedFolders(options: { readonly grants?: boolean; readonly folders?: readonly string[] } = {}): SupervisedFolders {
  const base = realpathSync(mkdtempSync('/var/tmp/supervised-'))
  const [work, free, outside] = ['work', 'free', 'outside'].map(name => join(base, name)) as [string, string, string]
  for (const folder of [work, free, outside, join(work, '.git'), join(work, 'secret'), ...(options.folders ?? []).map(name => join(work, name))]) mkdirSync(folder, { recursive: true })
  writeFileSync(join(work, '.git/config'), 'as it was\n')
  writeFileSync(join(work, 'secret/config'), 'secret\n')
  writeFileSync(join(outside, 'config'), 'outside\n')
  symlinkSync(outside, join(work, 'outs'))
  const rules: SupervisedRule[] = [
    { effect: 'write', path: work }, { effect: 'write', path: free }, { effect: 'read', path: join(work, '.git') }, { effect: 'read', path: join(work, '.codex') },
    { effect: 'deny', path: join(work, 'secret') },
  ]
  const config = join(base, 'config')
  writeFileSync(config, superviseConfig(rules, options))
  return { base, work, free, outside, rules, config, remove: () => rmSync(base, { recursive: true, force: true }) }
}
