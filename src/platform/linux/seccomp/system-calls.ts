// The two architectures that we make filters for: their numbers of system calls and the kernel's own name for them.
import { ARM64_SYSTEM_CALLS } from './system-calls.arm64.generated.js'
import { X64_SYSTEM_CALLS } from './system-calls.x64.generated.js'

export type Architecture = 'x64' | 'arm64'

/** Any call that at least one of the architectures has: a name that none of them has does not compile. */
export type SystemCallName = keyof typeof X64_SYSTEM_CALLS | keyof typeof ARM64_SYSTEM_CALLS

/** Name to number. A name that is missing is no call of that architecture. */
export const SYSTEM_CALLS: Record<Architecture, Readonly<Partial<Record<SystemCallName, number>>>> = {
  x64: X64_SYSTEM_CALLS,
  arm64: ARM64_SYSTEM_CALLS,
}

/** What `seccomp_data.arch` holds. x32 shares x64's value and sets bit 30 of the number. Source: include/uapi/linux/audit.h. */
export const AUDIT_ARCH: Record<Architecture, number> = {
  x64: 0xc000003e,
  arm64: 0xc00000b7,
}
