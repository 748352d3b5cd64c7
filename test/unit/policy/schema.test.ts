import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { renderJsonSchema } from '../../../src/policy/schema.js'

test('docs/policy.schema.json is what the schemas say (else run scripts/emit-schema.ts)', () => {
  expect(readFileSync(new URL('../../../docs/policy.schema.json', import.meta.url), 'utf8')).toBe(renderJsonSchema())
})
