// Hosts that lack layers of enforcement, each really taken away from what runs there: poor-host.c has the words for them.
import { spawnSync } from 'node:child_process'
import { buildHostProgram, whyNoHostProgram } from './host-program.js'

/** What is taken away; several add up. */
export type HostWord =
  | 'max_user_namespaces=0' | 'max_net_namespaces=0' | 'max_pid_namespaces=0' | 'nested-32-deep' | 'chroot'
  | 'no-user-namespaces' | 'no-network-namespaces' | 'no-mounts' | 'no-power-in-namespaces' | 'apparmor-setting' | 'landlock-domain'
  | 'no-proc' | 'foreign-proc' | 'masked-proc' | 'read-only-proc' | 'read-only-proc-sys' | 'no-cgroup'
  | 'no-landlock' | 'landlock-off' | `landlock-abi=${number}`
  | 'listener' | 'no-notification' | 'old-notification' | 'no-seccomp'
  | 'no-memory-reads' | 'no-descriptor-copies'
  | `uid=${number}`

export const whyNoPoorHost = whyNoHostProgram

/** The command line that runs `argv` there, to be spawned. Its exit code is the program's, 128+n for a signal; when it ends, the program does. */
export const onPoorHost = (words: readonly HostWord[], argv: readonly string[]): [program: string, ...words: string[]] => [buildHostProgram('poor-host'), ...words, '--', ...argv]

/** Runs it to its end. */
export function runOnPoorHost(words: readonly HostWord[], argv: readonly string[], env: NodeJS.ProcessEnv = process.env): { status: number | null; stdout: string; stderr: string } {
  const [program, ...rest] = onPoorHost(words, argv)
  return spawnSync(program, rest, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}
