// This machine where it is a Windows one: what Node tells of it, completed by the addon, by what set-up has written down, and by a scan for
// folders that everybody may write. Loaded on Windows only.
import { SandboxError } from '../errors.js'
import { foldersIn, realFiles } from '../host/snapshot.js'
import { machineFacts, type MachineFunctions, readMachine, windowsFiles } from '../host/windows.js'
import { loadWindowsAddon } from '../platform/windows/addon.js'
import { parseState, STATE_FILES, STATE_FOLDER } from '../platform/windows/setup/state-files.js'
import { QUICK_SCAN, type Scan, type ScanLimits, scanInTurns, scanStarts, type ScanView, scanWorldWritable } from '../platform/windows/world-writable.js'
import type { FileSystemView, HostSnapshot, WindowsFacts } from '../policy/host-snapshot.js'
import { joinPath, normalizePath } from '../policy/path-syntax.js'

/** Completes what `takeSnapshot` has. */
export interface HostCompletion {
  host(host: HostSnapshot, env: Readonly<Record<string, string | undefined>>): HostSnapshot
  /** As they are now. */
  files(): FileSystemView
}

/**
 * Without the addon nothing is completed: then a policy that confines finds the layer missing, and one that does not needs nothing of it.
 *
 * @param load  a test's machine in the place of this one
 */
export function windowsHost(load: () => MachineFunctions = loadWindowsAddon, scanLimits: ScanLimits = QUICK_SCAN): HostCompletion {
  const functions = unlessMissing(load)
  if (functions === undefined) return { host: host => host, files: realFiles }
  return {
    host(host, env) {
      const files = windowsFiles(functions)
      const { cwd } = host
      const machine = readMachine(functions)
      const facts = machineFacts(machine, functions, files, host.home)
      const { state, ownLists } = readState(files, host.codexHome)
      const scan = once(() => scanWorldWritable(placesToScan(host, facts, machine, env), viewOf(facts), scanLimits).found)
      return {
        ...host, cwd: normalizePath('windows', cwd, { field: 'cwd' }), files,
        // Looked for when a plan asks, which one of an unconfined policy never does.
        windows: { ...facts, ownLists, setUp: state, get worldWritable() { return scan() } },
      }
    },
    files: () => windowsFiles(functions),
  }
}

function unlessMissing(load: () => MachineFunctions): MachineFunctions | undefined {
  try {
    return load()
  } catch (error) {
    if (error instanceof SandboxError && error.code === 'layer_missing') return undefined
    throw error
  }
}

function once<Answer>(ask: () => Answer): () => Answer {
  let answer: { readonly value: Answer } | undefined
  return () => {
    answer ??= { value: ask() }
    return answer.value
  }
}

/** A state that is not understood is an error, and never none. @throws SandboxError `option_invalid` */
function readState(files: FileSystemView, codexHome: string | undefined): { state: WindowsFacts['setUp']; ownLists: WindowsFacts['ownLists'] } {
  const bytes = codexHome === undefined ? undefined : files.bytes(joinPath('windows', joinPath('windows', normalizePath('windows', codexHome, { field: 'CODEX_HOME' }), STATE_FOLDER), STATE_FILES.state))
  if (bytes === undefined) return { state: undefined, ownLists: [] }
  const state = parseState(new TextDecoder().decode(bytes))
  return { state, ownLists: state.ownLists }
}

const viewOf = ({ descriptor }: Pick<WindowsFacts, 'descriptor'>): ScanView => ({ folders: foldersIn, descriptor, nowMs: () => performance.now() })

function placesToScan({ cwd, home, tmpdir }: HostSnapshot, { drives, systemRoot }: Pick<WindowsFacts, 'drives' | 'systemRoot'>, { publicFolder, programData }: ReturnType<typeof readMachine>, env: Readonly<Record<string, string | undefined>>): string[] {
  const tidy = (path: string | undefined): string | undefined => {
    try {
      return path === undefined ? undefined : normalizePath('windows', path, { field: 'path' })
    } catch {
      // An entry of PATH that is no path leads to no folder.
      return undefined
    }
  }
  const path = (Object.entries(env).find(([name]) => name.toUpperCase() === 'PATH')?.[1] ?? '').split(';').map(tidy).filter(each => each !== undefined)
  return scanStarts({
    cwd: normalizePath('windows', cwd, { field: 'cwd' }), folders: [tmpdir, env['TMP'], home, publicFolder, programData].map(tidy), path, systemRoot,
    letters: drives.filter(({ kind, substituted }) => (kind === 'fixed' || kind === 'memory') && substituted === undefined).map(({ letter }) => letter),
  })
}

/** The whole scan, for people who wait for it. Undefined: the machine cannot be read. */
export async function scanMachine(host: HostSnapshot, env: Readonly<Record<string, string | undefined>>, limits: ScanLimits, load: () => MachineFunctions = loadWindowsAddon): Promise<{ readonly scan: Scan; readonly view: ScanView } | undefined> {
  const functions = unlessMissing(load)
  if (functions === undefined) return undefined
  const machine = readMachine(functions)
  const facts = machineFacts(machine, functions, windowsFiles(functions), host.home)
  const view = viewOf(facts)
  return { scan: await scanInTurns(placesToScan(host, facts, machine, env), view, limits), view }
}
