// `npm test [-- PATTERN…]`: sets the clone up, then the compiler, the linter, the other builds of the launcher, and every test that this
// machine can run. Ends with what was skipped and why, and one line of totals. With a PATTERN: only the test files that match it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bundleSteps } from './build.mjs'
import { launcherSteps, missingCompiler } from './build-native.mjs'
import { loadContainers } from './containers.mjs'
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

/**
 * Tests that start real sandboxes. A host that cannot enforce a policy skips them whole, unless it is named as one that can (.ci/run does).
 * These tables are held to the supervised rung too: in a container as Docker makes it, or where a host has no other.
 */
const TABLES = ['test/conformance/kernel.test.ts', 'test/escape/as-this-user.test.ts', 'test/escape/as-ordinary-user.test.ts', 'test/workloads/workloads.test.ts']
/** These ask for namespaces, alone or beside the other rung. */
const WITH_NAMESPACES = [
  'test/escape/two-mounts.test.ts', 'test/conformance/bwrap.test.ts', 'test/ladder/**', 'test/workloads/*/**', 'test/native/**', 'test/fuzz/control-socket.test.ts',
  'test/**/*.e2e.test.ts', 'test/unit/platform/linux/native/mounts.test.ts',
]

/** Tables take the rung that the host chooses. */
const TABLES_AS_CHOSEN = { CODEX_SANDBOX_TEST_IN_CONTAINER: '1' }

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
  const host = examineHost()
  runVitest(patterns, totals, host)
  if (host.rung !== 'supervised' && host.reason === undefined) await runInContainer(patterns, totals)
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

function runVitest(patterns, totals, { rung, reason }) {
  const excluded = reason === undefined ? [] : rung === 'supervised' ? WITH_NAMESPACES : [...TABLES, ...WITH_NAMESPACES]
  for (const files of excluded) totals.skipped.push({ name: `all of ${files}`, reason })
  const words = [...excluded.flatMap(files => ['--exclude', files]), ...patterns]
  addSummary(totals, vitest(words, ([program, ...args], env) => run(program, args, rung === 'supervised' ? { ...env, ...TABLES_AS_CHOSEN } : env)))
}

/** The tables once more, where no namespaces can be made: as root all of their rows, as a user a share of them. */
async function runInContainer(patterns, totals) {
  const tables = patterns.length === 0 ? TABLES : TABLES.filter(file => patterns.some(pattern => file.includes(pattern)))
  if (tables.length === 0) return
  const { inContainer, whyNoContainer } = await loadContainers()
  const reason = whyNoContainer()
  if (reason !== undefined) {
    totals.skipped.push({ name: 'the tables in a container as Docker makes it', reason })
    return
  }
  console.log('\nIn a container as Docker makes it, on the supervised rung:')
  addSummary(totals, vitest(tables, (words, env) => {
    const [program, ...args] = inContainer(words, { cwd: ROOT })
    return run(program, args, { ...env, ...TABLES_AS_CHOSEN })
  }))
}

/** Runs vitest by `start`, which gets its command line and its environment; returns what its summary says. */
function vitest(words, start) {
  const path = join(ROOT, SUMMARY)
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  rmSync(path, { force: true })
  const colour = process.stdout.isTTY ? [] : ['--no-color']
  const ok = start([process.execPath, join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...colour, ...words], { ...process.env, CODEX_SANDBOX_TEST_SUMMARY: SUMMARY })
  if (!existsSync(path)) return { passed: 0, failed: ['vitest ended without a summary'], skipped: [] }
  const summary = JSON.parse(readFileSync(path, 'utf8'))
  if (!ok && summary.failed.length === 0) summary.failed.push('vitest: an error outside of any test')
  return summary
}

function addSummary(totals, { passed, failed, skipped }) {
  totals.passed += passed
  totals.failed.push(...failed)
  totals.skipped.push(...skipped)
}

/** By which rung this host holds a policy, and why not by namespaces or not at all. */
function examineHost() {
  if (process.env.CODEX_SANDBOX_REQUIRE_LAYERS) return { rung: 'namespaces', reason: undefined }
  const { stdout } = spawnSync(process.execPath, [join(ROOT, 'dist/cli.cjs'), 'doctor', '--json'], { encoding: 'utf8' })
  let report
  try {
    report = JSON.parse(stdout)
  } catch {
    return { rung: undefined, reason: undefined } // a broken doctor is for the tests to find
  }
  const rung = report.check.ok ? report.check.enforcement.rung : undefined
  const missing = report.findings.find(({ ok }) => !ok)
  if (report.ok || missing === undefined) return { rung, reason: undefined }
  const held = rung === 'supervised' ? 'this machine holds policies by the supervised rung, not by namespaces' : 'this machine cannot enforce a policy'
  return { rung, reason: `${held}: ${missing.name}: ${missing.detail}${missing.remedy === undefined ? '' : `. ${missing.remedy}`}` }
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
  return run(process.execPath, [join(ROOT, script), ...words], process.env)
}

function run(program, words, env) {
  const { error, status } = spawnSync(program, words, { cwd: ROOT, stdio: 'inherit', env })
  if (error) throw new SetUpError(`${program} could not be started: ${error.message}.`)
  return status === 0
}

function notOnLinux() {
  return process.platform === 'linux' ? undefined : 'the launcher is for Linux'
}
