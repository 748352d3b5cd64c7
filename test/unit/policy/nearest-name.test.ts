import { expect, test } from 'vitest'
import { nearestName } from '../../../src/policy/nearest-name.js'

test.each([
  ['writeableRoots', 'writableRoots'],
  ['writable_roots', 'writableRoots'],
  ['dney', 'deny'],
  ['NETWORK-ACCESS', 'networkAccess'],
  ['colour', undefined],
  ['', undefined],
  ['x'.repeat(10_000), undefined],
])('%s is near %s', (name, expected) => {
  expect(nearestName(name, ['writableRoots', 'networkAccess', 'deny'])).toBe(expected)
})
