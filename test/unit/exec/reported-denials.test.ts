import { expect, test } from 'vitest'
import { reportedDenials } from '../../../src/exec/reported-denials.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import { fakeHost, symlink } from '../../support/fake-host.js'

const host = fakeHost({ w: { '.git': { config: '' }, 'notes.txt': '', out: symlink('/etc/hosts'), secret: '' }, etc: { hosts: '' }, home: { user: {} }, tmp: {} }, { cwd: '/w' })
const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), deny: ['secret'] }, host)

const find = (text: string, cwd = '/w', seen: readonly string[] = []): string[] => reportedDenials({ policy, host, cwd }, { text, observe: 'off', seen: new Set(seen) }).map(({ operation, path, certainty }) => `${operation} ${path} ${certainty}`)

test.each<{ name: string; text: string; denials: readonly string[]; cwd?: string }>([
  { name: 'a write outside every root', text: 'tee: /etc/hosts: Read-only file system', denials: ['write /etc/hosts reported'] },
  { name: 'a new file outside every root', text: 'touch: cannot touch \'/etc/new\': Read-only file system', denials: ['create /etc/new reported'] },
  { name: 'a protected path, relative to the command\'s cwd', text: 'error: could not lock config file .git/config: Read-only file system', denials: ['write /w/.git/config reported'] },
  { name: 'the same from a folder below', text: 'tee: ../.git/config: Read-only file system', denials: ['write /w/.git/config reported'], cwd: '/w/sub' },
  { name: 'a denied file', text: 'cat: secret: Permission denied', denials: ['read /w/secret reported'] },
  { name: 'a link is followed to where it leads', text: 'tee: out: Read-only file system', denials: ['write /etc/hosts reported'] },
  { name: 'a removal names the link itself', text: 'rm: cannot remove \'.git/config\': Read-only file system', denials: ['remove /w/.git/config reported'] },
  { name: 'the same access twice is one', text: 'cat: secret: Permission denied\ncat: /w/secret: Permission denied', denials: ['read /w/secret reported'] },
  { name: 'a read that the policy allows is the host\'s own refusal', text: 'cat: /etc/hosts: Permission denied', denials: [] },
  { name: 'a write that the policy allows, too', text: 'tee: notes.txt: Permission denied', denials: [] },
  { name: 'words of another subject are none', text: 'git@github.com: Permission denied (publickey).', denials: [] },
])('$name', ({ text, denials, cwd }) => {
  expect(find(text, cwd)).toEqual(denials)
})

test('the message and the remedy are those of explain', () => {
  expect(reportedDenials({ policy, host, cwd: '/w' }, { text: 'cat: secret: Permission denied', observe: 'off', seen: new Set() })[0]).toMatchObject({
    kind: 'file', message: expect.stringMatching(/^read of "\/w\/secret" denied: .*To allow: /), rule: { path: '/w/secret', effect: 'deny' }, remedy: { text: expect.any(String) },
  })
})

test('nothing is said of what the launcher told already', () => {
  const text = 'cat: secret: Permission denied\ntee: /etc/hosts: Read-only file system'
  expect(find(text, '/w', ['/w/secret'])).toEqual(['write /etc/hosts reported'])
  expect(find(text)).toEqual(['read /w/secret reported', 'write /etc/hosts reported'])
})
