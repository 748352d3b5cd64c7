// Writes docs/policy.schema.json from the zod schemas. Run by:
//   npx esbuild scripts/emit-schema.ts --bundle --platform=node --format=esm --packages=external --outfile=build/emit-schema.mjs && node build/emit-schema.mjs
import { writeFileSync } from 'node:fs'
import { renderJsonSchema } from '../src/policy/schema.js'

writeFileSync('docs/policy.schema.json', renderJsonSchema())
