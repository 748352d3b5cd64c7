// The tables of escape attempts: used by `doctor --escape` and by test/escape. The rows live in escapes/, by what they aim at.
import type { PlatformName } from '../policy/host-snapshot.js'
import type { EscapeAttempt } from './escapes/attempt.js'
import { FILE_ATTEMPTS } from './escapes/files.js'
import { KERNEL_ATTEMPTS } from './escapes/kernel.js'
import { MAC_ATTEMPTS } from './escapes/mac.js'
import { PROTECTED_ATTEMPTS } from './escapes/protected-names.js'
import { SOCKET_ATTEMPTS } from './escapes/sockets.js'

export type { EscapeAttempt } from './escapes/attempt.js'

export const ESCAPE_ATTEMPTS: readonly EscapeAttempt[] = [...FILE_ATTEMPTS, ...PROTECTED_ATTEMPTS, ...SOCKET_ATTEMPTS, ...KERNEL_ATTEMPTS]

/** Those that mean something on a system: on a Mac, what goes around paths and through its services. */
export const attemptsOn = (platform: PlatformName): readonly EscapeAttempt[] => platform === 'macos' ? MAC_ATTEMPTS : ESCAPE_ATTEMPTS
