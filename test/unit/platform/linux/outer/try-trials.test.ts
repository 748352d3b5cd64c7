// What cannot be tried is no refusal: where looking fails for another reason than a refusal, nothing is relied on.
import { createSocket } from 'node:dgram'
import { EventEmitter } from 'node:events'
import * as fs from 'node:fs'
import { connect } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { outerSandboxBackend, probeOuterSandbox } from '../../../../../src/platform/linux/outer/backend.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import { fakeHost } from '../../../../support/fake-host.js'

vi.mock('node:fs', async original => {
  const real = await original<typeof fs>()
  return { ...real, readdirSync: vi.fn(real.readdirSync), openSync: vi.fn(real.openSync), mkdirSync: vi.fn(real.mkdirSync) }
})
vi.mock('node:net', async original => ({ ...await original<object>(), connect: vi.fn() }))
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
async function openSockets({ unix, network }: { readonly unix: string; readonly network: string }): Promise<string> {
  vi.mocked(fs.mkdirSync).mockImplementation(fails('EROFS', '/'))
  vi.mocked(fs.openSync).mockImplementation(fails('EACCES', '/'))
  vi.mocked(fs.readdirSync).mockReturnValue([])
  vi.mocked(connect).mockImplementation(((target: object) => failing('path' in target ? unix : network)) as never)
  vi.mocked(createSocket).mockImplementation(() => failing(network))
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
