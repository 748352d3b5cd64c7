// SOCKS5 from hostile clients: cut at every byte, slow, too much at once, garbage.
import { createServer, type Server } from 'node:net'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { collect, listen, openWorld, PUBLIC, type World } from './proxy-world.js'

const TOKEN = 'a'.repeat(64)
let world: World
let guarded: World
let echo: Server

beforeAll(async () => {
  echo = createServer({ allowHalfOpen: true }, socket => { socket.on('error', () => {}).pipe(socket) })
  await listen(echo)
})
afterAll(() => { echo.close() })
beforeEach(async () => {
  const { port } = echo.address() as { port: number }
  const options = { rules: { allowedDomains: ['app.test'] }, names: { 'app.test': [PUBLIC] }, servers: { [`${PUBLIC}:443`]: port }, timeouts: { headMs: 200 } }
  world = await openWorld(options)
  guarded = await openWorld({ ...options, token: TOKEN })
})
afterEach(async () => {
  await world.close()
  await guarded.close()
})

const name = (host: string): number[] => [5, 1, 0, 3, host.length, ...Buffer.from(host), 1, 187]
const login = (user: string, password: string): number[] => [1, user.length, ...Buffer.from(user), password.length, ...Buffer.from(password)]
const text = (...bytes: number[]): string => Buffer.from(bytes).toString('latin1')
const OPENED = [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]

async function through(to: World, pieces: readonly Buffer[]): Promise<string> {
  const socket = await to.connect()
  const all = collect(socket)
  for (const piece of pieces) {
    socket.write(piece)
    await new Promise(resolve => setImmediate(resolve))
  }
  socket.end()
  return all
}

test('cut at every byte, a conversation means the same', async () => {
  const bytes = Buffer.from([5, 2, 0, 2, ...login('x', TOKEN), ...name('app.test'), ...Buffer.from('ping')])
  const whole = text(5, 2, 1, 0, ...OPENED, ...Buffer.from('ping'))
  expect(await through(guarded, [bytes])).toBe(whole)
  for (let at = 1; at < bytes.length; at++) expect({ at, got: await through(guarded, [bytes.subarray(0, at), bytes.subarray(at)]) }).toEqual({ at, got: whole })
  expect(await through(guarded, [...bytes].map(byte => Buffer.from([byte])))).toBe(whole)
})

test('an end after every byte leaves nothing behind', async () => {
  const bytes = Buffer.from([5, 1, 2, ...login('x', TOKEN), ...name('app.test')])
  for (let at = 0; at < bytes.length; at++) await through(guarded, [bytes.subarray(0, at)])
  await expect.poll(() => guarded.proxy.stats.connections).toBe(0)
  expect(guarded.dialled).toEqual([])
})

describe('the token', () => {
  test.each([
    { name: 'the right one, whatever the user', bytes: [5, 1, 2, ...login('anybody', TOKEN), ...name('app.test')], answer: text(5, 2, 1, 0, ...OPENED) },
    { name: 'no method with a password', bytes: [5, 1, 0, ...name('app.test')], answer: text(5, 0xff) },
    { name: 'a wrong one', bytes: [5, 1, 2, ...login('x', 'b'.repeat(64)), ...name('app.test')], answer: text(5, 2, 1, 1) },
    { name: 'one that only begins alike', bytes: [5, 1, 2, ...login('x', TOKEN.slice(1)), ...name('app.test')], answer: text(5, 2, 1, 1) },
    { name: 'one that is longer', bytes: [5, 1, 2, ...login('x', `${TOKEN}a`), ...name('app.test')], answer: text(5, 2, 1, 1) },
    { name: 'an empty one', bytes: [5, 1, 2, ...login('x', ''), ...name('app.test')], answer: text(5, 2, 1, 1) },
    { name: 'as the user', bytes: [5, 1, 2, ...login(TOKEN, 'x'), ...name('app.test')], answer: text(5, 2, 1, 1) },
    { name: 'another version of the login', bytes: [5, 1, 2, 5, ...login('x', TOKEN).slice(1), ...name('app.test')], answer: text(5, 2, 1, 1) },
  ])('$name', async ({ bytes, answer }) => {
    expect(await through(guarded, [Buffer.from(bytes)])).toBe(answer)
    expect(guarded.dialled.length).toBe(answer.endsWith(text(...OPENED)) ? 1 : 0)
  })
})

test('a request that does not arrive in time ends the connection', async () => {
  const socket = await world.connect()
  const ended = new Promise(resolve => socket.on('error', () => {}).resume().once('close', resolve).once('end', () => socket.end()))
  socket.write(Buffer.from([5, 1, 0, 5, 1]))
  await ended
  await expect.poll(() => world.proxy.stats.connections).toBe(0)
})

test('garbage never opens a tunnel, and leaves nothing behind', async () => {
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), fc.boolean(), async (bytes, greeted) => {
    await through(world, [Buffer.from([5, ...greeted ? [1, 0] : [], ...bytes])])
  }), { numRuns: Number(process.env['FUZZ_RUNS'] ?? 150) })
  expect(world.dialled).toEqual([])
  await expect.poll(() => world.proxy.stats.connections).toBe(0)
})
