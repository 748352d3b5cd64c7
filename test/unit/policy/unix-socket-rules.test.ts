import { describe, expect, test } from 'vitest'
import type { SandboxError } from '../../../src/errors.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { PolicyObject } from '../../../src/policy/schema.js'
import { fakeHost, socket, symlink } from '../../support/fake-host.js'

const HOST = fakeHost({
  home: { user: { work: { 'own.sock': socket(), 'by-link': symlink('/run/db.sock'), 'to-docker': symlink('/run/docker.sock') } } },
  run: { 'db.sock': socket(), 'docker.sock': socket(), secret: { 'x.sock': socket() } },
  var: { run: symlink('/run') },
  tmp: {},
})
const W = '/home/user/work'

const resolved = (allowUnixSockets: string[], more: PolicyObject['network'] & object = {}, policy: PolicyObject = {}) =>
  resolve(parsePolicy({ ...policy, network: { allowUnixSockets, ...more } }), HOST)
const rulesOf = (...given: Parameters<typeof resolved>) => (resolved(...given).unixSockets ?? []).map(({ path, field, identity }) => [path, field, identity !== undefined])

describe('sockets that are allowed by path', () => {
  test('are known by their canonical path, whether they exist or not', () => {
    expect(rulesOf(['/var/run/db.sock', '/run/later.sock', '/var/run/'])).toEqual([
      ['/run/db.sock', 'network.allowUnixSockets[0]', false], ['/run/later.sock', 'network.allowUnixSockets[1]', false], ['/run', 'network.allowUnixSockets[2]', false],
    ])
  })
  test('in a writable root are the very socket that is there, and none where nothing is', () => {
    const policy = resolved([`${W}/own.sock`, `${W}/later.sock`])
    expect(policy.unixSockets).toEqual([{ path: `${W}/own.sock`, field: 'network.allowUnixSockets[0]', identity: expect.objectContaining({ inode: expect.any(String) }) }])
    expect(policy.ignored).toContainEqual({ field: 'network.allowUnixSockets[1]', value: `${W}/later.sock`, reason: 'missing' })
  })
  test('a denied one stays denied', () => {
    const policy = resolved(['/run/secret/x.sock'], {}, { deny: ['/run/secret'] })
    expect([policy.unixSockets, policy.ignored.map(({ reason }) => reason)]).toEqual([undefined, ['covered']])
  })
  test('docker.sock, by its own word', () => {
    expect(rulesOf(['/var/run/docker.sock'], { dangerouslyAllowDockerSocket: true })).toEqual([['/run/docker.sock', 'network.allowUnixSockets[0]', false]])
  })
})

test.each([
  { name: 'docker.sock without its word',             paths: ['/run/docker.sock'],     words: /the whole machine/ },
  { name: 'docker.sock by another path',              paths: ['/var/run/docker.sock'], words: /the whole machine/ },
  { name: 'a link that commands may have made',       paths: [`${W}/by-link`],         words: /a link that commands may have made/ },
  { name: 'such a link to docker.sock, with its word', paths: [`${W}/to-docker`], more: { dangerouslyAllowDockerSocket: true }, words: /a link that commands may have made/ },
  { name: 'everything',                               paths: ['/'],                    words: /every socket/ },
])('$name is refused', ({ paths, more = {}, words }) => {
  expect(() => resolved(paths, more)).toThrowError(expect.objectContaining({ code: 'policy_invalid_value', field: 'network.allowUnixSockets[0]', message: expect.stringMatching(words) }) as SandboxError)
})
