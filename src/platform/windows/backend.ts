// The back end for Windows: its compiler behind the one interface. What carries a plan out is not built yet, and so everything is refused.
import { SandboxError } from '../../errors.js'
import type { Backend, LayerReport } from '../backend.js'
import type { WindowsMode } from '../launch-plan.js'
import { compileWindows } from './compile.js'
import { WINDOWS_LAYER } from './layer.js'
import { probeWindows } from './probe.js'

const NOT_BUILT: LayerReport = {
  layer: WINDOWS_LAYER, available: false, reason: 'this build makes plans for Windows, and has nothing yet that carries them out',
  remedy: 'Run it on Linux, in a virtual machine or WSL 2; or, with commands unconfined, say danger-full-access.',
}

export function windowsBackend(mode: WindowsMode): Backend {
  return {
    name: `windows-${mode}`,
    probe: async () => probeWindows(),
    compile: (policy, layers, options) => compileWindows(policy, mode, layers, options),
    async start() {
      throw new SandboxError('layer_missing', { field: WINDOWS_LAYER, value: 'not built' }, { detail: NOT_BUILT.reason as string, remedy: NOT_BUILT.remedy as string })
    },
  }
}
