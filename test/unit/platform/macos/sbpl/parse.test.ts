import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseForms } from '../../../../../src/platform/macos/sbpl/parse.js'
import { printExpression, printProfile } from '../../../../../src/platform/macos/sbpl/print.js'
import { type Expression, type Form, isRegexLiteral, isSymbolName, list, number, regex, string, symbol } from '../../../../../src/platform/macos/sbpl/syntax.js'

const read = (text: string): Expression[] => parseForms(text).map(({ expression }) => withoutPlaces(expression))

function withoutPlaces(expression: Expression): Expression {
  const { at: _, ...rest } = expression
  return rest.kind === 'list' ? { ...rest, items: rest.items.map(withoutPlaces) } : rest
}

test.each([
  { name: 'nothing',                              text: ' \t\r\n\f',                                 forms: [] },
  { name: 'lists and symbols',                    text: '(allow file-read* %x)(a (b) ())',           forms: [list('allow', 'file-read*', '%x'), list('a', list('b'), list())] },
  { name: 'numbers in every base',                text: '(x 0 -5 +7 #o644 #x1F #b101 #d9)',          forms: [list('x', 0, -5, 7, 420, 31, 5, 9)] },
  { name: 'booleans',                             text: '(#t #f)',                                   forms: [list(true, false)] },
  { name: 'signs and dots that are symbols',      text: '(+ - ... . -x +x a.b)',                     forms: [list('+', '-', '...', '.', '-x', '+x', 'a.b')] },
  { name: 'a string with each escape',            text: '"a\\"b\\\\c\\nd\\re\\tf\\x41g\\.h"',        forms: [string('a"b\\c\nd\re\tfAg.h')] },
  { name: 'bytes that are UTF-8 together',        text: '"\\xc3\\xa9 é"',                            forms: [string('é é')] },
  { name: 'a string over lines',                  text: '"a\nb"',                                    forms: [string('a\nb')] },
  { name: 'parentheses and semicolons in strings', text: '("(" ";" "#|")',                           forms: [list(string('('), string(';'), string('#|'))] },
  { name: 'a regex literal keeps backslashes',    text: '(regex #"^/a\\.b(;|$)")',                   forms: [regex('^/a\\.b(;|$)')] },
  { name: 'a regex literal that ends in an escaped backslash', text: '#"a\\\\"',                    forms: [{ kind: 'regex', source: 'a\\\\' }] },
  { name: 'comments of each kind',                text: '; one (\n#! two\n#| three (\n |# (a ; b)\n) ; c', forms: [list('a')] },
  { name: 'a comment at the very end',            text: '(a);',                                      forms: [list('a')] },
  { name: 'quotes',                               text: "'a `(b ,c ,@d)",                            forms: [list('quote', 'a'), list('quasiquote', list('b', list('unquote', 'c'), list('unquote-splicing', 'd')))] },
  { name: 'atoms that touch',                     text: '(a"b"c(d)"e"#"f";g\n)',                   forms: [list('a', string('b'), 'c', list('d'), string('e'), { kind: 'regex', source: 'f' })] },
] as { name: string; text: string; forms: Expression[] }[])('$name', ({ text, forms }) => {
  expect(read(text)).toEqual(forms)
})

test.each([
  { text: '(a',                      place: '1:1',  detail: '( that is not closed' },
  { text: '(a\n  (b\n)',             place: '1:1',  detail: '( that is not closed' },
  { text: '(a))',                    place: '1:4',  detail: ') without its (' },
  { text: '\n  "abc',                place: '2:3',  detail: '" that is not closed' },
  { text: '(a "b\\',                 place: '1:6',  detail: 'not an escape' },
  { text: '(a "b\\\n")',             place: '1:6',  detail: 'not an escape' },
  { text: '(a "b\\q")',              place: '1:6',  detail: 'not an escape' },
  { text: '(a "\\x4")',              place: '1:5',  detail: 'not an escape' },
  { text: '(a "\\101")',             place: '1:5',  detail: 'not an escape' },
  { text: '(a "\\xff")',             place: '1:4',  detail: 'not UTF-8' },
  { text: '(a "\\x00")',             place: '1:4',  detail: 'NUL' },
  { text: '(a "\0")',                place: '1:4',  detail: 'NUL' },
  { text: '(a #"b',                  place: '1:4',  detail: '#" that is not closed' },
  { text: '(a #"b\\" c")',           place: '1:4',  detail: 'backslash before the quote' },
  { text: '(a #"b\nc")',             place: '1:4',  detail: 'control character' },
  { text: '(a\n #|',                 place: '2:2',  detail: '#| that is not closed' },
  { text: '#| #| |# |#',             place: '1:1',  detail: 'comment in a comment' },
  { text: '(a #;b c)',               place: '1:4',  detail: 'not known after #' },
  { text: '(a #\\x)',                place: '1:4',  detail: 'not known after #' },
  { text: '(a #(1 2))',              place: '1:4',  detail: 'not known after #' },
  { text: '(a #true)',               place: '1:4',  detail: 'not known after #' },
  { text: '(a #o8)',                 place: '1:4',  detail: 'not known after #' },
  { text: '(a 1.5)',                 place: '1:4',  detail: 'not a whole number' },
  { text: '(a 1x)',                  place: '1:4',  detail: 'not a whole number' },
  { text: '(a 9007199254740993)',    place: '1:4',  detail: 'too large' },
  { text: '(a [b])',                 place: '1:4',  detail: 'not a symbol' },
  { text: '(a {})',                  place: '1:4',  detail: 'not a symbol' },
  { text: '(a é)',                   place: '1:4',  detail: 'not a symbol' },
  { text: '(a\u00a0b)',              place: '1:3',  detail: 'not a symbol' },
  { text: '(a |b c|)',               place: '1:4',  detail: 'not a symbol' },
  { text: "(a ')",                   place: '1:5',  detail: ') without its (' },
  { text: "'",                       place: '1:2',  detail: 'missing at the end' },
  { text: '('.repeat(300),           place: '1:258', detail: 'nested' },
  { text: "'".repeat(300),           place: '1:258', detail: 'nested' },
  { text: `(${'a '.repeat(200_001)})`, place: '1:400000', detail: 'more than 200000' },
  { text: ';'.repeat(1_048_577),     place: '1:1',  detail: 'longer than' },
].map(row => ({ ...row, name: row.text.slice(0, 20) })))('refused: $name', ({ text, place, detail }) => {
  expect(() => parseForms(text, { source: 'x.sb' })).toThrow(expect.objectContaining({ code: 'profile_invalid', field: `x.sb:${place}`, message: expect.stringContaining(detail) }))
})

test('each expression knows its place', () => {
  const [form] = parseForms('; x\n  (allow "a\nb"\n\tfile-read*)')
  expect(form?.expression.at).toEqual({ line: 2, column: 3 })
  expect(form?.expression.kind === 'list' && form.expression.items.map(({ at }) => at)).toEqual([{ line: 2, column: 4 }, { line: 2, column: 10 }, { line: 4, column: 2 }])
})

test('a form has the comments above, inside and behind it', () => {
  const text = '; a licence\n\n;; shells\n; and more\n(a) ; behind\n; lost\n\n(b\n  c ; why c\n) (d) ; after d\n; at the end\n'
  expect(parseForms(text).map(({ comment }) => comment)).toEqual(['shells\nand more\nbehind', 'why c', 'after d'])
})

const names = fc.oneof(fc.constantFrom('allow', 'file-read*', '%x', '+', '-', '.', '...', '=>', 'a.b', 'let*'), fc.string({ unit: fc.constantFrom(...'aZ9!$%&*/:<=>?^_~+.@-'), minLength: 1 }).filter(isSymbolName))
const texts = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: fc.constantFrom(...'"\\()\n\r\t;#|x0a\u0001\u001b\u007fé😀\'`,') })).filter(text => !text.includes('\0') && !/[\ud800-\udfff]/u.test(text))
const { tree } = fc.letrec<{ tree: Expression }>(tie => ({
  tree: fc.oneof({ maxDepth: 5, depthSize: 'medium' },
    names.map(symbol), texts.map(string), fc.maxSafeInteger().map(value => number(value === 0 ? 0 : value)), fc.boolean().map((value): Expression => ({ kind: 'boolean', value })),
    texts.filter(isRegexLiteral).map((source): Expression => ({ kind: 'regex', source })), fc.array(tie('tree'), { maxLength: 6 }).map(items => list(...items))),
}))

test('what is printed reads back as the same tree', () => {
  fc.assert(fc.property(fc.array(tree, { maxLength: 4 }), trees => {
    expect(read(trees.map(each => printExpression(each)).join(' '))).toEqual(trees)
  }), { numRuns: 1000 })
})

test('whole profiles too, and no comment changes the structure', () => {
  const forms: fc.Arbitrary<Form> = fc.record({ expression: tree, comment: texts }, { requiredKeys: ['expression'] })
  fc.assert(fc.property(fc.array(forms, { maxLength: 5 }), profile => {
    expect(read(printProfile(profile))).toEqual(profile.map(({ expression }) => expression))
  }), { numRuns: 500 })
})

test('any text is read or refused with a place, never more', () => {
  fc.assert(fc.property(fc.string({ unit: fc.constantFrom(...'()"#\\;|\'`, \ntfx19ae.*-é\0') }), text => {
    try {
      for (const { expression } of parseForms(text)) expect(expression.at).toBeDefined()
    } catch (error) {
      expect(error).toMatchObject({ code: 'profile_invalid', field: expect.stringMatching(/^profile:\d+:\d+$/) })
    }
  }), { numRuns: 2000 })
})
