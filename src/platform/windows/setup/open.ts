// Set-up of this machine, over the addon.
import { dirname, join } from 'node:path'
import { SandboxError } from '../../../errors.js'
import { findPackage, type OwnPackage } from '../../../host/own-package.js'
import type { WindowsAddon } from '../addon.js'
import { windowsSystem } from './addon-system.js'
import { setUpCalls } from './calls.js'
import { type HelperOptions, serveElevated } from './elevation.js'
import type { WindowsSetUpCalls } from './report.js'
import type { WindowsSystem } from './system.js'

export interface WindowsSetUpPlace {
  readonly addon: WindowsAddon
  /** Absolute: CODEX_HOME, or its default. */
  readonly codexHome: string
}

/** @throws SandboxError `layer_missing` where this package was bundled into another program: the helper is its command line */
export const openWindowsSetUp = (place: WindowsSetUpPlace): WindowsSetUpCalls => setUpCalls(systemOf(place))

/** `codex-sandbox windows helper`: never started by a person. Resolves with the exit code. */
export const runElevatedHelper = (place: WindowsSetUpPlace, options: HelperOptions): Promise<number> => serveElevated(systemOf(place), options)

function systemOf({ addon, codexHome }: WindowsSetUpPlace): WindowsSystem {
  // The helper never runs in a workspace: what Windows looks for in the current folder, such as libraries, commands may have put there.
  return windowsSystem({ addon, codexHome, self: { program: process.execPath, args: [commandLineOf(findPackage())], cwd: dirname(process.execPath) } })
}

/** Ours by its place in the package, whatever program uses it. */
function commandLineOf(own: OwnPackage | undefined): string {
  if (own !== undefined) return join(own.root, 'dist', 'cli.cjs')
  throw new SandboxError('layer_missing', { field: 'windows-addon', value: 'bundled' }, { detail: 'this code was bundled into another program, and set-up starts the package\'s own command line', remedy: 'Leave this package out of the bundle (mark it as external).' })
}
