// What TLS clients name, read from every shape of their first message.
import { connect as connectTls } from 'node:tls'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseClientHello } from '../../../src/network/client-hello.js'
import { clientHello, extension, records, serverName, tlsStart } from './client-hello.js'

const hello = (name: string | undefined) => ({ kind: 'hello', serverName: name })

test('what a real client sends', async () => {
  for (const servername of ['app.test', undefined]) {
    const first = await new Promise<Buffer>(resolve => {
      const wire = new Duplex({ read() {}, write(chunk: Buffer, _, done) { resolve(chunk); done() } })
      connectTls({ socket: wire, ...servername !== undefined && { servername } }).on('error', () => {})
    })
    expect(parseClientHello(first)).toEqual(hello(servername))
  }
})

test.each([
  { name: 'a name', bytes: tlsStart('app.test'), parsed: hello('app.test') },
  { name: 'no name', bytes: tlsStart(undefined), parsed: hello(undefined) },
  { name: 'no extensions', bytes: records(clientHello(undefined)), parsed: hello(undefined) },
  { name: 'an empty list of extensions', bytes: records(clientHello([])), parsed: hello(undefined) },
  { name: 'a name with a NUL, as it is', bytes: tlsStart('a\0b'), parsed: hello('a\0b') },
  { name: 'in records of one byte', bytes: tlsStart('app.test', 1), parsed: hello('app.test') },
  { name: 'with more behind it', bytes: Buffer.concat([tlsStart('app.test'), Buffer.from([20, 3, 3, 0, 1, 1])]), parsed: hello('app.test') },
  { name: 'with another message in the same record', bytes: records(Buffer.concat([clientHello(serverName('app.test')), Buffer.from([11, 0, 0, 0])])), parsed: hello('app.test') },
  { name: 'nothing', bytes: Buffer.alloc(0), parsed: { kind: 'incomplete' } },
  { name: 'the first byte', bytes: Buffer.from([22]), parsed: { kind: 'incomplete' } },
  { name: 'HTTP', bytes: Buffer.from('GET / HTTP/1.1\r\n\r\n'), parsed: { kind: 'other' } },
  { name: 'SSH', bytes: Buffer.from('SSH-2.0-x\r\n'), parsed: { kind: 'other' } },
  { name: 'another version of records', bytes: Buffer.from([22, 2, 1, 0, 5]), parsed: { kind: 'invalid' } },
  { name: 'an empty record', bytes: Buffer.from([22, 3, 1, 0, 0]), parsed: { kind: 'invalid' } },
  { name: 'a record that is too long', bytes: Buffer.from([22, 3, 1, 0x40, 1]), parsed: { kind: 'invalid' } },
  { name: 'a server\'s message', bytes: Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]), parsed: { kind: 'invalid' } },
  { name: 'a message that is too long', bytes: Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 1]), parsed: { kind: 'invalid' } },
  { name: 'another record in the middle', bytes: Buffer.concat([records(clientHello([]).subarray(0, 20)), Buffer.from([23, 3, 3, 0, 1, 0])]), parsed: { kind: 'invalid' } },
  { name: 'two names in two extensions', bytes: records(clientHello([...serverName('app.test'), ...serverName('evil.test')])), parsed: { kind: 'invalid' } },
  { name: 'two names in one extension', bytes: records(clientHello(extension(0, [0, 8, 0, 0, 1, 97, 0, 0, 1, 98]))), parsed: { kind: 'invalid' } },
  { name: 'a name of another type', bytes: records(clientHello(serverName('app.test', 1))), parsed: { kind: 'invalid' } },
  { name: 'an empty name', bytes: records(clientHello(serverName(''))), parsed: { kind: 'invalid' } },
  { name: 'an empty list of names', bytes: records(clientHello(extension(0, [0, 0]))), parsed: { kind: 'invalid' } },
  { name: 'an empty extension of names', bytes: records(clientHello(extension(0, []))), parsed: { kind: 'invalid' } },
  { name: 'a name longer than its extension', bytes: records(clientHello(extension(0, [0, 4, 0, 0, 9, 97]))), parsed: { kind: 'invalid' } },
  { name: 'bytes behind the list of names', bytes: records(clientHello(extension(0, [0, 4, 0, 0, 1, 97, 9]))), parsed: { kind: 'invalid' } },
  { name: 'an extension longer than the message', bytes: records(clientHello([0, 5, 0, 9, 1])), parsed: { kind: 'invalid' } },
  { name: 'bytes behind the extensions', bytes: records(Buffer.concat([Buffer.from([1, 0, 0, 45, 3, 3]), Buffer.alloc(32), Buffer.from([0, 0, 2, 0x13, 1, 1, 0, 0, 0, 9, 9])])), parsed: { kind: 'invalid' } },
])('$name', ({ bytes, parsed }) => {
  expect(parseClientHello(bytes)).toEqual(parsed)
})

describe('in pieces', () => {
  test.each([1, 5, 100, 16_384])('with records of %i bytes, every beginning is incomplete', size => {
    const bytes = tlsStart('app.test', size)
    const kinds = new Set(Array.from({ length: bytes.length }, (_, end) => parseClientHello(bytes.subarray(0, end)).kind))
    expect({ kinds: [...kinds], whole: parseClientHello(bytes) }).toEqual({ kinds: ['incomplete'], whole: hello('app.test') })
  })
})

test('damaged messages are read without error, and never name what is not in them', () => {
  const whole = tlsStart('app.test')
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), fc.nat(whole.length), (changes, cut) => {
    const bytes = Buffer.from(whole)
    for (const [at, value] of changes) bytes[at] = value
    const parsed = parseClientHello(bytes.subarray(0, cut))
    if (parsed.kind === 'hello' && parsed.serverName !== undefined) expect(bytes.includes(parsed.serverName, 0, 'latin1')).toBe(true)
  }), { numRuns: Number(process.env['FUZZ_RUNS'] ?? 3000) })
})
