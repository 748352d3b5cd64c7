// Loads the back end with a name: only the one that is used.
import type { Backend } from './backend.js'
import type { BackendName } from './launch-plan.js'
import type { NamedLauncher } from './linux/native/find-launcher.js'
import type { SelectedBy } from './select.js'

/**
 * @param launcher  for `linux-native` and `linux-bwrap`: takes the place of the package's own
 * @throws SandboxError `launcher_not_found` and what else `findLauncher` has
 */
export async function loadBackend(name: BackendName, host: SelectedBy, launcher?: NamedLauncher): Promise<Backend> {
  switch (name) {
    case 'linux-native': {
      const [{ linuxNativeBackend }, { findLauncher }, { chooseLauncher }] = await Promise.all([
        import('./linux/native/backend.js'), import('./linux/native/find-launcher.js'), import('./linux/native/installed-launcher.js'),
      ])
      const own = findLauncher(launcher)
      // One that the caller names is the one that the caller means.
      const { path, refused } = launcher === undefined ? chooseLauncher(own) : { path: own }
      return linuxNativeBackend(path, refused === undefined ? [] : [refused])
    }
    case 'unconfined': {
      const { unconfinedBackend } = await import('./unconfined.js')
      return unconfinedBackend()
    }
    case 'unsupported': {
      const { unsupportedBackend } = await import('./unsupported.js')
      return unsupportedBackend(host)
    }
    case 'macos-seatbelt': {
      const { macosSeatbeltBackend } = await import('./macos/backend.js')
      return macosSeatbeltBackend()
    }
    case 'windows-elevated': case 'windows-unelevated': {
      const { windowsBackend } = await import('./windows/backend.js')
      return windowsBackend(name === 'windows-elevated' ? 'elevated' : 'unelevated')
    }
    case 'linux-bwrap': {
      const [{ linuxBwrapBackend }, { findLauncher }] = await Promise.all([import('./linux/bwrap/backend.js'), import('./linux/native/find-launcher.js')])
      return linuxBwrapBackend(findLauncher(launcher), process.env['PATH'] ?? '')
    }
    default:
      return name satisfies never
  }
}
