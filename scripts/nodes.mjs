// Other Nodes than the one that runs, from npm's own packages of its binaries.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT, say, SetUpError } from './setup.mjs'

/**
 * @param version  as npm knows it: `20.19.0`, or `22` for the newest of that line
 * @param arch     `x64` or `arm64`; that machine's binary need not run here
 * @returns        the path of its binary, which is kept in build/nodes
 */
export function installNode(version, arch = process.arch) {
  const name = `node-${process.platform}-${arch}`
  const folder = join(ROOT, 'build/nodes', arch === process.arch ? version : `${version}-${arch}`)
  const binary = join(folder, 'node_modules', name, 'bin/node')
  if (existsSync(binary)) return binary
  say(`installing ${name}@${version}…`)
  mkdirSync(folder, { recursive: true })
  const words = ['install', '--prefix', folder, ...(arch === process.arch ? [] : ['--force']), '--ignore-scripts', '--no-audit', '--no-fund', '--no-save', '--loglevel=error', `${name}@${version}`]
  const { status } = spawnSync('npm', words, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0 || !existsSync(binary)) throw new SetUpError(`${name}@${version} could not be installed from the npm registry; its message is above.`)
  return binary
}
