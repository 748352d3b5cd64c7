// The two filters as a plan has them. Those of the usual sandboxes are assembled when this program is built, from the same tables: a command
// line that runs one command would spend some milliseconds on them, in code that runs once.
import { commandFilter, type FilterOptions, listenerFilter, type ListenerOptions } from './filters.js'

/** What `usualFilters` gives, as JSON. Put in by scripts/build.mjs; not there when run from source, and then each is assembled when it is asked for. */
declare const ASSEMBLED_FILTERS: string
const assembled: Readonly<Record<string, string>> = typeof ASSEMBLED_FILTERS === 'undefined' ? {} : JSON.parse(ASSEMBLED_FILTERS)

/** @returns the bytes of `commandFilter` in base64 */
export const planCommandFilter = (options: FilterOptions): string => assembled[keyOf('command', options)] ?? base64(commandFilter(options))

/** @returns the bytes of `listenerFilter` in base64 */
export const planListenerFilter = (options: ListenerOptions): string => assembled[keyOf('listener', options)] ?? base64(listenerFilter(options))

/** With every option, so that none that comes later can be forgotten here. */
const keyOf = (kind: 'command' | 'listener', options: FilterOptions): string => JSON.stringify([kind, options])

/** Those of a policy with the network off or proxied, on a host that has every layer. */
export function usualFilters(): Record<string, string> {
  const filters = (['x64', 'arm64'] as const).flatMap(arch => {
    const command = { arch, network: 'private', makeSockets: false, observe: 'writes' } as const
    const listener = { arch, network: 'private', makeSockets: false, bind: false, gitOperations: false, observe: 'writes' } as const
    const insideBwrap = { ...listener, sharesProcesses: true }
    return [[keyOf('command', command), base64(commandFilter(command))], ...[listener, insideBwrap].map(options => [keyOf('listener', options), base64(listenerFilter(options))])]
  })
  return Object.fromEntries(filters)
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
