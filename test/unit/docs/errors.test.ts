import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { renderErrors } from '../../../scripts/emit-errors.js'

test('docs/errors.md is what the table of errors and the launcher\'s steps say', () => {
  expect(readFileSync('docs/errors.md', 'utf8')).toBe(renderErrors())
})
