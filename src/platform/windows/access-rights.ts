// Access rights of files and folders on Windows, as bits of an access mask. Source: winnt.h, [MS-DTYP] 2.4.3 and 2.5.1.1.

/** One row a right; folders have names of their own for some. */
export const FILE_RIGHTS = {
  readData:        0x1,        // folder: list
  writeData:       0x2,        // folder: add a file
  appendData:      0x4,        // folder: add a folder
  readEa:          0x8,
  writeEa:         0x10,
  execute:         0x20,       // folder: traverse
  deleteChild:     0x40,       // folder: remove or rename anything directly in it, whatever its own list says
  readAttributes:  0x80,
  writeAttributes: 0x100,
  delete:          0x1_0000,
  readControl:     0x2_0000,
  writeDac:        0x4_0000,
  writeOwner:      0x8_0000,
  synchronize:     0x10_0000,
} as const
export type FileRight = keyof typeof FILE_RIGHTS

const maskOf = (...rights: readonly FileRight[]): number => rights.reduce((mask, right) => mask | FILE_RIGHTS[right], 0)

/** FILE_GENERIC_READ and its kin: what the generic rights stand for on files. */
export const GENERIC_READ = maskOf('readControl', 'readData', 'readAttributes', 'readEa', 'synchronize')
export const GENERIC_WRITE = maskOf('readControl', 'writeData', 'writeAttributes', 'writeEa', 'appendData', 'synchronize')
export const GENERIC_EXECUTE = maskOf('readControl', 'readAttributes', 'execute', 'synchronize')
export const ALL = 0x1f_01ff

const GENERIC_BITS: readonly (readonly [number, number])[] = [[0x8000_0000, GENERIC_READ], [0x4000_0000, GENERIC_WRITE], [0x2000_0000, GENERIC_EXECUTE], [0x1000_0000, ALL]]

/** Generic bits replaced by what they stand for. */
export function mapGeneric(mask: number): number {
  let mapped = mask & 0x0fff_ffff
  for (const [bit, meaning] of GENERIC_BITS) if ((mask & bit) !== 0) mapped |= meaning
  return mapped >>> 0
}

/** What reads and runs, and changes nothing. */
export const READ_AND_RUN = GENERIC_READ | GENERIC_EXECUTE
/** The same, and what writes a file or fills a folder: nothing by which its own name, its list or its owner changes. */
export const WRITE_CONTENT = READ_AND_RUN | GENERIC_WRITE
/** The same, and to remove or rename it. */
export const WRITE_AND_REMOVE = WRITE_CONTENT | FILE_RIGHTS.delete

/** By which an object, or its place, or who may do what with it, changes. */
export const EVERY_CHANGE = maskOf('writeData', 'appendData', 'writeEa', 'writeAttributes', 'deleteChild', 'delete', 'writeDac', 'writeOwner')
/** By which a folder's name, or that of anything directly in it, is lost. */
export const MOVES = maskOf('deleteChild', 'delete', 'writeDac', 'writeOwner')
/** Content, names in a folder, and running it. Attributes show in the folder's list anyway. */
export const EVERY_READ = maskOf('readData', 'readEa', 'execute')
/** To look at a folder on the way to a readable one, without listing it. */
export const PASS_THROUGH = maskOf('readAttributes', 'readControl', 'synchronize', 'execute')
