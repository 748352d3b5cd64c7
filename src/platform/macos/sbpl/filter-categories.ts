// Which filters may stand on which operations. A profile with another one does not load on a Mac, so it does not here either.
import type { OperationName } from './operations.js'

/** Kinds of properties of an access. */
export type Category =
  | 'extension' | 'process' | 'system' | 'path' | 'file-mode' | 'vnode-type' | 'device' | 'fs' | 'xattr' | 'ioctl' | 'fsctl' | 'extension-class' | 'posix-ipc' | 'semaphore'
  | 'mach' | 'network' | 'socket' | 'target' | 'signal' | 'sysctl' | 'iokit-user-client' | 'iokit-property' | 'iokit-connection' | 'preference-domain' | 'ae-destination'
  | 'auth-right-name' | 'notification' | 'info' | 'kext-bundle-id' | 'nvram' | 'syscall' | 'mac-policy'

/** On every operation. */
const EVERYWHERE: readonly Category[] = ['extension', 'process', 'system']
const FILE: readonly Category[] = ['path', 'file-mode', 'vnode-type', 'device', 'fs']
const NETWORK: readonly Category[] = ['socket', 'network', 'path', 'file-mode', 'vnode-type', 'fs']
const IOKIT: readonly Category[] = ['iokit-user-client', 'iokit-connection']

/**
 * What an operation and those below it have besides. A row holds for an operation with exactly that name, or, where it ends in
 * `*` or `-`, for all names that start so; the first row that fits counts.
 * Source: `allowed_filters` in `operation_info` of libsandbox of macOS 10.15 (0xbf00/simbple). Later ones are less strict in one
 * place that is in use: `process-info*` takes a target.
 */
export const FILTER_CATEGORIES: readonly { readonly operations: string; readonly categories: readonly Category[] }[] = [
  { operations: 'appleevent-send',                categories: ['ae-destination'] },
  { operations: 'authorization-right-obtain',     categories: ['auth-right-name'] },
  { operations: 'darwin-notification-post',       categories: ['notification'] },
  { operations: 'distributed-notification-post',  categories: ['notification'] },
  { operations: 'file-ioctl',                     categories: [...FILE, 'ioctl'] },
  { operations: 'file-issue-extension',           categories: [...FILE, 'extension-class'] },
  { operations: 'file-read-xattr',                categories: [...FILE, 'xattr'] },
  { operations: 'file-write-xattr',               categories: [...FILE, 'xattr'] },
  { operations: 'file*',                          categories: FILE },
  { operations: 'generic-issue-extension',        categories: ['extension-class'] },
  { operations: 'iokit-issue-extension',          categories: ['extension-class'] },
  { operations: 'iokit-open*',                    categories: IOKIT },
  { operations: 'iokit-get-properties',           categories: [...IOKIT, 'iokit-property'] },
  { operations: 'iokit-set-properties',           categories: [...IOKIT, 'iokit-property'] },
  { operations: 'ipc-posix-issue-extension',      categories: ['posix-ipc', 'extension-class'] },
  { operations: 'ipc-posix-sem*',                 categories: ['posix-ipc', 'semaphore'] },
  { operations: 'ipc-posix*',                     categories: ['posix-ipc'] },
  { operations: 'load-unsigned-code',             categories: ['path', 'fs'] },
  { operations: 'mach-cross-domain-lookup',       categories: ['mach'] },
  { operations: 'mach-issue-extension',           categories: ['mach', 'extension-class'] },
  { operations: 'mach-lookup',                    categories: ['mach'] },
  { operations: 'mach-register',                  categories: ['mach'] },
  { operations: 'mach-priv-task-port',            categories: ['path', 'target'] },
  { operations: 'mach-task-',                     categories: ['target'] },
  { operations: 'network*',                       categories: NETWORK },
  { operations: 'nvram*',                         categories: ['nvram'] },
  { operations: 'process-exec*',                  categories: ['path', 'file-mode', 'fs'] },
  { operations: 'process-info-listpids',          categories: [] },
  { operations: 'process-info*',                  categories: ['target'] },
  { operations: 'process-legacy-codesigning*',    categories: ['target'] },
  { operations: 'process-codesigning',            categories: ['target'] },
  { operations: 'qtn-user',                       categories: ['path'] },
  { operations: 'signal',                         categories: ['target', 'signal'] },
  { operations: 'socket-ioctl',                   categories: ['socket', 'ioctl'] },
  { operations: 'socket-option*',                 categories: ['socket'] },
  { operations: 'syscall-unix',                   categories: ['syscall'] },
  { operations: 'sysctl*',                        categories: ['sysctl'] },
  { operations: 'system-automount',               categories: ['path'] },
  { operations: 'system-debug',                   categories: ['target'] },
  { operations: 'system-fsctl',                   categories: ['fsctl'] },
  { operations: 'system-info',                    categories: ['info'] },
  { operations: 'system-kext-load',               categories: ['kext-bundle-id'] },
  { operations: 'system-kext-unload',             categories: ['kext-bundle-id'] },
  { operations: 'system-mac-syscall',             categories: ['mac-policy'] },
  { operations: 'system-sched',                   categories: ['target'] },
  { operations: 'system-socket',                  categories: ['socket'] },
  { operations: 'user-preference*',               categories: ['preference-domain'] },
  { operations: 'managed-preference-read',        categories: ['preference-domain'] },
]

/** Whether a filter of this category may stand in a rule on this operation. */
export function takesCategory(operation: OperationName, category: Category): boolean {
  if (EVERYWHERE.includes(category)) return true
  const row = FILTER_CATEGORIES.find(({ operations }) => namesOperation(operations, operation))
  return row?.categories.includes(category) ?? false
}

/** Whether a row's `operations` names this one. */
export const namesOperation = (pattern: string, operation: OperationName): boolean =>
  pattern === operation || (/[*-]$/.test(pattern) && operation.startsWith(pattern.replace(/\*$/, '')))
