// What the configuration says of approvals: the policy, whose rules count, and what requirements add. In the form that `createSandbox` takes.
import { realpathSync } from 'node:fs'
import type { CommandApprovalOptions } from '../approval/command-approvals.js'
import { currentFolder } from '../host/snapshot.js'
import type { LoadedConfig } from './load.js'
import { checkLoadOptions, noticesOf, type LoadPolicyOptions } from './load-policy.js'
import { projectFolders } from './project.js'

/**
 * Reads config.toml in all its layers and the requirements, for `createSandbox({ approvals })`.
 *
 * @throws SandboxError `config_invalid`, `config_unreadable`, `profile_not_found`, `option_invalid`
 */
export async function loadApprovals({ onNotice, ...options }: LoadPolicyOptions = {}): Promise<CommandApprovalOptions> {
  checkLoadOptions(options)
  const [{ codexHomeOf }, { loadConfig }] = await Promise.all([import('./codex-home.js'), import('./load.js')])
  const given = { ...options, codexHome: options.codexHome ?? codexHomeOf(options.env), cwd: options.cwd ?? currentFolder('cwd') }
  const loaded = await loadConfig(given)
  for (const notice of noticesOf(loaded)) onNotice?.(notice)
  return approvalsOf(loaded, given)
}

/** @param place  what `loaded` was read for */
export function approvalsOf({ config, requirements, tables }: Pick<LoadedConfig, 'config' | 'requirements' | 'tables'>, { codexHome, cwd }: { readonly codexHome: string; readonly cwd: string }): CommandApprovalOptions {
  const required = requirements?.prefixRules
  return {
    approvalPolicy: config.approvalPolicy, allowLoginShell: config.allowLoginShell, codexHome,
    trustedFolders: projectFolders(realpathSync(cwd), tables['projects']).filter(({ trust }) => trust === 'trusted').map(({ folder }) => folder),
    ...(required === undefined ? {} : { requiredRules: required.value }),
  }
}
