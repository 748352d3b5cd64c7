// Builds what the package carries: dist/cli.cjs and dist/index.js with their parts (esbuild), the launcher (C) and the type declarations (tsc).
// Run: node scripts/build.mjs [--if-stale] [--release]
// --if-stale: only what the CLI and the tests need, and never the packages, since vitest runs from them while it calls this.
// --release: the launcher of the other processor too, and a failure where it cannot be built.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createHash } from 'node:crypto'
import { isBuiltin } from 'node:module'
import { bundleProgram } from './bundle-program.mjs'
import { codeCacheStep, hasCodeCache } from './code-cache.mjs'
import { launcherPath, launcherSteps, missingCompiler } from './build-native.mjs'
import { checkNode, hashFiles, installSteps, main, readStamps, ROOT, runSteps, say, SetUpError, writeStamp, writeWhole } from './setup.mjs'

/** The bundles know the hashes of the launchers, so they are written after these. */
const LAUNCHERS = ['x64', 'arm64'].map(arch => ({ arch, path: launcherPath('release', arch) }))
const BUNDLE_SOURCES = ['src', 'scripts/build.mjs', 'scripts/bundle-program.mjs', 'scripts/program-loader.cjs', 'scripts/code-cache.mjs', 'package.json', 'package-lock.json', ...LAUNCHERS.map(({ path }) => path)]
const NOTICES = 'dist/THIRD-PARTY-NOTICES.txt'

const TARGET = { absWorkingDir: ROOT, target: 'node20.19', legalComments: 'none', logLevel: 'warning' }

/** What may be as new as its sources: the command line with its packages inside, and the library, which leaves its dependencies to whoever installs it. */
const PROGRAM = { entry: 'src/cli/main.ts', out: 'dist/cli.cjs', parts: 'dist/cli' }
/**
 * Split at its `await import()`s: a preset's name needs no schemas. It carries packages that need others: what lies in node_modules runs outside,
 * and a sandbox has to protect it.
 */
const LIBRARY = { entry: 'src/index.ts', out: 'dist/index.js', parts: 'dist/index' }
const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
/**
 * Packages in CommonJS ask for Node's own parts, which an ES module imports. No `createRequire`: whoever bundles the library as CommonJS has
 * no address of a module to give it.
 */
const IMPORT_NODE_PARTS = {
  name: 'import-node-parts',
  setup(build) {
    build.onResolve({ filter: /./ }, ({ path, kind }) => kind === 'require-call' && isBuiltin(path) ? { path, namespace: 'node-part' } : undefined)
    build.onLoad({ filter: /./, namespace: 'node-part' }, ({ path }) => ({ contents: `export * from ${JSON.stringify(path.startsWith('node:') ? path : `node:${path}`)}`, loader: 'js' }))
  },
}

/**
 * The steps that write both bundles and the code cache, or none where they are as new as their sources.
 *
 * @param before  the steps that go before it, some of which may build a launcher
 */
export function bundleSteps(before) {
  if (before.length === 0 && readStamps('dist').bundle === hashFiles(BUNDLE_SOURCES) && [PROGRAM, LIBRARY].every(({ out, parts }) => existsSync(join(ROOT, out)) && existsSync(join(ROOT, parts)))) return hasCodeCache() ? [] : [codeCacheStep]
  return [{
    title: 'bundling TypeScript',
    async run() {
      await bundle()
      writeStamp('dist', 'bundle', hashFiles(BUNDLE_SOURCES))
    },
  }, codeCacheStep]
}

async function bundle() {
  const esbuild = await import('esbuild')
  const launchers = Object.fromEntries(LAUNCHERS.filter(({ path }) => existsSync(join(ROOT, path))).map(({ arch, path }) => [arch, sha256(path)]))
  // A text, which stands where it is used; an object would stand in the file that is loaded first.
  const filters = JSON.stringify(JSON.stringify(await assembleFilters(esbuild)))
  const builtWith = as => ({ ...TARGET, define: { BUILT_WITH: JSON.stringify({ launchers, as }), ASSEMBLED_FILTERS: filters } })
  try {
    const { program, parts, inputs } = await bundleProgram(esbuild, PROGRAM.entry, { ...builtWith('program'), outdir: 'dist' }, basename(PROGRAM.parts))
    writeParts(PROGRAM, parts, program, 0o755)
    const library = await esbuild.build({
      ...builtWith('library'), entryPoints: [LIBRARY.entry], outdir: 'dist', chunkNames: 'index/[name]-[hash]', write: false, bundle: true, platform: 'node',
      format: 'esm', external: Object.keys(dependencies), plugins: [IMPORT_NODE_PARTS], splitting: true, metafile: true,
    })
    writeWhole(join(ROOT, NOTICES), notices([...inputs, ...Object.keys(library.metafile.inputs)]))
    const files = library.outputFiles.map(({ path, text }) => ({ name: basename(path), text }))
    const isIndex = ({ name }) => name === basename(LIBRARY.out)
    writeParts(LIBRARY, files.filter(file => !isIndex(file)), files.find(isIndex).text, 0o644)
  } catch (cause) {
    throw new SetUpError('esbuild could not bundle the sources; its messages are above.', { cause })
  }
}

/** By the sources themselves; see src/platform/linux/seccomp/plan-filters.ts. */
async function assembleFilters(esbuild) {
  const { outputFiles: [{ text }] } = await esbuild.build({ ...TARGET, entryPoints: ['src/platform/linux/seccomp/plan-filters.ts'], write: false, bundle: true, platform: 'node', format: 'esm' })
  const { usualFilters } = await import(`data:text/javascript;base64,${Buffer.from(text).toString('base64')}`)
  return usualFilters()
}

/** The parts first, since the file loads them; the old ones last: a process that has loaded the old file may still load one until then. */
function writeParts({ out, parts: folder }, parts, text, mode) {
  mkdirSync(join(ROOT, folder), { recursive: true })
  for (const part of parts) writeWhole(join(ROOT, folder, part.name), part.text, 0o644)
  writeWhole(join(ROOT, out), text, mode)
  const names = new Set(parts.map(({ name }) => name))
  for (const name of readdirSync(join(ROOT, folder))) if (!names.has(name)) rmSync(join(ROOT, folder, name))
}

const sha256 = path => createHash('sha256').update(readFileSync(join(ROOT, path))).digest('hex')

/** The licences of the packages that a bundle carries, as those licences ask. */
function notices(inputs) {
  const packages = [...new Set(inputs.map(path => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean))].sort()
  return packages.map(name => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
    return `dist contains ${name} ${version}:\n\n${readFileSync(join(ROOT, 'node_modules', name, licenceOf(name)), 'utf8')}`
  }).join(`\n${'-'.repeat(80)}\n`)
}

/** Whatever the package calls the file. */
function licenceOf(name) {
  const file = readdirSync(join(ROOT, 'node_modules', name)).find(each => /^licen[cs]e(\.(md|txt))?$/i.test(each))
  if (file === undefined) throw new SetUpError(`node_modules/${name} has no file with its licence, which ${NOTICES} needs.`)
  return file
}

/** The step that writes dist/types. */
const typesStep = {
  title: 'writing type declarations (tsc)',
  run() {
    rmSync(join(ROOT, 'dist/types'), { recursive: true, force: true })
    const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: ROOT, stdio: ['ignore', 2, 2] })
    if (status !== 0) throw new SetUpError('the sources do not compile; the compiler\'s messages are above.')
  },
}

/** With the bundles at the end. */
const withBundles = before => [...before, ...bundleSteps(before)]
/** All that must be there before the CLI runs. */
export const readySteps = () => withBundles([...installSteps(), ...launcherSteps()])

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(async () => {
    checkNode()
    const { values } = parseArgs({ options: { 'if-stale': { type: 'boolean' }, release: { type: 'boolean' } } })
    if (values['if-stale']) return runSteps(withBundles(launcherSteps()))
    const before = [...installSteps(), ...launcherSteps()]
    for (const arch of ['x64', 'arm64'].filter(other => other !== process.arch)) {
      const missing = missingCompiler(arch)
      if (missing === undefined) before.push(...launcherSteps('release', arch, { strict: true }))
      else if (values.release) throw new SetUpError(`a release carries the launcher for ${arch} too, but ${missing}.`)
      else say(`note: no launcher for ${arch}: ${missing}`)
    }
    await runSteps([...withBundles(before), typesStep])
  })
}
