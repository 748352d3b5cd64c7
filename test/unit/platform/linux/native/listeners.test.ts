// Listeners that a launcher hands over: what is not exactly the one that was planned starts nothing, and stays open nowhere.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { PlannedListener } from '../../../../../src/platform/launch-plan.js'
import { startLauncher } from '../../../../../src/platform/linux/native/launcher.js'
import { fakePlan } from '../../../../support/fake-launcher.js'

/** Hands over as `mode` says, and says that it is ready. Self-contained: its text is what runs, with Node's own side of the channel. */
function program(mode: string): void {
  const { createServer, Socket } = require('node:net') as typeof import('node:net')
  const control = new Socket({ fd: 3, readable: true, writable: true })
  const ready = (): void => {
    const header = Buffer.alloc(9)
    header[4] = 64
    control.write(header)
  }
  const hand = (message: object, host: string, port: number, then: () => void): void => {
    const server = createServer().listen(port, host, () => process.send?.(message, server, {}, () => {
      server.close()
      then()
    }))
  }
  control.on('end', () => process.exit(0))
  control.once('data', () => {
    // After the plan only CLOSE is sent here; the plan may come in parts.
    setTimeout(() => control.on('data', () => process.exit(0)), 100)
    switch (mode) {
      case 'none':         return ready()
      case 'good':         return hand({ listener: 0 }, '127.0.0.1', 0, () => setTimeout(ready, 100))
      case 'all addresses': return hand({ listener: 0 }, '0.0.0.0', 0, () => setTimeout(ready, 100))
      case 'other index':  return hand({ listener: 1 }, '127.0.0.1', 0, () => setTimeout(ready, 100))
      case 'no index':     return hand({}, '127.0.0.1', 0, () => setTimeout(ready, 100))
      case 'no handle':    return void process.send?.({ listener: 0 }, () => setTimeout(ready, 100))
      default:             return hand({ listener: 0 }, '127.0.0.1', 0, () => process.exit(3))
    }
  })
}

function start(mode: string, listeners: readonly PlannedListener[]) {
  const folder = mkdtempSync(join(tmpdir(), 'listeners-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'launcher.cjs')
  writeFileSync(path, `#!${process.execPath}\n(${program.toString()})(${JSON.stringify(mode)})\n`)
  chmodSync(path, 0o755)
  return startLauncher(path, { ...fakePlan(), listeners })
}

const PROXY: PlannedListener = { kind: 'proxy', port: 0 }

test('one that is as planned is there, accepts, and goes with the launcher', async () => {
  const launcher = await start('good', [PROXY])
  const [listener, ...others] = launcher.listeners ?? []
  expect([others, listener?.kind, listener?.server.address()]).toEqual([[], 'proxy', { address: '127.0.0.1', family: 'IPv4', port: listener?.port }])
  const reach = () => new Promise(resolve => connect(listener?.port ?? 0, '127.0.0.1').on('connect', function (this: { destroy(): void }) {
    this.destroy()
    resolve('accepted')
  }).on('error', (error: NodeJS.ErrnoException) => resolve(error.code)))
  expect(await reach()).toBe('accepted')
  await launcher.close()
  expect(await reach()).toBe('ECONNREFUSED')
})

test.each([
  { name: 'none comes',                          mode: 'none', listeners: [PROXY] },
  { name: 'one of two comes',                    mode: 'good', listeners: [PROXY, { kind: 'local-port', port: 5432 }] },
  { name: 'it listens on another port',          mode: 'good', listeners: [{ kind: 'local-port', port: 1 }] },
  { name: 'it listens beyond the loopback',      mode: 'all addresses', listeners: [PROXY] },
  { name: 'it is one that was not planned',      mode: 'other index', listeners: [PROXY] },
  { name: 'it does not say which one it is',     mode: 'no index', listeners: [PROXY] },
  { name: 'the descriptor was lost on the way',  mode: 'no handle', listeners: [PROXY] },
] as const)('refused: $name', async ({ mode, listeners }) => {
  await expect(start(mode, listeners)).rejects.toMatchObject({ code: 'set_up_failed', step: 'hand_over_listener' })
})

test('a launcher that ends after it has handed one over is a failed step, too', async () => {
  await expect(start('ends', [PROXY])).rejects.toMatchObject({ code: 'set_up_failed', step: 'start_launcher' })
})
