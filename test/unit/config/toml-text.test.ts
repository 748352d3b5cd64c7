// Where keys and values stand in a text, told by a scanner of our own beside smol-toml.
import fc from 'fast-check'
import { stringify } from 'smol-toml'
import { describe, expect, test } from 'vitest'
import type { SandboxError } from '../../../src/errors.js'
import { readToml, type TomlPath } from '../../../src/config/toml-text.js'
import { failureOf } from '../../support/failure-of.js'

const placeOf = (text: string, path: TomlPath): string => {
  const { line, column } = readToml(text, 'f').place(path)
  return `${line}:${column}`
}

test.each<{ name: string; text: string; path: TomlPath; at: string }>([
  { name: 'a value',                             text: 'a = 1\nb = "x"\n',                              path: ['b'],           at: '2:5' },
  { name: 'a value in a table',                  text: '[t]\n\n  a=1\n',                                path: ['t', 'a'],      at: '3:5' },
  { name: 'a dotted key',                        text: 'x = 0\nt.u.a = 1\n',                            path: ['t', 'u', 'a'], at: '2:9' },
  { name: 'a table that a dotted key makes',     text: 'x = 0\nt.u.a = 1\n',                            path: ['t', 'u'],      at: '2:1' },
  { name: 'a table by its header',               text: 'x = 0\n[t.u]\n',                                path: ['t', 'u'],      at: '2:1' },
  { name: 'a quoted key with a dot in it',       text: '[projects."/a.b"]\ntrust_level = 1\n',          path: ['projects', '/a.b', 'trust_level'], at: '2:15' },
  { name: 'a literal key',                       text: '[projects.\'/a"b\']\nt = 1\n',                  path: ['projects', '/a"b', 't'], at: '2:5' },
  { name: 'an escape in a key',                  text: '"\\u0061" = 1\n',                               path: ['a'],           at: '1:12' },
  { name: 'an element of a list',                text: 'a = [\n  "x", # one ]\n  2,\n]\n',              path: ['a', 1],        at: '3:3' },
  { name: 'a list in a list',                    text: 'a = [[1], [2, 3]]',                             path: ['a', 1, 1],     at: '1:15' },
  { name: 'an inline table',                     text: 'a = { b = 1, c.d = 2 }\n',                      path: ['a', 'c', 'd'], at: '1:20' },
  { name: 'an inline table over lines',          text: 'a = {\n  b = 1,\n  c = 2,\n}\nd = 3\n',         path: ['a', 'c'],      at: '3:7' },
  { name: 'a table in a list',                   text: '[[r]]\na = 1\n[[r]]\na = 2\n',                  path: ['r', 1, 'a'],   at: '4:5' },
  { name: 'a table below one of a list',         text: '[[r]]\n[r.x]\na = 1\n[[r]]\n[r.x]\na = 2\n',    path: ['r', 1, 'x', 'a'], at: '6:5' },
  { name: 'a list of tables itself',             text: 'x = 1\n[[r]]\na = 1\n',                         path: ['r'],           at: '2:1' },
  { name: 'signs in a text are no syntax',       text: 'a = "x # [y] = {"\nb = \'\\\'\nc = 3\n',        path: ['c'],           at: '3:5' },
  { name: 'a quote that is escaped',             text: 'a = "\\"b = 1\\\\"\nb = 2\n',                   path: ['b'],           at: '2:5' },
  { name: 'a text over lines',                   text: 'a = """\nb = 1\n""\\"""" # c\nb = 2\n',         path: ['b'],           at: '4:5' },
  { name: 'a text over lines that ends in quotes', text: 'a = \'\'\'x\'\'\'\'\'\nb = 2\n',              path: ['b'],           at: '2:5' },
  { name: 'lines that end as on Windows',        text: 'a = 1\r\n[t]\r\nb = 2\r\n',                     path: ['t', 'b'],      at: '3:5' },
  { name: 'a mark at the start',                 text: '\ufeffa = 1\nb = 2\n',                          path: ['b'],           at: '2:5' },
  { name: 'a date has blanks in it',             text: 'a = 1979-05-27 07:32:00Z # x\nb = 2\n',         path: ['b'],           at: '2:5' },
  { name: 'what is not there: what is around it', text: 'x = 0\n[t]\na = 1\n',                          path: ['t', 'b'],      at: '2:1' },
  { name: 'nothing around it: the start',        text: 'x = 0\n',                                       path: ['t', 'b'],      at: '1:1' },
])('$name stands at $at', ({ text, path, at }) => {
  expect(placeOf(text, path)).toBe(at)
})

describe('each value of any document', () => {
  const name = fc.oneof(fc.constantFrom('a', 'b-c', 'd_1', '__proto__', 'constructor'), fc.string({ maxLength: 4, unit: 'binary' }).filter(text => !text.includes('\0') && !/\p{Surrogate}/u.test(text)))
  const leaf = fc.constant('LEAF')
  const { tree } = fc.letrec(tie => ({
    tree: fc.dictionary(name, fc.oneof({ maxDepth: 3 }, leaf, fc.array(leaf, { maxLength: 3 }), tie('tree'), fc.array(tie('tree'), { maxLength: 3 })), { maxKeys: 4 }),
  }))
  test('stands where the scanner says', () => {
    fc.assert(fc.property(tree, value => {
      // Every text is another one, so that a place that is off by one value is seen.
      let count = 0
      const paths: { path: TomlPath; value: string }[] = []
      const numbered = (at: unknown, path: TomlPath): unknown => {
        if (at === 'LEAF') {
          const text = `v${count++}.`
          paths.push({ path, value: text })
          return text
        }
        if (Array.isArray(at)) return at.map((each, index) => numbered(each, [...path, index]))
        return Object.fromEntries(Object.entries(at as object).map(([key, each]) => [key, numbered(each, [...path, key])]))
      }
      const text = stringify(numbered(value, []) as Record<string, unknown>)
      const { place } = readToml(text, 'f')
      const lines = text.split('\n')
      for (const { path, value } of paths) {
        const { line, column } = place(path)
        expect(lines[line - 1]?.slice(column - 1).startsWith(`"${value}"`), `${JSON.stringify(path)} of\n${text}`).toBe(true)
      }
    }), { numRuns: Number(process.env['CONFIG_RUNS'] ?? 200) })
  })
})

test.each([
  { name: 'a syntax error',             text: 'a = 1\nb = \n',                                     at: [2, 5],   detail: 'not valid (f:2:5): ' },
  { name: 'a key twice',                text: 'a = 1\na = 2\n',                                    at: [2, 1],   detail: 'redefine' },
  { name: 'NUL, also in a comment',     text: '# x\n#\0\n',                                        at: [2, 2],   detail: 'it contains NUL' },
  { name: 'more than 1 MiB',            text: '#'.repeat((1 << 20) + 1),                           at: [1, 1],   detail: 'larger than' },
  { name: 'tables too deep',            text: `x = 1\n${Array.from({ length: 40 }, () => 'a').join('.')} = 1\n`, at: [2, 1], detail: 'levels deep' },
  { name: 'a key of half a million dots', text: `${'a.'.repeat(400_000)}a = 1\n`,                  at: [1, 1],   detail: 'levels deep' },
  { name: 'lists too deep',             text: `a = ${'['.repeat(60)}${']'.repeat(60)}\n`,          at: [1, 36],  detail: 'levels deep' },
  { name: 'lists that nobody closes',   text: `a = ${'['.repeat(500_000)}\n`,                      at: undefined, detail: 'not valid (f:' },
])('is an error with its place: $name', async ({ text, at, detail }) => {
  const error = await failureOf(async () => readToml(text, 'f')) as SandboxError
  expect(error).toMatchObject({ code: 'config_invalid', source: at === undefined ? { file: 'f' } : { file: 'f', line: at[0], column: at[1] } })
  expect(error.message).toContain(detail)
  expect(error.message.length).toBeLessThan(1000)
})

test('a file name cannot forge a line of an error', async () => {
  const error = await failureOf(async () => readToml('a', 'x\ny')) as SandboxError
  expect(error.message).not.toContain('\n')
})
