// Where this package lies, from wherever this file was built to.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { textIfReadable } from './unless.js'

export const PACKAGE_NAME = 'codex-sandbox'

export interface OwnPackage {
  readonly root: string
  readonly version: string | undefined
  /** Names of those that it needs to run. */
  readonly dependencies: readonly string[]
}

/** This package; undefined where it was bundled into another program. */
export function findPackage(): OwnPackage | undefined {
  for (let folder = dirname(ownFile()); ; folder = dirname(folder)) {
    const description = describePackage(join(folder, 'package.json'))
    if (description?.name === PACKAGE_NAME) return { root: folder, version: description.version, dependencies: Object.keys(description.dependencies ?? {}) }
    if (dirname(folder) === folder) return undefined
  }
}

/** The file that this code is in. In a CommonJS bundle, as our own program is, there is no `import.meta.url`. */
export function ownFile(): string {
  const url = import.meta.url as string | undefined
  if (url !== undefined) return fileURLToPath(url)
  return typeof __filename === 'string' ? __filename : process.execPath
}

/** Undefined where there is none, or one that is not JSON: it is somebody else's. */
function describePackage(path: string): { readonly name?: string; readonly version?: string; readonly dependencies?: Record<string, string> } | undefined {
  const text = textIfReadable(path)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
