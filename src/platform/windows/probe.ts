// Which layers this Windows machine offers. Changes nothing.
import { SandboxError } from '../../errors.js'
import type { LayerReport } from '../backend.js'
import { findWindowsAddon, type FoundAddon } from './addon.js'
import { findRunner } from './find-runner.js'
import { WINDOWS_LAYER } from './layer.js'

/**
 * One layer, the package's own native part: what of the machine itself is missing is set-up, which is told by the plan's error.
 *
 * @param found   a test's in the place of the package's own addon
 * @param runner  the same for the program that runs commands
 */
export function probeWindows(found: FoundAddon = findWindowsAddon(), runner: () => string = findRunner): LayerReport[] {
  const missing = (reason: string, remedy: string): LayerReport[] => [{ layer: WINDOWS_LAYER, available: false, reason, remedy }]
  if (!found.ok) return missing(`${found.path}: ${found.reason}`, found.remedy)
  try {
    runner()
    return [{ layer: WINDOWS_LAYER, available: true }]
  } catch (error) {
    if (!(error instanceof SandboxError) || error.code !== 'layer_missing') throw error
    return missing('the program that runs commands is not built', error.remedy)
  }
}
