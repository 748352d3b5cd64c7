// What a fresh clone needs before anything runs: a recent Node, the packages, the build. Plain Node, no packages, since there are none yet.
// Progress and failures are one line each, on stderr: stdout belongs to the command.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** As the CLI exits when the sandbox could not be made. */
export const SET_UP_FAILED = 125
const OLDEST_NODE = [20, 19]

/** A failure with one line for people: printed without a stack trace. */
export class SetUpError extends Error {}

export const say = line => process.stderr.write(`${line}\n`)

/** Runs a script's main function; a SetUpError is printed as its one line. */
export async function main(run) {
  try {
    await run()
  } catch (error) {
    if (!(error instanceof SetUpError)) throw error
    say(`codex-sandbox: ${error.message}`)
    process.exit(SET_UP_FAILED)
  }
}

export function checkNode(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number)
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return
  throw new SetUpError(`Node ${version} is too old: Node ${OLDEST_NODE.join('.')} or newer is needed (https://nodejs.org).`)
}

/** Carries out those of `steps` ({ title, run }) that are given, each announced by one line with its place. */
export async function runSteps(steps) {
  for (const [index, { title, run }] of steps.entries()) {
    say(`[${index + 1}/${steps.length}] ${title}…`)
    await run()
  }
}

/** The step that installs the packages, or none where those of the lock file are there. */
export function installSteps() {
  const lock = join(ROOT, 'package-lock.json')
  const installed = join(ROOT, 'node_modules/.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return []
  // `npm ci` would follow the link and empty the folder that it leads to, which may be another clone's.
  if (lstatSync(join(ROOT, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new SetUpError('node_modules is a symbolic link, and what it leads to is older than package-lock.json: run `npm ci` there, or remove the link.')
  }
  return [{ title: 'installing packages (npm ci)', run: install }]
}

function install() {
  // npm names itself in its scripts' environment; a script that was started without npm takes the one on PATH.
  const npm = process.env.npm_execpath
  const [program, ...first] = npm !== undefined && /\.[cm]?js$/.test(npm) ? [process.execPath, npm] : ['npm']
  // No package needs its install script (esbuild's only checks the binary that its platform package carries).
  const words = [...first, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error']
  const { error, status } = spawnSync(program, words, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] })
  if (error?.code === 'ENOENT') throw new SetUpError('npm was not found on PATH; it comes with Node (https://nodejs.org).')
  if (error || status !== 0) throw new SetUpError(`\`npm ci\` failed in ${ROOT}; its message is above.`)
}

/** A hash of files' names and contents; folders count with all that is below them. */
export function hashFiles(paths) {
  const hash = createHash('sha256')
  for (const path of paths.flatMap(listFiles)) hash.update(path).update('\0').update(readFileSync(join(ROOT, path))).update('\0')
  return hash.digest('hex')
}

function listFiles(path) {
  if (!existsSync(join(ROOT, path))) return []
  if (!statSync(join(ROOT, path)).isDirectory()) return [path]
  return readdirSync(join(ROOT, path)).sort().flatMap(name => listFiles(`${path}/${name}`))
}

/** What each output in `folder` was built from: by a name, the hash of its sources. */
export function readStamps(folder) {
  try {
    return JSON.parse(readFileSync(join(ROOT, folder, '.built-from.json'), 'utf8'))
  } catch {
    return {} // none, or torn: build again
  }
}

export function writeStamp(folder, name, hash) {
  mkdirSync(join(ROOT, folder), { recursive: true })
  writeWhole(join(ROOT, folder, '.built-from.json'), `${JSON.stringify({ ...readStamps(folder), [name]: hash }, null, 2)}\n`)
}

/** Replaces a file in one step, so that a program which is running or being read stays whole. */
export function writeWhole(path, content, mode = 0o644) {
  const unfinished = `${path}.${process.pid}.tmp`
  writeFileSync(unfinished, content, { mode })
  renameSync(unfinished, path)
}
