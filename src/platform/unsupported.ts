// The back end of platforms that nothing here can confine: it refuses, with the reason.
import { SandboxError } from '../errors.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { Backend, LayerReport } from './backend.js'

const REASON: Record<PlatformName, string> = {
  linux: 'this build has no back end for Linux',
  macos: 'this build has no back end for macOS',
  windows: 'there is no back end for Windows yet',
}
const REMEDY = 'Run it on Linux, in a virtual machine or WSL 2; or, with commands unconfined, say danger-full-access.'

export function unsupportedBackend(platform: PlatformName): Backend {
  const refuse = (): never => {
    throw new SandboxError('platform_unsupported', { field: 'platform', value: platform }, { detail: REASON[platform], remedy: REMEDY })
  }
  return {
    name: 'unsupported',
    probe: async (): Promise<readonly LayerReport[]> => [{ layer: 'platform', available: false, reason: REASON[platform], remedy: REMEDY }],
    compile: refuse,
    start: async () => refuse(),
  }
}
