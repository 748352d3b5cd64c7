// The scan for folders that everybody may write: what it looks at, in which order, where it stops, and what it says of what it missed.
import { expect, test } from 'vitest'
import { parentOf } from '../../../../src/policy/path-syntax.js'
import { scanStarts, scanWorldWritable, type ScanLimits, type ScanView, stillOpen, worldWritableWarning } from '../../../../src/platform/windows/world-writable.js'

const MINE = 'O:S-1-5-21-1-2-3-1001D:PAI(A;OICI;FA;;;S-1-5-21-1-2-3-1001)'
const EVERYBODYS = 'O:S-1-5-21-1-2-3-1001D:AI(A;OICI;0x1301bf;;;WD)(A;OICIID;FA;;;S-1-5-21-1-2-3-1001)'
const READABLE = 'O:S-1-5-21-1-2-3-1001D:AI(A;OICI;0x1200a9;;;WD)'
const CAPABILITY = 'S-1-5-21-7-7-7-7'
const LIMITS: ScanLimits = { ms: 1000, inFolder: 100, folders: 1000 }

/** Folders by path; null: neither listed nor read. */
function view(lists: Readonly<Record<string, string | null>>, { msEach = 0 } = {}): ScanView & { readonly asked: string[] } {
  const asked: string[] = []
  let now = 0
  return {
    asked,
    folders: path => lists[path] === null ? undefined : Object.keys(lists).filter(each => each !== path && parentOf('windows', each) === path).map(each => each.slice(path.endsWith('\\') ? path.length : path.length + 1)),
    descriptor(path) {
      asked.push(path)
      now += msEach
      return lists[path] ?? undefined
    },
    nowMs: () => now,
  }
}

test('the workspace first, then temporary folders and programs, then what lies above, then drives; each once', () => {
  expect(scanStarts({
    cwd: 'C:\\src\\work', roots: ['C:\\src\\other'], folders: ['C:\\Temp', undefined, 'c:\\temp'], path: ['C:\\tools\\bin', 'C:\\Windows'], systemRoot: 'C:\\Windows', letters: ['C:', 'D:'],
  })).toEqual(['C:\\src\\work', 'C:\\src\\other', 'C:\\Temp', 'C:\\tools\\bin', 'C:\\Windows', 'C:\\src', 'C:\\', 'D:\\'])
})
test('a folder is found by an entry of its own, itself or one level below; what everybody only reads is not', () => {
  const { found, looked, unseen, stopped, left } = scanWorldWritable(['C:\\a'], view({ 'C:\\a': READABLE, 'C:\\a\\open': EVERYBODYS, 'C:\\a\\mine': MINE, 'C:\\a\\mine\\open': EVERYBODYS }), LIMITS)
  expect({ found, looked, unseen, stopped, left }).toEqual({ found: ['C:\\a\\open'], looked: 3, unseen: [], stopped: undefined, left: [] })
})
test.each([
  { name: 'no list at all lets everybody do everything', list: 'O:BAD:NO_ACCESS_CONTROL', isFound: true },
  { name: 'an entry that only what is made there gets', list: `${MINE}(A;OICIIO;FA;;;WD)`, isFound: true },
  { name: 'an inherited entry is the folder\'s above', list: 'O:BAD:AI(A;OICIID;FA;;;WD)', isFound: false },
  { name: 'making files is enough', list: 'O:BAD:(A;;0x2;;;WD)', isFound: true },
  { name: 'every user is not everybody', list: 'O:BAD:(A;;FA;;;BU)(A;;FA;;;AU)', isFound: false },
  { name: 'what is denied before it', list: 'O:BAD:(D;;FA;;;WD)(A;;FA;;;WD)', isFound: false },
])('$name: $isFound', ({ list, isFound }) => {
  expect(scanWorldWritable(['C:\\a'], view({ 'C:\\a': list }), LIMITS).found).toEqual(isFound ? ['C:\\a'] : [])
})
test('what cannot be listed, read or understood is told, and not taken for safe', () => {
  const { found, looked, unseen } = scanWorldWritable(['C:\\shut', 'C:\\a'], view({ 'C:\\shut': null, 'C:\\a': MINE, 'C:\\a\\odd': 'O:BAD:(A;;FA;;;LA)', 'C:\\a\\open': EVERYBODYS }), LIMITS)
  expect({ found, looked, unseen }).toEqual({ found: ['C:\\a\\open'], looked: 2, unseen: ['C:\\shut', 'C:\\a\\odd'] })
})
test('a folder is looked at once, whatever leads to it', () => {
  const given = view({ 'C:\\a': MINE, 'C:\\a\\b': MINE })
  scanWorldWritable(['C:\\a', 'C:\\A\\B', 'C:\\a\\b'], given, LIMITS)
  expect(given.asked).toEqual(['C:\\a', 'C:\\a\\b'])
})
const MANY = Object.fromEntries(['C:\\a', 'C:\\b', 'C:\\c'].flatMap(top => [[top, MINE], ...Array.from({ length: 5 }, (_, index): [string, string] => [`${top}\\${index}`, MINE])]))
test('it ends in time, and says where', () => {
  const { stopped, left, looked } = scanWorldWritable(['C:\\a', 'C:\\b', 'C:\\c'], view(MANY, { msEach: 100 }), { ...LIMITS, ms: 800 })
  expect({ stopped, left, looked }).toEqual({ stopped: 'time', left: ['C:\\b', 'C:\\c'], looked: 8 })
})
test('it ends at its number', () => {
  const { stopped, left, looked } = scanWorldWritable(['C:\\a', 'C:\\b', 'C:\\c'], view(MANY), { ...LIMITS, folders: 6 })
  expect({ stopped, left, looked }).toEqual({ stopped: 'count', left: ['C:\\b', 'C:\\c'], looked: 6 })
})
test('a folder with too many in it is looked into in part, and named', () => {
  const { stopped, left, looked } = scanWorldWritable(['C:\\a', 'C:\\b'], view(MANY), { ...LIMITS, inFolder: 2 })
  expect({ stopped, left, looked }).toEqual({ stopped: undefined, left: ['C:\\a', 'C:\\b'], looked: 6 })
})

test('what set-up has closed to every sandbox is not open', () => {
  const closed = EVERYBODYS.replace('D:AI', `D:AI(D;OICI;0xd0156;;;${CAPABILITY})`)
  const given = view({ 'C:\\closed': closed, 'C:\\open': EVERYBODYS, 'C:\\partly': closed.replace('0xd0156', '0x2'), 'C:\\below': closed.replace('D;OICI', 'D;OICIIO') })
  const found = ['C:\\closed', 'C:\\open', 'C:\\partly', 'C:\\below']
  expect(stillOpen({ found }, given, CAPABILITY)).toEqual(['C:\\open', 'C:\\partly', 'C:\\below'])
  expect(stillOpen({ found }, given, undefined)).toEqual(found)
})
test('the warning names three, counts the rest, and says where the scan was not through', () => {
  expect(worldWritableWarning([], {})).toBeUndefined()
  expect(worldWritableWarning(['a', 'b'], {})).toEqual({ samplePaths: ['a', 'b'], extraCount: 0, failedScan: false })
  expect(worldWritableWarning(['a', 'b', 'c', 'd', 'e'], {})).toEqual({ samplePaths: ['a', 'b', 'c'], extraCount: 2, failedScan: false })
  expect(worldWritableWarning([], { stopped: 'time' })).toEqual({ samplePaths: [], extraCount: 0, failedScan: true })
})
