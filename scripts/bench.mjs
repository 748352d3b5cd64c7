// `npm run bench [-- --write] [-- --rounds N] [-- --only WORDS]`: what a sandbox costs, against child_process.spawn in the same run. Prints tables in
// markdown; --write puts them into docs/bench.md. Contenders take turns in every round, so that a busy machine is unfair to none;
// read the ratios, not the milliseconds.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { checkNode, main, ROOT, say, SetUpError } from './setup.mjs'

const CLI = join(ROOT, 'dist/cli.cjs')
const PAGE = 'docs/bench.md'
const MARKS = ['<!-- written by npm run bench: begin -->', '<!-- written by npm run bench: end -->']
const TRUE = ['/bin/true']
const PROGRAMS = {
  'git status': ['git', 'status', '--short'],
  'gcc -c': ['gcc', '-c', 'hello.c', '-o', 'hello.o'],
  'node -e 0': [process.execPath, '-e', '0'],
  'npm run': ['npm', 'run', '--silent', 'noop'],
}
/** Every contender gets the same environment: this process keeps nothing else, since a sandbox passes its own on, and has what it adds for git. */
const ENV = { PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: process.env.HOME ?? '/', LANG: 'C.UTF-8', GIT_OPTIONAL_LOCKS: '0' }
/** With it `git status` tries to write its index, which is one denial. */
const WITH_A_DENIAL = { GIT_OPTIONAL_LOCKS: '1' }
const CODEX = process.env.CODEX_BINARY
for (const name of Object.keys(process.env)) delete process.env[name]
Object.assign(process.env, ENV)

const { values: options } = parseArgs({ options: { write: { type: 'boolean' }, rounds: { type: 'string', default: '200' }, only: { type: 'string' }, 'heap-child': { type: 'boolean' } } })
const ROUNDS = Number(options.rounds)
/** Of a program: what is over in a few milliseconds is lost in noise otherwise. */
const roundsOf = name => name === 'git status' ? ROUNDS : Math.max(3, Math.ceil(ROUNDS / 5))

/** Folders made for the run; gone afterwards. */
const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'codex-sandbox-bench-')))
const mounted = []
process.on('exit', () => {
  for (const path of mounted) spawnSync('umount', [path])
  rmSync(scratch, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1))

await main(async () => {
  checkNode()
  if (process.platform !== 'linux') throw new SetUpError('the bench measures the Linux launcher and runs there only.')
  if (!existsSync(join(ROOT, 'dist/index.js')) || !existsSync(CLI)) throw new SetUpError('nothing is built yet: run `npm run build` first.')
  if (!Number.isInteger(ROUNDS) || ROUNDS < 3) throw new SetUpError('--rounds takes a whole number, 3 or more.')
  if (options['heap-child']) return reportHeap()
  if (options.write && options.only !== undefined) throw new SetUpError('--write takes all cases: leave --only out.')

  const workspace = makeWorkspace('workspace')
  const rows = []
  const add = async (title, measure) => {
    if (options.only !== undefined && !title.includes(options.only)) return
    say(`${title}…`)
    rows.push(...await measure())
  }
  const others = await otherSandboxes(makeWorkspace('others')) // one of them leaves files behind
  await add(`one command at a time (${ROUNDS} rounds)`, () => oneCommand(workspace, others.runners))
  await add('8 in flight', () => inFlight(workspace))
  await add('1 GB of heap', () => withHeap())
  await add('100,000 files and deny rules', () => largePolicies(workspace))
  await add('1 GiB of output', () => output(workspace))
  await add('real programs', () => programs(makeWorkspace('programs')))
  await add('the supervised rung', () => supervised(makeWorkspace('supervised')))
  await add('creating and closing', () => creating(workspace))
  await add('the command line', () => commandLine(workspace))
  await add('the service', () => service(workspace))
  await add('memory of the launcher', () => memory(workspace))
  await others.close()

  const page = [...facts(others.versions), '', ...tables(rows, others.skipped)].join('\n')
  console.log(`\n${page}`)
  if (options.write && options.only === undefined) writePage(page)
})

/* The cases. Each gives rows { name, base, ours, value, bar, met } or { other, base, ours, value }; times in milliseconds. */

async function oneCommand(workspace, others) {
  const sandbox = await openSandbox(workspace)
  const contenders = { bare: () => bare(TRUE, workspace), ours: () => ours(sandbox, TRUE), ...mapValues(others, run => () => run(TRUE)) }
  const times = await interleave(contenders, ROUNDS)
  await sandbox.close()
  return [
    atMost('`/bin/true`, workspace-write, network off, all layers', times.bare, times.ours, 0.65),
    ...Object.keys(others).map(name => ({ other: name, base: times.bare, ours: times[name], value: times[name] / times.bare })),
  ]
}

async function inFlight(workspace) {
  const sandbox = await openSandbox(workspace)
  const batch = run => () => Promise.all(Array.from({ length: 8 }, run))
  const times = await interleave({ bare: batch(() => bare(TRUE, workspace)), ours: batch(() => ours(sandbox, TRUE)) }, Math.ceil(ROUNDS / 4))
  await sandbox.close()
  const value = times.bare / times.ours
  return [{ name: '8 in flight, throughput', base: times.bare / 8, ours: times.ours / 8, value, bar: '≥ 1.6', met: value >= 1.6 }]
}

/** In a process of its own, whose heap is full from the start. */
async function withHeap() {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--max-old-space-size=3000', fileURLToPath(import.meta.url), '--heap-child', '--rounds', String(Math.max(3, Math.ceil(ROUNDS / 4)))], { encoding: 'utf8' })
  if (status !== 0) throw new SetUpError(`the process with 1 GB of heap failed: ${stderr.trim().split('\n').at(-1)}`)
  const times = JSON.parse(stdout)
  return [atMost('`/bin/true`, 1 GB of heap in the Node process', times.bare, times.ours, 0.4)]
}

async function reportHeap() {
  // Many small objects, as a program has them: what makes its fork slow is the number of pages.
  const heap = []
  while (process.memoryUsage().heapUsed < 2 ** 30) heap.push(Array.from({ length: 100_000 }, (_, index) => ({ index, inner: { index } })))
  const workspace = makeWorkspace('heap')
  const sandbox = await openSandbox(workspace)
  const times = await interleave({ bare: () => bare(TRUE, workspace), ours: () => ours(sandbox, TRUE) }, ROUNDS)
  await sandbox.close()
  if (heap.length > 0) process.stdout.write(JSON.stringify(times)) // and so it is alive until here
}

async function largePolicies(workspace) {
  const large = makeWorkspace('large')
  for (let folder = 0; folder < 1000; folder++) {
    const path = join(large, `folder-${folder}`)
    mkdirSync(path)
    for (let file = 0; file < 100; file++) writeFileSync(join(path, `file-${file}`), '')
  }
  const denied = count => Array.from({ length: count }, (_, index) => join(large, `folder-${index % 1000}`, `file-${Math.floor(index / 1000)}`))
  const compare = async sandboxes => {
    const times = await interleave(mapValues(sandboxes, sandbox => () => ours(sandbox, TRUE)), ROUNDS)
    for (const sandbox of Object.values(sandboxes)) await sandbox.close()
    return times
  }
  const trees = await compare({ small: await openSandbox(workspace), large: await openSandbox(large) })
  const rules = await compare({ none: await openSandbox(large), deny100: await openSandbox(large, { deny: denied(100) }), deny1000: await openSandbox(large, { deny: denied(1000) }) })
  const more = (name, measured, bar) => ({ name, base: rules.none, ours: measured, value: measured - rules.none, unit: ' ms', bar: `≤ ${bar} ms more`, met: measured - rules.none <= bar })
  return [
    // Two medians of one and the same thing differ by a few percent here.
    { name: 'in a tree of 100,000 files (against an empty one)', base: trees.small, ours: trees.large, value: trees.large / trees.small, bar: 'no difference (within 5 %)', met: trees.large / trees.small <= 1.05 },
    more('100 deny rules (against none)', rules.deny100, 0.5),
    more('1,000 deny rules (against none)', rules.deny1000, 4),
  ]
}

async function output(workspace) {
  const sandbox = await openSandbox(workspace)
  const bytes = 2 ** 30
  const argv = ['/usr/bin/head', '-c', String(bytes), '/dev/zero']
  const counted = child => new Promise((resolve, reject) => {
    let count = 0
    child.stdout.on('data', chunk => { count += chunk.length })
    child.stderr.resume()
    child.on('error', reject)
    child.on('close', () => count === bytes ? resolve() : reject(new Error(`${count} of ${bytes} bytes arrived`)))
  })
  const times = await interleave({
    bare: () => counted(spawn(argv[0], argv.slice(1), { cwd: workspace, env: ENV, stdio: ['ignore', 'pipe', 'pipe'] })),
    ours: () => counted(sandbox.spawn(argv, { stdin: 'empty' })),
  }, Math.max(3, Math.ceil(ROUNDS / 40)))
  await sandbox.close()
  const value = times.bare / times.ours
  return [{ name: '1 GiB of output to a counting reader, rate', base: times.bare, ours: times.ours, value, bar: '≥ 0.9', met: value >= 0.9 }]
}

/** What `PROGRAMS` work on. */
function fillWorkspace(workspace) {
  writeFileSync(join(workspace, 'hello.c'), '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n')
  writeFileSync(join(workspace, 'package.json'), '{"name":"bench","version":"1.0.0","private":true,"scripts":{"noop":"true"}}\n')
  for (let file = 0; file < 500; file++) writeFileSync(join(workspace, `file-${file}`), `${file}\n`)
  // A repository whose files are older than its index: of others git reads each file again, as it may have changed within the index's own second.
  for (const file of readdirSync(workspace)) utimesSync(join(workspace, file), 1, 1)
  for (const words of [['init', '--quiet'], ['add', '.'], ['-c', 'user.name=bench', '-c', 'user.email=bench@localhost', 'commit', '--quiet', '-m', 'bench']]) spawnSync('git', words, { cwd: workspace })
}

async function programs(workspace) {
  fillWorkspace(workspace)
  const sandbox = await openSandbox(workspace)
  const unobserved = await openSandbox(workspace, {}, { observe: 'off' })
  const withReads = await openSandbox(workspace, {}, { observe: 'reads' })
  const rows = []
  const observed = []
  for (const [name, argv] of Object.entries(PROGRAMS)) {
    if (spawnSync(argv[0], argv.slice(1), { cwd: workspace, env: ENV }).status !== 0) {
      rows.push({ name: `\`${name}\``, bar: '≤ 1.05', missing: `\`${argv[0]}\` does not work here` })
      continue
    }
    const times = await interleave({
      bare: () => bare(argv, workspace), ours: () => ours(sandbox, argv), unobserved: () => ours(unobserved, argv), reads: () => ours(withReads, argv),
    }, roundsOf(name))
    rows.push(atMost(`\`${name}\`, inside against outside`, times.bare, times.ours, 1.05))
    observed.push(atMost(`\`${name}\`, writes observed against nothing observed`, times.unobserved, times.ours, 1.03))
    observed.push({ name: `\`${name}\`, reads observed too, against nothing observed`, base: times.unobserved, ours: times.reads, value: times.reads / times.unobserved })
  }
  const git = PROGRAMS['git status']
  const denied = await interleave({ ours: () => ours(sandbox, git, WITH_A_DENIAL), unobserved: () => ours(unobserved, git, WITH_A_DENIAL) }, ROUNDS)
  observed.push({ name: '`git status` that is denied its index, writes observed against nothing observed', base: denied.unobserved, ours: denied.ours, value: denied.ours / denied.unobserved })
  for (const each of [sandbox, unobserved, withReads]) await each.close()
  return [...rows, ...observed]
}

/** Against the rung of namespaces, but for a command that does nothing. */
async function supervised(workspace) {
  fillWorkspace(workspace)
  fillPackages(workspace, 50)
  const cases = [
    ...Object.entries(PROGRAMS).map(([name, argv]) => ({ name: `\`${name}\``, argv, bar: 1.1, rounds: roundsOf(name) })),
    { name: '`npm ci` of fifty packages', argv: ['npm', 'ci', '--offline', '--silent', '--no-audit', '--no-fund'], bar: 1.5, rounds: Math.max(3, Math.ceil(ROUNDS / 40)) },
  ]
  const [namespaces, own] = [await openSandbox(workspace), await openSandbox(workspace, {}, { rung: 'supervised' })]
  const { bare: base, ours: measured } = await interleave({ bare: () => bare(TRUE, workspace), ours: () => ours(own, TRUE) }, ROUNDS)
  const rows = [atMost('supervised: `/bin/true` against a bare spawn', base, measured, 0.85)]
  for (const { name, argv, bar, rounds } of cases) {
    const title = `supervised: ${name}, against namespaces`
    if (spawnSync(argv[0], argv.slice(1), { cwd: workspace, env: ENV }).status !== 0) {
      rows.push({ name: title, bar: `≤ ${bar}`, missing: `\`${argv[0]}\` does not work here` })
      continue
    }
    const times = await interleave({ namespaces: () => ours(namespaces, argv), supervised: () => ours(own, argv) }, rounds)
    rows.push(atMost(title, times.namespaces, times.supervised, bar))
  }
  for (const each of [namespaces, own]) await each.close()
  return [...rows, await makingFiles()]
}

/** In memory: some file systems look at every file that was removed in the last minutes when a new one is made (ext4 without a journal), which drowns everything else. */
async function makingFiles() {
  const workspace = makeWorkspace('files')
  const inMemory = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', workspace]).status === 0
  if (inMemory) mounted.push(workspace)
  const argv = ['/bin/sh', '-c', 'rm -rf many; mkdir many; i=0; while [ $i -lt 5000 ]; do : > many/$i; i=$((i+1)); done']
  const [namespaces, own] = [await openSandbox(workspace), await openSandbox(workspace, {}, { rung: 'supervised' })]
  const times = await interleave({ namespaces: () => ours(namespaces, argv), supervised: () => ours(own, argv) }, Math.max(3, Math.ceil(ROUNDS / 20)))
  for (const each of [namespaces, own]) await each.close()
  return atMost(`supervised: a loop that makes 5,000 files ${inMemory ? 'in memory' : 'on disk'}, against namespaces`, times.namespaces, times.supervised, 4)
}

/** Packages of ten files each, packed, and a lock file that names them: nothing is asked of a registry. */
function fillPackages(workspace, count) {
  const dependencies = {}
  for (let index = 0; index < count; index++) {
    const folder = join(workspace, 'packed', `package-${index}`)
    mkdirSync(join(folder, 'package', 'lib'), { recursive: true })
    writeFileSync(join(folder, 'package', 'package.json'), JSON.stringify({ name: `package-${index}`, version: '1.0.0' }))
    for (let file = 0; file < 9; file++) writeFileSync(join(folder, 'package', 'lib', `${file}.js`), `module.exports = ${file}\n`.repeat(100))
    spawnSync('tar', ['-czf', `${folder}.tgz`, '-C', folder, 'package'])
    rmSync(folder, { recursive: true })
    dependencies[`package-${index}`] = `file:packed/package-${index}.tgz`
  }
  writeFileSync(join(workspace, 'package.json'), JSON.stringify({ name: 'bench', version: '1.0.0', private: true, scripts: { noop: 'true' }, dependencies }))
  spawnSync('npm', ['install', '--package-lock-only', '--offline', '--silent', '--no-audit', '--no-fund'], { cwd: workspace, env: ENV })
}

async function creating(workspace) {
  const times = await interleave({ ours: async () => (await openSandbox(workspace)).close() }, Math.max(3, Math.ceil(ROUNDS / 4)))
  return [{ name: 'creating and closing a sandbox', ours: times.ours, value: times.ours, unit: ' ms', bar: '≤ 10 ms', met: times.ours <= 10 }]
}

async function commandLine(workspace) {
  const times = await interleave({
    bare: () => bare([process.execPath, '-e', '0'], workspace),
    version: () => bare([process.execPath, CLI, '--version'], workspace),
    ours: () => bare([process.execPath, CLI, 'run', '--', ...TRUE], workspace),
  }, Math.max(3, Math.ceil(ROUNDS / 4)))
  return [
    atMost('`codex-sandbox run -- /bin/true`, whole process, against `node -e 0`', times.bare, times.ours, 1.3),
    { name: '`codex-sandbox --version` against `node -e 0`', base: times.bare, ours: times.version, value: times.version / times.bare },
  ]
}

/** `command/exec` over standard streams, of a policy whose sandbox is kept; beside it codex' own service, where its binary is named. */
async function service(workspace) {
  const own = [process.execPath, CLI, 'app-server']
  const server = openService(own, workspace)
  const codex = CODEX === undefined ? undefined : openService([CODEX, 'app-server'], workspace)
  const run = from => async () => {
    const { exitCode } = await from.ask('command/exec', { command: TRUE, sandboxPolicy: { type: 'workspaceWrite' } })
    if (exitCode !== 0) throw new Error(`/bin/true ended with ${exitCode}`)
  }
  const contenders = { bare: () => bare(TRUE, workspace), ours: run(server), ...(codex === undefined ? {} : { codex: run(codex) }) }
  const times = await interleave(contenders, ROUNDS)
  const batch = each => () => Promise.all(Array.from({ length: 8 }, each))
  const flying = await interleave(mapValues(contenders, batch), Math.ceil(ROUNDS / 4))
  for (const each of [server, codex]) await each?.close()
  const starts = await interleave({
    bare: () => bare([process.execPath, '-e', '0'], workspace),
    ours: async () => {
      const started = openService(own, workspace)
      await started.ready
      return () => started.close()
    },
  }, Math.max(3, Math.ceil(ROUNDS / 4)))
  const value = flying.bare / flying.ours
  const first = starts.ours - starts.bare
  return [
    atMost('`command/exec` of `/bin/true`, warm, over standard streams', times.bare, times.ours, 1.2),
    { name: '`command/exec`, 8 in flight, throughput', base: flying.bare / 8, ours: flying.ours / 8, value, bar: '≥ 1.3', met: value >= 1.3 },
    { name: 'first answer of the service, beyond `node -e 0`', base: starts.bare, ours: starts.ours, value: first, unit: ' ms', bar: '≤ 60 ms', met: first <= 60 },
    ...(codex === undefined ? [] : [{ name: '`command/exec` of codex\' app-server', base: times.bare, ours: times.codex, value: times.codex / times.bare }]),
  ]
}

/** `ready` resolves with the first answer. */
function openService([program, ...words], cwd) {
  const child = spawn(program, words, { cwd, env: ENV, stdio: ['pipe', 'pipe', 'ignore'] })
  const waiting = new Map()
  let [nextId, rest] = [0, '']
  child.stdout.setEncoding('utf8').on('data', text => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()
    for (const line of lines) {
      const { id, method, result, error } = JSON.parse(line)
      if (method !== undefined) continue
      const { resolve, reject } = waiting.get(id)
      waiting.delete(id)
      if (error === undefined) resolve(result)
      else reject(new Error(error.message))
    }
  })
  const ask = (method, params) => new Promise((resolve, reject) => {
    waiting.set(nextId, { resolve, reject })
    child.stdin.write(`${JSON.stringify({ id: nextId++, method, params })}\n`)
  })
  const ready = ask('initialize', { clientInfo: { name: 'bench', title: null, version: '1' } })
  void ready.then(() => child.stdin.write('{"method":"initialized"}\n'))
  return { ask, ready, close: () => new Promise(resolve => child.once('exit', resolve) && child.stdin.end()) }
}

/** Each process of an idle launcher; its pages count in full, though the processes share most of them. */
async function memory(workspace) {
  const sandbox = await openSandbox(workspace)
  await ours(sandbox, TRUE)
  const resident = descendants(process.pid).map(pid => readProcess(pid, 'status'))
    .filter(status => /^Name:\s+codex-sandbox-l/m.test(status)).map(status => /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1])
    .filter(kibibytes => kibibytes !== undefined).map(Number) // one that is ending has none
  await sandbox.close()
  const mebibytes = Math.max(...resident) / 1024
  if (resident.length === 0) return [{ name: 'the launcher, resident', bar: '≤ 2 MiB', missing: 'no process of its name was found' }]
  return [{ name: `the launcher, resident, largest of its ${resident.length} processes`, value: mebibytes, unit: ' MiB', bar: '≤ 2 MiB', met: mebibytes <= 2 }]
}

/* Contenders. Each resolves when the command ended well and its output was read. */

async function openSandbox(cwd, policy = {}, more = {}) {
  const { createSandbox } = await import('../dist/index.js')
  return createSandbox({ ...more, cwd, policy: Object.keys(policy).length === 0 ? 'workspace-write' : { mode: 'workspace-write', ...policy } })
}

async function ours(sandbox, argv, env) {
  const { exitCode, stderr } = await sandbox.exec(argv, env === undefined ? {} : { env })
  if (exitCode !== 0) throw new Error(`${argv.join(' ')} ended with ${exitCode} in the sandbox: ${stderr}`)
}

/** Reads the output and keeps it, as `exec` does. */
function bare([program, ...words], cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { cwd, env: ENV, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks = []
    child.stdout.on('data', chunk => chunks.push(chunk))
    child.stderr.on('data', chunk => chunks.push(chunk))
    child.on('error', reject)
    child.on('close', code => code === 0 ? resolve() : reject(new Error(`${program} ended with ${code}: ${Buffer.concat(chunks)}`)))
  })
}

/** The other sandboxes that work here; of the rest, why not. */
async function otherSandboxes(workspace) {
  const found = { runners: {}, versions: [], skipped: [], closers: [] }
  const offer = async (name, open) => {
    try {
      const { run, version, close } = await open()
      await run(TRUE)
      found.runners[name] = run
      found.versions.push(`${name} ${version}`)
      if (close !== undefined) found.closers.push(close)
    } catch (error) {
      found.skipped.push(`${name}: ${error.message.trim().split('\n')[0]}`)
    }
  }
  await offer('bwrap', () => openBubblewrap(workspace))
  await offer('@anthropic-ai/sandbox-runtime', () => openSandboxRuntime(workspace))
  await offer('codex', () => openCodex(workspace))
  return { ...found, close: async () => { for (const close of found.closers) await close() } }
}

function openBubblewrap(workspace) {
  const version = versionOf('bwrap', '--version')
  const words = ['--ro-bind', '/', '/', '--bind', workspace, workspace, '--bind', '/tmp', '/tmp', '--dev', '/dev', '--proc', '/proc',
    '--unshare-all', '--die-with-parent', '--new-session', '--']
  return { version, run: argv => bare(['bwrap', ...words, ...argv], workspace) }
}

async function openSandboxRuntime(workspace) {
  const { SandboxManager } = await import('@anthropic-ai/sandbox-runtime')
  const missing = SandboxManager.checkDependencies()
  const { errors = missing } = missing
  if (Array.isArray(errors) && errors.length > 0) throw new Error(errors.join('; '))
  process.chdir(workspace)
  await SandboxManager.initialize({ network: { allowedDomains: [], deniedDomains: [] }, filesystem: { denyRead: [], allowWrite: [workspace, '/tmp'], denyWrite: [] } })
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/@anthropic-ai/sandbox-runtime/package.json'), 'utf8'))
  const run = async argv => bare(['/bin/sh', '-c', await SandboxManager.wrapWithSandbox(argv.join(' '))], workspace)
  return { version, run, close: () => SandboxManager.reset() }
}

function openCodex(workspace) {
  if (CODEX === undefined) throw new Error('CODEX_BINARY does not name its binary')
  return { version: versionOf(CODEX, '--version').replace(/^codex\S*\s*/, ''), run: argv => bare([CODEX, 'sandbox', 'linux', '--full-auto', ...argv], workspace) }
}

function versionOf(program, ...words) {
  const { error, stdout } = spawnSync(program, words, { encoding: 'utf8' })
  if (error) throw new Error(error.code === 'ENOENT' ? 'not installed' : error.message)
  return stdout.trim().replace(/^\S*bubblewrap\s*/, '')
}

/* Measuring */

/**
 * Runs every contender once a round, in a new order each time: what one leaves to be tidied up slows the next. Gives the median of
 * each, in milliseconds.
 */
async function interleave(contenders, rounds) {
  const names = Object.keys(contenders)
  const times = mapValues(contenders, () => [])
  for (let round = -2; round < rounds; round++) { // two rounds to warm up
    for (const name of shuffle(names)) {
      const start = performance.now()
      const cleanUp = await contenders[name]()
      if (round >= 0) times[name].push(performance.now() - start)
      if (typeof cleanUp === 'function') await cleanUp()
    }
  }
  return mapValues(times, median)
}

function shuffle(names) {
  return names.map(name => ({ name, place: Math.random() })).sort((a, b) => a.place - b.place).map(({ name }) => name)
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

function mapValues(record, change) {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]))
}

function atMost(name, base, measured, bar) {
  return { name, base, ours: measured, value: measured / base, bar: `≤ ${bar}`, met: measured / base <= bar }
}

function makeWorkspace(name) {
  const path = join(scratch, name)
  mkdirSync(path)
  return path
}

function descendants(pid) {
  const parents = new Map(readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(name => [Number(name), Number(/\) \S (\d+)/.exec(readProcess(name, 'stat'))?.[1])]))
  const below = parent => [...parents].filter(([, of]) => of === parent).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}

/** Empty where the process is gone meanwhile. */
function readProcess(pid, file) {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return ''
    throw error
  }
}

/* Printing */

function facts(versions) {
  const [cpu, ...rest] = cpus()
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${rest.length + 1} cores (${cpu.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}`
      + `${versions.length === 0 ? '' : `, ${versions.join(', ')}`}; load ${loadavg()[0].toFixed(1)} at the end; ${process.getuid?.() === 0 ? 'as root' : 'as an ordinary user'}.`,
    `Medians of interleaved rounds (${ROUNDS} of the short cases) with \`npm run bench\`.`,
  ]
}

function tables(rows, skipped) {
  const number = (value, digits = 2) => value === undefined ? '' : value.toFixed(digits)
  const cells = row => `| ${row.join(' | ')} |`
  const verdict = ({ missing, met }) => missing !== undefined ? `skipped: ${missing}` : met === undefined ? '' : met ? 'yes' : '**no**'
  const bars = rows.filter(row => row.name !== undefined)
  const others = rows.filter(row => row.other !== undefined)
  return [
    '| case | against, ms | ours, ms | result | bar | met |', '|---|---:|---:|---:|---|---|',
    ...bars.map(row => cells([row.name, number(row.base), number(row.ours), row.value === undefined ? '' : `${number(row.value)}${row.unit ?? 'x'}`, row.bar ?? '', verdict(row)])),
    '', '| another sandbox, `/bin/true` | bare, ms | its own, ms | against a bare spawn |', '|---|---:|---:|---:|',
    ...others.map(row => cells([row.other, number(row.base), number(row.ours), `${number(row.value)}x`])),
    ...skipped.map(reason => cells([`${reason.split(': ')[0]} (not run: ${reason.slice(reason.indexOf(': ') + 2)})`, '', '', ''])),
  ]
}

/** Replaces what stands between the marks; the words around it are people's. */
function writePage(table) {
  const path = join(ROOT, PAGE)
  const page = existsSync(path) ? readFileSync(path, 'utf8') : `# Bench\n\n${MARKS.join('\n')}\n`
  const [begin, end] = MARKS.map(mark => page.indexOf(mark))
  if (begin === -1 || end < begin) throw new SetUpError(`${PAGE} lacks its two marks.`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, `${page.slice(0, begin)}${MARKS[0]}\n${table}\n${page.slice(end)}`)
  say(`wrote ${PAGE}`)
}
