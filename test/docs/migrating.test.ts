import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { SRT_KEYS } from '../../src/config/srt-keys.js'

test.each(SRT_KEYS)('docs/migrating.md says what becomes of $key', ({ key }) => {
  const section = readFileSync('docs/migrating.md', 'utf8').split(/^## /m).find(text => text.startsWith('From @anthropic-ai/sandbox-runtime'))
  expect(section).toContain(`\`${key}\``)
})
