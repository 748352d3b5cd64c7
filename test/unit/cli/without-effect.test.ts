// Options that could not act are errors; each has a twin that can.
import { expect, test } from 'vitest'
import { parseArguments } from '../../../src/cli/arguments.js'
import { refuseWithoutEffect, type Situation } from '../../../src/cli/without-effect.js'

interface Case { readonly name: string; readonly words: readonly string[]; readonly platform?: Situation['platform']; readonly mode?: Situation['mode']; readonly says: readonly string[] }

const refuse = ({ words, platform = 'linux', mode = 'workspace-write' }: Omit<Case, 'name' | 'says'>): void => {
  const { verb, options } = parseArguments([...words, '--', 'x'])
  refuseWithoutEffect({ verb, options, platform, mode })
}

test.each<Case>([
  { name: 'a way of Windows on Linux',           words: ['--windows-mode', 'elevated'], says: ['--windows-mode "elevated"', 'for Windows, and this is linux', 'Leave it out.'] },
  { name: 'a way of Windows on macOS',           words: ['--windows-mode', 'elevated'], platform: 'macos', says: ['this is macos'] },
  { name: 'a back end of Linux on Windows',      words: ['--backend', 'linux-bwrap'],   platform: 'windows', says: ['--backend "linux-bwrap"', 'for Linux, and this is windows'] },
  { name: 'a rung on macOS',                     words: ['--rung', 'supervised'],       platform: 'macos', says: ['--rung "supervised"', 'for Linux'] },
  { name: 'a rung inside bwrap',                 words: ['--rung', 'namespaces', '--backend', 'linux-bwrap'], says: ['--rung "namespaces"', '--backend says linux-bwrap'] },
  { name: 'a back end where nothing is enforced', words: ['--backend', 'linux-bwrap'],  mode: 'danger-full-access', says: ['danger-full-access, which enforces nothing'] },
  { name: 'denials where nothing is denied',     words: ['--log-denials'],              mode: 'external-sandbox', says: ['--log-denials is not valid', 'external-sandbox'] },
  { name: 'a grace after no time-out',           words: ['--kill-grace', '2s'],         says: ['--kill-grace "2s"', 'Add --timeout or --idle-timeout'] },
])('without effect: $name', ({ says, ...given }) => {
  let message = ''
  try { refuse(given) } catch (error) { message = (error as Error).message }
  expect(says.filter(words => !message.includes(words)), message).toEqual([])
})

test.each<Omit<Case, 'says'>>([
  { name: 'a way of Windows there',               words: ['--windows-mode', 'unelevated'], platform: 'windows' },
  { name: 'a back end on Linux',                  words: ['--backend', 'linux-bwrap'] },
  { name: 'a rung of the launcher, by name',      words: ['--rung', 'supervised', '--backend', 'linux-native'] },
  { name: 'denials',                              words: ['--log-denials'] },
  { name: 'a grace after a time-out',             words: ['--kill-grace', '2s', '--timeout', '5s'] },
  { name: 'a grace after a time-out by silence',  words: ['--kill-grace', '2s', '--idle-timeout', '5s'] },
  { name: 'a degradation that is not needed here, so that one line serves all machines', words: ['--allow-degraded', 'network'] },
])('with effect: $name', given => {
  expect(() => refuse(given)).not.toThrow()
})
