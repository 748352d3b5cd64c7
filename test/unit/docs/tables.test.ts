// Tables of the docs that the code has too: one row for one row.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CACHE_ROWS } from '../../../src/exec/caches.js'
import { REFUSALS } from '../../../src/network/refusal.js'
import { hostTable } from '../../ladder/hosts.js'
import { AGENT_FILES, OPEN_AGENT_FILES } from '../../../src/policy/agent-files.js'
import { ADDRESS_RANGES } from '../../../src/policy/ip-address.js'

const page = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8')
/** The cells of the table below a heading row. */
const rowsBelow = (text: string, heading: string): string[][] => {
  const [, after = ''] = text.split(`${heading}\n|---|---|---|\n`)
  return after.split('\n\n')[0]!.split('\n').filter(line => line.startsWith('|')).map(line => line.split('|').slice(1, -1).map(cell => cell.trim().replaceAll('`', '')))
}

test('docs/agent-files.md', () => {
  const cells = (files: typeof AGENT_FILES): string[][] => files.map(({ name, reader, does }) => [name, reader, does])
  expect(rowsBelow(page('agent-files.md'), '| kept read-only | read by | what it does outside |')).toEqual(cells(AGENT_FILES))
  expect(rowsBelow(page('agent-files.md'), '| left open | read by | as |')).toEqual(cells(OPEN_AGENT_FILES))
})

test('docs/caches.md', () => {
  expect(rowsBelow(page('caches.md'), '| variable | folder | what the host\'s own tool would do with a cache that a command could write |').map(([variable, folder]) => ({ variable, folder }))).toEqual(CACHE_ROWS)
})

test('docs/network.md', () => {
  const text = page('network.md')
  expect(rowsBelow(text, '| reason | `x-proxy-error` | says |')).toEqual(Object.entries(REFUSALS).map(([reason, { header, sentence }]) => [reason, header, sentence]))
  expect([...text.matchAll(/^\| (\S+\/\d+) \| (\S+) \|$/gm)].map(([, range, name]) => [range, name])).toEqual(ADDRESS_RANGES)
})

test('docs/hosts.md has the ladder as the tests run it', () => {
  expect(page('hosts.md')).toContain(`\n${hostTable()}\n`)
})
