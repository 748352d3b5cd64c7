// `setup linux`: what only root can prepare, once a machine.
import { SandboxError } from '../errors.js'
import { findLauncher } from '../platform/linux/native/find-launcher.js'
import { setUpLinux, type SetUpReport } from '../platform/linux/setup/set-up.js'
import { currentPlatform } from '../host/snapshot.js'
import type { Arguments } from './arguments.js'
import { print } from './print.js'

/** @returns 0 */
export async function setup({ options, words }: Arguments): Promise<number> {
  const [word, extra] = words
  if (word === undefined) throw new SandboxError('option_missing', { field: 'what to set up', value: undefined }, { remedy: 'Write `codex-sandbox setup linux`.' })
  if (word === 'windows') throw new SandboxError('option_invalid', { field: 'setup', value: word }, { detail: 'Windows has a verb of its own', remedy: 'Write `codex-sandbox windows setup --mode elevated`.' })
  if (word !== 'linux' || extra !== undefined) throw new SandboxError('option_invalid', { field: 'setup', value: extra ?? word }, { detail: 'linux is all that it can set up', remedy: 'Write `codex-sandbox setup linux`.' })
  const platform = currentPlatform()
  if (platform !== 'linux') throw new SandboxError('platform_unsupported', { field: 'platform', value: platform }, { detail: 'this is for Linux machines with AppArmor', remedy: 'Nothing of it is needed here.' })
  const { uninstall = false, force = false } = options
  if (uninstall && force) throw new SandboxError('option_invalid', { field: '--force', value: undefined }, { detail: 'it installs, and --uninstall takes away', remedy: 'Leave it out.' })
  const command = [process.execPath, process.argv[1] ?? '', 'setup', 'linux', ...(uninstall ? ['--uninstall'] : []), ...(force ? ['--force'] : [])].map(shellWord).join(' ')
  const report = setUpLinux({ launcher: findLauncher(), command, uninstall, force })
  await print(process.stdout, options.json === true ? `${JSON.stringify(report, null, 2)}\n` : formatSetUp(report))
  return 0
}

/** A line for what it came to, and one for each change. */
export function formatSetUp({ result, reason, launcher, changes, left }: SetUpReport): string {
  return [
    { installed: `AppArmor permits ${shown(launcher)} user namespaces now.`, unchanged: `It is as it shall be: AppArmor permits ${shown(launcher)} user namespaces.`,
      removed: changes.length === 0 ? 'There was nothing to remove.' : 'What was installed is gone.', 'not-needed': `Nothing was changed: ${reason}. (--force installs it all the same.)` }[result],
    ...changes.map(({ did, path }) => `  ${did.padEnd(8)}  ${shown(path)}`),
    ...left.map(path => `  left      ${shown(path)}, which is not of this program`),
    '',
  ].join('\n')
}

const shown = (path: string): string => /^[\w@%+=:,./-]+$/.test(path) ? path : JSON.stringify(path)
const shellWord = (word: string): string => /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll('\'', '\'\\\'\'')}'`
