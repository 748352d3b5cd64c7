// The command behind scripts/verify-macos.mjs.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { parseArgs } from 'node:util'
import { createParsedSandbox } from '../src/exec/sandbox.js'
import { formatReport, verifyMac } from './verify-macos.js'

const { values } = parseArgs({ options: { policies: { type: 'string', default: '100' }, seed: { type: 'string', default: '1' }, report: { type: 'string' } } })

const said = (program: string, ...words: string[]): string => {
  try {
    return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim().replaceAll(/\s*\n\s*/g, ', ')
  } catch {
    return 'unknown'
  }
}

const machine = [
  `macOS ${said('/usr/bin/sw_vers', '-productVersion')} (${said('/usr/bin/sw_vers', '-buildVersion')}), Darwin ${release()}, ${process.arch}`,
  `node ${process.versions.node} at ${process.execPath}`,
  `codex-sandbox ${said('git', 'rev-parse', '--short', 'HEAD')}`,
]

const report = await verifyMac({
  policies: Number(values.policies), seed: Number(values.seed),
  makeSandbox: createParsedSandbox,
  tell: line => { process.stderr.write(`${line}\n`) },
})
const text = formatReport(machine, report)
process.stdout.write(text)
if (values.report !== undefined) writeFileSync(values.report, text)
process.exit(report.ok ? 0 : 1)
