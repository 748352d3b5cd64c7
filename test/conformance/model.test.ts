// The table against `decide`, and against the compiled plan in a model of mounts and Landlock: on a host made by hand.
import { describe, expect, test } from 'vitest'
import { compileLinuxNative } from '../../src/platform/linux/native/compile.js'
import { decide } from '../../src/policy/decide.js'
import type { Access, FileAccess } from '../../src/policy/decision.js'
import { followLinks, followLinksToParent } from '../../src/policy/follow-links.js'
import type { HostSnapshot } from '../../src/policy/host-snapshot.js'
import { resolveText } from '../../src/policy/path-syntax.js'
import { presetPolicy } from '../../src/policy/presets.js'
import { resolve } from '../../src/policy/resolve.js'
import { fakeHost, type Tree } from '../support/fake-host.js'
import { compileOptions, linuxLayers } from '../support/linux-layers.js'
import { modelPlan } from '../support/plan-model.js'
import { type Group, type Row, SCENE, TABLE } from './table.js'

const SYSTEM: Tree = { usr: { bin: { sh: '' } }, bin: {}, etc: {}, home: { user: {} }, dev: {}, proc: {} }
const HOST = 'example.com'

describe.each(TABLE)('$name', group => {
  test.each(group.rows)('decide: $verdict $access $path: $why', row => {
    const { host, policy, base } = scene(group)
    expect(decide(policy, accessOf(host, base, row)).verdict).toBe(row.verdict)
  })

  test.each(group.rows.filter(isFileRow))('plan: $verdict $access $path: $why', row => {
    const { host, policy, base } = scene(group)
    const plan = compileLinuxNative(policy, linuxLayers(), compileOptions({ allowDegraded: new Set(group.allowDegraded) }))
    const { kind, path } = accessOf(host, base, row) as { kind: FileAccess; path: string }
    expect(modelPlan(plan).allows(kind, path) ? 'allow' : 'deny').toBe(row.verdict)
  })

  test.each(group.rows.filter(row => !isFileRow(row)))('plan: $verdict $access: $why', ({ access, verdict }) => {
    const { policy } = scene(group)
    const { network, seccomp } = compileLinuxNative(policy, linuxLayers(), compileOptions())
    const isOpen = access === 'connect' ? network === 'host' : seccomp.listener === undefined
    expect(isOpen ? 'allow' : 'deny').toBe(verdict)
  })
})

test('each group has something that works, and something that does not', () => {
  for (const { name, rows } of TABLE) expect([name, rows.some(({ verdict }) => verdict === 'deny')]).toEqual([name, true])
  const allowed = TABLE.flatMap(({ rows }) => rows.filter(({ verdict }) => verdict === 'allow'))
  expect(new Set(allowed.map(({ access }) => access))).toEqual(new Set(['read', 'write', 'create', 'remove', 'execute', 'list', 'connect']))
})

function isFileRow({ access }: Row): boolean {
  return access !== 'connect' && access !== 'unix-connect'
}

function scene({ below, policy }: Group) {
  const base = below === '/tmp' ? '/tmp/scene' : '/srv/scene'
  const host = fakeHost({ ...SYSTEM, tmp: below === '/tmp' ? { scene: SCENE } : {}, srv: below === '/tmp' ? {} : { scene: SCENE } }, { cwd: `${base}/work` })
  const changes = policy(path => `${base}/${path}`)
  return { host, base, policy: resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, host) }
}

/** As the kernel looks a path up: `create` and `remove` are about the last name itself. */
function accessOf(host: HostSnapshot, base: string, { access, path }: Row): Access {
  if (access === 'connect') return { kind: 'connect', host: HOST, port: 443 }
  const absolute = path.startsWith('/') ? path : resolveText('linux', base, path === '' ? '.' : path)
  if (access === 'unix-connect') return { kind: 'unix-connect', path: absolute }
  const follow = access === 'create' || access === 'remove' ? followLinksToParent : followLinks
  return { kind: access === 'list' ? 'read' : access, path: follow(host, absolute, 'path').path }
}
