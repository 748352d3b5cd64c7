// Writes src/platform/macos/templates.generated.ts from profiles/*.sbpl, so that the compiler carries its templates and reads no file. Run by:
//   npx esbuild scripts/emit-profiles.ts --format=esm --platform=node | node --input-type=module - --write
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

const FOLDER = 'profiles'

/** The whole file. A test compares it with the one that is checked in. */
export function renderTemplates(): string {
  const names = readdirSync(FOLDER).filter(name => name.endsWith('.sbpl')).sort()
  const entries = names.map(name => `  ${JSON.stringify(name.replace(/\.sbpl$/, ''))}: [\n${linesOf(name).map(line => `    ${visible(JSON.stringify(line))},\n`).join('')}  ],\n`)
  return `// Made by scripts/emit-profiles.ts from profiles/*.sbpl. The templates of macOS profiles, a line each.\nexport const TEMPLATES = {\n${entries.join('')}} as const\n`
}

const linesOf = (name: string): string[] => readFileSync(`${FOLDER}/${name}`, 'utf8').trimEnd().split('\n')

/** What does not show on a screen as an escape: the files themselves hold it once, where a profile needs it. */
const visible = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, char => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)

if (process.argv.includes('--write')) writeFileSync('src/platform/macos/templates.generated.ts', renderTemplates())
