// Builds the Windows addon with Visual Studio's compiler and puts it where the package loads it from: dist/windows-<processor>/. Only on
// Windows, with Node, Python 3 and Visual Studio's C++ build tools; for the processor that this Node is for.
// Run: node scripts/build-windows-addon.mjs
// `npm run test:windows` cross-compiles the same sources with MinGW for tests under Wine; what that makes is never put into dist.
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { installSteps, main, ROOT, runSteps, SetUpError } from './setup.mjs'

const SOURCES = join(ROOT, 'native', 'windows')
const BUILT = join(SOURCES, 'build', 'Release')
const FOLDER = join(ROOT, 'dist', `windows-${process.arch}`)
const ADDON = 'codex_sandbox.node'

/** What is built, by its name there; and the program that runs commands. */
const FILES = [{ from: 'addon.node', to: ADDON, required: true }, { from: 'codex-sandbox-runner.exe', to: 'codex-sandbox-runner.exe', required: true }]

await main(async () => {
  if (process.platform !== 'win32') throw new SetUpError('the Windows addon is built on Windows only: its compiler is Visual Studio\'s. For tests under Wine: npm run test:windows.')
  await runSteps([...installSteps(), { title: 'building the Windows addon (node-gyp, MSVC)', run: build }, { title: `putting it into ${FOLDER}`, run: place }])
})

function build() {
  const gyp = join(ROOT, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const { status, error } = spawnSync(process.execPath, [gyp, 'rebuild', '--directory', SOURCES, `--arch=${process.arch}`], { cwd: ROOT, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new SetUpError(`node-gyp failed (${error?.message ?? status}); its messages are above. It needs Python 3 and Visual Studio's C++ build tools.`)
}

/** A running program keeps the old file open: it is moved out of the way, which Windows allows, and never written over. */
function place() {
  mkdirSync(FOLDER, { recursive: true })
  for (const { from, to, required } of FILES) {
    const [built, target] = [join(BUILT, from), join(FOLDER, to)]
    if (!existsSync(built)) {
      if (required) throw new SetUpError(`node-gyp made no ${from}`)
      continue
    }
    if (existsSync(target)) renameSync(target, `${target}.${Date.now()}.old`)
    copyFileSync(built, target)
  }
}
