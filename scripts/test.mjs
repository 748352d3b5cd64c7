// `npm test [-- PATTERN…]`: sets the clone up, then the compiler, the linter, the other builds of the launcher, and every test that this
// machine can run. Ends with what was skipped and why, and one line of totals. With a PATTERN: only the test files that match it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bundleSteps } from './build.mjs'
import { launcherSteps, missingCompiler } from './build-native.mjs'
import { checkNode, installSteps, main, ROOT, runSteps, SetUpError } from './setup.mjs'

const OTHER_ARCH = process.arch === 'arm64' ? 'x64' : 'arm64'
const SUMMARY = 'build/test-summary.json'

/** Checks beside vitest's; each counts as one test. `skip` gives the reason for which this machine cannot run it. */
const CHECKS = [
  { name: 'the compiler accepts src, test and scripts', run: () => runTool('node_modules/typescript/bin/tsc') },
  { name: 'the linter has no complaint',                run: () => runTool('node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings') },
  { name: 'the launcher builds without warnings',       run: () => runTool('scripts/build-native.mjs'), skip: notOnLinux },
  { name: `the launcher builds for ${OTHER_ARCH}`,      run: () => runTool('scripts/build-native.mjs', '--arch', OTHER_ARCH), skip: () => notOnLinux() ?? missingCompiler(OTHER_ARCH) },
]

/** Tests that start real sandboxes. A host that cannot enforce a policy skips them whole, unless it is named as one that can (.ci/run does). */
const REAL_SANDBOXES = [
  'test/escape/**', 'test/workloads/**', 'test/native/**', 'test/conformance/kernel.test.ts', 'test/fuzz/control-socket.test.ts',
  'test/**/*.e2e.test.ts', 'test/unit/platform/linux/native/mounts.test.ts',
]

await main(async () => {
  checkNode()
  const patterns = process.argv.slice(2)
  const totals = { passed: 0, failed: [], skipped: [] }
  const before = [
    ...installSteps(),
    ...launcherSteps(),
    ...launcherSteps('fault-injection'),
    ...launcherSteps('sanitizers'),
  ]
  await runSteps([...before, ...bundleSteps(before)])
  if (patterns.length === 0) runChecks(totals)
  // The bundles know the hashes of the launchers, which the checks have built again.
  await runSteps(bundleSteps([]))
  runVitest(patterns, totals)
  printTotals(totals)
  process.exitCode = totals.failed.length > 0 || totals.passed === 0 ? 1 : 0
})

function runChecks(totals) {
  for (const { name, run, skip } of CHECKS) {
    const reason = skip?.()
    if (reason !== undefined) {
      totals.skipped.push({ name, reason })
      continue
    }
    const start = performance.now()
    const ok = run()
    console.log(` ${ok ? '✓' : '✗'} ${name} (${((performance.now() - start) / 1000).toFixed(1)} s)`)
    if (ok) totals.passed++
    else totals.failed.push(name)
  }
}

function runVitest(patterns, totals) {
  const path = join(ROOT, SUMMARY)
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  rmSync(path, { force: true })
  const reason = whyNotEnforced()
  const excluded = reason === undefined ? [] : REAL_SANDBOXES
  for (const files of excluded) totals.skipped.push({ name: `all of ${files}`, reason })
  const colour = process.stdout.isTTY ? [] : ['--no-color']
  const ok = runTool('node_modules/vitest/vitest.mjs', 'run', ...colour, ...excluded.flatMap(files => ['--exclude', files]), ...patterns)
  if (!existsSync(path)) {
    totals.failed.push('vitest ended without a summary')
    return
  }
  const { passed, failed, skipped } = JSON.parse(readFileSync(path, 'utf8'))
  totals.passed += passed
  totals.failed.push(...failed)
  totals.skipped.push(...skipped)
  if (!ok && failed.length === 0) totals.failed.push('vitest: an error outside of any test')
}

/** The first layer that this host lacks, and why. */
function whyNotEnforced() {
  if (process.env.CODEX_SANDBOX_REQUIRE_LAYERS) return undefined
  const { stdout } = spawnSync(process.execPath, [join(ROOT, 'dist/cli.cjs'), 'doctor', '--json'], { encoding: 'utf8' })
  let report
  try {
    report = JSON.parse(stdout)
  } catch {
    return undefined // a broken doctor is for the tests to find
  }
  if (report.ok) return undefined
  const missing = report.findings.find(({ ok }) => !ok)
  return `this machine cannot enforce a policy: ${missing.name}: ${missing.detail}${missing.remedy === undefined ? '' : `. ${missing.remedy}`}`
}

/** Reasons are said once, with the tests that they hold back below them. */
function printTotals({ passed, failed, skipped }) {
  const byReason = new Map()
  for (const { name, reason } of skipped) byReason.set(reason, [...(byReason.get(reason) ?? []), name])
  if (byReason.size > 0) console.log('\nSkipped:')
  for (const [reason, names] of byReason) {
    console.log(`  ${reason}`)
    for (const name of names) console.log(`    - ${name}`)
  }
  if (failed.length > 0) console.log('\nFailed:')
  for (const name of failed) console.log(`  ${name}`)
  console.log(`\n${passed} passed, ${failed.length} failed, ${skipped.length} skipped`)
}

function runTool(script, ...words) {
  const { error, status } = spawnSync(process.execPath, [join(ROOT, script), ...words], {
    cwd: ROOT, stdio: 'inherit', env: { ...process.env, CODEX_SANDBOX_TEST_SUMMARY: SUMMARY },
  })
  if (error) throw new SetUpError(`${script} could not be started: ${error.message}.`)
  return status === 0
}

function notOnLinux() {
  return process.platform === 'linux' ? undefined : 'the launcher is for Linux'
}
