// Variables and stand-in programs that keep well-behaved programs from a network that nothing else closes, and make the rest of them
// work under a restricted token. Pure.
import type { WindowsEnvironmentPlan } from '../launch-plan.js'

/** Nothing listens on the discard port of the loopback. */
const DEAD_PROXY = 'http://127.0.0.1:9'

/** A program that says why and fails. Batch files are read in lines that end in CR LF: with anything else the last one would be skipped. */
const stub = (name: string): string => `@echo off\r\necho ${name}: the sandbox has no network 1>&2\r\nexit /b 1\r\n`

/** Programs that go to the network whatever the variables say. */
const STUBBED = ['ssh', 'scp', 'sftp'] as const

/** In both modes, for names that the command does not have. */
const ALWAYS: readonly string[] = ['GIT_PAGER=more.com', 'PAGER=more.com', 'LESS=']

/**
 * The variables of `network: 'advised'`: nothing here holds a program that does not look at them.
 *
 * GIT_ALLOW_PROTOCOL is git's spelling: a list of all that is allowed, and `file` leaves local clones working.
 */
const WITHOUT_NETWORK: readonly string[] = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'GIT_HTTP_PROXY', 'GIT_HTTPS_PROXY'].map(name => `${name}=${DEAD_PROXY}`),
  'NO_PROXY=localhost,127.0.0.1,::1', 'GIT_ALLOW_PROTOCOL=file', 'GIT_SSH_COMMAND=cmd /c exit 1', 'PIP_NO_INDEX=1', 'PIP_DISABLE_PIP_VERSION_CHECK=1', 'NPM_CONFIG_OFFLINE=true', 'CARGO_NET_OFFLINE=true',
]

export function environmentPlan(network: 'open' | 'blocked' | 'advised'): WindowsEnvironmentPlan {
  if (network !== 'advised') return { set: [], unlessSet: ALWAYS, stubs: [] }
  return { set: WITHOUT_NETWORK, unlessSet: ALWAYS, stubs: STUBBED.flatMap(name => ['bat', 'cmd'].map(ending => ({ name: `${name}.${ending}`, text: stub(name) }))) }
}

/**
 * The environment of a command under `plan`: names mean the same in any letter case, a value `/dev/null` is `NUL`, and `stubs` comes first
 * on PATH, with batch files before programs in PATHEXT so that a stub is found before a program of its name.
 *
 * @param env    `NAME=value` each
 * @param stubs  the folder that has the plan's stubs
 */
export function commandEnvironment(plan: WindowsEnvironmentPlan, env: readonly string[], stubs: string): string[] {
  const variables = new Map<string, { name: string; value: string }>()
  const put = (text: string, onlyIfAbsent: boolean): void => {
    // A name may begin with "=": the current folders of drives.
    const equals = text.indexOf('=', 1)
    const name = text.slice(0, equals)
    const before = variables.get(name.toUpperCase())
    if (before !== undefined && onlyIfAbsent) return
    const value = text.slice(equals + 1)
    variables.set(name.toUpperCase(), { name: before?.name ?? name, value: value === '/dev/null' ? 'NUL' : value })
  }
  for (const text of env) put(text, false)
  for (const text of plan.set) put(text, false)
  for (const text of plan.unlessSet) put(text, true)
  if (plan.stubs.length > 0) {
    put(`Path=${[stubs, variables.get('PATH')?.value].filter(Boolean).join(';')}`, false)
    const rest = (variables.get('PATHEXT')?.value ?? '.COM;.EXE;.BAT;.CMD').split(';').filter(ending => !/^\.(?:bat|cmd)$/i.test(ending.trim()))
    put(`PATHEXT=${['.BAT', '.CMD', ...rest].join(';')}`, false)
  }
  return [...variables.values()].map(({ name, value }) => `${name}=${value}`)
}
