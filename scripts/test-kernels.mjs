// `npm run test:kernels [-- --quick] [--machine NAME]… [--suite NAME]… [--user NAME]… [--matching REGEXP] [--share N]`: runs tables of the tests on kernels that this machine does
// not have, each in a virtual machine (virtual-machine.mjs), as root and as an ordinary user. Prints a table of machines and suites, each
// failure, and one line of totals. docs/kernels.md says what came of it.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bundleSteps } from './build.mjs'
import { CROSS_COMPILERS, launcherSteps, missingCompiler } from './build-native.mjs'
import { checkNode, installSteps, main, ROOT, runSteps, say, SetUpError } from './setup.mjs'
import { boot, fetchKernel, fetchPrograms, layOut, layOutSources, packFolder, PRODUCT, whyNoKvm, whyNoMachine } from './virtual-machine.mjs'

/**
 * Kernels as they come, and with less by their command line. `landlock` (its ABI), `rungs` (the first is the one that is chosen) and
 * `tellsSockets` (whose a unix socket is) are what has to be found there: a machine with other layers than it is listed for would prove
 * something else than it says.
 */
const MACHINES = [
  { name: '6.1',                       series: '6.1',  landlock: 2 },
  { name: '6.12',                      series: '6.12', landlock: 6 },
  { name: '7.3',                       series: '7.3',  landlock: 11 },
  { name: '6.1 arm64',                 series: '6.1',  landlock: 2, arch: 'arm64' },
  { name: '6.1, no Landlock',          series: '6.1',  append: 'lsm=capability,yama', rungs: { root: [], user: [] } },
  { name: '6.1, no user namespaces',   series: '6.1',  landlock: 2, append: 'sysctl.kernel.unprivileged_userns_clone=0', rungs: { root: ['namespaces', 'supervised'], user: ['supervised'] } },
  { name: '6.1, no modules',           series: '6.1',  landlock: 2, append: 'NO_MODULES=1', tellsSockets: false },
  { name: '6.1, ptrace_scope 2',       series: '6.1',  landlock: 2, append: 'sysctl.kernel.yama.ptrace_scope=2', rungs: { root: [], user: [] } },
]
const BOTH = { root: ['namespaces', 'supervised'], user: ['namespaces', 'supervised'] }

/**
 * Beside `host`: what is found there, and that what is missing is refused. `packages`: Debian's, beside what every machine has.
 * `quick`: which share of the rows stands for all where time is short.
 */
const SUITES = {
  conformance: { files: ['test/conformance/kernel.test.ts'], quick: 24 },
  escape:      { files: ['test/escape/as-this-user.test.ts'], packages: ['git', 'python3'], quick: 24 },
  workloads:   { files: ['test/workloads/workloads.test.ts'], packages: ['git', 'python3', 'tar', 'gzip', 'bzip2', 'xz-utils', 'zstd', 'file', 'patch', 'make'] },
  native: {
    files: readdirSync(join(ROOT, 'test/native')).filter(name => /^(?:supervised-(?!attack|faults)|life|placeholders|attribution|host-changes)[^]*\.test\.ts$/.test(name)).map(name => `test/native/${name}`),
    packages: ['git', 'python3', 'gcc', 'libc6-dev'],
  },
}
/** One kernel, one user, and a share of what decides: for a check of every commit. */
const QUICK = { timeoutMs: 600_000, machine: ['6.1'], suite: Object.keys(SUITES).filter(name => SUITES[name].quick !== undefined), user: ['user'] }

const MACHINE_TIMEOUT_MS = 4 * 3600_000

const USERS = { root: 0, user: 1000 }
const LISTED = /^@@ (.*)$/

await main(async () => {
  checkNode()
  const { values } = parseArgs({ options: {
    machine: { type: 'string', multiple: true }, suite: { type: 'string', multiple: true }, user: { type: 'string', multiple: true }, matching: { type: 'string' },
    share: { type: 'string', default: '1' }, quick: { type: 'boolean' }, list: { type: 'boolean' },
  } })
  const machines = chosen('machine', MACHINES.map(({ name }) => name), values.machine ?? (values.quick ? QUICK.machine : undefined)).map(name => MACHINES.find(each => each.name === name))
  const suites = chosen('suite', ['host', ...Object.keys(SUITES)], values.suite ?? (values.quick ? QUICK.suite : undefined))
  const tables = suites.filter(name => name !== 'host')
  const users = chosen('user', Object.keys(USERS), values.user ?? (values.quick ? QUICK.user : undefined))
  if (values.list === true) return console.log(MACHINES.map(({ name }) => name).join('\n'))

  const before = [...installSteps(), ...launcherSteps(), ...(machines.some(({ arch }) => arch === 'arm64') ? launcherSteps('release', 'arm64') : [])]
  await runSteps([...before, ...bundleSteps(before)])
  const scratch = mkdtempSync(join(tmpdir(), 'test-kernels-'))
  const rows = []
  try {
    for (const machine of machines) rows.push(await testOn(machine, { suites: tables, users, matching: values.matching, share: suite => values.quick ? SUITES[suite].quick ?? 1 : Number(values.share), timeoutMs: values.quick ? QUICK.timeoutMs : MACHINE_TIMEOUT_MS }, scratch))
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
  printTable(rows, tables, users)
})

function chosen(kind, known, asked = known) {
  const unknown = asked.find(name => !known.includes(name))
  if (unknown !== undefined) throw new SetUpError(`there is no ${kind} ${JSON.stringify(unknown)}, only ${known.map(name => JSON.stringify(name)).join(', ')}.`)
  return asked
}

/** Boots the machine once, and runs all that is asked for in it. */
async function testOn(machine, { suites, users, matching, share, timeoutMs }, scratch) {
  const { name, series, arch = process.arch, landlock = 0, rungs = BOTH, tellsSockets = true, append } = machine
  const reason = whyNoMachine(arch) ?? missingCompiler(arch)
  if (reason !== undefined) return { name, results: [], skipped: reason }
  const kernel = fetchKernel(series, arch)
  const programs = await fetchPrograms(arch, [...new Set(suites.flatMap(suite => SUITES[suite].packages ?? []))])
  const own = join(scratch, 'own')
  rmSync(own, { recursive: true, force: true })
  await pack(own, arch, {
    users: users.map(user => ({ name: user, uid: USERS[user], expects: { landlock, tellsSockets, rungs: rungs[user] } })), slower: whyNoKvm(arch) === undefined ? 1 : 10, matching,
    suites: suites.map(suite => ({ name: suite, share: share(suite), files: SUITES[suite].files.map(file => file.replace(/\.ts$/, '.js')) })),
  })
  packFolder(own, `${own}.cpio`)
  say(`\n${name}: booting ${kernel.release}${whyNoKvm(arch) === undefined ? '' : ', emulated'}…`)
  const results = []
  const began = performance.now()
  const { status, failure, late } = await boot({
    arch, kernel, archives: [programs, `${own}.cpio`], append, memoryMb: 3072, timeoutMs,
    onLine: line => {
      const [, text] = LISTED.exec(line) ?? []
      if (text === undefined) return console.log(`  | ${line}`)
      const result = JSON.parse(text)
      results.push(result)
      if (result.state === 'failed') console.log(`✗ ${name}, ${result.user}, ${result.suite}: ${result.name}\n${String(result.reason).replace(/^/gm, '    ')}`)
    },
  })
  // Each test has its own time: one that hangs has failed before.
  if (late) results.push({ user: users[0], suite: 'host', name: `what ${name} had no time for`, state: 'skipped', reason: failure })
  else if (failure !== undefined || status !== 0) results.push({ user: users[0], suite: 'host', name: 'the machine itself', state: 'failed', reason: failure ?? `its script ended with ${status}` })
  say(`${name}: ${((performance.now() - began) / 1000).toFixed(0)} s`)
  return { name, release: kernel.release, results }
}

async function pack(folder, arch, plan) {
  const { build } = await import('esbuild')
  mkdirSync(join(folder, 'guest/node_modules/vitest'), { recursive: true })
  layOut(folder, Object.fromEntries([...PRODUCT, 'scripts/test-kernels-guest.mjs'].map(name => [`guest/${name}`, name])))
  await layOutSources(folder, ['src', 'test'], ['src/index.ts', ...plan.suites.flatMap(({ files }) => files)].map(file => file.replace(/\.js$/, '.ts')), ['vitest', 'esbuild'])
  await build({ absWorkingDir: ROOT, entryPoints: ['scripts/test-kernels-vitest.mjs'], outfile: join(folder, 'guest/node_modules/vitest/index.js'), bundle: true, platform: 'node', format: 'esm', target: 'node20.19', logLevel: 'error' })
  writeFileSync(join(folder, 'guest/node_modules/vitest/package.json'), '{"type":"module","exports":"./index.js"}\n')
  compilePrograms(join(folder, 'programs'), arch)
  writeFileSync(join(folder, 'guest/plan.json'), JSON.stringify(plan))
  // As Debian's packages do when they are installed: else each Python that starts tries to write it, and is denied.
  const compile = plan.suites.some(({ name }) => name === 'workloads') ? "python3 -m compileall -q -x '/(test|tests|lib2to3|idlelib|turtledemo)/' /usr/lib/python3.*\n" : ''
  writeFileSync(join(folder, 'start'), `${compile}exec node /guest/scripts/test-kernels-guest.mjs\n`)
}

/** Those of the escape attempts, here, since a machine has no compiler unless a suite asks for one; static, so that none of its libraries matter. */
function compilePrograms(folder, arch) {
  const compiler = arch === process.arch ? 'gcc' : CROSS_COMPILERS[arch]
  const sources = join(ROOT, 'test/escape/programs')
  mkdirSync(folder)
  for (const name of readdirSync(sources).filter(each => each.endsWith('.c'))) {
    const { error, status, stderr } = spawnSync(compiler, ['-D_GNU_SOURCE', '-O1', '-w', '-pthread', '-static', '-o', join(folder, name.replace(/\.c$/, '')), join(sources, name)], { encoding: 'utf8' })
    if (status !== 0) throw new SetUpError(`${compiler}: ${error?.message ?? stderr}`)
  }
}

function printTable(rows, suites, users) {
  const counts = results => ['passed', 'failed', 'skipped'].map(state => results.filter(result => result.state === state).length)
  const columns = ['host', ...suites].flatMap(suite => users.map(user => ({ suite, user })))
  console.log(`\n${['passed/failed/skipped', ...columns.map(({ suite, user }) => `${suite}, ${user}`)].join(' | ')}`)
  for (const { name, release, results, skipped } of rows) {
    const cells = columns.map(({ suite, user }) => counts(results.filter(result => result.suite === suite && result.user === user)).join('/'))
    console.log(skipped === undefined ? `${name} (${release}) | ${cells.join(' | ')}` : `${name} | skipped: ${skipped}`)
  }
  const all = rows.flatMap(({ name, results }) => results.map(result => ({ machine: name, ...result })))
  const reasons = new Map()
  for (const { machine, user, state, reason } of all) if (state === 'skipped') reasons.set(reason, [...(reasons.get(reason) ?? []), `${machine}, ${user}`])
  if (reasons.size > 0) console.log('\nSkipped:')
  for (const [reason, where] of reasons) console.log(`  ${reason} (${where.length}: ${[...new Set(where)].join('; ')})`)
  const [passed, failed, skipped] = counts(all)
  const machinesLeftOut = rows.filter(row => row.skipped !== undefined).length
  console.log(`\n${passed} passed, ${failed} failed, ${skipped + machinesLeftOut} skipped`)
  process.exitCode = failed > 0 || (passed === 0 && machinesLeftOut === 0) ? 1 : 0
}
