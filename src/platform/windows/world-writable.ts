// A scan for folders that everybody may write by an entry of their own: a restricted token writes there too, since Everyone is among its
// restricting SIDs. Bounded in time and number, one level deep, and never through a link. Pure: what it looks at is given.
import { foldName } from '../../policy/letter-case.js'
import { joinPath, upwards } from '../../policy/path-syntax.js'
import { EVERY_CHANGE } from './access-rights.js'
import { everybodyChanges } from './host-facts.js'
import { kindOfAce, parseDescriptor, type SecurityDescriptor } from './sddl.js'

/** What the scan asks of a machine. */
export interface ScanView {
  /** Folders directly in a folder, links left out; undefined where it cannot be listed. */
  folders(path: string): readonly string[] | undefined
  /** In SDDL; undefined where it cannot be read. */
  descriptor(path: string): string | undefined
  /** Of a clock that only goes forward. */
  nowMs(): number
}

export interface ScanLimits {
  readonly ms: number
  /** Looked at in one folder, and in all. */
  readonly inFolder: number
  readonly folders: number
}

/** While a sandbox is made; and where somebody waits for the answer itself. */
export const QUICK_SCAN: ScanLimits = { ms: 500, inFolder: 500, folders: 5_000 }
export const WHOLE_SCAN: ScanLimits = { ms: 10_000, inFolder: 1_000, folders: 50_000 }

export interface Scan {
  /** In the order in which they were found. */
  readonly found: readonly string[]
  /** Folders whose list could be judged. */
  readonly looked: number
  /** Could not be listed, or have a list that cannot be read or understood. */
  readonly unseen: readonly string[]
  /** Why it ended before it was through. */
  readonly stopped?: 'time' | 'count'
  /** Folders that it was to look into and did not, or not to the end. */
  readonly left: readonly string[]
}

export interface ScanPlaces {
  readonly cwd: string
  readonly roots?: readonly string[]
  /** %TEMP%, the profile, the public folder, %ProgramData%: what is there. */
  readonly folders: readonly (string | undefined)[]
  /** Of PATH. */
  readonly path: readonly string[]
  readonly systemRoot: string
  /** `C:` */
  readonly letters: readonly string[]
}

/** Where to look, the likeliest first: what lies above and in the workspace, temporary folders, what programs are loaded from, drives. */
export function scanStarts({ cwd, roots = [], folders, path, systemRoot, letters }: ScanPlaces): string[] {
  const above = [cwd, ...roots].flatMap(start => [...upwards('windows', start)].slice(1))
  const drives = letters.map(letter => `${letter}\\`)
  const all = [cwd, ...roots, ...folders.filter(each => each !== undefined), ...path, ...above, ...drives, systemRoot]
  const seen = new Set<string>()
  return all.filter(each => {
    const key = foldName(each)
    if (seen.has(key)) return false
    seen.add(key)
    return true
  })
}

/** Each of `starts` itself, and the folders directly in it. */
export function scanWorldWritable(starts: readonly string[], view: ScanView, limits: ScanLimits): Scan {
  const steps = scanSteps(starts, view, limits)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
  }
}

/** The same, with a pause after each start in which others have their turn. */
export async function scanInTurns(starts: readonly string[], view: ScanView, limits: ScanLimits): Promise<Scan> {
  const steps = scanSteps(starts, view, limits)
  for (;;) {
    const { done, value } = steps.next()
    if (done === true) return value
    await new Promise(resolve => setImmediate(resolve))
  }
}

function* scanSteps(starts: readonly string[], view: ScanView, limits: ScanLimits): Generator<undefined, Scan> {
  const end = view.nowMs() + limits.ms
  const [found, unseen, left, judged]: [string[], string[], string[], Map<string, boolean>] = [[], [], [], new Map()]
  let stopped: Scan['stopped']
  const isOver = (): boolean => {
    stopped ??= judged.size >= limits.folders ? 'count' : view.nowMs() >= end ? 'time' : undefined
    return stopped !== undefined
  }
  const judge = (path: string): void => {
    const key = foldName(path)
    if (judged.has(key)) return
    const descriptor = readList(view, path)
    judged.set(key, descriptor !== undefined)
    if (descriptor === undefined) unseen.push(path)
    else if (everybodyChanges(descriptor)) found.push(path)
  }
  for (const start of starts) {
    if (isOver()) {
      left.push(start)
      continue
    }
    judge(start)
    const names = view.folders(start)
    if (names === undefined) {
      if (!unseen.includes(start)) unseen.push(start)
      continue
    }
    for (const name of names.slice(0, limits.inFolder)) {
      if (isOver()) break
      judge(joinPath('windows', start, name))
    }
    if (stopped !== undefined || names.length > limits.inFolder) left.push(start)
    yield undefined
  }
  return { found, looked: [...judged.values()].filter(Boolean).length, unseen, ...(stopped === undefined ? {} : { stopped }), left }
}

/** What cannot be understood is told, and never taken for safe. */
function readList(view: ScanView, path: string): SecurityDescriptor | undefined {
  const text = view.descriptor(path)
  if (text === undefined) return undefined
  try {
    return parseDescriptor(text, `the access list of ${path}`)
  } catch {
    return undefined
  }
}

/** Of what was found, what no set-up has closed to the SID that every sandbox has. */
export function stillOpen({ found }: Pick<Scan, 'found'>, view: Pick<ScanView, 'descriptor'>, readOnlySid: string | undefined): string[] {
  return found.filter(path => {
    const text = readOnlySid === undefined ? undefined : view.descriptor(path)
    if (text === undefined) return true
    const { dacl } = parseDescriptor(text, `the access list of ${path}`)
    return dacl === undefined || dacl === 'null' || !dacl.aces.some(ace => ace.sid === readOnlySid && kindOfAce(ace) === 'deny' && !ace.flags.includes('inherit-only') && (ace.mask & EVERY_CHANGE) === EVERY_CHANGE)
  })
}

const MOST_SAMPLES = 3

/** `windows/worldWritableWarning`; undefined where there is nothing to warn of. */
export function worldWritableWarning(open: readonly string[], { stopped }: Pick<Scan, 'stopped'>): { samplePaths: string[]; extraCount: number; failedScan: boolean } | undefined {
  if (open.length === 0 && stopped === undefined) return undefined
  return { samplePaths: open.slice(0, MOST_SAMPLES), extraCount: Math.max(0, open.length - MOST_SAMPLES), failedScan: stopped !== undefined }
}
