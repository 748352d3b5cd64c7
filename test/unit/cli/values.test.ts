// Times, sizes, counts and variables as options spell them.
import { expect, test } from 'vitest'
import { oneOf, parseAssignment, parseCount, parseDurationMs, parsePorts, parseSizeBytes } from '../../../src/cli/values.js'

test.each([
  ['250ms', 250], ['30s', 30_000], ['1.5s', 1500], ['2m', 120_000], ['1h', 3_600_000], ['0.5m', 30_000],
])('the time %s is %i ms', (text, ms) => { expect(parseDurationMs('--timeout', text)).toBe(ms) })

test.each(['', '30', '30 s', '-1s', '1d', 's', '0s', '0.0001ms', '1e3s', '30S', '600h', '99999999999999999999h', 'Infinitys', '٣s'])('%j is no time', text => {
  expect(() => parseDurationMs('--timeout', text)).toThrow(/^--timeout ".*" is not valid: .* Write it like 30s/)
})

test.each([
  ['1', 1], ['1048576', 1_048_576], ['512M', 536_870_912], ['512m', 536_870_912], ['2G', 2_147_483_648], ['4K', 4096], ['1.5G', 1_610_612_736], ['10MiB', 10_485_760], ['10MB', 10_485_760],
])('the size %s is %i bytes', (text, bytes) => { expect(parseSizeBytes('--memory', text)).toBe(bytes) })

test.each(['', '0', '0M', '-5M', '5T', 'M', '5 M', '1e9', '0x10', '9999999999999G'])('%j is no size', text => {
  expect(() => parseSizeBytes('--memory', text)).toThrow(/^--memory ".*" is not valid: .* Write it like 512M/)
})

test.each([['1', 1], ['100', 100]])('%s is a count', (text, count) => { expect(parseCount('--pids', text)).toBe(count) })
test.each(['0', '-1', '1.5', '', 'x', '1e3'])('%j is no count', text => { expect(() => parseCount('--pids', text)).toThrow('whole number') })

test.each([
  ['A=b', { name: 'A', value: 'b' }], ['A=', { name: 'A', value: '' }], ['A=b=c', { name: 'A', value: 'b=c' }], ['A', { name: 'A', value: undefined }], ['A= b\n', { name: 'A', value: ' b\n' }],
])('%j assigns', (text, assignment) => { expect(parseAssignment('--env', text)).toEqual(assignment) })
test.each(['', '=x', 'A=\0'])('%j assigns nothing', text => { expect(() => parseAssignment('--env', text)).toThrow('--env') })

test('a word that is none of the allowed is answered with all of them', () => {
  expect(() => oneOf('--sandbox', 'readonly', ['read-only', 'workspace-write'])).toThrow('--sandbox "readonly" is not valid: it is one of read-only, workspace-write.')
})

test.each([
  { text: '3000', ports: { port: 3000, hostPort: 3000 } },
  { text: '3000:8080', ports: { port: 3000, hostPort: 8080 } },
  { text: '3000:0', ports: { port: 3000, hostPort: 0 } },
  { text: '65535:65535', ports: { port: 65_535, hostPort: 65_535 } },
])('ports $text', ({ text, ports }) => {
  expect(parsePorts('--expose-port', text)).toEqual(ports)
})
test.each(['', '0', '0:80', '65536', '80:65536', '80:', ':80', '1:2:3', 'http', '127.0.0.1:80', '-1', '80 '])('ports %j are refused', text => {
  expect(() => parsePorts('--expose-port', text)).toThrow(expect.objectContaining({ code: 'option_invalid', field: '--expose-port' }))
})
