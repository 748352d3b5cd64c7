// Names that a file system takes for the same: letter case and Unicode forms.
import type { HostSnapshot, PlatformName } from './host-snapshot.js'
import { isInside, joinPath, lastName, parentOf, splitNames } from './path-syntax.js'

/**
 * One spelling for all names that a case-insensitive file system may take for the same one: what Linux's casefold,
 * APFS and HFS+ ignore is dropped, then full case folding over the decomposed form. Folds rather too much than too little.
 */
export function foldName(name: string): string {
  if (/^[\x20-\x7e]*$/.test(name)) return name.toLowerCase()
  const visible = name.normalize('NFD').replaceAll(/\p{Default_Ignorable_Code_Point}/gu, '')
  // By character: toLowerCase of a whole word writes a final sigma, and the dotless i (U+0131) is nobody's capital I. The capital
  // sharp s (U+1E9E) is its own upper case: only its lower case has the upper case that it folds by.
  return [...visible].map(char => char === '\u0131' ? char : char.toLowerCase().toUpperCase().toLowerCase()).join('').normalize('NFD')
}

/** A path as it is compared: folded below the roots that were found case-insensitive, everywhere on Windows, else as it is. */
export function comparisonKey(platform: PlatformName, caseInsensitiveRoots: readonly string[], path: string): string {
  if (platform === 'windows') return foldName(path)
  for (const root of caseInsensitiveRoots) {
    if (isInside(platform, root, path)) return root + foldName(path.slice(root.length))
  }
  return path
}

/**
 * Asks the file system itself: does the swapped case of an existing name lead to the same file? An empty folder answers
 * as the folder above it on the same device; where nothing can be asked, as its platform usually does.
 *
 * @param folder   canonical, existing
 * @param known    paths of which some may lie in it: where one of them tells the letter cases apart, the folder need not be listed
 */
export function isCaseInsensitive(host: HostSnapshot, folder: string, known: readonly string[] = []): boolean {
  const { platform, files } = host
  if (known.some(path => path !== folder && isInside(platform, folder, path) && isToldApart(host, folder, path))) return false
  const names = files.children(folder) ?? []
  const listed = new Set(names)
  for (const name of names) {
    const swapped = swapCase(name)
    // A name that stands in the listing as well is a second link to one file, not a second spelling.
    if (swapped !== name && !listed.has(swapped)) return sameFile(host, joinPath(platform, folder, name), joinPath(platform, folder, swapped))
  }
  const parent = parentOf(platform, folder)
  const [own, above] = [files.entry(folder), files.entry(parent)]
  const swapped = swapCase(lastName(platform, folder))
  if (parent !== folder && own !== undefined && own.device === above?.device && swapped !== lastName(platform, folder)) {
    if (isToldApart(host, parent, folder)) return false
    if (files.children(parent)?.includes(swapped) === false) return sameFile(host, folder, joinPath(platform, parent, swapped))
  }
  return platform !== 'linux'
}

/** The name in `folder` on the way to `path` is there, and in the swapped case nothing is: no listing could say more. */
function isToldApart({ platform, files }: HostSnapshot, folder: string, path: string): boolean {
  const name = splitNames(platform, path.slice(folder.length))[0] ?? ''
  const swapped = swapCase(name)
  return swapped !== name && files.entry(joinPath(platform, folder, name)) !== undefined && files.entry(joinPath(platform, folder, swapped)) === undefined
}

function sameFile(host: HostSnapshot, a: string, b: string): boolean {
  const [first, second] = [host.files.entry(a), host.files.entry(b)]
  return first !== undefined && first.inode === second?.inode && first.device === second.device
}

const swapCase = (name: string): string =>
  name.replaceAll(/[A-Za-z]/g, char => char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase())
