// The ways around the proxy, tried for real on both rungs: nothing arrives where somebody listens outside. The same program without a
// sandbox does arrive, by most of them.
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Sandbox, startSandbox } from '../../src/exec/sandbox.js'
import { holdGroup } from '../support/control-groups.js'
import { ALL_RUNGS, BWRAP, BWRAP_IF_THERE, prepareOn } from '../support/rungs.js'
import { makeFolder } from '../workloads/network/folder.js'
import { has } from '../workloads/network/world.js'

const PROGRAM = `${process.cwd()}/test/escape/programs/past-proxy.py`
const own = Object.values(networkInterfaces()).flatMap(each => each ?? []).filter(({ internal }) => !internal)
const ADDRESS = own.find(({ family }) => family === 'IPv4')?.address
const ADDRESS6 = own.find(({ family, scopeid }) => family === 'IPv6' && scopeid === 0)?.address ?? '::1'
const LACKS = !has('python3') ? 'python3 is not installed' : ADDRESS === undefined ? 'this machine has no address but its loopback' : undefined

/** By most of these the program arrives where there is no sandbox; what needs a privilege or a peer is left out. */
const ARRIVES_OUTSIDE = ['connect', 'connect to the loopback', 'connect to 0.0.0.0', 'connect by IPv4 in IPv6', 'sendto', 'sendto the loopback', 'sendmsg', 'connected datagrams', 'sendmmsg', 'an abstract socket', '/dev/tcp', 'addresses that change while they are read']

/** Somebody who listens on this machine, by TCP, UDP and an abstract name. Each run has its own: what is late of one is nothing of the next. */
interface Listening {
  readonly arrived: string[]
  readonly port: number
  /** With the padding that some versions of Node give it. */
  readonly abstractName: string
  readonly take: (socket: Socket) => void
  close(): void
}

let listenings = 0
async function listen(): Promise<Listening> {
  const arrived: string[] = []
  const sockets = new Set<Socket>()
  const note = (text: string): void => { arrived.push(...text.split('\n').filter(line => line !== '')) }
  const take = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('data', chunk => note(String(chunk)))
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
  }
  const tcp = createServer(take)
  await new Promise<void>(resolve => tcp.listen(0, '::', resolve))
  const { port } = tcp.address() as AddressInfo
  const udp = createSocket('udp6', chunk => note(String(chunk)))
  await new Promise<void>(resolve => udp.bind(port, '::', resolve))
  const abstract = createServer(take)
  const name = `past-proxy-${process.pid}-${++listenings}`
  await new Promise<void>(resolve => abstract.listen(`\0${name}`, resolve))
  return {
    arrived, port, take,
    abstractName: readFileSync('/proc/net/unix', 'utf8').split('\n').find(line => line.includes(`@${name}`))?.split(' ').at(-1) ?? '',
    close() {
      for (const socket of sockets) socket.destroy()
      for (const server of [tcp, udp, abstract]) server.close()
    },
  }
}

async function besideProxy(proxyPort: number, take: (socket: Socket) => void): Promise<Server> {
  const server = createServer(take)
  await new Promise<void>(resolve => server.listen(proxyPort, ADDRESS, resolve))
  return server
}

const words = ({ port, abstractName }: Listening, proxyPort: number): string[] => [PROGRAM, ADDRESS ?? '', ADDRESS6, String(port), abstractName, String(proxyPort)]

test('without a sandbox it arrives', async ({ skip }) => {
  if (LACKS !== undefined) skip(LACKS)
  const outside = await listen()
  onTestFinished(outside.close)
  const sink: Server = createServer(socket => {
    socket.on('error', () => {})
    socket.resume()
  })
  await new Promise<void>(resolve => sink.listen(0, '127.0.0.1', resolve))
  const child = spawn('python3', words(outside, (sink.address() as AddressInfo).port), { stdio: ['ignore', 'ignore', 'inherit'] })
  await new Promise(resolve => child.once('exit', resolve))
  sink.close()
  await expect.poll(() => ARRIVES_OUTSIDE.filter(name => !outside.arrived.includes(name))).toEqual([])
})

describe.each([...ALL_RUNGS, ...BWRAP_IF_THERE])('on the rung $name', variant => {
  const folder = makeFolder()
  const NAMES = 'past-proxy.example.org'
  const looked: string[] = []
  /** Of a network namespace of its own. */
  const ownLoopback = variant.rung === 'namespaces' || variant === BWRAP
  const group = variant.ends === undefined ? undefined : holdGroup()
  let sandbox: Sandbox
  beforeAll(async () => {
    // The very address and port are allowed: it is the way that is not.
    const policy = { network: { allowedDomains: ['10.255.255.1', 'example.org'], allowLocalPorts: [] } }
    sandbox = await startSandbox(await prepareOn(variant, { policy, cwd: folder.path }, group?.path), {}, {
      resolve: async name => {
        looked.push(name)
        return []
      },
    })
  })
  afterAll(async () => {
    await sandbox.close()
    await group?.remove()
    folder.remove()
  })

  test('nothing arrives', async ({ skip }) => {
    if (LACKS !== undefined) skip(LACKS)
    const outside = await listen()
    onTestFinished(outside.close)
    const port = await sandbox.shell('echo "$HTTP_PROXY"')
    const proxyPort = Number(/:(\d+)\n$/.exec(port.stdout)?.[1])
    // The port that may be reached, on an address that may not: a rule of Landlock's is about the port alone.
    const beside = variant.rung === 'supervised' ? await besideProxy(proxyPort, outside.take) : undefined
    const result = await sandbox.exec(['python3', ...words(outside, proxyPort)], { timeoutMs: 60_000 })
    beside?.close()
    const lines = result.stdout.trim().split('\n')
    expect(lines.length, result.stderr).toBeGreaterThan(25)
    // What was sent last may come last.
    await new Promise(resolve => setTimeout(resolve, 200))
    expect(outside.arrived).toEqual([])
    expect(looked).toEqual([])
    // What leads nowhere of its own: datagrams of a private loopback, and the proxy, which answers no such words.
    const harmless = ['addresses that change while they are read', ...(ownLoopback ? ['sendto the loopback', 'a source route', 'a device'] : [])]
    expect(lines.filter(line => line.endsWith(': sent') && !harmless.some(name => line.startsWith(`${name}:`)))).toEqual([])
    if (variant.rung === 'supervised') expect(lines.filter(line => /^a (source route|device):/.test(line))).toEqual(['a source route: Operation not permitted', 'a device: Operation not permitted'])
    expect(result.denials.some(({ kind }) => kind === 'network')).toBe(true)
    expect(result.denials.flatMap(({ host }) => host ?? []).includes(NAMES)).toBe(false)
  })

  test('a server inside is reached by nobody outside', async ({ skip }) => {
    if (LACKS !== undefined) skip(LACKS)
    const server = sandbox.spawn(['python3', '-c', 'import socket, time\nfor family in (socket.AF_INET, socket.AF_INET6):\n  try:\n    s = socket.socket(family); s.bind(("", 48123)); s.listen()\n    globals()[str(family)] = s\n  except OSError as e: print(e)\nprint("tried", flush=True)\ntime.sleep(30)'])
    await new Promise<void>(resolve => server.stdout.on('data', (chunk: Buffer) => { if (String(chunk).includes('tried')) resolve() }))
    const reached = await Promise.all([ADDRESS ?? '', '127.0.0.1', '::1'].map(host => new Promise<boolean>(resolve => {
      const socket = connect(48_123, host, () => {
        socket.destroy()
        resolve(true)
      })
      socket.on('error', () => resolve(false))
    })))
    server.kill('SIGKILL')
    await server.exited
    expect(reached).toEqual([false, false, false])
  })

  test('who reaches the listener from outside gets nothing', async () => {
    const answer = await sandbox.shell('echo "$HTTP_PROXY"')
    const [, credentials = '', port = ''] = /^http:\/\/(.*)@127\.0\.0\.1:(\d+)\n$/.exec(answer.stdout) ?? []
    const ask = (lines: string): Promise<string> => new Promise(resolve => {
      let text = ''
      const socket = connect(Number(port), '127.0.0.1', () => socket.write(lines))
      socket.on('data', chunk => { text += String(chunk) })
      socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''))
      socket.on('error', () => resolve('nobody listens'))
      setTimeout(() => socket.destroy(), 2_000)
    })
    const request = (authorization: string): string => `GET http://10.255.255.1:1/ HTTP/1.1\r\nHost: 10.255.255.1:1\r\n${authorization}Connection: close\r\n\r\n`
    const wrong = `Proxy-Authorization: Basic ${Buffer.from(`${credentials.split(':')[0]}:${'0'.repeat(64)}`).toString('base64')}\r\n`
    const expected = ownLoopback ? 'nobody listens' : 'HTTP/1.1 407 Proxy Authentication Required'
    expect([await ask(request('')), await ask(request(wrong))]).toEqual([expected, expected])
    expect(credentials.split(':')[1]).toMatch(ownLoopback ? /^x$/ : /^[0-9a-f]{64}$/)
  })
})
