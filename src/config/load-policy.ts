// `loadPolicy`: the policy that this machine's configuration asks for, in the form that `createSandbox` takes.
import { SandboxError } from '../errors.js'
import { currentFolder } from '../host/snapshot.js'
import { policyObject } from '../policy/policy-object.js'
import type { PolicyObject } from '../policy/schema.js'
import { describeSource } from './requirement-source.js'
import type { LoadConfigOptions, LoadedConfig } from './load.js'

export interface LoadPolicyOptions extends Omit<Partial<LoadConfigOptions>, 'platform'> {
  /** Called for each thing that is not as it was written: what a project's file may not say, what requirements changed, what is not known here. */
  readonly onNotice?: (notice: string) => void
}

/**
 * Reads config.toml in all its layers and the requirements, and gives the policy that holds: for `createSandbox({ policy, cwd })`.
 *
 * It has the reference's defaults: read-only where nothing is configured, places of keys readable. Other fields may be added to it.
 *
 * @param options.cwd      the workspace. Default: this process's
 * @param options.profile  by its name. Default: what `profile` of the configuration says
 * @throws SandboxError `config_invalid`, `config_unreadable`, `profile_not_found`: with one of these no policy is known, so none is given; `option_invalid`
 */
export async function loadPolicy({ onNotice, ...options }: LoadPolicyOptions = {}): Promise<PolicyObject> {
  checkLoadOptions(options)
  // With its parser only where it is asked for: most callers name a preset.
  const [{ codexHomeOf }, { loadConfig }] = await Promise.all([import('./codex-home.js'), import('./load.js')])
  const loaded = await loadConfig({ ...options, codexHome: options.codexHome ?? codexHomeOf(options.env), cwd: options.cwd ?? currentFolder('cwd') })
  for (const notice of noticesOf(loaded)) onNotice?.(notice)
  if (loaded.backend !== undefined) onNotice?.(`features.use_linux_sandbox_bwrap is no part of a policy: give createSandbox backend: '${loaded.backend}'`)
  return policyObject(loaded.policy())
}

const KNOWN: Readonly<Record<keyof LoadPolicyOptions, true>> = {
  onNotice: true, codexHome: true, cwd: true, elsewhere: true, profile: true, overrides: true, overridesFolder: true, managedPreferences: true, cloudRequirements: true, systemFolder: true, env: true,
}

/** A misspelt `profile` would load another policy. @throws SandboxError `option_invalid` */
export function checkLoadOptions(options: object): void {
  const unknown = Object.keys(options).find(name => !Object.hasOwn(KNOWN, name))
  if (unknown !== undefined) throw new SandboxError('option_invalid', { field: unknown, value: undefined }, { detail: `there is no such option; there are ${Object.keys(KNOWN).join(', ')}` })
}

/** What is not as it was written, one line each. */
export function noticesOf({ warnings, changes }: Pick<LoadedConfig, 'warnings' | 'changes'>): string[] {
  return [
    ...changes.map(({ key, from, to, because, source }) => `${key} ${shown(from)} is not allowed here: ${shown(to)} holds, since ${because} (${describeSource(source)})`),
    ...warnings.map(({ key, path, layer, text, near }) => `${key} ${text} (${path ?? layer})${near === undefined ? '' : `. Did you mean ${near}?`}`),
  ]
}

const shown = (value: unknown): string => JSON.stringify(value) ?? 'nothing'
