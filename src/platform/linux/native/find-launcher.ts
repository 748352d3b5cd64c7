// Where the built launcher lies, and what of this package runs outside and so must stay read-only inside.
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { SandboxError } from '../../../errors.js'
import { findPackage, ownFile, PACKAGE_NAME } from '../../../host/own-package.js'

const PROGRAM = 'codex-sandbox-launcher'
/** Above it the folder of a bundle is protected as a whole. */
const MOST_PARTS = 100
const BUILT_FOR: readonly string[] = ['x64', 'arm64']
/** Names a launcher where a program that this package is bundled into has none beside it. */
const VARIABLE = 'CODEX_SANDBOX_LAUNCHER'

interface BuiltWith {
  /** SHA-256 in hex of the launchers that were built with this code, by processor. */
  readonly launchers: Readonly<Record<string, string>>
  /** A library may be bundled, and then what stands beside it may be anybody's; a program stands where it was installed. */
  readonly as: 'library' | 'program'
}
/** Put in by scripts/build.mjs. Not there when run from source, where any launcher is taken. */
declare const BUILT_WITH: BuiltWith
const builtWith = typeof BUILT_WITH === 'undefined' ? undefined : BUILT_WITH

/** A launcher that the caller or the environment names, instead of the package's own. */
export interface NamedLauncher {
  /** The option or variable that names it. */
  readonly field: string
  readonly path: string
  /** Expected instead of the package's own. */
  readonly sha256?: string | undefined
}

/** What `launcherPath` and `launcherSha256` say, else CODEX_SANDBOX_LAUNCHER. An empty variable names nothing. */
export function namedLauncher(
  { launcherPath, launcherSha256 }: { readonly launcherPath?: string | undefined; readonly launcherSha256?: string | undefined },
  env: Readonly<Record<string, string | undefined>>,
): NamedLauncher | undefined {
  if (launcherPath !== undefined) return { field: 'launcherPath', path: launcherPath, sha256: launcherSha256 }
  if (launcherSha256 !== undefined) throw new SandboxError('option_invalid', { field: 'launcherSha256', value: launcherSha256 }, { detail: 'it belongs to launcherPath', remedy: 'Give both, or none.' })
  const path = env[VARIABLE]
  return path === undefined || path === '' ? undefined : { field: VARIABLE, path }
}

/**
 * The launcher for this processor: the one that is named, else the package's own. It runs with the user's rights, so it has to be one
 * that was built with this code, whoever names it.
 *
 * @throws SandboxError `path_not_absolute`, `launcher_not_found`, `launcher_not_known`, `platform_unsupported`
 */
export function findLauncher(named?: NamedLauncher): string {
  if (named !== undefined) {
    const { field, path, sha256 } = named
    if (typeof path !== 'string' || !isAbsolute(path)) throw new SandboxError('path_not_absolute', { field, value: path })
    if (!existsSync(path)) throw new SandboxError('launcher_not_found', { field, value: path })
    refuseUnknown(field, path, sha256 ?? builtWith?.launchers[process.arch])
    return path
  }
  if (!BUILT_FOR.includes(process.arch)) {
    throw new SandboxError('platform_unsupported', { field: 'processor', value: process.arch }, { remedy: `There is a launcher for ${BUILT_FOR.join(' and ')}.` })
  }
  const root = findPackage()?.root
  if (root === undefined) throw new SandboxError('launcher_not_found', { field: 'launcher', value: ownFile() }, { detail: 'this code was bundled, and its launcher is a file of its own', remedy: whereToCopyFrom() })
  const path = join(root, 'dist', 'launcher', `linux-${process.arch}`, PROGRAM)
  if (!existsSync(path)) throw new SandboxError('launcher_not_found', { field: 'launcher', value: path })
  if (builtWith?.as === 'library') refuseUnknown('launcher', path, builtWith.launchers[process.arch])
  return path
}

const whereToCopyFrom = (): string => `Copy the launcher that require.resolve("${PACKAGE_NAME}/launcher/linux-${process.arch}") names, and name the copy: launcherPath or ${VARIABLE}.`

function refuseUnknown(field: string, path: string, expected: string | undefined): void {
  if (builtWith === undefined && expected === undefined) return
  const found = createHash('sha256').update(readLauncher(field, path)).digest('hex')
  if (found === expected?.toLowerCase()) return
  throw new SandboxError('launcher_not_known', { field, value: path }, {
    detail: `its SHA-256 is ${found}${expected === undefined ? '' : `, not ${expected}`}`,
    remedy: field === 'launcher' ? 'Run `npm run build`, or install the package again.' : whereToCopyFrom(),
  })
}

function readLauncher(field: string, path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new SandboxError('launcher_not_found', { field, value: path }, { detail: `it cannot be read (${(error as NodeJS.ErrnoException).code})`, cause: error })
  }
}

/**
 * Files and folders that commands must never write: what this process has loaded of the package, would load later, or will
 * start. Absolute, existing.
 */
export function packageRuntimePaths(named?: NamedLauncher): string[] {
  return [...packageFiles(), ...(named !== undefined && isAbsolute(named.path) ? [named.path] : []), process.execPath]
}

function packageFiles(): string[] {
  const found = findPackage()
  if (found === undefined) return bundleFiles()
  const { root, dependencies } = found
  const loaded = relative(root, ownFile()).split(sep)[0] as string
  const own = [...new Set(['dist', loaded, 'package.json'])].map(name => join(root, name)).filter(path => existsSync(path))
  return [...own, ...dependencies.flatMap(name => findDependency(root, name))]
}

/** As Node looks for it: in the `node_modules` of this folder or of the nearest one above. None where it was bundled. */
function findDependency(root: string, name: string): string[] {
  for (let folder = root; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name)
    if (existsSync(path)) return [path]
    if (dirname(folder) === folder) return []
  }
}

/**
 * The program that this code was bundled into: the script that Node was started with, and what lies beside the file that this code is
 * in, since a bundle may be in parts of which some are loaded later. Some bundlers write that place at build time, which is nowhere now.
 */
function bundleFiles(): string[] {
  const own = ownFile()
  const folder = dirname(own)
  const parts = existsSync(own) ? readdirSync(folder).filter(name => /\.[cm]?js$/.test(name)).map(name => join(folder, name)) : []
  return [...new Set([own, process.argv[1] ?? own, ...(parts.length > MOST_PARTS ? [folder] : parts)])].filter(path => existsSync(path))
}
