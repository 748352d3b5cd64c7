// Which variables tools get that ask who owns a file.
import { describe, expect, test } from 'vitest'
import { ownerVariables } from '../../../src/exec/owner-variables.js'
import { resolve } from '../../../src/policy/resolve.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import type { PolicyInput } from '../../../src/policy/schema.js'
import { fakeHost } from '../../support/fake-host.js'

const OWN = 1000
const folders = (owners: Readonly<Record<string, { uid: number; mode?: number }>>) => (path: string) => {
  const owner = owners[path]
  return owner === undefined ? undefined : { uid: owner.uid, mode: owner.mode ?? 0o755 }
}
const variables = (owners: Parameters<typeof folders>[0], { inherited = {}, policy = 'workspace-write', uid = OWN, dropSecrets = true }: { inherited?: Record<string, string>; policy?: PolicyInput; uid?: number; dropSecrets?: boolean } = {}): Record<string, string> => {
  const host = fakeHost({ work: {}, more: {}, tmp: {} }, { uid, cwd: '/work' })
  const resolved = resolve(parsePolicy(policy), host)
  return ownerVariables({ ...resolved, env: { ...resolved.env, dropSecrets } }, inherited, folders(owners))
}

describe('git', () => {
  test('a workspace of this user needs nothing', () => {
    expect(variables({ '/work': { uid: OWN } })).toEqual({})
  })
  test('another user\'s is safe by its own path, with what lies in it', () => {
    expect(variables({ '/work': { uid: 1001 } })).toEqual({ GIT_CONFIG_COUNT: '2', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: '/work', GIT_CONFIG_KEY_1: 'safe.directory', GIT_CONFIG_VALUE_1: '/work/*' })
  })
  test('so is a root that is named, and never /tmp, a folder that everybody may write, or all folders', () => {
    const values = Object.values(variables({ '/work': { uid: 1001, mode: 0o1777 }, '/more': { uid: 0 }, '/tmp': { uid: 0 } }, { policy: { mode: 'workspace-write', write: ['/more'] } }))
    expect(values.filter(value => value.startsWith('/') || value === '*')).toEqual(['/more', '/more/*'])
  })
  test.each([
    { name: 'behind what the environment says, where its keys are passed on', inherited: { GIT_CONFIG_COUNT: '3' }, dropSecrets: false, first: 3 },
    { name: 'in its place where its keys are dropped', inherited: { GIT_CONFIG_COUNT: '3' }, dropSecrets: true, first: 0 },
    { name: 'in its place where it is no number', inherited: { GIT_CONFIG_COUNT: 'x' }, dropSecrets: false, first: 0 },
  ])('$name', ({ inherited, dropSecrets, first }) => {
    expect(variables({ '/work': { uid: 1001 } }, { inherited, dropSecrets })).toMatchObject({ [`GIT_CONFIG_KEY_${first}`]: 'safe.directory', GIT_CONFIG_COUNT: String(first + 2) })
  })
})

describe('tar', () => {
  test.each([
    { name: 'root\'s sets no owners',         uid: 0,   inherited: {},                                       expected: { TAR_OPTIONS: '--no-same-owner' } },
    { name: 'beside options that are there',  uid: 0,   inherited: { TAR_OPTIONS: '--exclude-vcs' },         expected: { TAR_OPTIONS: '--exclude-vcs --no-same-owner' } },
    { name: 'unless they speak of owners',    uid: 0,   inherited: { TAR_OPTIONS: '--same-owner' },          expected: {} },
    { name: 'another user\'s does it anyway', uid: OWN, inherited: {},                                       expected: {} },
  ])('$name', ({ uid, inherited, expected }) => {
    expect(variables({ '/work': { uid } }, { uid, inherited })).toEqual(expected)
  })
})
