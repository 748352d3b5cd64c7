// Which layers this Windows machine offers. Changes nothing.
import type { LayerReport } from '../backend.js'
import { findWindowsAddon, type FoundAddon } from './addon.js'
import { WINDOWS_LAYER } from './layer.js'

/** @param found  a test's in the place of the package's own addon */
export function probeWindows(found: FoundAddon = findWindowsAddon()): LayerReport[] {
  return [found.ok ? { layer: WINDOWS_LAYER, available: true } : { layer: WINDOWS_LAYER, available: false, reason: `${found.path}: ${found.reason}`, remedy: found.remedy }]
}
