// All attempts that are tried: the table of `doctor --escape`, and those that only the tests make.
import { ESCAPE_ATTEMPTS } from '../../../src/doctor/escape-attempts.js'
import { sh } from '../../../src/doctor/escapes/attempt.js'
import type { HostileAttempt } from './hostile.js'
import { PROCESS_ATTEMPTS } from './kernel.js'
import { MOUNT_ATTEMPTS } from './mounts.js'
import { READ_ATTEMPTS } from './reads.js'
import { UNIX_SOCKET_ATTEMPTS } from './sockets.js'

/** For attempts that name nothing nearer: a sandbox in which everything fails holds every one of them. */
const WORKS = { name: 'works in its workspace', act: sh('echo x > "$W/f" && cat "$W/f" > "$W/can"') } as const

export const ATTEMPTS: readonly HostileAttempt[] = [...ESCAPE_ATTEMPTS, ...MOUNT_ATTEMPTS, ...READ_ATTEMPTS, ...UNIX_SOCKET_ATTEMPTS, ...PROCESS_ATTEMPTS]
  .map(attempt => ({ can: WORKS, ...attempt }))

/** One a row: what it is called in the report, and the attempt. */
export const NAMED_ATTEMPTS = ATTEMPTS.map(attempt => [`cannot ${attempt.name}, but ${attempt.can?.name} (${attempt.failure})`, attempt] as const)
