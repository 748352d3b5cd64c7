// The table against the profile that is compiled for macOS, in a model of its kernel, on a Mac made by hand.
import { describe, expect, test } from 'vitest'
import { compileProfile, compileSeatbelt } from '../../src/platform/macos/compile.js'
import { resolveText } from '../../src/policy/path-syntax.js'
import { presetPolicy } from '../../src/policy/presets.js'
import { resolve } from '../../src/policy/resolve.js'
import type { Tree } from '../support/fake-host.js'
import { compileOptions } from '../support/linux-layers.js'
import { MAC_TREE, macHost, SEATBELT_THERE } from '../support/macos-host.js'
import { SeatbeltModel } from '../support/seatbelt-model.js'
import { type Group, type Row, SCENE, TABLE } from './table.js'

const users = MAC_TREE['Users'] as Tree
const privateFolder = MAC_TREE['private'] as Tree

/** Every process sees the same /tmp there. */
const REFUSED = TABLE.filter(({ policy }) => policy(path => `/${path}`).tmp === 'private')

describe.each(TABLE.filter(group => !REFUSED.includes(group)))('$name', group => {
  test.each(group.rows)('$verdict $access $path: $why', row => {
    const { model, base } = scene(group)
    expect(allows(model, base, row) ? 'allow' : 'deny').toBe(row.verdict)
  })
})

test.each(REFUSED)('$name: refused', group => {
  const { policy } = resolved(group)
  expect(() => compileSeatbelt(policy, SEATBELT_THERE, compileOptions())).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field: 'tmp' }))
})

test('the loopback is the host\'s, and closed with the network', () => {
  const { model } = scene({ name: '', policy: () => ({}), rows: [] })
  expect([model.connect('127.0.0.1', 80), model.connect('::1', 80), model.bind('127.0.0.1', 0), model.accept('127.0.0.1', 80)]).toEqual([false, false, false, false])
})

function resolved({ below, policy }: Group) {
  const base = below === '/tmp' ? '/private/tmp/scene' : '/Users/me/scene'
  const host = macHost(below === '/tmp' ? { ...MAC_TREE, private: { ...privateFolder, tmp: { scene: SCENE } } } : { ...MAC_TREE, Users: { ...users, me: { scene: SCENE } } }, { cwd: `${base}/work` })
  const changes = policy(path => `${base}/${path}`)
  return { base, host, policy: resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, host) }
}

function scene(group: Group) {
  const { base, host, policy } = resolved(group)
  return { base, model: new SeatbeltModel(compileProfile(policy), host) }
}

function allows(model: SeatbeltModel, base: string, { access, path }: Row): boolean {
  const absolute = path.startsWith('/') ? path : resolveText('macos', base, path === '' ? '.' : path)
  switch (access) {
    case 'connect': return model.connect('93.184.216.34', 443)
    case 'unix-connect': return model.connectUnix(absolute)
    case 'read': case 'list': return model.open(absolute, 'read')
    case 'write': return model.open(absolute, 'write')
    case 'create': return model.create(absolute)
    case 'remove': return model.unlink(absolute)
    case 'execute': return model.allows('execute', model.kernelPath(absolute))
    default: return access satisfies never
  }
}
