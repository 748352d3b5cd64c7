// A plan to a launcher on this machine: the addon, the program that runs commands, and, for `elevated`, the kept password of its account.
import { mkdirSync, readFileSync } from 'node:fs'
import { findPackage } from '../../host/own-package.js'
import { unlessMissing } from '../../host/unless.js'
import type { Launcher } from '../backend.js'
import type { WindowsPlan } from '../launch-plan.js'
import { loadWindowsAddon, type WindowsAddon } from './addon.js'
import { findRunner } from './find-runner.js'
import { startWindowsLauncher, type WindowsLauncherParts } from './launcher.js'
import { Placeholders, sweepPlaceholders } from './placeholders.js'
import { startRunnerProcess } from './runner-process.js'
import { setUpRequired } from './set-up.js'
import { firewallReader } from './setup/addon-system.js'
import { whyNetworkIsOpen } from './setup/network-held.js'
import { parseSecrets } from './setup/state-files.js'
import type { WindowsSystem } from './setup/system.js'

/** Stand-ins for what this package has on a Windows machine, for tests. */
export interface WindowsParts extends Partial<Pick<WindowsLauncherParts, 'runner' | 'version' | 'startProcess' | 'isFile'>> {
  readonly addon?: Pick<WindowsAddon, 'holdPlace' | 'lookAt' | 'readAccessList' | 'writeAccessList' | 'logonSid' | 'firewallState' | 'readFirewallRules'>
  readonly firewall?: Pick<WindowsSystem, 'firewall' | 'readFirewallRules'>
  /** The text of the file that has sealed passwords; undefined: there is none. */
  readonly readSecrets?: (path: string) => string | undefined
}

/**
 * @throws SandboxError `layer_missing`; `windows_setup_required`; `set_up_failed` with the step
 */
export async function startWindows(plan: WindowsPlan, parts: WindowsParts = {}): Promise<Launcher> {
  const { addon = loadWindowsAddon(), runner = findRunner(), version = findPackage()?.version ?? '', startProcess = startRunnerProcess } = parts
  await refuseOpenNetwork(plan, parts.firewall ?? firewallReader(addon))
  mkdirSync(plan.stateDirectory, { recursive: true })
  sweepPlaceholders(plan.stateDirectory, addon)
  return startWindowsLauncher(plan, {
    runner, version, startProcess, ...(parts.isFile === undefined ? {} : { isFile: parts.isFile }), ...logonOf(plan, runner, addon, parts), placeholders: new Placeholders(plan, addon),
    lookAt: path => addon.lookAt(path),
  })
}

/** Set-up made the rules that hold the offline account; whoever resets the firewall takes them away, and nothing else tells of it. */
async function refuseOpenNetwork({ backend, token, machine, capabilities }: WindowsPlan, firewall: Pick<WindowsSystem, 'firewall' | 'readFirewallRules'>): Promise<void> {
  if (backend === 'windows-unelevated' || machine === undefined || token.account === machine.accounts[1]?.sid) return
  const reason = await whyNetworkIsOpen(firewall, machine.firewall)
  if (reason !== undefined) throw setUpRequired('elevated', capabilities.flatMap(({ root }) => root ?? []), 'firewall', 'open', reason)
}

function logonOf({ backend, token, machine, capabilities }: WindowsPlan, runner: string, addon: Pick<WindowsAddon, 'logonSid'>, { readSecrets = path => unlessMissing(() => readFileSync(path, 'utf8')) }: WindowsParts): Pick<WindowsLauncherParts, 'logon' | 'ownLogon'> {
  if (backend === 'windows-unelevated') return {}
  if (machine === undefined) throw new Error('a plan of `elevated` has accounts')
  const [offline, online] = machine.accounts
  const text = readSecrets(machine.secrets)
  const roots = capabilities.flatMap(({ root }) => root ?? [])
  if (text === undefined) throw setUpRequired('elevated', roots, 'windows', 'elevated', 'the passwords of its accounts were not kept')
  const sealed = parseSecrets(text)
  const [account, password] = token.account === offline?.sid ? [offline, sealed.offline] : token.account === online?.sid ? [online, sealed.online] : []
  if (account === undefined || password === undefined) throw new Error(`no account has the SID ${token.account}`)
  return { logon: { account, runner, sealedPassword: Buffer.from(password, 'base64') }, ownLogon: addon.logonSid() }
}
