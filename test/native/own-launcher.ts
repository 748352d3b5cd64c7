// A copy of a built launcher under a name that no other process has: what is left of it is found by that name, for every user,
// although launchers hide their memory, and other tests run launchers at the same time.
import { chmodSync, copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { processesNamed } from './host-processes.js'

const BUILT = {
  release: 'dist/launcher',
  'fault-injection': 'build/launcher-fault-injection',
  sanitizers: 'build/launcher-sanitizers',
} as const

export interface OwnLauncher {
  readonly path: string
  /** The monitors, forkers and inits that are there now. */
  processes(): number[]
}

let made = 0

/**
 * Removed when the test ends.
 *
 * @param variables  of the launcher's environment, which its client leaves empty: it is started through a script that sets them
 */
export function ownLauncher(variant: keyof typeof BUILT = 'release', variables: Readonly<Record<string, string>> = {}): OwnLauncher {
  const built = join(BUILT[variant], `linux-${process.arch}`, 'codex-sandbox-launcher')
  if (!existsSync(built)) throw new Error(`${built} is not built: node scripts/build-native.mjs --variant ${variant}`)
  const folder = mkdtempSync('/var/tmp/own-launcher-')
  onTestFinished(() => rmSync(folder, { recursive: true }))
  // The kernel keeps 15 bytes of a process's name.
  const name = `cs${process.pid}-${++made}`.slice(0, 15)
  const program = join(folder, name)
  copyFileSync(built, program)
  const words = Object.entries(variables).map(([variable, value]) => `${variable}='${value}'`)
  const path = words.length === 0 ? program : join(folder, 'start')
  if (path !== program) writeFileSync(path, `#!/bin/sh\n${words.join(' ')} exec '${program}' "$@"\n`)
  for (const file of [program, path]) chmodSync(file, 0o755)
  return { path, processes: () => processesNamed(name) }
}
