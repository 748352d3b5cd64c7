import fc from 'fast-check'
import { expect, test } from 'vitest'
import { assignCapabilities, capabilityKey, EMPTY_STORE, parseStore, printStore, READ_ONLY_KEY, retireCapabilities } from '../../../../src/platform/windows/capability-sids.js'
import { isSid } from '../../../../src/platform/windows/sid.js'

/** A source that repeats itself soon: collisions are the point. */
const few = () => { let at = 0; return () => Math.floor(at++ / 4) % 5 }

test('a key gets a SID once, and keeps it', () => {
  const first = assignCapabilities(EMPTY_STORE, ['a', 'b', READ_ONLY_KEY], few())
  expect(Object.keys(first.sids)).toEqual(['a', 'b', READ_ONLY_KEY])
  expect(Object.values(first.sids).every(isSid)).toBe(true)
  expect(assignCapabilities(first, ['b', 'a'], () => { throw new Error('nothing is drawn') })).toEqual(first)
})

test('no SID is ever given twice, however often roots come and go', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('add', 'remove'), fc.constantFrom('a', 'b', 'c')), { maxLength: 12 }), steps => {
    let store = EMPTY_STORE
    let next = 0
    const seen = new Map<string, string>()
    const random = () => Math.floor(next++ / 4) % 40
    for (const [step, key] of steps) {
      const had = store.sids[key]
      store = step === 'add' ? assignCapabilities(store, [key], random) : retireCapabilities(store, [key])
      const sid = store.sids[key]
      if (sid === undefined || sid === had) continue
      expect(seen.has(sid)).toBe(false)
      seen.set(sid, key)
    }
  }), { numRuns: 300 })
})

test('one key for a root in any letters; another for a root in which other things are closed', () => {
  expect(capabilityKey('C:\\W', ['read C:\\w\\.git', 'write C:\\w'])).toBe(capabilityKey('c:\\w', ['write C:\\w', 'read C:\\w\\.git']))
  expect(capabilityKey('C:\\w', ['read C:\\w\\.git'])).not.toBe(capabilityKey('C:\\w', ['read C:\\w\\.git', 'deny C:\\w\\x']))
  expect(capabilityKey('C:\\w', [])).not.toBe(capabilityKey('C:\\v', []))
})

test('what is written is read as the same', () => {
  const store = retireCapabilities(assignCapabilities(EMPTY_STORE, ['C:\\ü|1', READ_ONLY_KEY], few()), ['C:\\ü|1'])
  expect(parseStore(printStore(store), 'f')).toEqual(store)
})

test.each([
  ['', 'not JSON'], ['null', 'version'], ['{"version":2,"sids":{},"retired":[]}', 'version'], ['{"version":1,"sids":[],"retired":[]}', 'no sids'], ['{"version":1,"sids":{}}', 'no sids'],
  ['{"version":1,"sids":{"a":"x"},"retired":[]}', 'no SID'], ['{"version":1,"sids":{"a":"S-1-5-21-1-1-1-1"},"retired":["S-1-5-21-1-1-1-1"]}', 'twice'], ['{"version":1,"sids":{"a":"S-1-5-21-1-1-1-1","b":"S-1-5-21-1-1-1-1"},"retired":[]}', 'twice'],
])('a damaged file is an error, never an empty store: %s', (text, why) => {
  expect(() => parseStore(text, 'f')).toThrow(expect.objectContaining({ code: 'option_invalid', field: 'f', message: expect.stringContaining(why) }))
})
