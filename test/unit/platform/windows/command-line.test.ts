// No Windows is at hand: what is built is read back by models of its readers, written from their documents, not from the code.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { quoteArgument, windowsCommand } from '../../../../src/platform/windows/command-line.js'

const CMD = 'C:\\Windows\\System32\\cmd.exe'
const program = (...args: string[]) => windowsCommand({ path: 'C:\\p q\\x.exe', kind: 'program' }, args, CMD)
const batch = (...args: string[]) => windowsCommand({ path: 'C:\\p q\\x.cmd', kind: 'batch' }, args, CMD)

/** CommandLineToArgvW, as Microsoft documents it; the first word is the program's and has no escapes. `""` inside quotes is a quote. */
function parseArguments(line: string, hasProgram: boolean): string[] {
  const args: string[] = []
  let at = 0
  if (hasProgram) {
    const [first] = /^(?:"[^"]*"|[^\s"]+)/.exec(line) as RegExpExecArray
    args.push(first.replaceAll('"', ''))
    at = first.length
  }
  while (at < line.length) {
    while (/[ \t]/.test(line[at] ?? '')) at++
    if (at >= line.length) break
    let argument = ''
    let quoted = false
    while (at < line.length && (quoted || !/[ \t]/.test(line[at] as string))) {
      const [slashes] = /^\\*/.exec(line.slice(at)) as RegExpExecArray
      at += slashes.length
      if (line[at] !== '"') {
        argument += slashes
        if (slashes.length === 0) argument += line[at++]
        continue
      }
      argument += '\\'.repeat(Math.floor(slashes.length / 2))
      if (slashes.length % 2 === 1) argument += '"'
      else if (quoted && line[at + 1] === '"') {
        argument += '"'
        at++
      } else quoted = !quoted
      at++
    }
    args.push(argument)
  }
  return args
}

const VARIABLES: Readonly<Record<string, string>> = { CD: 'C:\\work', PATH: 'C:\\evil & calc', X: 'expanded', 'A B': 'spaced' }

/** What cmd.exe makes of the line after /c on the command line: variables first, then what outside of quotes is its own. */
function readByCmd(line: string): string {
  const [, text] = /^cmd\.exe \/e:ON \/v:OFF \/d \/s \/c "(.*)"$/s.exec(line) as RegExpExecArray
  let expanded = ''
  for (let at = 0; at < (text as string).length;) {
    const rest = (text as string).slice(at)
    const match = /^%([^%:]+)(?::~(-?\d*)(?:,(-?\d*))?)?%/.exec(rest)
    const value = match === null ? undefined : VARIABLES[(match[1] as string).toUpperCase()]
    if (match !== null && value !== undefined) {
      // `:~,` has neither a start nor a length: nothing of it.
      expanded += match[2] === undefined ? value : match[3] === '' ? '' : value.slice(Number(match[2]))
      at += match[0].length
    } else {
      expanded += rest[0]
      at++
    }
  }
  let quoted = false
  for (const character of expanded) {
    if (character === '"') quoted = !quoted
    else if (!quoted && /[&|<>^()\r\n]/.test(character)) throw new Error(`cmd.exe would act on ${JSON.stringify(character)} in ${JSON.stringify(expanded)}`)
  }
  return expanded
}

test.each<{ argument: string; quoted: string }>([
  { argument: 'plain', quoted: 'plain' },
  { argument: '', quoted: '""' },
  { argument: 'a b', quoted: '"a b"' },
  { argument: 'C:\\dir\\', quoted: 'C:\\dir\\' },
  { argument: 'C:\\my dir\\', quoted: '"C:\\my dir\\\\"' },
  { argument: 'say "hi"', quoted: '"say \\"hi\\""' },
  { argument: 'a\\"b', quoted: '"a\\\\\\"b"' },
  { argument: '\\\\server\\share', quoted: '\\\\server\\share' },
  { argument: 'tab\there', quoted: '"tab\there"' },
])('$argument is written $quoted', ({ argument, quoted }) => {
  expect(quoteArgument(argument)).toBe(quoted)
})

test('a program: named apart from its line', () => {
  expect(program('a b', 'c')).toEqual({ application: 'C:\\p q\\x.exe', commandLine: '"C:\\p q\\x.exe" "a b" c' })
})

test.each<{ name: string; args: string[]; line: string }>([
  { name: 'no argument', args: [], line: 'cmd.exe /e:ON /v:OFF /d /s /c ""C:\\p q\\x.cmd""' },
  { name: 'plain ones', args: ['run', '--out=x', 'a.b/c'], line: 'cmd.exe /e:ON /v:OFF /d /s /c ""C:\\p q\\x.cmd" run "--out=x" a.b/c"' },
  { name: 'a command of its own', args: ['& calc.exe'], line: 'cmd.exe /e:ON /v:OFF /d /s /c ""C:\\p q\\x.cmd" "& calc.exe""' },
  { name: 'a quote that would let one out', args: ['" & calc.exe'], line: 'cmd.exe /e:ON /v:OFF /d /s /c ""C:\\p q\\x.cmd" """ & calc.exe""' },
  { name: 'a variable', args: ['%PATH%'], line: 'cmd.exe /e:ON /v:OFF /d /s /c ""C:\\p q\\x.cmd" "%%cd:~,%PATH%%cd:~,%""' },
  { name: 'a folder', args: ['C:\\dir\\'], line: 'cmd.exe /e:ON /v:OFF /d /s /c ""C:\\p q\\x.cmd" "C:\\dir\\\\""' },
])('a batch file: $name', ({ args, line }) => {
  expect(batch(...args)).toEqual({ application: CMD, commandLine: line })
})

const argument = fc.string({ unit: fc.constantFrom('a', ' ', '\t', '"', '\\', '%', '&', '|', '^', '<', '>', '(', ')', '!', '=', ',', ';', "'", '`', ':', '~', 'X', 'PATH', '%PATH%', '%cd:~,%', 'ü', '*', '?', '@', '/'), maxLength: 12 })

test('a program reads what was given', () => {
  fc.assert(fc.property(fc.array(argument, { maxLength: 5 }), args => {
    expect(parseArguments(program(...args).commandLine, true)).toEqual(['C:\\p q\\x.exe', ...args])
  }), { numRuns: 5000, seed: 1 })
})

test('cmd.exe acts on nothing of what a batch file is given, and passes all of it on', () => {
  fc.assert(fc.property(fc.array(argument, { maxLength: 5 }), args => {
    const read = readByCmd(batch(...args).commandLine)
    expect(parseArguments(read, true)).toEqual(['C:\\p q\\x.cmd', ...args])
  }), { numRuns: 5000, seed: 1 })
})

test('the models themselves: what is not escaped is seen to break out', () => {
  expect(() => readByCmd('cmd.exe /e:ON /v:OFF /d /s /c ""x.cmd" a&calc"')).toThrow(/act on "&"/)
  expect(readByCmd('cmd.exe /e:ON /v:OFF /d /s /c ""x.cmd" %X%"')).toBe('"x.cmd" expanded')
  expect(() => readByCmd('cmd.exe /e:ON /v:OFF /d /s /c ""x.cmd" %PATH%"')).toThrow(/act on "&"/)
  expect(parseArguments('x "a b" c\\"d', true)).toEqual(['x', 'a b', 'c"d'])
})

test.each<{ name: string; call: () => unknown; code: string; field: string }>([
  { name: 'a NUL', call: () => program('a', 'b\0'), code: 'argument_invalid', field: 'argv[2]' },
  { name: 'a line break for a batch file', call: () => batch('a\nb'), code: 'argument_invalid', field: 'argv[1]' },
  { name: 'a carriage return for a batch file', call: () => batch('a', 'b\r'), code: 'argument_invalid', field: 'argv[2]' },
  { name: 'a batch file whose name cmd.exe would expand', call: () => windowsCommand({ path: 'C:\\%x%.cmd', kind: 'batch' }, [], CMD), code: 'argument_invalid', field: 'argv[0]' },
  { name: 'a file that needs a program', call: () => windowsCommand({ path: 'C:\\a.py', kind: 'other' }, [], CMD), code: 'option_invalid', field: 'argv[0]' },
  { name: 'a line that is too long', call: () => program('x'.repeat(33_000)), code: 'arguments_too_large', field: 'argv' },
  { name: 'a line that is too long for cmd.exe', call: () => batch('x'.repeat(9_000)), code: 'arguments_too_large', field: 'argv' },
])('refused: $name', ({ call, code, field }) => {
  expect(call).toThrow(expect.objectContaining({ code, field }))
})

test('a line break is fine for a program', () => {
  expect(parseArguments(program('a\nb').commandLine, true).at(-1)).toBe('a\nb')
})
