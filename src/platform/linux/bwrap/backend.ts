// The back end for Linux that has bwrap make the namespaces and mounts, with the launcher inside for all the rest.
import { SandboxError } from '../../../errors.js'
import type { Backend } from '../../backend.js'
import { makeStateDirectory } from '../native/backend.js'
import { compileLinuxBwrap } from './compile.js'
import { locateBwrap, placesOf } from './find.js'
import { probeBwrap } from './probe.js'
import { startInBwrap } from './run.js'

/** @param path  PATH of this process: bwrap is looked for on its absolute entries */
export function linuxBwrapBackend(launcherPath: string, path: string): Backend {
  const located = locateBwrap(path)
  return {
    name: 'linux-bwrap',
    programs: located === undefined ? [] : placesOf(located).map(place => ({ field: 'bwrap', path: place })),
    probe: () => probeBwrap(launcherPath, located),
    compile: compileLinuxBwrap,
    async start(plan) {
      if (plan.backend !== 'linux-bwrap') throw new SandboxError('option_invalid', { field: 'backend', value: plan.backend })
      makeStateDirectory(plan.stateDirectory)
      return startInBwrap(launcherPath, plan)
    },
  }
}
