// The table against the plan that is compiled for Windows (elevated, which holds reads too), in a model of its access checks, on a machine
// made by hand.
import { describe, expect, test } from 'vitest'
import { SandboxError } from '../../src/errors.js'
import { compileWindows } from '../../src/platform/windows/compile.js'
import { followLinks, followLinksToParent } from '../../src/policy/follow-links.js'
import type { WindowsFacts } from '../../src/policy/host-snapshot.js'
import { resolveText } from '../../src/policy/path-syntax.js'
import { presetPolicy } from '../../src/policy/presets.js'
import { resolve } from '../../src/policy/resolve.js'
import type { Tree } from '../support/fake-host.js'
import { compileOptions } from '../support/linux-layers.js'
import { WIN_TREE, WINDOWS_THERE, winHost } from '../support/windows-host.js'
import { WindowsModel } from '../support/windows-model.js'
import { type Group, type Row, SCENE, TABLE } from './table.js'

const drive = WIN_TREE['C:'] as Tree
const users = drive['Users'] as Tree
const HOME = 'C:\\Users\\me'
const TEMP = `${HOME}\\AppData\\Local\\Temp`

/** What Windows refuses as a whole, and the field that it names. */
const REFUSED: readonly { readonly is: (group: Group) => boolean; readonly field: string }[] = [
  { is: ({ policy }) => policy(path => path).tmp === 'private', field: 'tmp' },
  // `.git` is there, and what is missing in it only a symbolic link could hold.
  { is: ({ policy }) => policy(path => path).git === 'commits', field: 'git' },
]
const refusedAt = (group: Group): string | undefined => REFUSED.find(({ is }) => is(group))?.field

/** Nothing here tells who made a socket: it is a file like others, written by who may write it. And of the system's own /tmp there is none. */
const isLeftOut = ({ access, path }: Row): boolean => access === 'unix-connect' || path.startsWith('/')

describe.each(TABLE.filter(group => refusedAt(group) === undefined))('$name', group => {
  test.each(group.rows.filter(row => !isLeftOut(row)))('$verdict $access $path: $why', row => {
    const { base, host, plan } = scene(group)
    expect(allows(base, host, new WindowsModel(host, plan), plan.network, row) ? 'allow' : 'deny').toBe(row.verdict)
  })
})

test.each(TABLE.filter(group => refusedAt(group) !== undefined).map(group => ({ name: group.name, field: refusedAt(group), group })))('$name: refused', ({ field, group }) => {
  expect(() => scene(group)).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field }))
})

test('what is left out is little', () => {
  const rows = TABLE.flatMap(({ rows: all }) => all)
  expect(rows.filter(isLeftOut).length / rows.length).toBeLessThan(0.1)
})

function scene({ below, policy, allowDegraded = [] }: Group) {
  const base = below === '/tmp' ? `${TEMP}\\scene` : `${HOME}\\scene`
  const me: Tree = { ...users['me'] as Tree, ...(below === '/tmp' ? { AppData: { Local: { Temp: { scene: SCENE } } } } : { scene: SCENE }) }
  const host = winHost({ 'C:': { ...drive, Users: { ...users, me } } }, { cwd: `${base}\\work` })
  const changes = policy(path => `${base}\\${path.replaceAll('/', '\\')}`)
  // What /tmp is to the table is %TEMP% here.
  const resolved = resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes, excludeTmpdirEnvVar: changes.excludeSlashTmp ?? false }, host)
  const more = [...(resolved.base === 'deny' ? ['restricted-reads' as const] : []), ...allowDegraded]
  return { base, host, plan: compileWindows(resolved, 'elevated', WINDOWS_THERE, compileOptions({ allowDegraded: new Set([...more, 'absent-paths']), windows: host.windows as WindowsFacts, supposeSetUp: true })) }
}

function allows(base: string, host: ReturnType<typeof winHost>, model: WindowsModel, network: string, { access, path }: Row): boolean {
  if (access === 'connect') return network === 'open'
  const isName = access === 'create' || access === 'remove'
  try {
    const at = (isName ? followLinksToParent : followLinks)(host, resolveText('windows', base, path === '' ? '.' : path), 'path').path
    return model.allows(access === 'list' ? 'read' : access === 'unix-connect' ? 'write' : access, at)
  } catch (error) {
    if (error instanceof SandboxError) return false
    throw error
  }
}
