// Found by a long run of the mount laws: a match of a deny glob was left out where its folder is denied as well, and with it the
// deny at a path that a read rule names too: `decide` still refused by the glob, but mounts are made from the rules, and opened it.
import { expect, test } from 'vitest'
import { decide } from '../../../src/policy/decide.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import { fakeHost } from '../../support/fake-host.js'

const host = fakeHost({ home: { user: { work: { a: { b: { c: '' } } } } }, data: {} }, { cwd: '/data', home: '/home/user' })
const PLACE = '/home/user/work/a/b'
/** What `decide` says of the place and below it, and the rule that back ends see there. */
const verdicts = (deny: string[]): (string | undefined)[] => {
  const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), read: [PLACE], deny }, host)
  return [...[PLACE, `${PLACE}/c`].map(path => decide(policy, { kind: 'read', path }).verdict), policy.paths.find(({ path }) => path === PLACE)?.effect]
}

test.each([
  { name: 'the glob alone', deny: ['/home/user/work/*/b'] },
  { name: 'and a deny of a folder above, before it', deny: ['/home', '/home/user/work/*/b'] },
  { name: 'and a deny of a folder above, after it', deny: ['/home/user/work/*/b', '/home'] },
])('at one path a glob that denies wins over read: $name', ({ deny }) => {
  expect(verdicts(deny)).toEqual(['deny', 'deny', 'deny'])
})

test('what a read rule opens below a denied folder is open where no glob matches it', () => {
  expect(verdicts(['/home', '/home/user/work/*/x'])).toEqual(['allow', 'allow', 'read'])
})
