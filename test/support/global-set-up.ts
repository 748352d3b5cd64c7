// Runs once before all tests, also when vitest is started by hand: the launcher and the bundles are there and current.
// Where they cannot be built, the tests that need them fail by themselves; the others run.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const BUILD = fileURLToPath(new URL('../../scripts/build.mjs', import.meta.url))

export default function setUp(): void {
  spawnSync(process.execPath, [BUILD, '--if-stale'], { stdio: ['ignore', 2, 2] })
}
