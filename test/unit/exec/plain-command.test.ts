import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { plainCommand } from '../../../src/exec/plain-command.js'

test.each<{ script: string; words: readonly string[] | undefined }>([
  { script: 'git status', words: ['git', 'status'] },
  { script: '  npm\trun  build:all -- --out=dist/x,y \n', words: ['npm', 'run', 'build:all', '--', '--out=dist/x,y'] },
  { script: 'true', words: ['true'] },
  { script: 'g++ -std=c++20 a.cc', words: ['g++', '-std=c++20', 'a.cc'] },
  { script: '', words: undefined },
  { script: ' \n', words: undefined },
  { script: 'a\nb', words: undefined },
  { script: 'cd src', words: undefined },
  { script: 'echo x', words: undefined },
  { script: 'if', words: undefined },
  { script: 'A=1 make', words: undefined },
  { script: './configure', words: undefined },
  { script: '/bin/ls', words: undefined },
  { script: '-c', words: undefined },
  { script: '%1', words: undefined },
  { script: 'ls *', words: undefined },
  { script: 'ls ~', words: undefined },
  { script: 'ls $HOME', words: undefined },
  { script: 'ls {a,b}', words: undefined },
  { script: 'ls "a b"', words: undefined },
  { script: 'ls # all', words: undefined },
  { script: 'a; b', words: undefined },
  { script: 'a & b', words: undefined },
  { script: 'a > b', words: undefined },
  { script: '! a', words: undefined },
  { script: 'ls\u00a0x', words: undefined },
])('$script', ({ script, words }) => {
  expect(plainCommand(script, ['PATH', 'HOME'])).toEqual(words)
})

test.each(['BASH_ENV', 'ENV', 'BASH_FUNC_git%%', 'SHELLOPTS', 'BASHOPTS', 'POSIXLY_CORRECT'])('with %s the shell is asked', name => {
  expect(plainCommand('git status', ['PATH', name])).toBe(undefined)
})

const bash = spawnSync('bash', ['-c', 'echo']).status === 0 ? undefined : 'bash is not installed'

test('no word of bash itself is taken for a program, but those whose program does the same', ({ skip }) => {
  if (bash !== undefined) return skip(bash)
  const { stdout } = spawnSync('bash', ['-c', 'compgen -b; compgen -k'], { encoding: 'utf8' })
  const words = stdout.trim().split('\n')
  expect(words.length).toBeGreaterThan(60)
  expect(words.filter(word => plainCommand(`${word} x`, []) !== undefined).sort()).toEqual(['false', 'true'])
})

test('what it takes, bash splits into the same words', ({ skip }) => {
  if (bash !== undefined) return skip(bash)
  const character = fc.constantFrom(...' \t\n=:,./@%+-_aZ09~*?[]{}()$`"\'\\|&;<>#!^'.split(''), ' ', 'a', 'b')
  const script = fc.tuple(fc.constantFrom('a', 'git', 'x1'), fc.string({ unit: character, maxLength: 14 })).map(parts => parts.join(''))
  const taken = fc.sample(script, { numRuns: 20_000, seed: 1 }).flatMap(each => {
    const words = plainCommand(each, [])
    return words === undefined ? [] : [{ script: each, words }]
  })
  expect(taken.length).toBeGreaterThan(200)
  // All of them in one shell: each is read as the words of a command that only prints them.
  const input = taken.map(each => `${each.script}\0`).join('')
  const { stdout, status } = spawnSync('bash', ['-c', 'while IFS= read -r -d "" script; do eval "set -- $script"; printf "%s\\n" "$@"; printf "\\0"; done'], { input, encoding: 'utf8', cwd: '/', maxBuffer: 1 << 26 })
  expect(status).toBe(0)
  expect(stdout.split('\0').slice(0, -1).map(each => each.split('\n').slice(0, -1))).toEqual(taken.map(({ words }) => words))
})
