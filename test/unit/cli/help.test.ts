// The help as it is printed; docs/cli.md has the same words.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { formatHelp } from '../../../src/cli/help.js'
import { OPTIONS, spell, VERBS } from '../../../src/cli/options.js'

const VERB_NAMES = Object.keys(VERBS) as (keyof typeof VERBS)[]

test('the help is the one that was looked at', async () => {
  const text = [undefined, ...VERB_NAMES].map(verb => `$ codex-sandbox ${verb === undefined ? '' : `${verb} `}--help\n${formatHelp(verb)}`).join('\n')
  await expect(text).toMatchFileSnapshot('../../golden/cli-help.txt')
})
test.each([undefined, ...VERB_NAMES])('each line of the help of %s fits 120 columns', verb => {
  expect(formatHelp(verb).split('\n').filter(line => line.length > 120)).toEqual([])
})
test('docs/cli.md names every option', () => {
  const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8')
  expect(OPTIONS.filter(row => !page.includes(spell(row)) && !page.includes(spell(row).replaceAll('|', '\\|'))).map(spell)).toEqual([])
})
