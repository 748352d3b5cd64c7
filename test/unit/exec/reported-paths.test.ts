import { expect, test } from 'vitest'
import { readReportedPaths } from '../../../src/exec/reported-paths.js'

const first = (line: string): [string, string] | undefined => {
  const [report] = readReportedPaths(`before\n${line}\nafter\n`)
  return report === undefined ? undefined : [report.operations[0] as string, report.path]
}

test.each<[line: string, operation: string, path: string]>([
  ['cat: /root/secret: Permission denied', 'read', '/root/secret'],
  ['cat: notes.txt: Permission denied', 'read', 'notes.txt'],
  ['ls: cannot open directory \'/root\': Permission denied', 'read', '/root'],
  ['ls: cannot access \'/root/a b\': Permission denied', 'read', '/root/a b'],
  ['grep: /etc/shadow: Permission denied', 'read', '/etc/shadow'],
  ['sh: 1: cannot create /etc/x: Permission denied', 'create', '/etc/x'],
  ['sh: 1: cannot create /etc/x: Read-only file system', 'create', '/etc/x'],
  ['sh: 1: cannot create x y: Read-only file system', 'create', 'x y'],
  ['bash: /etc/x: Read-only file system', 'write', '/etc/x'],
  ['bash: line 1: /etc/x: Permission denied', 'write', '/etc/x'],
  ['zsh:1: read-only file system: /etc/x', 'write', '/etc/x'],
  ['touch: cannot touch \'/etc/x\': Read-only file system', 'create', '/etc/x'],
  ['mkdir: cannot create directory ‘/x’: Permission denied', 'create', '/x'],
  ['cp: cannot create regular file \'/etc/it\'\\\'\'s\': Read-only file system', 'create', '/etc/it\'s'],
  ['rm: cannot remove \'/etc/passwd\': Read-only file system', 'remove', '/etc/passwd'],
  ['mv: cannot move \'a\' to \'/etc/a\': Read-only file system', 'create', 'a'],
  ['chmod: changing permissions of \'/etc/x\': Operation not permitted', 'write', '/etc/x'],
  ['tar: /etc/x: Cannot open: Permission denied', 'read', '/etc/x'],
  ['fatal: Unable to create \'/w/.git/index.lock\': Read-only file system', 'create', '/w/.git/index.lock'],
  ['fatal: cannot copy \'/usr/share/git-core/templates/description\' to \'/w/.git/description\': Read-only file system', 'write', '/w/.git/description'],
  ['fatal: Stray .git/rebase-apply directory found.', 'create', '.git/rebase-apply'],
  ['fatal: Stray /w/.git/worktrees/a b/rebase-apply directory found.', 'create', '/w/.git/worktrees/a b/rebase-apply'],
  ['fatal: could not open \'.git/COMMIT_EDITMSG\': Permission denied', 'read', '.git/COMMIT_EDITMSG'],
  ['error: could not lock config file .git/config: Read-only file system', 'write', '.git/config'],
  ['Error: EACCES: permission denied, open \'/etc/x\'', 'read', '/etc/x'],
  ['Error: EROFS: read-only file system, open \'/etc/x\'', 'write', '/etc/x'],
  ['Error: EROFS: read-only file system, mkdir \'/etc/x\'', 'create', '/etc/x'],
  ['npm error [Error: EACCES: permission denied, mkdir \'/usr/lib/node_modules\'] {', 'create', '/usr/lib/node_modules'],
  ['PermissionError: [Errno 13] Permission denied: \'/root/x\'', 'read', '/root/x'],
  ['OSError: [Errno 30] Read-only file system: \'/etc/x\'', 'write', '/etc/x'],
  ['open /etc/x: permission denied', 'read', '/etc/x'],
  ['mkdir /usr/local/go: read-only file system', 'create', '/usr/local/go'],
  ['/usr/bin/ld: cannot open output file /usr/a.out: Permission denied', 'write', '/usr/a.out'],
  ['tee: /etc/x: Read-only file system', 'write', '/etc/x'],
  ['tee: ~/x: Read-only file system', 'write', '~/x'],
  ['codex-sandbox: /root/tool: Permission denied', 'read', '/root/tool'],
])('%s', (line, operation, path) => {
  expect(first(line)).toEqual([operation, path])
})

test('a Rust program\'s path stands on a line before', () => {
  expect(readReportedPaths('error: failed to create directory `/usr/x`\n\nCaused by:\n  Read-only file system (os error 30)\n')[0]?.path).toBe('/usr/x')
})

test.each([
  'everything is fine',
  'Permission denied',
  'Permission denied (publickey).',
  'git@github.com: Permission denied (publickey).',
])('%s: no path', line => {
  expect(readReportedPaths(line).filter(({ path }) => path.startsWith('/'))).toEqual([])
})

test('a line of a megabyte is not looked at', () => {
  expect(readReportedPaths(`x: /etc/${'a'.repeat(1 << 20)}: Permission denied`)).toEqual([])
})

test('both ends of a move are reported, and no more than a bound', () => {
  expect(readReportedPaths('mv: cannot move \'a\' to \'/etc/a\': Read-only file system').map(({ path }) => path)).toEqual(['a', '/etc/a'])
  expect(readReportedPaths('cat: /x: Permission denied\n'.repeat(1000))).toHaveLength(64)
})
