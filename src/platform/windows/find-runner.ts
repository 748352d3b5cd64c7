// Where the program lies that runs commands: beside the addon, in this package's `dist`, which no command may write.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { SandboxError } from '../../errors.js'
import { findPackage } from '../../host/own-package.js'
import type { AddonPlace } from './addon.js'
import { WINDOWS_LAYER } from './layer.js'

const RUNNER_FILE = 'codex-sandbox-runner.exe'

/** @throws SandboxError `layer_missing`: it is not built, or this code was bundled into another program */
export function findRunner({ own = findPackage(), arch = process.arch }: Omit<AddonPlace, 'load'> = {}): string {
  const path = own === undefined ? undefined : join(own.root, 'dist', `windows-${arch}`, RUNNER_FILE)
  if (path !== undefined && existsSync(path)) return path
  throw new SandboxError('layer_missing', { field: WINDOWS_LAYER, value: path ?? 'bundled' }, {
    detail: 'the program that runs commands is not built', remedy: 'Build it: `node scripts/build-windows-addon.mjs`, on Windows with Visual Studio\'s C++ build tools; docs/windows.md says how.',
  })
}
