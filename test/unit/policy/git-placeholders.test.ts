// That the placeholders of HELD_IN_GIT_DIRECTORY leave the real git working, all of them at once.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HELD_IN_GIT_DIRECTORY, placeholderIn } from '../../../src/policy/git-paths.js'

let repository = ''
const git = (...args: string[]): string => execFileSync('git', ['-c', 'user.name=n', '-c', 'user.email=e@x', ...args], {
  cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'], HOME: repository, GIT_CONFIG_NOSYSTEM: '1' },
})
const commit = (text: string) => {
  writeFileSync(join(repository, 'f'), text)
  git('add', 'f')
  git('commit', '-qm', text)
}

beforeAll(() => {
  repository = mkdtempSync(join(tmpdir(), 'git-placeholders-'))
  git('init', '-q', '-b', 'main')
  commit('one')
  for (const row of HELD_IN_GIT_DIRECTORY) {
    const { name, missing } = row
    const path = join(repository, '.git', name)
    const { placeholder, placeholderText = '' } = placeholderIn(join(repository, '.git'), row)
    if (missing === 'skip' || existsSync(path)) continue
    mkdirSync(dirname(path), { recursive: true })
    if (placeholder === 'file') writeFileSync(path, placeholderText)
    else if (placeholder === 'symlink') symlinkSync(placeholderText, path)
    else mkdirSync(path)
  }
})
afterAll(() => rmSync(repository, { recursive: true }))

test('status says nothing of an operation under way', () => {
  expect(git('status')).toBe('On branch main\nnothing to commit, working tree clean\n')
})

test('commit, switch, merge, stash, worktree and gc work', () => {
  commit('two')
  git('switch', '-qc', 'other')
  commit('three')
  git('switch', '-q', 'main')
  git('merge', '-q', 'other')
  writeFileSync(join(repository, 'f'), 'four')
  git('stash')
  git('stash', 'pop')
  git('worktree', 'add', '-q', join(repository, 'tree'))
  git('gc', '-q')
  expect(git('log', '--format=%s')).toBe('three\ntwo\none\n')
})

test('rebase -i, am and cherry-pick of several commits cannot start: their lines would be carried out on the host', () => {
  expect(() => git('cherry-pick', 'HEAD~1', 'HEAD')).toThrow('sequencer')
  expect(() => git('-c', 'sequence.editor=true', 'rebase', '-i', 'HEAD~1')).toThrow()
})
