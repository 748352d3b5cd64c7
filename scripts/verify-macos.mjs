// For a person with a Mac: tries on the real kernel what no Linux can, and prints a report to send. Changes nothing but folders of
// its own in the temporary folder and the home folder, and removes them. Takes some minutes.
// Run: node scripts/verify-macos.mjs [--policies N] [--seed N] [--report FILE]
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { checkNode, installSteps, main, ROOT, runSteps, SetUpError } from './setup.mjs'

const OUT = join(ROOT, 'build/verify-macos.mjs')

await main(async () => {
  checkNode()
  if (process.platform !== 'darwin') throw new SetUpError(`this machine is ${process.platform}; it has to run on a Mac.`)
  await runSteps([...installSteps(), { title: 'bundling', run: bundle }])
  const { status } = spawnSync(process.execPath, [OUT, ...process.argv.slice(2)], { cwd: ROOT, stdio: 'inherit' })
  process.exitCode = status ?? 1
})

async function bundle() {
  const { build } = await import('esbuild')
  await build({ absWorkingDir: ROOT, entryPoints: ['scripts/verify-macos-main.ts'], outfile: OUT, bundle: true, platform: 'node', format: 'esm', packages: 'external', target: 'node20.19', logLevel: 'warning' })
}
