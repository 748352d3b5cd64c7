// The tests' own containers (test/support/docker-like.ts), for scripts: bundled, since that is TypeScript.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from './setup.mjs'

export async function loadContainers() {
  // A fresh clone has no packages yet when this file is loaded.
  const { build } = await import('esbuild')
  const outfile = join(ROOT, 'build/docker-like.mjs')
  await build({ absWorkingDir: ROOT, entryPoints: ['test/support/docker-like.ts'], outfile, bundle: true, platform: 'node', format: 'esm', target: 'node20.19', logLevel: 'error' })
  return import(pathToFileURL(outfile).href)
}
