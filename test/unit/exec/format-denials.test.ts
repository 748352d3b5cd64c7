import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Denial } from '../../../src/exec/denial.js'
import { formatDenials } from '../../../src/exec/format-denials.js'

const denial = (name: string, flags: readonly string[] = ['--write', `/etc/${name}`]): Denial => ({
  kind: 'file', operation: 'write', path: `/etc/${name}`, message: `write to "/etc/${name}" denied: outside. To allow: add "/etc" to write.`,
  remedy: { text: 'add "/etc" to write', flags }, certainty: 'reported',
})
const many = Array.from({ length: 50 }, (_, index) => denial(String(index)))

test('no denials: nothing', () => {
  expect([formatDenials({ denials: [] }, { for: 'human' }), formatDenials({ denials: [] }, { for: 'model' })]).toEqual(['', ''])
})

test('for a human: the line and the flags, quoted for a shell', () => {
  expect(formatDenials({ denials: [denial('x', ['--write', '/it\'s here']), denial('y', [])] }, { for: 'human' })).toBe([
    'write to "/etc/x" denied: outside. To allow: add "/etc" to write. (--write \'/it\'\\\'\'s here\')',
    'write to "/etc/y" denied: outside. To allow: add "/etc" to write.',
  ].join('\n'))
})

test('for a human: a long message is cut, its flags stay whole, since they are copied; very long ones are left out', () => {
  const long = (length: number): Denial => ({ ...denial('x', ['--write', `/${'p'.repeat(length)}`]), message: 'm'.repeat(400) })
  expect(formatDenials({ denials: [long(500)] }, { for: 'human' })).toBe(`${'m'.repeat(299)}… (--write /${'p'.repeat(500)})`)
  expect(formatDenials({ denials: [long(1500)] }, { for: 'human' })).toBe(`${'m'.repeat(299)}…`)
})

test('for a human: at most five lines', () => {
  const lines = formatDenials({ denials: many }, { for: 'human' }).split('\n')
  expect([lines.length, lines[4]]).toEqual([5, '… and 46 more'])
  expect(formatDenials({ denials: many.slice(0, 5) }, { for: 'human' }).split('\n')).toHaveLength(5)
})

test('what one change would allow is one line', () => {
  const alike = ['a', 'b', 'c'].map(name => denial(name, ['--write', '/etc']))
  expect(formatDenials({ denials: [...alike, denial('d')] }, { for: 'human' }).split('\n')).toEqual([
    `${alike[0]!.message} (--write /etc) (the same for 2 more)`, `${denial('d').message} (--write /etc/d)`,
  ])
  expect(formatDenials({ denials: [...alike, denial('d')] }, { for: 'model' }).split('\n')).toEqual(['The sandbox denied:', `- ${alike[0]!.message} (the same for 2 more)`, `- ${denial('d').message}`])
})

test('system calls with the same advice are one line', () => {
  const call = (name: string, text: string): Denial => ({ kind: 'system-call', operation: 'system-call', call: name, message: `system call ${name} denied. Instead: ${text}.`, remedy: { text, flags: [], changes: [] }, certainty: 'refused' })
  expect(formatDenials({ denials: [call('clone(A)', 'x'), call('bpf', 'y'), call('clone(B)', 'x')] }, { for: 'human' }).split('\n')).toEqual([
    'system call clone(A) denied. Instead: x. (the same for 1 more)', 'system call bpf denied. Instead: y.',
  ])
})

test('what a sandbox inside this one tried is one line, behind what the command was denied', () => {
  const of = (pid: number, path: string): Denial => ({ ...denial('x', ['--write', path]), path, message: `write to ${path}`, pid, program: 'node', certainty: 'refused' })
  const denials = [of(7, '/etc/.codex-sandbox-trial-1f'), of(7, '/etc/passwd'), of(7, '/usr/bin'), of(8, '/srv/x')]
  const line = 'write of "/etc/.codex-sandbox-trial-1f" denied: a sandbox inside this one tried whether this one refuses it. (the same for 2 more)'
  expect(formatDenials({ denials }, { for: 'human' }).split('\n')).toEqual(['write to /srv/x (--write /srv/x)', line])
  expect(formatDenials({ denials }, { for: 'model' }).split('\n')).toEqual(['The sandbox denied:', '- write to /srv/x', `- ${line}`])
})

test('for a model: at most 500 characters, whole entries, and how many more there are', () => {
  const text = formatDenials({ denials: many }, { for: 'model' })
  expect(text.length).toBeLessThanOrEqual(500)
  expect(text.split('\n')).toEqual(['The sandbox denied:', ...many.slice(0, 6).map(({ message }) => `- ${message}`), '… and 44 more'])
})

test('for a model: a path of 4,000 characters is cut, not left out', () => {
  const text = formatDenials({ denials: [denial('a'.repeat(4000))] }, { for: 'model' })
  expect([text.length <= 500, text.startsWith('The sandbox denied:\n- write to "/etc/aaa'), text.endsWith('…')]).toEqual([true, true, true])
})

test('for a model: whatever was denied, at most 500 characters, one line an entry, every denial counted', () => {
  const words = fc.string({ unit: fc.constantFrom('a', '/', ' ', '😀', 'ü', '"', '\\'), maxLength: 700 })
  const flags = fc.constantFrom<readonly string[]>([], ['--write', '/a'], ['--write', '/b'], ['--read', '/😀'])
  fc.assert(fc.property(fc.array(fc.record({ message: words, flags, path: words }), { maxLength: 30 }), rows => {
    const denials = rows.map(row => ({ ...denial('x', row.flags), message: row.message, path: row.path }))
    const text = formatDenials({ denials }, { for: 'model' })
    expect(text.length).toBeLessThanOrEqual(500)
    // Half a pair.
    expect(/[\ud800-\udfff]/u.test(text)).toBe(false)
    if (denials.length === 0) return
    const counted = text.split('\n').slice(1).reduce((sum, line) => sum + Number(/^… and (\d+) more$/.exec(line)?.[1] ?? 1 + Number(/ \(the same for (\d+) more\)$/.exec(line)?.[1] ?? 0)), 0)
    expect(counted).toBe(denials.length)
  }), { numRuns: 500, seed: 1 })
})
