// The back end for macOS: its probe, its compiler and its launcher behind the one interface.
import type { Backend } from '../backend.js'
import { compileSeatbelt } from './compile.js'
import { SeatbeltLauncher, type SeatbeltPrograms } from './launcher.js'
import { probeSeatbelt } from './probe.js'

/** @param programs  stand-ins for the system's own, for tests on other systems */
export function macosSeatbeltBackend(programs: SeatbeltPrograms = {}): Backend {
  return {
    name: 'macos-seatbelt',
    probe: () => probeSeatbelt(programs.sandboxExec),
    compile: compileSeatbelt,
    async start(plan) {
      if (plan.backend !== 'macos-seatbelt') throw new Error(`a plan for ${plan.backend}`)
      const launcher = new SeatbeltLauncher(plan, programs)
      await launcher.ready()
      return launcher
    },
  }
}
