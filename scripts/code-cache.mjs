// What V8 makes of the file that every `run` loads, kept beside it for the Node that builds: with it a `run` compiles nothing. scripts/program-loader.cjs
// says when it is used. It holds what a first `run` has compiled, as that is what every later one needs; where no sandbox can be made, what came
// before that. `node scripts/code-cache.mjs FILE` is the process of that `run`.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import { isRunFile } from './bundle-program.mjs'
import { ROOT, say, writeWhole } from './setup.mjs'

const PROGRAM = join(ROOT, 'dist/cli.cjs')
const PARTS = join(ROOT, 'dist/cli')

/** Another Node's is another file, so that one build serves several. */
const codeCacheOf = text => `${text}.${process.version}-${process.platform}-${process.arch}.code-cache`

/** Undefined where nothing is built. */
function findRunFile() {
  const name = existsSync(PARTS) ? readdirSync(PARTS).find(isRunFile) : undefined
  return name === undefined ? undefined : join(PARTS, name)
}

export function hasCodeCache() {
  const text = findRunFile()
  return text !== undefined && existsSync(codeCacheOf(text))
}

/** Goes after the step that writes the bundles, which takes those of other texts away. */
export const codeCacheStep = { title: 'compiling the command line ahead of its first run', run: makeCodeCache }

function makeCodeCache() {
  const cache = codeCacheOf(findRunFile())
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  const folder = mkdtempSync(join(ROOT, 'build/code-cache-'))
  try {
    const workspace = join(folder, 'workspace')
    mkdirSync(workspace)
    // Flags of V8 would make it one that only a Node with the same flags takes.
    const env = { ...process.env, NODE_OPTIONS: '', XDG_STATE_HOME: join(folder, 'state'), XDG_CACHE_HOME: join(folder, 'cache') }
    const { stderr } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), cache], { cwd: workspace, env, encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' })
    // Nothing depends on it.
    if (!existsSync(cache)) say(`note: without it the command line starts slower: ${stderr.trim().split('\n').at(-1)}`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs the program in this process, and writes what V8 has compiled of it when it ends. */
function runAndKeep(cache) {
  const name = findRunFile()
  let kept
  // Caught here, so that the program itself needs no way to write it.
  vm.Script = class extends vm.Script {
    constructor(text, options) {
      super(text, options)
      if (options.filename === name) kept = { script: this, text: Buffer.from(text, 'latin1') }
    }
  }
  process.on('exit', () => {
    if (kept === undefined) return
    const data = kept.script.createCachedData()
    writeWhole(cache, Buffer.concat([createHash('sha256').update(kept.text).update(data).digest(), data]))
  })
  process.argv = [process.execPath, PROGRAM, 'run', '--', '/bin/true']
  createRequire(import.meta.url)(PROGRAM)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) runAndKeep(process.argv[2])
