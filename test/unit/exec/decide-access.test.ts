// What is asked of `decide` and `explain` comes from programs without types too: what is no access is an error, never an answer about another.
import { expect, test } from 'vitest'
import { explainAccess } from '../../../src/exec/decide-access.js'
import type { Access } from '../../../src/policy/decision.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import { fakeHost } from '../../support/fake-host.js'

const host = fakeHost({ w: {}, etc: {}, tmp: {} }, { cwd: '/w' })
const policy = resolve(presetPolicy('workspace-write', 'library'), host)

test.each([
  { name: 'nothing',                     access: undefined,                                   says: 'access is not valid: it must be an object' },
  { name: 'a path alone',                access: '/w/x',                                      says: 'access "/w/x" is not valid: it must be an object' },
  { name: 'a kind that there is not',    access: { kind: 'writ', path: '/w/x' },              says: 'access.kind "writ" is not valid: it must be one of read, write' },
  { name: 'a name of a prototype',       access: { kind: 'constructor', path: '/w/x' },       says: 'access.kind "constructor"' },
  { name: 'a file without a path',       access: { kind: 'write' },                           says: 'access.path is not valid' },
  { name: 'a path that is no text',      access: { kind: 'write', path: ['/w'] },             says: 'access.path ["/w"] is not valid' },
  { name: 'a connection without a host', access: { kind: 'connect', path: '/w/x', port: 1 },  says: 'access.host is not valid' },
  { name: 'a port as a text',            access: { kind: 'connect', host: 'a.b', port: '1' }, says: 'access.port "1" is not valid' },
  { name: 'a port that there is not',    access: { kind: 'connect', host: 'a.b', port: 65_536 }, says: 'access.port 65536 is not valid' },
])('$name is an error', ({ access, says }) => {
  expect(() => explainAccess(policy, host, access as unknown as Access)).toThrow(says)
})

test.each<{ access: Access; verdict: string }>([
  { access: { kind: 'write', path: 'x' },                        verdict: 'allow' },
  { access: { kind: 'write', path: '/etc/x' },                   verdict: 'deny' },
  { access: { kind: 'connect', host: 'example.org', port: 443 }, verdict: 'deny' },
])('$access.kind is answered', ({ access, verdict }) => {
  expect(explainAccess(policy, host, access).decision.verdict).toBe(verdict)
})
