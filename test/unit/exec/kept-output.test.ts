import fc from 'fast-check'
import { expect, test } from 'vitest'
import { KeptOutput, type StreamName } from '../../../src/exec/kept-output.js'
import type { OutputOptions } from '../../../src/exec/options.js'

type Write = readonly [StreamName, string]

function keep(writes: readonly Write[], options?: OutputOptions): KeptOutput {
  const kept = new KeptOutput(options)
  for (const [stream, text] of writes) kept.add(stream, Buffer.from(text, 'latin1'))
  return kept
}

/** Text as its UTF-8 bytes, so that a row can split a code point. */
const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

const both: readonly Write[] = [['stdout', 'one\n'], ['stderr', 'two\n'], ['stdout', 'three\n']]

test.each<{ name: string; writes: readonly Write[]; options?: OutputOptions; stdout: string; stderr?: string; output?: string; dropped?: number }>([
  { name: 'nothing was written', writes: [], stdout: '' },
  { name: 'both streams, in order of arrival', writes: both, stdout: 'one\nthree\n', stderr: 'two\n', output: 'one\ntwo\nthree\n' },
  { name: 'exactly as much as is kept: nothing is dropped', writes: [['stdout', 'abcdef']], options: { maxBytes: 6 }, stdout: 'abcdef' },
  { name: 'one byte more: a line says so', writes: [['stdout', 'abcdefg']], options: { maxBytes: 6 }, stdout: 'abc\n… 1 bytes dropped …\nefg', dropped: 1 },
  { name: 'head', writes: [['stdout', 'abcdef']], options: { maxBytes: 5, keep: 'head' }, stdout: 'abcde\n… 1 bytes dropped …\n', dropped: 1 },
  { name: 'tail', writes: [['stdout', 'abc'], ['stdout', 'def']], options: { maxBytes: 2, keep: 'tail' }, stdout: '… 4 bytes dropped …\nef', dropped: 4 },
  { name: 'nothing is kept', writes: [['stdout', 'abc']], options: { maxBytes: 0 }, stdout: '… 3 bytes dropped …\n', dropped: 3 },
  { name: 'a head that ends a line needs no other line end', writes: [['stdout', 'ab\ncdefg']], options: { maxBytes: 6 }, stdout: 'ab\n… 2 bytes dropped …\nefg', dropped: 2 },
  { name: 'each stream has its own bound', writes: [['stdout', 'abcdef'], ['stderr', 'xy']], options: { maxBytes: 4, keep: 'head' }, stdout: 'abcd\n… 2 bytes dropped …\n', stderr: 'xy', output: 'abcd\n… 2 bytes dropped …\nxy', dropped: 2 },
  { name: 'the line stands where bytes were dropped', writes: [['stdout', 'abcd'], ['stderr', 'x'], ['stdout', 'ef']], options: { maxBytes: 4 }, stdout: 'ab\n… 2 bytes dropped …\nef', stderr: 'x', output: 'ab\n… 2 bytes dropped …\nxef', dropped: 2 },
  { name: 'a cut does not split a code point', writes: [['stdout', utf8('aüöb')]], options: { maxBytes: 4 }, stdout: 'a\n… 4 bytes dropped …\nb', dropped: 4 },
  { name: 'nor one of four bytes', writes: [['stdout', utf8('a😀b😀c')]], options: { maxBytes: 6 }, stdout: 'a\n… 9 bytes dropped …\nc', dropped: 9 },
  { name: 'one that just fits stays whole', writes: [['stdout', utf8('ü..ü')]], options: { maxBytes: 4 }, stdout: 'ü\n… 2 bytes dropped …\nü', dropped: 2 },
  { name: 'a code point in two writes is one', writes: [['stdout', '\xc3'], ['stdout', '\xbc']], stdout: 'ü' },
  { name: 'also with the other stream between', writes: [['stdout', '\xc3'], ['stderr', '!'], ['stdout', '\xbc']], stdout: 'ü', stderr: '!', output: '!ü' },
  { name: 'invalid bytes become U+FFFD', writes: [['stdout', 'a\xffb\xc3']], stdout: 'a\ufffdb\ufffd' },
])('$name', ({ writes, options, stdout, stderr = '', output = stdout, dropped = 0 }) => {
  expect(keep(writes, options).text()).toEqual({ stdout, stderr, output, dropped: { stdout: dropped, stderr: 0 } })
})

test('bytes come as they were, without a line', () => {
  const kept = keep([['stdout', '\xff\x00ab'], ['stderr', '\xfe'], ['stdout', 'cd']], { maxBytes: 4 })
  expect(kept.bytes()).toEqual({ stdout: Buffer.from('\xff\x00cd', 'latin1'), stderr: Buffer.from('\xfe', 'latin1'), output: Buffer.from('\xff\x00\xfecd', 'latin1'), dropped: { stdout: 2, stderr: 0 } })
})

test('for any writes and bounds: head and tail of each stream, and an output of nothing else', () => {
  const write = fc.tuple(fc.constantFrom<StreamName>('stdout', 'stderr'), fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 50 }))
  fc.assert(fc.property(fc.array(write, { maxLength: 200 }), fc.nat(300), fc.constantFrom('head', 'tail', 'both'), (writes, maxBytes, part) => {
    const { output, dropped, ...streams } = keep(writes, { maxBytes, keep: part }).bytes()
    const headBytes = { head: maxBytes, tail: 0, both: Math.ceil(maxBytes / 2) }[part]
    for (const stream of ['stdout', 'stderr'] as const) {
      const all = writes.filter(([name]) => name === stream).map(([, text]) => text).join('')
      const expected = all.length <= maxBytes ? all : all.slice(0, headBytes) + all.slice(all.length - (maxBytes - headBytes))
      expect({ kept: streams[stream].toString(), dropped: dropped[stream] }).toEqual({ kept: expected, dropped: all.length - expected.length })
    }
    expect(output.length).toBe(streams.stdout.length + streams.stderr.length)
    if (dropped.stdout + dropped.stderr === 0) expect(output.toString()).toBe(writes.map(([, text]) => text).join(''))
  }))
})

test('a long alternation keeps the order at both ends', () => {
  const kept = new KeptOutput({ maxBytes: 100 })
  const pieces = Array.from({ length: 300_000 }, (_, index) => String.fromCharCode(97 + index % 26))
  pieces.forEach((piece, index) => kept.add(index % 2 === 0 ? 'stdout' : 'stderr', Buffer.from(piece)))
  const { output } = kept.bytes()
  expect(output.subarray(0, 100).toString()).toBe(pieces.slice(0, 100).join(''))
  expect(output.subarray(100).toString()).toBe(pieces.slice(-100).join(''))
})

test('what is held stays in proportion to what is kept, in however small pieces it comes', () => {
  const kept = new KeptOutput({ maxBytes: 1 << 20 })
  const before = process.memoryUsage()
  const read = Buffer.alloc(64 << 10, 0x61)
  for (let index = 0; index < 4 << 20; index++) kept.add(index % 3 === 0 ? 'stderr' : 'stdout', read.subarray(index % 60_000, index % 60_000 + 3))
  const after = process.memoryUsage()
  expect(kept.bytes().stdout.length).toBe(1 << 20)
  expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(100 << 20)
})
