// A JSON Schema, of the part of the language that zod writes, as a TypeScript type. Pure.

export type JsonSchema = Readonly<Record<string, unknown>>

const SIMPLE: Readonly<Record<string, string>> = { string: 'string', integer: 'number', number: 'number', boolean: 'boolean', null: 'null' }

/** @param indent  of the line that the type begins in */
export function printType(schema: JsonSchema, indent = ''): string {
  const { $ref, const: literal, enum: values, anyOf, oneOf, type } = schema
  if (typeof $ref === 'string') return $ref.replace(/^.*\//, '')
  if (literal !== undefined) return JSON.stringify(literal)
  if (Array.isArray(values)) return values.map(value => JSON.stringify(value)).join(' | ')
  const branches = anyOf ?? oneOf
  if (Array.isArray(branches)) return [...new Set((branches as JsonSchema[]).map(branch => printType(branch, indent)))].join(' | ')
  if (Array.isArray(type)) return type.map(each => printType({ ...schema, type: each }, indent)).join(' | ')
  if (type === 'array') return printArray(schema, indent)
  if (type === 'object') return printObject(schema, indent)
  // Anything at all.
  return SIMPLE[String(type)] ?? 'unknown'
}

function printArray({ items }: JsonSchema, indent: string): string {
  const each = printType((items ?? {}) as JsonSchema, indent)
  return /[|]/.test(each.replaceAll(/\{[\s\S]*\}/g, '')) ? `(${each})[]` : `${each}[]`
}

function printObject({ properties, required, additionalProperties }: JsonSchema, indent: string): string {
  const inner = `${indent}  `
  const needed = (required ?? []) as readonly string[]
  const lines = Object.entries((properties ?? {}) as Readonly<Record<string, JsonSchema>>)
    .map(([name, schema]) => `${inner}${/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name)}${needed.includes(name) ? '' : '?'}: ${printType(schema, inner)}\n`)
  const others = typeof additionalProperties === 'object' && additionalProperties !== null ? additionalProperties as JsonSchema : undefined
  if (lines.length === 0) return others === undefined ? 'Record<string, never>' : `Record<string, ${printType(others, indent)}>`
  // Open objects may hold more, which is nobody's to rely on.
  const open = others === undefined ? '' : `${inner}[more: string]: unknown\n`
  return `{\n${lines.join('')}${open}${indent}}`
}
