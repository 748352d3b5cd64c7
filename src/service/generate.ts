// The messages of the service for programs in other languages: JSON Schemas, one file a message, and the same as TypeScript. Printed from
// the table of methods and from protocol.ts.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod/mini'
import { SandboxError } from '../errors.js'
import { wirePolicySchema } from '../policy/schema.js'
import { METHODS } from './methods.js'
import { NOTIFICATIONS, sandboxPolicy, SERVER_REQUESTS } from './protocol.js'
import { type JsonSchema, printType } from './print-types.js'

/** Files by name. */
type Files = Readonly<Record<string, string>>

interface NamedSchema {
  readonly name: string
  readonly schema: z.core.$ZodType
}

const POLICY_NAME = 'SandboxPolicy'

/** Every message, params before the answer, in the order of the tables. */
function messages(): NamedSchema[] {
  return [
    { name: POLICY_NAME, schema: wirePolicySchema },
    ...Object.values(METHODS).flatMap(({ name, params, result }) => [{ name: `${name}Params`, schema: params }, { name: `${name}Response`, schema: result }]),
    ...Object.values(SERVER_REQUESTS).flatMap(({ name, params, result }) => [{ name: `${name}Params`, schema: params }, { name: `${name}Response`, schema: result }]),
    ...Object.values(NOTIFICATIONS).map(({ name, params }) => ({ name, schema: params })),
  ]
}

/** What goes into a message; the policy is a schema of its own, which others refer to. */
function jsonSchemaOf({ name, schema }: NamedSchema, reference: string): JsonSchema {
  return z.toJSONSchema(schema, {
    io: 'input', unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      if (name === POLICY_NAME || zodSchema !== (sandboxPolicy as z.core.$ZodType)) return
      for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[key]
      jsonSchema['$ref'] = reference
    },
  }) as JsonSchema
}

function jsonSchemas(): Files {
  const files = messages().map(message => [`${message.name}.json`, `${JSON.stringify({ title: message.name, ...jsonSchemaOf(message, `${POLICY_NAME}.json`) }, null, 2)}\n`] as const)
  return Object.fromEntries(files)
}

const HEAD = '// Written by `codex-sandbox app-server generate-ts`. All that goes over the wire, a JSON object a line.\n'

function typeScript(): Files {
  const types = messages().map(message => `export type ${message.name} = ${printType(jsonSchemaOf(message, `#/$defs/${POLICY_NAME}`))}\n`)
  const requests = (rows: readonly (readonly [string, string])[]) => rows.map(([method, name]) => `  ${JSON.stringify(method)}: { params: ${name}Params; response: ${name}Response }\n`).join('')
  const methods = Object.entries(METHODS).map(([method, { name }]) => [method, name] as const)
  const asked = Object.entries(SERVER_REQUESTS).map(([method, { name }]) => [method, name] as const)
  const told = Object.entries(NOTIFICATIONS).map(([method, { name }]) => `  ${JSON.stringify(method)}: ${name}\n`).join('')
  return {
    'index.ts': [
      HEAD, ...types,
      `/** What a client asks. */\nexport interface ClientRequests {\n${requests(methods)}}\n`,
      `/** What the service asks. */\nexport interface ServerRequests {\n${requests(asked)}}\n`,
      `/** What the service tells. */\nexport interface ServerNotifications {\n${told}}\n`,
      '/** What a client tells. */\nexport interface ClientNotifications {\n  initialized: undefined\n}\n',
    ].join('\n'),
  }
}

/** By the word of the command line. */
export const GENERATORS = { 'generate-json-schema': jsonSchemas, 'generate-ts': typeScript } as const

/** @throws SandboxError `output_file` */
export function writeGenerated(folder: string, files: Files): void {
  try {
    mkdirSync(folder, { recursive: true })
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  } catch (error) {
    throw new SandboxError('output_file', { field: '--out', value: folder }, { detail: (error as Error).message, remedy: 'Name a folder that you may write; it is made where it is missing.', cause: error })
  }
}
