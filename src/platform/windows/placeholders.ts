// What stands at missing protected names while commands run: empty folders and files with the plan's entries, held so that nobody removes
// or moves them meanwhile. Several sandboxes may hold one; the last to let go removes it. A record of each lies in the state directory, so
// that what a killed process left is removed by the next one.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { win32 } from 'node:path'
import { join } from 'node:path'
import { SandboxError } from '../../errors.js'
import { unlessMissing } from '../../host/unless.js'
import type { FileIdentity } from '../../policy/host-snapshot.js'
import type { WindowsPlaceholder, WindowsPlan } from '../launch-plan.js'
import { addAces } from './access-edits.js'
import { isAddonFailure, type AccessListFunctions } from './addon.js'
import { errnoOf } from './runner-failures.js'
import { parseDescriptor, printDescriptor } from './sddl.js'

export interface PlaceFunctions {
  /** Holds the file or folder itself, not what it leads to: until `release`, or the end of this process, nobody removes or moves it. */
  holdPlace(path: string): HeldPlace
}

export interface HeldPlace extends FileIdentity {
  release(): void
}

type Functions = PlaceFunctions & AccessListFunctions

const RECORD = /^placeholder-[0-9a-f]+$/
const KIND = { directory: 0, file: 1 } as const

export class Placeholders {
  readonly #planned: readonly WindowsPlaceholder[]
  readonly #entries: ReadonlyMap<string, readonly string[]>
  readonly #stateDirectory: string
  readonly #addon: Functions
  #held: { readonly place: HeldPlace; readonly placeholder: WindowsPlaceholder; readonly record: string }[] = []

  constructor({ placeholders, access, stateDirectory }: Pick<WindowsPlan, 'placeholders' | 'access' | 'stateDirectory'>, addon: Functions) {
    this.#planned = placeholders
    this.#entries = new Map(access.map(({ path, add }) => [path, add]))
    this.#stateDirectory = stateDirectory
    this.#addon = addon
  }

  /**
   * All of them, or none. Does nothing where they stand already.
   *
   * @throws SandboxError `set_up_failed`, `step` = `placeholder`; `ESTALE` where something else has come to stand at the name
   */
  make(): void {
    if (this.#held.length > 0) return
    try {
      for (const placeholder of this.#planned) this.#make(placeholder)
    } catch (error) {
      this.remove()
      throw error
    }
  }

  /** Those that nobody else holds, and that are as they were made. */
  remove(): void {
    for (const { place, placeholder, record } of this.#held.splice(0).reverse()) {
      place.release()
      removeIfSame(this.#addon, placeholder.path, KIND[placeholder.kind], place)
      unlinkSync(record)
    }
  }

  #make(placeholder: WindowsPlaceholder): void {
    const { path, kind, text = '' } = placeholder
    const failed = (errno: string, cause: unknown): SandboxError => new SandboxError('set_up_failed', { step: 'placeholder', errno, path }, { cause })
    let isShared = false
    try {
      if (kind === 'directory') mkdirSync(path)
      else writeFileSync(path, text, { flag: 'wx' })
    } catch (error) {
      const { code = 'unknown' } = error as NodeJS.ErrnoException
      if (code !== 'EEXIST') throw failed(code, error)
      isShared = true
    }
    try {
      const place = this.#addon.holdPlace(path)
      const record = join(this.#stateDirectory, `placeholder-${randomBytes(8).toString('hex')}`)
      if (isShared && !this.#isRecorded(path, place)) {
        place.release()
        throw failed('ESTALE', undefined)
      }
      writeFileSync(record, recordOf(placeholder, place), { flag: 'wx' })
      this.#held.push({ place, placeholder, record })
      const entries = this.#entries.get(path) ?? []
      if (entries.length > 0) this.#addon.writeAccessList(path, printDescriptor(addAces(parseDescriptor(this.#addon.readAccessList(path), path), entries)))
    } catch (error) {
      if (isAddonFailure(error)) throw failed(error.step === 'hold_place' && error.code === 2 ? 'ESTALE' : `${error.step} ${errnoOf(error.code)}`, error)
      throw error
    }
  }

  /** Somebody's placeholder, not what the user has made there. */
  #isRecorded(path: string, { device, inode }: FileIdentity): boolean {
    return records(this.#stateDirectory).some(({ placeholder }) => placeholder?.path === path && placeholder.device === device && placeholder.inode === inode)
  }
}

/** Removes what processes that were killed have left. What somebody holds stays. */
export function sweepPlaceholders(stateDirectory: string, addon: PlaceFunctions): void {
  for (const { file, placeholder } of records(stateDirectory)) {
    if (placeholder === undefined || removeIfSame(addon, placeholder.path, placeholder.kind, placeholder) !== 'in use') unlinkUnlessGone(file)
  }
}

interface Recorded extends FileIdentity {
  readonly kind: number
  readonly path: string
}

/** In the form that src/host/placeholders.ts reads, for which they are not there. */
const recordOf = ({ path, parent, kind, text = '' }: WindowsPlaceholder, { device, inode }: FileIdentity): string =>
  `${KIND[kind]} ${device} ${inode} ${parent.device} ${parent.inode}\n${win32.dirname(path)}\n${win32.basename(path)}\n${text}`

function records(stateDirectory: string): { readonly file: string; readonly placeholder: Recorded | undefined }[] {
  return readdirSync(stateDirectory).filter(name => RECORD.test(name)).flatMap(name => {
    const file = join(stateDirectory, name)
    const text = unlessMissing(() => readFileSync(file, 'utf8'))
    if (text === undefined) return []
    const found = /^(?<kind>\d+) (?<device>\d+) (?<inode>\d+) \d+ \d+\n(?<folder>[^\n]*)\n(?<name>[^\n]*)\n/.exec(text)?.groups
    return [{ file, placeholder: found === undefined ? undefined : { kind: Number(found['kind']), device: found['device'] as string, inode: found['inode'] as string, path: win32.join(found['folder'] as string, found['name'] as string) } }]
  })
}

/** `in use`: somebody holds it. Only what is empty and the very one that was made goes. */
function removeIfSame(addon: PlaceFunctions, path: string, kind: number, { device, inode }: FileIdentity): 'gone' | 'kept' | 'in use' {
  try {
    const place = addon.holdPlace(path)
    place.release()
    if (place.device !== device || place.inode !== inode) return 'kept'
    if (kind === KIND.directory) rmdirSync(path)
    else unlinkSync(path)
    return 'gone'
  } catch (error) {
    if (isAddonFailure(error)) return error.code === 32 ? 'in use' : 'kept'
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ENOENT': return 'gone'
      case 'ENOTEMPTY': case 'EEXIST': case 'ENOTDIR': return 'kept'
      case 'EBUSY': case 'EPERM': case 'EACCES': return 'in use'
      default: throw error
    }
  }
}

function unlinkUnlessGone(file: string): void {
  try {
    unlinkSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
