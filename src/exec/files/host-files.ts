// `sandbox.files` where nothing is confined (danger-full-access, external-sandbox): Node's own, from the policy's cwd on.
import { resolve } from 'node:path'
import type { SandboxFiles } from './files.js'

/** @param cwd  throws where the sandbox is closed */
export function makeHostFiles(cwd: () => string): SandboxFiles {
  const fs = () => import('node:fs/promises')
  const at = (path: string) => resolve(cwd(), path)
  const files = {
    readFile: async (path: string, options?: Parameters<SandboxFiles['readFile']>[1]) => (await fs()).readFile(at(path), options),
    writeFile: async (path: string, data: string | Uint8Array, options?: Parameters<SandboxFiles['writeFile']>[2]) => (await fs()).writeFile(at(path), data, options),
    mkdir: async (path: string, options?: Parameters<SandboxFiles['mkdir']>[1]) => (await fs()).mkdir(at(path), options),
    rename: async (from: string, to: string) => (await fs()).rename(at(from), at(to)),
    rm: async (path: string, options?: Parameters<SandboxFiles['rm']>[1]) => (await fs()).rm(at(path), options),
    readdir: (async (path: string, options?: object | null) => (await fs()).readdir(at(path), options)) as unknown as SandboxFiles['readdir'],
    stat: async (path: string) => (await fs()).stat(at(path)),
    lstat: async (path: string) => (await fs()).lstat(at(path)),
  }
  return files as SandboxFiles
}
