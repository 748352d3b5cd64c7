// What is generated from the one table of messages: JSON Schemas and TypeScript.
import { expect, test } from 'vitest'
import { GENERATORS } from '../../../src/service/generate.js'
import { METHODS } from '../../../src/service/methods.js'
import { printType } from '../../../src/service/print-types.js'
import { NOTIFICATIONS, SERVER_REQUESTS } from '../../../src/service/protocol.js'

test('the types are those that the typed client was written with', async () => {
  await expect(GENERATORS['generate-ts']()['index.ts']).toMatchFileSnapshot('../../wire/generated/index.ts')
})
test('every message has a schema, with its own name, and refers to nothing that is not there', () => {
  const files = GENERATORS['generate-json-schema']()
  const names = [
    'SandboxPolicy', ...[...Object.values(METHODS), ...Object.values(SERVER_REQUESTS)].flatMap(({ name }) => [`${name}Params`, `${name}Response`]), ...Object.values(NOTIFICATIONS).map(({ name }) => name),
  ]
  expect(Object.keys(files).sort()).toEqual(names.map(name => `${name}.json`).sort())
  for (const [name, text] of Object.entries(files)) {
    expect(JSON.parse(text)).toMatchObject({ title: name.replace('.json', ''), $schema: expect.any(String) })
    for (const [, reference] of text.matchAll(/"\$ref": "([^"]*)"/g)) expect(Object.keys(files)).toContain(reference)
  }
  expect(JSON.parse(files['CommandExecParams.json'] as string).properties.sandboxPolicy.anyOf).toEqual([{ $ref: 'SandboxPolicy.json' }, { type: 'null' }])
})
test.each([
  [{ type: 'string' }, 'string'],
  [{ type: ['string', 'null'] }, 'string | null'],
  [{ type: 'array', items: { type: ['integer', 'null'] } }, '(number | null)[]'],
  [{ anyOf: [{ const: 'a' }, { enum: ['b', 1] }] }, '"a" | "b" | 1'],
  [{ type: 'object', properties: {} }, 'Record<string, never>'],
  [{ type: 'object', additionalProperties: { type: 'boolean' } }, 'Record<string, boolean>'],
  [{ type: 'object', properties: { 'a-b': { $ref: '#/$defs/Other' } }, required: ['a-b'] }, '{\n  "a-b": Other\n}'],
  [{ type: 'object', properties: { a: {} }, additionalProperties: {} }, '{\n  a?: unknown\n  [more: string]: unknown\n}'],
])('%j is %j', (schema, type) => {
  expect(printType(schema)).toBe(type)
})
