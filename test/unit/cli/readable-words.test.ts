import { expect, test } from 'vitest'
import { unreadableWord } from '../../../src/cli/readable-words.js'

const line = (...words: (string | number[])[]): Buffer => Buffer.concat(words.flatMap(word => [Buffer.from(word as string), Buffer.of(0)]))

test.each([
  { name: 'a word that is not UTF-8',                  bytes: line('node', 'cli.cjs', '--', 'rm', [0x62, 0xff]), count: 3, at: 2 },
  { name: 'the first of two',                          bytes: line('node', 'cli.cjs', [0xff], [0xfe]), count: 2, at: 0 },
  { name: 'all can be read',                           bytes: line('node', 'cli.cjs', 'rm', 'b\ufffd'), count: 2, at: undefined },
  { name: 'an empty word is one',                      bytes: line('node', '', [0xff]), count: 2, at: 1 },
  { name: 'what lies before our words is not ours',    bytes: line([0xff], 'cli.cjs', 'rm'), count: 1, at: undefined },
  { name: 'a system that does not tell',               bytes: undefined, count: 1, at: undefined },
])('$name', ({ bytes, count, at }) => {
  expect(unreadableWord(bytes, count)).toBe(at)
})
