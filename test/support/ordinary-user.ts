// A user made for one run: a uid that nobody has, a home, and a copy of what it needs of this checkout, which it may not read.
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** For packages that are CommonJS, as in scripts/build.mjs. */
const REQUIRE = 'import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);'
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface OrdinaryUser {
  readonly uid: number
  /** Its own, empty. */
  readonly home: string
  /** A folder of root's, which the user may read. */
  readonly shared: string
  /** As `run` does, for whoever starts it in another way. @returns its path */
  bundle(entry: string): Promise<string>
  /** Bundles a test's TypeScript file as a part of this package, so that it finds the launcher, and runs it as the user. */
  run(entry: string, env?: Readonly<Record<string, string>>): Promise<ChildProcess>
  /** Removes all of it, once its processes are over. */
  remove(): void
}

/** Only root can make one. */
export function makeOrdinaryUser(): OrdinaryUser {
  const uid = unusedUid()
  const root = realpathSync(mkdtempSync('/tmp/codex-sandbox-user-'))
  const home = join(root, 'home')
  const shared = join(root, 'package')
  chmodSync(root, 0o755)
  mkdirSync(home, { mode: 0o700 })
  chownSync(home, uid, uid)
  const launcher = join('dist', 'launcher', `linux-${process.arch}`)
  cpSync(join(ROOT, launcher), join(shared, launcher), { recursive: true })
  copyFileSync(join(ROOT, 'package.json'), join(shared, 'package.json'))
  const bundle = async (entry: string): Promise<string> => {
    const { build } = await import('esbuild') // not where only the tables are run (scripts/test-kernels.mjs)
    const outfile = join(shared, 'dist', 'entry.mjs')
    await build({ absWorkingDir: ROOT, entryPoints: [entry], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20.19', logLevel: 'error', banner: { js: REQUIRE } })
    makeReadable(dirname(outfile))
    return outfile
  }
  return {
    uid, home, shared, bundle,
    run: async (entry, env = {}) => {
      return spawn(process.execPath, [await bundle(entry)], {
        uid, gid: uid, cwd: home, stdio: ['ignore', 'pipe', 'inherit'],
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8', ...env },
      })
    },
    remove: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** Far from those that distributions and containers give out. */
function unusedUid(): number {
  const taken = new Set(readFileSync('/etc/passwd', 'utf8').split('\n').map(line => Number(line.split(':')[2])))
  let uid = 54_321
  while (taken.has(uid)) uid++
  return uid
}

/** Whatever the umask is. */
function makeReadable(folder: string): void {
  for (let at = folder; at.startsWith('/tmp/codex-sandbox-user-'); at = dirname(at)) chmodSync(at, 0o755)
  chmodSync(join(folder, 'entry.mjs'), 0o644)
}
