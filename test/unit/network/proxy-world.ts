// A proxy on a loopback port, a resolver with the test's own names, and servers that seem to have public addresses.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { createProxy, type NetworkProxy, type ProxyOptions } from '../../../src/network/proxy.js'
import type { Address, Resolve } from '../../../src/network/resolver.js'
import type { NetworkDenial } from '../../../src/network/client.js'
import { compileDomains, type NetworkRules } from '../../../src/policy/domains.js'

export const PUBLIC = '93.184.216.34'
export const OTHER_PUBLIC = '93.184.216.35'

export interface World {
  readonly proxy: NetworkProxy
  readonly port: number
  /** What was looked up, and what was dialled as `address:port`, in order. */
  readonly looked: string[]
  readonly dialled: string[]
  readonly denials: NetworkDenial[]
  readonly prompts: string[]
  rules: Partial<NetworkRules>
  /** Sends bytes and collects what comes until the proxy closes, or `until` is found in it. */
  talk(bytes: string | Buffer | readonly (string | Buffer)[], until?: string): Promise<string>
  connect(): Promise<Socket>
  close(): Promise<void>
}

export interface WorldOptions extends Partial<Omit<ProxyOptions, 'rules' | 'resolve' | 'dial'>> {
  readonly rules?: Partial<NetworkRules>
  readonly names?: Readonly<Record<string, readonly string[]>>
  /** The port on the loopback where each address that is dialled really leads. */
  readonly servers?: Readonly<Record<string, number>>
}

export async function openWorld({ rules = {}, names = {}, servers = {}, ...options }: WorldOptions = {}): Promise<World> {
  const looked: string[] = []
  const dialled: string[] = []
  const denials: NetworkDenial[] = []
  const prompts: string[] = []
  const resolve: Resolve = async name => {
    looked.push(name)
    const found = names[name]
    if (found === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
    return found.map((address): Address => ({ address, family: address.includes(':') ? 6 : 4 }))
  }
  const world = { rules }
  const proxy = createProxy({
    rules: () => compileDomains({ mode: 'full', allowedDomains: undefined, deniedDomains: [], ...world.rules }),
    resolve,
    hostAddresses: () => ['192.168.77.1', '198.41.0.4'],
    onDenied: denial => { denials.push(denial) },
    onPrompt: open => { prompts.push(open ? 'open' : 'closed') },
    ...options,
    dial: ({ address, port }) => {
      dialled.push(`${address}:${port}`)
      const real = servers[`${address}:${port}`]
      if (real === undefined) return Promise.reject(Object.assign(new Error('nobody listens'), { code: 'ECONNREFUSED' }))
      return new Promise((resolveSocket, reject) => {
        const socket = connect({ host: '127.0.0.1', port: real, allowHalfOpen: true, noDelay: true }, () => resolveSocket(socket))
        socket.once('error', reject)
      })
    },
  })
  const server = createServer(socket => proxy.accept(socket, 'a command'))
  const port = await listen(server)
  const open = (): Promise<Socket> => new Promise((done, reject) => {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true }, () => done(socket))
    socket.once('error', reject)
  })
  return {
    proxy, port, looked, dialled, denials, prompts,
    get rules() { return world.rules },
    set rules(next) { world.rules = next },
    connect: open,
    async talk(bytes, until) {
      const socket = await open()
      const pieces = Array.isArray(bytes) ? bytes as (string | Buffer)[] : [bytes as string | Buffer]
      const answer = collect(socket, until)
      for (const piece of pieces) {
        socket.write(piece, 'latin1')
        if (pieces.length > 1) await new Promise(done => setImmediate(done))
      }
      const text = await answer
      socket.destroy()
      return text
    },
    async close() {
      server.close()
      await proxy.close()
    },
  }
}

/** All that comes, as Latin-1, until the end, a reset, or `until` is in it. */
export function collect(socket: Socket, until?: string): Promise<string> {
  return new Promise(resolve => {
    let text = ''
    const done = (): void => resolve(text)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (until !== undefined && text.includes(until)) done()
    })
    socket.on('end', () => {
      socket.end()
      done()
    })
    socket.on('close', done).on('error', done)
  })
}

export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('no port'))
      else resolve(address.port)
    })
  })
}
