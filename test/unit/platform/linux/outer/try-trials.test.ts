// What cannot be tried is no refusal: where looking fails for another reason than a refusal, nothing is relied on.
import { createSocket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import * as fs from 'node:fs'
import { connect } from 'node:net'
import type * as os from 'node:os'
import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { outerSandboxBackend, probeOuterSandbox } from '../../../../../src/platform/linux/outer/backend.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import { fakeHost } from '../../../../support/fake-host.js'

vi.mock('node:fs', async original => {
  const real = await original<typeof fs>()
  return { ...real, readdirSync: vi.fn(real.readdirSync), openSync: vi.fn(real.openSync), mkdirSync: vi.fn(real.mkdirSync), readFileSync: vi.fn(real.readFileSync) }
})
vi.mock('node:net', async original => ({ ...await original<object>(), connect: vi.fn() }))
vi.mock('node:os', async original => {
  const real = await original<typeof os>()
  return { ...real, networkInterfaces: vi.fn(real.networkInterfaces) }
})
vi.mock('node:dgram', async original => ({ ...await original<object>(), createSocket: vi.fn() }))
afterEach(() => void vi.resetAllMocks())

const CWD = '/home/user/work'
const policy = resolve(presetPolicy('workspace-write', 'library'), fakeHost({ home: { user: { work: {} } }, tmp: {} }))
const fails = (code: string, path: string) => () => { throw Object.assign(new Error(code), { code, path }) }

test.each(['EMFILE', 'ENFILE', 'EIO', 'ENOMEM'])('a folder beside the way that cannot be listed: %s', async code => {
  vi.mocked(fs.readdirSync).mockImplementationOnce(fails(code, CWD))
  const layers = await probeOuterSandbox(policy, {})
  expect(layers).toMatchObject([{ layer: 'outer-sandbox', available: false, errno: code, reason: `not all that the policy denies could be tried: ${code} at "${CWD}"` }])
  // Known before anything is tried.
  expect(fs.mkdirSync).not.toHaveBeenCalled()
  expect(() => outerSandboxBackend().compile(policy, layers, { allowDegraded: new Set(['outer-sandbox']), limits: {}, architecture: 'x64', stateDirectory: '/s', cwdIdentity: { device: '1', inode: '2' } }))
    .toThrow(expect.objectContaining({ code: 'layer_missing', field: 'outer-sandbox' }))
})

test('a mistake of ours is not taken for the host\'s', async () => {
  vi.mocked(fs.readdirSync).mockImplementationOnce(() => { throw new TypeError('ours') })
  await expect(probeOuterSandbox(policy, {})).rejects.toThrow('ours')
})

/** A socket whose connecting fails so. */
function failing(code: string): never {
  const socket = Object.assign(new EventEmitter(), { setTimeout: () => socket, destroy() {}, close() {}, connect() {} })
  setImmediate(() => socket.emit('error', Object.assign(new Error(code), { code })))
  return socket as never
}

/** All files are refused; the sockets fail as given. What is found open. */
async function openSockets({ unix, network, datagrams = network }: { readonly unix: string; readonly network: string; readonly datagrams?: string }): Promise<string> {
  vi.mocked(fs.mkdirSync).mockImplementation(fails('EROFS', '/'))
  vi.mocked(fs.openSync).mockImplementation(fails('EACCES', '/'))
  vi.mocked(fs.readdirSync).mockReturnValue([])
  vi.mocked(connect).mockImplementation(((target: object) => failing('path' in target ? unix : network)) as never)
  vi.mocked(createSocket).mockImplementation(() => failing(datagrams))
  const [layer] = await probeOuterSandbox(policy, { SSH_AUTH_SOCK: '/run/agent' })
  return layer?.available === true ? 'nothing' : layer?.reason ?? ''
}

test.each(['EAGAIN', 'EPROTOTYPE', 'EMFILE', 'ENOBUFS'])('a unix socket that is reached, or not known to be refused: %s', async unix => {
  expect(await openSockets({ unix, network: 'ENETUNREACH' })).toContain('the unix socket')
})
test.each(['EMFILE', 'ENOBUFS', 'EIO'])('a socket of the network that is not known to be refused: %s', async network => {
  expect(await openSockets({ unix: 'ENOENT', network })).toContain('the network')
})
test.each([
  { unix: 'EACCES', network: 'EACCES' }, { unix: 'EPERM', network: 'EPERM' }, { unix: 'ECONNREFUSED', network: 'ENETUNREACH' }, { unix: 'ENOENT', network: 'EAFNOSUPPORT' }, { unix: 'ENOENT', network: 'EADDRNOTAVAIL' },
])('refused, or nobody there: a unix socket $unix, the network $network', async codes => {
  expect(await openSockets(codes)).toBe('nothing')
})

describe('where no way leads out', () => {
  const TABLE = '   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1681 1 0 100 0 0 10 0\n'
  const withTable = (read: () => string): void => void vi.mocked(fs.readFileSync).mockImplementation(path => String(path).endsWith('/tcp') ? read() : '')

  test.each(['ETIMEDOUT', 'EMFILE', 'ECONNRESET'])('a server on the loopback is not known to be out of reach: %s', async network => {
    vi.mocked(networkInterfaces).mockReturnValue({})
    withTable(() => TABLE)
    expect(await openSockets({ unix: 'ENOENT', network, datagrams: 'ENETUNREACH' })).toContain('the network (127.0.0.1:8080, where something listens)')
  })
  // ECONNREFUSED: the table says that somebody waits, so it is said by the sandbox.
  test.each(['EACCES', 'EPERM', 'ECONNREFUSED'])('a server on the loopback that is refused: %s', async network => {
    vi.mocked(networkInterfaces).mockReturnValue({})
    withTable(() => TABLE)
    expect(await openSockets({ unix: 'ENOENT', network, datagrams: 'ENETUNREACH' })).toBe('nothing')
  })
  test('where it cannot be known who listens, a loopback that nothing refuses is not relied on', async () => {
    vi.mocked(networkInterfaces).mockReturnValue({})
    withTable(fails('EACCES', '/proc/self/net/tcp'))
    expect(await openSockets({ unix: 'ENOENT', network: 'ECONNREFUSED', datagrams: 'ENETUNREACH' })).toBe('not all that the policy denies could be tried: ENOENT at "/proc/self/net/tcp"')
    withTable(fails('EACCES', '/proc/self/net/tcp'))
    expect(await openSockets({ unix: 'ENOENT', network: 'EACCES', datagrams: 'ENETUNREACH' })).toBe('nothing')
  })
})
