// Where the built launcher lies, and what of this package runs outside and so must stay read-only inside.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SandboxError } from '../../../errors.js'

const PACKAGE_NAME = 'codex-sandbox'
const BUILT_FOR: readonly string[] = ['x64', 'arm64']

/**
 * The launcher for this processor: `launcherPath` where the caller gives one, else the package's own.
 *
 * @throws SandboxError `path_not_absolute`, `launcher_not_found`, `platform_unsupported`
 */
export function findLauncher(launcherPath?: string): string {
  if (launcherPath !== undefined) {
    if (typeof launcherPath !== 'string' || !isAbsolute(launcherPath)) throw new SandboxError('path_not_absolute', { field: 'launcherPath', value: launcherPath })
    if (!existsSync(launcherPath)) throw new SandboxError('launcher_not_found', { field: 'launcherPath', value: launcherPath })
    return launcherPath
  }
  if (!BUILT_FOR.includes(process.arch)) {
    throw new SandboxError('platform_unsupported', { field: 'processor', value: process.arch }, { remedy: `There is a launcher for ${BUILT_FOR.join(' and ')}.` })
  }
  const path = ownLauncher(findPackage().root)
  if (!existsSync(path)) throw new SandboxError('launcher_not_found', { field: 'launcher', value: path })
  return path
}

/**
 * Files and folders that commands must never write: what this process has loaded of the package, would load later, or will
 * start. Absolute, existing.
 */
export function packageRuntimePaths(launcherPath?: string): string[] {
  const { root, dependencies } = findPackage()
  const loaded = relative(root, ownFile()).split(sep)[0] as string
  const own = [...new Set(['dist', loaded, 'package.json'])].map(name => join(root, name)).filter(path => existsSync(path))
  return [...own, ...dependencies.flatMap(name => findDependency(root, name)), ...(launcherPath === undefined ? [] : [launcherPath]), process.execPath]
}

/** As Node looks for it: in the `node_modules` of this folder or of the nearest one above. None where it was bundled. */
function findDependency(root: string, name: string): string[] {
  for (let folder = root; ; folder = dirname(folder)) {
    const path = join(folder, 'node_modules', name)
    if (existsSync(path)) return [path]
    if (dirname(folder) === folder) return []
  }
}

const ownLauncher = (root: string): string => join(root, 'dist', 'launcher', `linux-${process.arch}`, 'codex-sandbox-launcher')

const ownFile = (): string => fileURLToPath(import.meta.url)

/** This package, from wherever this file was built or bundled to. */
function findPackage(): { root: string; dependencies: string[] } {
  for (let folder = dirname(ownFile()); ; folder = dirname(folder)) {
    const path = join(folder, 'package.json')
    if (existsSync(path)) {
      const { name, dependencies } = JSON.parse(readFileSync(path, 'utf8')) as { name?: string; dependencies?: Record<string, string> }
      if (name === PACKAGE_NAME) return { root: folder, dependencies: Object.keys(dependencies ?? {}) }
    }
    if (dirname(folder) === folder) throw new Error(`no package.json of ${PACKAGE_NAME} above ${ownFile()}`)
  }
}
