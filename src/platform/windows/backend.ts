// The back end for Windows: its probe, its compiler and its launcher behind the one interface.
import type { Backend } from '../backend.js'
import type { WindowsMode, WindowsPlan } from '../launch-plan.js'
import { compileWindows } from './compile.js'
import { probeWindows } from './probe.js'
import { startWindows, type WindowsParts } from './start.js'

/** @param parts  stand-ins for the package's own, for tests */
export function windowsBackend(mode: WindowsMode, parts?: WindowsParts): Backend {
  return {
    name: `windows-${mode}`,
    probe: async () => probeWindows(),
    compile: (policy, layers, options) => compileWindows(policy, mode, layers, options),
    async start(plan) {
      if (plan.backend !== `windows-${mode}`) throw new Error(`a plan for ${plan.backend}`)
      return startWindows(plan as WindowsPlan, parts)
    },
  }
}
