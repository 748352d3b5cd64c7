import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SessionOutput } from '../../../src/exec/session-output.js'

function outputOf(...pieces: readonly (string | Buffer)[]): SessionOutput {
  const output = new SessionOutput()
  for (const piece of pieces) output.add('stdout', Buffer.from(piece))
  return output
}

/** Everything, in reads of `maxBytes`. */
function readAll(output: SessionOutput, maxBytes: number, from = 0): { text: string; dropped: number; reads: number } {
  let cursor = from
  let text = ''
  let dropped = 0
  let reads = 0
  while (cursor < output.bytes) {
    const piece = output.read(cursor, maxBytes)
    if (piece.cursor <= cursor) throw new Error('a read that goes nowhere')
    text += piece.text
    dropped += piece.dropped
    cursor = piece.cursor
    reads++
  }
  return { text, dropped, reads }
}

test('what came is read from a cursor on, and the next read goes on there', () => {
  const output = outputOf('one\n', 'two\n')
  expect(output.read(0, 100)).toEqual({ text: 'one\ntwo\n', cursor: 8, dropped: 0 })
  expect(output.read(4, 2)).toEqual({ text: 'tw', cursor: 6, dropped: 0 })
  expect(output.read(8, 100)).toEqual({ text: '', cursor: 8, dropped: 0 })
  expect(output.read(800, 100)).toEqual({ text: '', cursor: 8, dropped: 0 })
})

test('a code point is never split, by the size of a read, by its pieces, or by the other stream', () => {
  const output = new SessionOutput()
  const bytes = Buffer.from('ü€😀')
  for (const byte of bytes) {
    output.add('stdout', Buffer.from([byte]))
    output.add('stderr', Buffer.from([byte]))
  }
  output.end()
  expect([...readAll(output, 100).text].sort()).toEqual([...'üü€€😀😀'].sort())
  expect(readAll(outputOf('ü€😀'), 1)).toEqual({ text: 'ü€😀', dropped: 0, reads: 3 })
  expect(readAll(outputOf('ü€😀'), 3)).toEqual({ text: 'ü€😀', dropped: 0, reads: 3 })
})

test('the start of a code point waits for its rest; at the end it shows as what it is', () => {
  const output = outputOf('x', Buffer.from([0xe2, 0x82]))
  expect(output.read(0, 100).text).toBe('x')
  output.end()
  expect(output.read(1, 100).text).toBe('\ufffd')
})

test.each([0, 1, 2, 3])('at the border between head and tail nothing is split, whatever lies there: %i', shift => {
  const text = `${'x'.repeat(shift)}${'😀'.repeat(40_000)}`
  expect(readAll(outputOf(text), 1000).text).toBe(text)
})

test('much output: the head and the tail are held, a line says what is missing, and a cursor into the gap goes on behind it', () => {
  const output = new SessionOutput()
  const line = (index: number): string => `${String(index).padStart(9, '0')}\n`
  for (let index = 0; index < 100_000; index++) output.add('stdout', Buffer.from(line(index)))
  expect(output.bytes).toBe(1_000_000)
  const { text, dropped } = readAll(output, 64 << 10)
  expect({ dropped, start: text.startsWith(line(0) + line(1)), end: text.endsWith(line(99_998) + line(99_999)) }).toEqual({ dropped: 1_000_000 - (256 << 10), start: true, end: true })
  expect(text).toContain(`… ${dropped} bytes dropped …\n`)
  const inGap = output.read(500_000, 100)
  expect({ dropped: inGap.dropped, text: inGap.text.split('\n')[0] }).toEqual({ dropped: 1_000_000 - (192 << 10) - 500_000, text: `… ${1_000_000 - (192 << 10) - 500_000} bytes dropped …` })
})

test.each<{ name: string; text: string; lines: readonly string[] }>([
  { name: 'nothing', text: '', lines: [] },
  { name: 'an unfinished line', text: 'a\nb', lines: ['a', 'b'] },
  { name: 'more than asked for', text: '1\n2\n3\n4\n', lines: ['2', '3', '4'] },
  { name: 'an empty line', text: 'a\n\n', lines: ['a', ''] },
  { name: 'a progress bar', text: '10%\r50%\r100%\r\ndone\n', lines: ['100%', 'done'] },
  { name: 'colours and a title', text: '\u001b]0;title\u0007\u001b[1;31mred\u001b[0m\u001b(B\n', lines: ['redB'] },
  { name: 'a sequence without an end', text: '\u001b]0;never ends\nnext\n', lines: ['', 'next'] },
  { name: 'what moves the cursor or breaks a line', text: 'a\u0008\u0000\u2028b\u0085c\n', lines: ['a   b c'] },
  { name: 'a very long line', text: `${'😀'.repeat(300)}\n`, lines: [`${'😀'.repeat(199)}…`] },
])('last lines: $name', ({ text, lines }) => {
  expect(outputOf(text).lastLines(3)).toEqual(lines)
})

test('last lines of much output, in many pieces', () => {
  const output = new SessionOutput()
  for (let index = 0; index < 50_000; index++) output.add('stdout', Buffer.from(`${index}\n`))
  expect(output.lastLines(2)).toEqual(['49998', '49999'])
  expect(outputOf('x'.repeat(1 << 20)).lastLines(1)).toEqual([`${'x'.repeat(199)}…`])
})

test('any pieces, any reads: nothing is lost or doubled', () => {
  fc.assert(fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 8 }), { maxLength: 40 }), fc.array(fc.nat(5), { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (pieces, cuts, maxBytes) => {
    const bytes = Buffer.from(pieces.join(''))
    const output = new SessionOutput()
    let at = 0
    for (const length of cuts) {
      output.add('stdout', bytes.subarray(at, at + length))
      at += length
    }
    output.add('stdout', bytes.subarray(at))
    output.end()
    expect(readAll(output, maxBytes).text).toBe(bytes.toString())
  }), { numRuns: 500, seed: 1 })
})
