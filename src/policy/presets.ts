// The four modes with every default filled in. Free of zod, so that a caller who names a preset never loads it.
import type { EnvironmentPolicy, SandboxMode, SandboxPolicy } from './sandbox-policy.js'

export const SANDBOX_MODES = ['read-only', 'workspace-write', 'danger-full-access', 'external-sandbox'] as const satisfies readonly SandboxMode[]

/** `library`: the API and the command line's `run`. `reference`: wire, config and `sandbox`, as the reference has them. */
export type DefaultsName = 'library' | 'reference'

/** A preset name and nothing else; a name that merely looks like one is not. */
export const isPresetName = (value: unknown): value is SandboxMode => SANDBOX_MODES.some(mode => mode === value)

export function presetPolicy(mode: SandboxMode, defaults: DefaultsName): SandboxPolicy {
  const confined = mode === 'read-only' || mode === 'workspace-write'
  return {
    mode,
    readAccess: { kind: 'full' },
    writableRoots: [],
    excludeTmpdirEnvVar: false,
    excludeSlashTmp: false,
    network: mode === 'danger-full-access' ? 'open' : 'off',
    read: [],
    write: [],
    deny: [],
    protect: [],
    protectAgentFiles: defaults === 'library' && confined,
    git: 'protected',
    denySecrets: defaults === 'library' && confined ? { except: [] } : false,
    // Nothing is written where nothing may be.
    caches: defaults === 'library' && mode === 'workspace-write' ? 'private' : 'off',
    tmp: 'host',
    devices: [],
    limits: {},
    env: presetEnvironment(defaults === 'library' && confined),
  }
}

const presetEnvironment = (dropSecrets: boolean): EnvironmentPolicy => ({ inherit: 'all', keep: [], exclude: [], set: {}, dropSecrets })
