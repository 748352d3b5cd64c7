import { expect, test } from 'vitest'
import type { Mount } from '../../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { fakeHost, type Tree } from '../../support/fake-host.js'

/** /home shows at /mnt/home too, and the work folder in /tmp. */
const HOME = { user: { work: { '.git': { HEAD: '' }, keys: { key: '' } }, private: { key: '' }, '.agent': {} } }
const TREE: Tree = { home: HOME, mnt: { home: HOME, all: {} }, tmp: { work: HOME.user.work, up: HOME.user } }
const MOUNTS: readonly Mount[] = [
  { device: '8:1', root: '/', point: '/' },
  { device: '8:1', root: '/home', point: '/mnt/home' },
  { device: '8:1', root: '/home/user/work', point: '/tmp/work' },
  { device: '0:5', root: '/', point: '/proc' },
]

/** A file that shows twice has one identity: that of its first place. */
function host(options: { selfPaths?: readonly string[]; mounts?: readonly Mount[] } = {}) {
  const fake = fakeHost(TREE, { mounts: MOUNTS, ...options })
  const first = (path: string) => path.replace(/^\/mnt\/home/, '/home').replace(/^\/tmp\/work/, '/home/user/work').replace(/^\/tmp\/up/, '/home/user')
  return { ...fake, files: { ...fake.files, entry: (path: string) => fake.files.entry(first(path)), children: (path: string) => fake.files.children(first(path)), text: (path: string) => fake.files.text(first(path)) } }
}

const rules = (policy: Partial<SandboxPolicy>, options = {}): string[] =>
  resolve({ ...presetPolicy('workspace-write', 'library'), denySecrets: false, ...policy }, host(options)).paths
    .filter(({ path }) => /^\/(mnt|tmp)\//.test(path)).map(({ effect, path }) => `${effect} ${path}`)

test.each([
  { name: 'what is protected in a root is protected in another root that shows it', policy: {}, held: ['read /tmp/work/.git', 'read /tmp/work/.codex', 'read /tmp/work/.agents'] },
  { name: 'where the other place is not writable, nothing is to be held', policy: { excludeSlashTmp: true }, held: [] },
  { name: 'a denied file is denied wherever it shows', policy: { excludeSlashTmp: true, deny: ['/home/user/private'] }, held: ['deny /mnt/home/user/private'] },
  { name: 'a deny in the workspace too', policy: { deny: ['keys'] }, held: ['read /tmp/work/.git', 'read /tmp/work/.codex', 'read /tmp/work/.agents', 'deny /tmp/work/keys', 'deny /mnt/home/user/work/keys'] },
  { name: 'a deny on a mount\'s own place is about that view', policy: { excludeSlashTmp: true, deny: ['/mnt/home'] }, held: ['deny /mnt/home'] },
  { name: 'a rule for exactly the other place stands', policy: { excludeSlashTmp: true, deny: ['/home/user/private'], read: ['/mnt/home/user/private'] }, held: ['read /mnt/home/user/private'] },
])('$name', ({ policy, held }) => {
  expect(rules(policy).sort()).toEqual([...held].sort())
})

test('what is our own is not written where a root shows it', () => {
  const mounts = [...MOUNTS, { device: '8:1', root: '/home/user', point: '/tmp/up' }]
  expect(rules({}, { selfPaths: ['/home/user/.agent'], mounts })).toContain('read /tmp/up/.agent')
  expect(rules({ excludeSlashTmp: true }, { selfPaths: ['/home/user/.agent'], mounts })).toEqual([])
})

test('another mount over the other place shows other files', () => {
  const mounts = [...MOUNTS, { device: '0:9', root: '/', point: '/mnt/home' }]
  const fake = fakeHost({ ...TREE, mnt: { home: { user: { private: {} } } } }, { mounts })
  const { paths } = resolve({ ...presetPolicy('workspace-write', 'library'), denySecrets: false, deny: ['/home/user/private'] }, fake)
  expect(paths.some(({ path }) => path.startsWith('/mnt'))).toBe(false)
})

test('without a list of mounts nothing is added', () => {
  expect(rules({ excludeSlashTmp: true, deny: ['/home/user/private'] }, { mounts: [] })).toEqual([])
})
