// Writes docs/errors.md from the table of errors and the launcher's steps. Run by:
//   npx esbuild scripts/emit-errors.ts --bundle --platform=node --format=esm --outfile=build/emit-errors.mjs && node build/emit-errors.mjs --write
import { writeFileSync } from 'node:fs'
import { ERRORS } from '../src/errors.js'
import { STEPS } from '../src/platform/linux/native/steps.generated.js'

/** The whole page. A test compares it with the one that is checked in. */
export function renderErrors(): string {
  const errors = Object.entries(ERRORS).map(([code, { message, remedy }]) => `| \`${code}\` | … ${message} | ${remedy} |`)
  const steps = STEPS.map(({ name, role, does }) => `| \`${name}\` | ${role} | ${does} |`)
  return `# Errors

Made from \`src/errors.ts\` by \`scripts/emit-errors.ts\`. Every failure of the sandbox is a \`SandboxError\` with a \`code\`, the \`field\` or the
\`step\` that it concerns, and a \`remedy\`. What a command does is no error: its exit code, time-out, limits and denials stand in the result.

| code | says | to mend it |
|---|---|---|
${errors.join('\n')}

## Steps

\`set_up_failed\` names the step of the launcher and the errno. A step of the set-up: nothing ran, and nothing will. A step of one command: that
command did not run. Made from \`native/linux/steps.def\`.

| step | role | what it does |
|---|---|---|
${steps.join('\n')}
`
}

if (process.argv.includes('--write')) writeFileSync('docs/errors.md', renderErrors())
