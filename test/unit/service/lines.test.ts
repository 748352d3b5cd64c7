// Bytes → lines, however they are cut.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LineReader } from '../../../src/service/lines.js'

function read(chunks: readonly Buffer[], longest?: number): string[] {
  const events: string[] = []
  const reader = new LineReader({ line: text => events.push(text), tooLong: start => events.push(`too long: ${start}`), notUtf8: () => events.push('not UTF-8') }, longest)
  for (const chunk of chunks) reader.add(chunk)
  reader.end()
  return events
}

/** Cuts bytes at these places. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map(place => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((start, index) => bytes.subarray(start, at[index] ?? bytes.length))
}

test('where bytes are cut makes no difference', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.nat(200)), (bytes, places) => {
    // Newlines are rare among random bytes.
    const buffer = Buffer.from(bytes.map(byte => byte % 7 === 0 ? 0x0a : byte))
    expect(read(cut(buffer, places), 20)).toEqual(read([buffer], 20))
  }))
})
test.each([
  { name: 'several lines in one piece',                 text: 'a\nb\nc\n',          lines: ['a', 'b', 'c'] },
  { name: 'blank lines are nothing',                    text: '\n \r\na\n\n',       lines: ['a'] },
  { name: 'the last line needs no newline',             text: 'a\nb',               lines: ['a', 'b'] },
  { name: 'a line of exactly the longest length',       text: '0123456789\nb\n',    lines: ['0123456789', 'b'] },
  { name: 'a longer one is dropped whole',              text: '0123456789x\nb\n',   lines: ['too long: 0123456789x', 'b'] },
])('$name', ({ text, lines }) => {
  expect(read([Buffer.from(text)], 10)).toEqual(lines)
})
test('what is no UTF-8 is told, and what follows is read', () => {
  expect(read([Buffer.from([0x61, 0xff, 0x0a, 0x62, 0x0a])])).toEqual(['not UTF-8', 'b'])
})
test('of a line that is dropped only the start is held', () => {
  const held: string[] = []
  const reader = new LineReader({ line: () => {}, notUtf8: () => {}, tooLong: start => held.push(start) }, 1 << 20)
  for (let megabytes = 0; megabytes < 50; megabytes++) reader.add(Buffer.alloc(1 << 20, 'x'))
  reader.add(Buffer.from('\n'))
  expect(held.map(({ length }) => length)).toEqual([4096])
})
