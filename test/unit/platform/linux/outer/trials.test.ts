// What would have to be refused around this process: what a policy denies, and nothing that it permits.
import { describe, expect, test } from 'vitest'
import { outerTrials, type Trial } from '../../../../../src/platform/linux/outer/trials.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../../src/policy/sandbox-policy.js'
import { fakeHost } from '../../../../support/fake-host.js'

const HOST = fakeHost({
  home: { user: { work: { '.git': { HEAD: '' }, src: {}, 'secret.txt': '' }, other: {}, '.ssh': {} } }, tmp: {}, etc: { passwd: '' }, data: { cache: {} }, usr: { bin: {} }, dev: { shm: {} }, proc: {}, srv: {},
})
const HERE = ['/', '/home', '/home/user', '/home/user/work', '/home/user/work/.git', '/home/user/work/src', '/home/user/work/secret.txt', '/home/user/other', '/home/user/.ssh', '/tmp', '/etc', '/etc/passwd', '/data', '/data/cache', '/usr', '/usr/bin', '/dev', '/dev/shm', '/proc', '/srv']

function trials(changes: Partial<SandboxPolicy>, others: readonly string[] = [], except: readonly string[] = []): Trial[] {
  const policy = resolve({ ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, HOST)
  const entries = (folder: string): string[] => HERE.filter(path => path !== folder && path.slice(0, path.lastIndexOf('/')) === folder.replace(/\/$/, ''))
  return outerTrials(policy, { others, except, real: path => HERE.includes(path) ? path : undefined, entries })
}
const paths = (access: Trial['access'], found: readonly Trial[]): string[] => found.filter(trial => trial.access === access).map(({ path }) => path)

describe('workspace-write', () => {
  test('writing everywhere but in the workspace and /tmp, and making its protected names', () => {
    const found = trials({})
    expect(paths('write', found)).toEqual(['/', '/data', '/etc', '/etc/passwd', '/home', '/home/user', '/home/user/.ssh', '/home/user/other', '/home/user/work/.git', '/srv', '/usr', '/usr/bin'])
    expect(paths('make', found)).toEqual(['/home/user/work/.agents', '/home/user/work/.codex'])
    expect(paths('read', found)).toEqual([])
  })
  test('what is mounted or named elsewhere is tried as well; this package\'s own folders are not', () => {
    expect(paths('write', trials({}, ['/data/cache'])).includes('/data/cache')).toBe(true)
    expect(paths('write', trials({}, ['/data/cache'], ['/data/cache'])).includes('/data/cache')).toBe(false)
  })
  test('each sandbox\'s own places are not', () => {
    expect(paths('write', trials({}, ['/dev/shm', '/proc', '/dev'])).filter(path => /^\/(dev|proc)/.test(path))).toEqual([])
  })
})

test('read-only: the workspace, what lies in it, and /tmp', () => {
  const found = trials({ mode: 'read-only' })
  expect(paths('write', found)).toEqual(expect.arrayContaining(['/home/user/work', '/home/user/work/src', '/home/user/work/secret.txt', '/tmp']))
  expect(paths('make', found)).toEqual([])
})

test('what is denied is read and written', () => {
  const found = trials({ deny: ['secret.txt', '/home/user/.ssh', 'later'] })
  expect(paths('read', found)).toEqual(['/home/user/.ssh', '/home/user/work/secret.txt'])
  expect(paths('write', found)).toEqual(expect.arrayContaining(['/home/user/.ssh', '/home/user/work/secret.txt']))
  expect(paths('make', found)).toContain('/home/user/work/later')
})
