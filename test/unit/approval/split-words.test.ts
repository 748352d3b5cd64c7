import { expect, test } from 'vitest'
import { splitWords } from '../../../src/approval/split-words.js'

test.each<[line: string, words: string[] | undefined]>([
  ['git commit -m x',     ['git', 'commit', '-m', 'x']],
  ['  a \t b\n',          ['a', 'b']],
  ['',                    []],
  ['a ""',                ['a', '']],
  ['\'a b\' c',           ['a b', 'c']],
  ['a"b c"d',             ['ab cd']],
  ['"a\\"b\\$c\\d"',      ['a"b$c\\d']],
  ['\'a\\b\'',            ['a\\b']],
  ['a\\ b',               ['a b']],
  ['a\\\nb',              ['ab']],
  ['a # b',               ['a']],
  ['a#b',                 ['a#b']],
  ['# all\nb',            ['b']],
  ['$HOME *',             ['$HOME', '*']],
  ['a \'b',               undefined],
  ['a "b',                undefined],
  ['a "b\\',              undefined],
  ['a\\',                 undefined],
])('%j', (line, words) => {
  expect(splitWords(line)).toEqual(words)
})
