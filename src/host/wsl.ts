// Windows' subsystem for Linux. Its first version has no Linux kernel: system calls are translated, and nothing that a sandbox needs is
// there. The second is a virtual machine with Microsoft's own kernel, and counts as Linux.
import { textIfReadable } from './unless.js'

export type WslVersion = 1 | 2

/** The files that tell them apart. Undefined: it is not there, or cannot be read. */
export interface WslFacts {
  /** /proc/version */
  readonly version: string | undefined
  /** /proc/sys/kernel/osrelease */
  readonly release: string | undefined
  /** /proc/sys/fs/binfmt_misc/WSLInterop, or WSLInterop-late: how programs of Windows are started */
  readonly interop: string | undefined
}

const FILES: Readonly<Record<keyof WslFacts, readonly string[]>> = {
  version: ['/proc/version'],
  release: ['/proc/sys/kernel/osrelease'],
  interop: ['/proc/sys/fs/binfmt_misc/WSLInterop', '/proc/sys/fs/binfmt_misc/WSLInterop-late'],
}

/** `4.4.0-19041-Microsoft`: what the translation calls itself. The kernel of the second writes the name small, and a kernel of the user's own as they like. */
const FIRST_VERSION = /^\d+\.\d+\.\d+-(?:\d+-)?Microsoft$/
const FIRST_BUILDER = '-Microsoft (Microsoft@Microsoft.com) '
const SECOND_VERSION = /-microsoft-(?:standard|custom)|-WSL2\b/

/** Which one these files are of; undefined: no WSL. Pure. */
export function recogniseWsl({ version = '', release = '', interop }: WslFacts): WslVersion | undefined {
  if (FIRST_VERSION.test(release.trim()) || version.includes(FIRST_BUILDER)) return 1
  return SECOND_VERSION.test(release) || SECOND_VERSION.test(version) || interop !== undefined ? 2 : undefined
}

/** Of this machine. Linux only. What is not there, or not to be read, says nothing. */
export const readWsl = (): WslVersion | undefined =>
  recogniseWsl(Object.fromEntries(Object.entries(FILES).map(([name, paths]) => [name, paths.map(textIfReadable).find(text => text !== undefined)])) as unknown as WslFacts)
