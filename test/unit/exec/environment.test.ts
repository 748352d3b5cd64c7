import fc from 'fast-check'
import { expect, test } from 'vitest'
import { makeEnvironment, mergeEnvironment, type Variables } from '../../../src/exec/environment.js'
import type { EnvironmentPolicy } from '../../../src/policy/sandbox-policy.js'

const POLICY: EnvironmentPolicy = { inherit: 'all', keep: [], exclude: [], set: {}, dropSecrets: false }
const HOST: Variables = { PATH: '/bin', HOME: '/h', LC_ALL: 'C', EDITOR: 'vi', NPM_TOKEN: 't', aws_secret: 's', SSH_AUTH_SOCK: '/s', LD_PRELOAD: 'l', NODE_OPTIONS: '-r x', NODE_CHANNEL_FD: '3', UNSET: undefined }

test.each<{ name: string; policy: Partial<EnvironmentPolicy>; names: readonly string[]; dropped: readonly string[] }>([
  { name: 'all, but never Node\'s channel', policy: {}, names: ['PATH', 'HOME', 'LC_ALL', 'EDITOR', 'NPM_TOKEN', 'aws_secret', 'SSH_AUTH_SOCK', 'LD_PRELOAD', 'NODE_OPTIONS'], dropped: ['NODE_CHANNEL_FD'] },
  { name: 'without secrets, in any letter case', policy: { dropSecrets: true }, names: ['PATH', 'HOME', 'LC_ALL', 'EDITOR'], dropped: ['LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'a secret that is kept by name', policy: { dropSecrets: true, keep: ['NPM_*'] }, names: ['PATH', 'HOME', 'LC_ALL', 'EDITOR', 'NPM_TOKEN'], dropped: ['LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'core', policy: { inherit: 'core' }, names: ['PATH', 'HOME', 'LC_ALL'], dropped: ['EDITOR', 'LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'none, and one kept', policy: { inherit: 'none', keep: ['PATH', 'NODE_CHANNEL_FD'] }, names: ['PATH'], dropped: ['EDITOR', 'HOME', 'LC_ALL', 'LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'excluded wins over kept', policy: { inherit: 'core', keep: ['EDITOR'], exclude: ['EDIT*', 'lc_*'] }, names: ['PATH', 'HOME'], dropped: ['EDITOR', 'LC_ALL', 'LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'what is set comes last and is not called dropped', policy: { inherit: 'none', set: { HOME: '/x', NEW: '1' } }, names: ['HOME', 'NEW'], dropped: ['EDITOR', 'LC_ALL', 'LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'PATH', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'only some, in the end', policy: { inherit: 'core', set: { NEW: '1', OLD: '2' }, only: ['P?TH', 'n*'] }, names: ['PATH', 'NEW'], dropped: ['EDITOR', 'HOME', 'LC_ALL', 'LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'SSH_AUTH_SOCK', 'aws_secret'] },
  { name: 'a bound of nothing is none', policy: { inherit: 'core', only: [] }, names: ['PATH', 'HOME', 'LC_ALL'], dropped: ['EDITOR', 'LD_PRELOAD', 'NODE_CHANNEL_FD', 'NODE_OPTIONS', 'NPM_TOKEN', 'SSH_AUTH_SOCK', 'aws_secret'] },
])('$name', ({ policy, names, dropped }) => {
  const environment = makeEnvironment({ ...POLICY, ...policy }, HOST, 'open')
  expect({ names: Object.keys(environment.variables), dropped: environment.dropped }).toEqual({ names, dropped })
})

test('a pattern is a name, not an expression', () => {
  const { variables } = makeEnvironment({ ...POLICY, exclude: ['A.C', '(B)'] }, { ABC: '1', 'A.C': '2', B: '3', '(B)': '4' }, 'open')
  expect(Object.keys(variables)).toEqual(['ABC', 'B'])
})

test('`*` is anything, `?` one character, and the rest itself', () => {
  const pattern = fc.string({ unit: fc.constantFrom('*', '*', '?', 'a', 'B', '.', '^', '$', '|') })
  fc.assert(fc.property(pattern, fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '.', '^', '$', '|', '\n'), minLength: 1 })), (exclude, names) => {
    const whole = new RegExp(`^${[...exclude].map(each => each === '*' ? '.*' : each === '?' ? '.' : `\\${each}`.replace(/\\([a-z])/i, '$1')).join('')}$`, 'is')
    const { variables } = makeEnvironment({ ...POLICY, exclude: [exclude] }, Object.fromEntries(names.map(name => [name, '1'])), 'open')
    expect(new Set(Object.keys(variables))).toEqual(new Set(names.filter(name => !whole.test(name))))
  }), { numRuns: 1000 })
})

test('the network being off is told, and only then', () => {
  expect(makeEnvironment(POLICY, {}, 'off').terminalList).toEqual(['CODEX_SANDBOX_NETWORK_DISABLED=1'])
  expect(makeEnvironment(POLICY, {}, 'open').terminalList).toEqual([])
})

const BASE = makeEnvironment(POLICY, { A: '1', B: '2' }, 'open')

test('a command without changes shares one array', () => {
  expect(mergeEnvironment(BASE, undefined)).toBe(BASE.list)
})

test('changes are merged, null removes, undefined changes nothing', () => {
  expect(mergeEnvironment(BASE, { A: null, B: undefined, C: '=\n' }, true)).toEqual(['B=2', 'C==\n'])
  expect(BASE.terminalList).toEqual(['A=1', 'B=2'])
})

test.each([
  { changes: { 'A=B': 'x' }, field: 'env' },
  { changes: { '': 'x' }, field: 'env' },
  { changes: { A: 'x\0y' }, field: 'env.A' },
  { changes: { A: 1 as unknown as string }, field: 'env.A' },
])('$changes is refused', ({ changes, field }) => {
  expect(() => mergeEnvironment(BASE, changes)).toThrow(expect.objectContaining({ code: 'option_invalid', field }))
})
