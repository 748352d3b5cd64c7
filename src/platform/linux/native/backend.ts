// The back end for Linux without helpers: its probe, its compiler and its launcher behind the one interface.
import { SandboxError } from '../../../errors.js'
import { makeOwnFolder } from '../../../host/own-folder.js'
import type { Backend } from '../../backend.js'
import { compileLinuxNative } from './compile.js'
import { FIRST_ABI_WITH_SCOPES } from '../landlock/access-rights.js'
import { findEndingGroup, findGroups } from './control-groups.js'
import { startLauncher } from './launcher.js'
import { probeLinuxNative } from './probe.js'
import { keepLayers, recallLayers } from './probe-cache.js'

/** @param notes  what every result shall tell beside the plan's own: one line each */
export function linuxNativeBackend(launcherPath: string, notes: readonly string[] = []): Backend {
  return {
    name: 'linux-native',
    probe: () => probeLinuxNative(launcherPath),
    recall: stateDirectory => recallLayers(stateDirectory, launcherPath),
    keep: (stateDirectory, layers) => keepLayers(stateDirectory, launcherPath, layers),
    findGroups: () => findGroups(),
    // With scopes a signal does the same, without a group to be made and removed for each command.
    findEndingGroup: layers => layers.some(({ layer, version = 0 }) => layer === 'landlock' && version < FIRST_ABI_WITH_SCOPES) ? findEndingGroup() : undefined,
    compile: (policy, layers, options) => {
      const plan = compileLinuxNative(policy, layers, options)
      return notes.length === 0 ? plan : { ...plan, enforcement: { ...plan.enforcement, notes: [...plan.enforcement.notes, ...notes] } }
    },
    async start(plan) {
      if (plan.backend !== 'linux-native') throw new Error(`a plan for ${plan.backend}`)
      makeStateDirectory(plan.stateDirectory)
      return startLauncher(launcherPath, plan)
    },
  }
}

/** Only for its owner: what is written there names places in their folders. */
export function makeStateDirectory(path: string): void {
  try {
    makeOwnFolder(path)
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code ?? 'unknown'
    throw new SandboxError('set_up_failed', { step: 'make_state_directory', errno, path }, { cause: error, remedy: 'Set XDG_STATE_HOME to a folder that you may write.' })
  }
}
