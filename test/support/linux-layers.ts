// Layer reports and compile options as a good host gives them, and hosts that lack some.
import type { CompileOptions, LayerReport } from '../../src/platform/backend.js'
import { type LayerName, LAYERS } from '../../src/platform/linux/native/layers.js'

/** All layers, but for `missing`; Landlock with `abi`. */
export function linuxLayers({ missing = [], abi = 7 }: { readonly missing?: readonly LayerName[]; readonly abi?: number } = {}): LayerReport[] {
  return LAYERS.map(({ layer }): LayerReport => missing.includes(layer)
    ? { layer, available: false, errno: 'EPERM', reason: `no ${layer} here`, remedy: `Get ${layer}.` }
    : { layer, available: true, ...(layer === 'landlock' ? { version: abi } : {}) })
}

export const compileOptions = (changes: Partial<CompileOptions> = {}): CompileOptions => ({
  allowDegraded: new Set(), limits: {}, architecture: 'x64', stateDirectory: '/state', cwdIdentity: { device: '1', inode: '1' }, ...changes,
})
