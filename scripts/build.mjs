// Builds what the package carries: dist/cli.cjs and dist/index.js (esbuild), the launcher (C) and the type declarations (tsc).
// Run: node scripts/build.mjs [--if-stale] [--release]
// --if-stale: only what the CLI and the tests need, and never the packages, since vitest runs from them while it calls this.
// --release: the launcher of the other processor too, and a failure where it cannot be built.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createHash } from 'node:crypto'
import { launcherPath, launcherSteps, missingCompiler } from './build-native.mjs'
import { checkNode, hashFiles, installSteps, main, readStamps, ROOT, runSteps, say, SetUpError, writeStamp, writeWhole } from './setup.mjs'

/** The bundles know the hashes of the launchers, so they are written after these. */
const LAUNCHERS = ['x64', 'arm64'].map(arch => ({ arch, path: launcherPath('release', arch) }))
const BUNDLE_SOURCES = ['src', 'scripts/build.mjs', 'package.json', 'package-lock.json', ...LAUNCHERS.map(({ path }) => path)]
const NOTICES = 'dist/THIRD-PARTY-NOTICES.txt'

/** In a CommonJS file `import.meta.url` has to be made; and `import()` of a part of Node would start the loader of ES modules. */
const COMMON_JS = {
  format: 'cjs', supported: { 'dynamic-import': false }, define: { 'import.meta.url': 'ownUrl' },
  banner: { js: '#!/usr/bin/env node\nconst ownUrl=require("node:url").pathToFileURL(__filename).href;' },
}

/**
 * `cli` is one file with its packages inside. What it imports with `await import()` stays in that file and is evaluated on first use
 * only. CommonJS, because Node starts it 5 to 10 % faster, and names are kept, so that a stack in a bug report can be read.
 * No compile cache: Node's lies in the temporary folder, where sandboxed commands may write.
 * `index` leaves the packages to whoever installs this one, and is split at its `await import()`s: a preset's name needs no schemas.
 */
const BUNDLES = [
  { entry: 'src/cli/main.ts', out: 'dist/cli.cjs',  as: 'program', options: { ...COMMON_JS, minifySyntax: true, minifyWhitespace: true }, mode: 0o755 },
  { entry: 'src/index.ts',    out: 'dist/index.js', as: 'library', options: { format: 'esm', packages: 'external', splitting: true, chunkNames: 'index/[name]-[hash]' }, mode: 0o644 },
]
/** The parts of `index`, written anew each time. */
const PARTS = 'dist/index'

/**
 * The step that writes both bundles, or none where they are as new as their sources.
 *
 * @param before  the steps that go before it, some of which may build a launcher
 */
export function bundleSteps(before) {
  if (before.length === 0 && readStamps('dist').bundle === hashFiles(BUNDLE_SOURCES) && BUNDLES.every(({ out }) => existsSync(join(ROOT, out)))) return []
  return [{
    title: 'bundling TypeScript',
    async run() {
      await bundle()
      writeStamp('dist', 'bundle', hashFiles(BUNDLE_SOURCES))
    },
  }]
}

async function bundle() {
  const { build } = await import('esbuild')
  mkdirSync(join(ROOT, 'dist'), { recursive: true })
  const parts = new Set()
  const launchers = Object.fromEntries(LAUNCHERS.filter(({ path }) => existsSync(join(ROOT, path))).map(({ arch, path }) => [arch, sha256(path)]))
  for (const { entry, out, as, options, mode } of BUNDLES) {
    let result
    try {
      result = await build({
        absWorkingDir: ROOT, entryPoints: [{ in: entry, out: basename(out).replace(/\.[^.]+$/, '') }], outdir: 'dist', outExtension: { '.js': extname(out) }, write: false, metafile: true,
        bundle: true, platform: 'node', target: 'node20.19', legalComments: 'none', logLevel: 'warning', ...options,
        define: { ...options.define, BUILT_WITH: JSON.stringify({ launchers, as }) },
      })
    } catch (cause) {
      throw new SetUpError(`esbuild could not bundle ${entry}; its messages are above.`, { cause })
    }
    for (const file of result.outputFiles) {
      mkdirSync(dirname(file.path), { recursive: true })
      writeWhole(file.path, file.contents, mode)
      parts.add(basename(file.path))
    }
    if (options.packages !== 'external') writeWhole(join(ROOT, NOTICES), notices(Object.keys(result.metafile.inputs)))
  }
  // After the new ones are there: a process that has loaded the old index may still load a part of it until here.
  for (const name of readdirSync(join(ROOT, PARTS))) if (!parts.has(name)) rmSync(join(ROOT, PARTS, name))
}

const sha256 = path => createHash('sha256').update(readFileSync(join(ROOT, path))).digest('hex')

/** The licences of the packages that a bundle carries, as those licences ask. */
function notices(inputs) {
  const packages = [...new Set(inputs.map(path => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean))].sort()
  return packages.map(name => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'))
    return `dist/cli.cjs contains ${name} ${version}:\n\n${readFileSync(join(ROOT, 'node_modules', name, 'LICENSE'), 'utf8')}`
  }).join(`\n${'-'.repeat(80)}\n`)
}

/** The step that writes dist/types. */
export const typesStep = {
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
