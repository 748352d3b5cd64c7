// Writes src/platform/linux/native/{frames,steps,file-operations}.generated.ts from native/linux/{frames,steps,file-operations}.def, and
// src/platform/windows/frames.generated.ts from native/windows/frames.def.
// Run: npx esbuild scripts/emit-native-tables.ts --format=esm | node --input-type=module - --write
import { readFileSync, writeFileSync } from 'node:fs'

/** The files as they should be, by path below the package's root. */
export function nativeTables(): ReadonlyMap<string, string> {
  return new Map([
    ['src/platform/linux/native/frames.generated.ts', framesTable('linux', 'LAUNCHER')],
    ['src/platform/windows/frames.generated.ts', framesTable('windows', 'RUNNER')],
    ['src/platform/linux/native/steps.generated.ts', stepsTable(readFileSync('native/linux/steps.def', 'utf8'))],
    ['src/platform/linux/native/file-operations.generated.ts', fileOperationsTable(readFileSync('native/linux/file-operations.def', 'utf8'))],
  ])
}

/** `peer`: the other end of Node's. */
function framesTable(platform: string, peer: string): string {
  const directions = [`TO_${peer}`, `FROM_${peer}`]
  const frames = rowsOf(readFileSync(`native/${platform}/frames.def`, 'utf8'), 'FRAME', /^FRAME\((\w+),\s*(\d+),\s*(\w+),\s*(".*")\)$/)
  const types = frames.map(([, type]) => type)
  if (new Set(types).size !== types.length) throw new Error(`${platform}/frames.def: two frames have one type`)
  return [
    header('frames.def', platform),
    ...directions.flatMap(direction => [
      `export const ${direction} = {`,
      ...frames.filter(row => row[2] === direction).map(([name, type, , payload]) => `  /** ${JSON.parse(payload!) || 'No payload.'} */\n  ${name}: ${type},`),
      '} as const',
      '',
    ]),
  ].join('\n')
}

function stepsTable(text: string): string {
  const steps = rowsOf(text, 'STEP', /^STEP\((\w+),\s*(\w+),\s*(".*")\)$/)
  return [
    header('steps.def'),
    '/** The number of a step is its row. */',
    'export const STEPS = [',
    ...steps.map(([name, role, does]) => `  { name: '${name}', role: '${role!.toLowerCase()}', does: '${(JSON.parse(does!) as string).replaceAll('\'', '\\\'')}' },`),
    '] as const',
    '',
    'export type StepName = (typeof STEPS)[number][\'name\']',
    '',
  ].join('\n')
}

function fileOperationsTable(text: string): string {
  return [
    header('file-operations.def'),
    ...(['FILE_OPERATION', 'FILE_ANSWER'] as const).flatMap(macro => [
      `export const ${macro} = {`,
      ...rowsOf(text, macro, /^\w+\((\w+),\s*(\d+),\s*(".*")\)$/).map(([name, number, payload]) => `  /** ${JSON.parse(payload!)} */\n  ${name}: ${number},`),
      '} as const',
      '',
    ]),
  ].join('\n')
}

const header = (source: string, platform = 'linux'): string => `// Written by scripts/emit-native-tables.ts from native/${platform}/${source}.`

/** A row that begins like one and has another shape is an error, never left out. */
function rowsOf(text: string, macro: string, shape: RegExp): string[][] {
  return text.split('\n').filter(line => line.startsWith(`${macro}(`)).map(line => {
    const match = shape.exec(line)
    if (match === null) throw new Error(`not a row: ${line}`)
    return match.slice(1)
  })
}

if (process.argv.includes('--write')) for (const [path, text] of nativeTables()) writeFileSync(path, text)
