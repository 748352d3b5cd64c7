// The one elevated helper: what passes between it and whoever asked for it, over a unix socket here.
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { elevate, type HelperCommand, serveElevated } from '../../../../../src/platform/windows/setup/elevation.js'
import { type MachineRequest, REQUEST_VERSION } from '../../../../../src/platform/windows/setup/machine-request.js'
import { setUpCalls } from '../../../../../src/platform/windows/setup/calls.js'
import { WindowsFailure, type WindowsSystem } from '../../../../../src/platform/windows/setup/system.js'
import { presetPolicy } from '../../../../../src/policy/presets.js'
import { resolve } from '../../../../../src/policy/resolve.js'
import { FakeWindows } from '../../../../support/fake-windows.js'
import { ME, winHost } from '../../../../support/windows-host.js'

const REQUEST: MachineRequest = { version: REQUEST_VERSION, task: 'set-up', user: { name: 'me', sid: ME }, wantsPasswords: true, proxyPorts: [], close: [], sids: ['S-1-5-21-9-9-9-9'], strip: [] }

let [folder, pipe] = ['', '']
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'csbx-helper-'))
  pipe = join(folder, 'pipe')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const helper = (windows: FakeWindows, change: (options: { pipe: string; digest: string }) => { pipe: string; digest: string } = options => options): HelperCommand => ({
  program: 'node', args: ['cli.js'], cwd: 'C:\\',
  run: async (_program, parameters) => {
    const [, ofPipe = '', digest = ''] = /windows helper (\S+) (\S+)$/.exec(parameters) ?? []
    return serveElevated(windows.system(true), change({ pipe: ofPipe, digest }), /./)
  },
})

const machine = () => new FakeWindows(winHost(), { machine: { isElevated: false } })

describe('a session', () => {
  test('is told of progress, answers, and stays when it is kept', async () => {
    const windows = machine()
    const steps: string[] = []
    const session = await elevate(helper(windows), REQUEST, { onProgress: ({ step }) => steps.push(step) }, pipe)
    expect(session.result.passwords?.offline).toHaveLength(32)
    expect(steps).toContain('logon_rights')
    await session.keep()
    expect(windows.picture()['accounts']).toEqual(['CsbxOffline', 'CsbxOnline'])
  })

  test('leaves nothing when it is undone', async () => {
    const windows = machine()
    const before = windows.picture()
    const session = await elevate(helper(windows), REQUEST, {}, pipe)
    expect(windows.picture()).not.toEqual(before)
    await session.undo()
    expect(windows.picture()).toEqual(before)
  })

  test('a failure of the helper comes over as it is, and nothing is left', async () => {
    const windows = machine()
    const before = windows.picture()
    windows.fails.set('addAccount', 2245)
    await expect(elevate(helper(windows), REQUEST, {}, pipe)).rejects.toMatchObject({ code: 'set_up_failed', step: 'account_offline', errno: '2245', message: expect.stringMatching(/^account_offline \(2245\) failed before the command ran: addAccount failed \(2245\) \(the password does not meet the policy of the machine\)\. What this call made is undone/) })
    expect(windows.picture()).toEqual(before)
  })

  test('aborted in the middle: nothing is left', async () => {
    const windows = machine()
    const before = windows.picture()
    const controller = new AbortController()
    await expect(elevate(helper(windows), REQUEST, { signal: controller.signal, onProgress: ({ step }) => { if (step === 'logon_rights') controller.abort(new Error('enough')) } }, pipe)).rejects.toThrow('enough')
    expect(windows.picture()).toEqual(before)
  })

  test('no consent is told as that', async () => {
    await expect(elevate({ ...helper(machine()), run: async () => { throw Object.assign(new Error('x'), { step: 'run_elevated', code: 1223 }) } }, REQUEST, {}, pipe)).rejects.toMatchObject({ name: 'WindowsFailure', code: 1223 })
  })

  test('a helper that ends without a word is a failure', async () => {
    await expect(elevate({ ...helper(machine()), run: async () => 3 }, REQUEST, {}, pipe)).rejects.toThrow(/ended with 3/)
  })
})

describe('somebody else', () => {
  test('a request that was changed after consent does nothing', async () => {
    const windows = machine()
    const before = windows.picture()
    await expect(elevate(helper(windows, options => ({ ...options, digest: '0'.repeat(64) })), REQUEST, {}, pipe)).rejects.toMatchObject({ code: 'set_up_failed', step: 'elevation', errno: 'EBADMSG' })
    expect(windows.picture()).toEqual(before)
  })

  test('a helper that was started for another pipe does nothing', async () => {
    await expect(serveElevated(machine().system(true), { pipe: '\\\\server\\pipe\\x', digest: '' })).rejects.toMatchObject({ code: 'option_invalid' })
    await expect(serveElevated(machine().system(true), { pipe, digest: '' })).rejects.toMatchObject({ code: 'option_invalid' })
  })

  test.each([['without a word', undefined], ['in the middle of one', '{"kind":"ke'], ['with nonsense', 'keep\n']])('whoever asked dies %s: what was made is undone', async (_how, last) => {
    const windows = machine()
    const before = windows.picture()
    const asking = createServer(socket => {
      socket.on('error', () => {})
      const text = JSON.stringify(REQUEST)
      socket.write(`${JSON.stringify({ kind: 'request', text })}\n`)
      socket.on('data', data => { if (data.toString().includes('"result"')) last === undefined ? socket.destroy() : socket.end(last) })
    })
    await new Promise<void>(done => asking.listen(pipe, done))
    const { createHash } = await import('node:crypto')
    await serveElevated(windows.system(true), { pipe, digest: createHash('sha256').update(JSON.stringify(REQUEST)).digest('hex') }, /./)
    asking.close()
    expect(windows.calls).toContain('addAccount')
    expect(windows.picture()).toEqual(before)
  })

  test('who connects to the pipe first and says nothing, or nonsense, changes nothing', async () => {
    const windows = machine()
    const others = ['', 'nonsense\n', 'null\n', '{"kind":"unknown"}\n', '{"kind":"done"}\n']
    const session = await elevate({
      ...helper(windows), run: async (program, parameters, cwd) => {
        for (const words of others) await new Promise<void>(done => { const socket = connect(pipe, () => { socket.write(words, () => done()) }); socket.on('error', () => {}); socket.resume() })
        return helper(windows).run(program, parameters, cwd)
      },
    }, REQUEST, {}, pipe)
    await session.keep()
    expect(windows.picture()['accounts']).toEqual(['CsbxOffline', 'CsbxOnline'])
  })

  test('a false answer is not believed: the system is asked', async () => {
    const windows = machine()
    const before = windows.picture()
    const account = { name: 'x', sid: 'S-1-5-21-6-6-6-6' }
    const lying: HelperCommand = {
      ...helper(windows), run: () => new Promise(done => {
        const socket = connect(pipe, () => socket.write(`${JSON.stringify({ kind: 'result', result: { steps: [], accounts: { offline: account, online: account, group: account }, passwords: { offline: 'p', online: 'p' } } })}\n`))
        socket.resume()
        socket.on('data', () => { socket.write('{"kind":"done"}\n') })
        socket.on('close', () => done(0))
      }),
    }
    const plain = windows.system()
    const system = new Proxy(plain, { get: (target, name: keyof WindowsSystem) => name === 'elevate' ? (request: MachineRequest, listeners: object) => elevate(lying, request, listeners, pipe) : target[name] })
    const host = winHost()
    const policy = resolve(presetPolicy('workspace-write', 'reference'), host)
    await expect(setUpCalls(system).setUp({ mode: 'elevated', policies: [policy], facts: () => windows.facts() })).rejects.toMatchObject({ code: 'set_up_failed', step: 'accounts' })
    const { lists: _lists, ...rest } = windows.picture()
    expect(rest).toEqual((({ lists: _before, ...others }) => others)(before))
  })
})

test('a failure of Windows says which call', () => {
  expect(new WindowsFailure('addAccount', 2245).message).toBe('addAccount failed (2245)')
})
