// The back end of platforms that nothing here can confine: it refuses, with the reason.
import { SandboxError } from '../errors.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import type { Backend, LayerReport } from './backend.js'
import type { SelectedBy } from './select.js'

const REASON: Record<PlatformName, string> = {
  linux: 'this build has no back end for Linux',
  macos: 'this build has no back end for macOS',
  windows: 'this build has no back end for Windows',
}
const REMEDY = 'Run it on Linux, in a virtual machine or WSL 2; or, with commands unconfined, say danger-full-access.'

const WSL_1 = {
  value: 'WSL 1',
  reason: 'WSL 1 has no Linux kernel: it translates system calls, and has neither Landlock nor seccomp nor namespaces',
  remedy: 'Give this distribution the kernel of WSL 2, in Windows: wsl --set-version DISTRIBUTION 2 (wsl --list --verbose names it).',
} as const

export function unsupportedBackend({ platform, wsl }: SelectedBy): Backend {
  const { value, reason, remedy } = wsl === 1 ? WSL_1 : { value: platform, reason: REASON[platform], remedy: REMEDY }
  const refuse = (): never => {
    throw new SandboxError('platform_unsupported', { field: 'platform', value }, { detail: reason, remedy })
  }
  return {
    name: 'unsupported',
    probe: async (): Promise<readonly LayerReport[]> => [{ layer: 'platform', available: false, reason, remedy }],
    compile: refuse,
    start: async () => refuse(),
  }
}
