import { expect, test } from 'vitest'
import { printExpression, printProfile } from '../../../../../src/platform/macos/sbpl/print.js'
import { type Expression, form, list, literal, number, param, regex, requireAll, requireAny, requireNot, string, subpath, symbol } from '../../../../../src/platform/macos/sbpl/syntax.js'

test.each([
  { name: 'symbols and nesting',               tree: list('allow', 'file-read*', subpath(string('/usr/lib'))),        text: '(allow file-read* (subpath "/usr/lib"))' },
  { name: 'a parameter',                       tree: list('deny', 'file-write*', literal(param('ROOT_0'))),            text: '(deny file-write* (literal (param "ROOT_0")))' },
  { name: 'requirements',                      tree: requireAll(requireAny(subpath(string('/a')), subpath(string('/b'))), requireNot(literal(string('/a/c')))), text: '(require-all (require-any (subpath "/a") (subpath "/b")) (require-not (literal "/a/c")))' },
  { name: 'numbers and booleans',              tree: list('x', 1, -5, true, false),                                    text: '(x 1 -5 #t #f)' },
  { name: 'an empty list',                     tree: list(),                                                           text: '()' },
  { name: 'a regex keeps its backslashes',     tree: regex('^/w/[^/]*\\.pem$'),                                        text: '(regex #"^/w/[^/]*\\.pem$")' },
  { name: 'a regex with a quote is a string',  tree: regex('^/w/"\\.x$'),                                              text: '(regex "^/w/\\"\\\\.x$")' },
  { name: 'a regex with a newline is a string', tree: regex('^/w\n$'),                                                 text: '(regex "^/w\\n$")' },
  { name: 'a regex that ends in a backslash is a string', tree: regex('a\\'),                                          text: '(regex "a\\\\")' },
  { name: 'a regex that ends in two stays',    tree: regex('a\\\\'),                                                   text: '(regex #"a\\\\")' },
  { name: 'quotes and parentheses in a path',  tree: literal(string('/a") (allow default) ("')),                       text: '(literal "/a\\") (allow default) (\\"")' },
  { name: 'backslashes in a path',             tree: literal(string('/a\\')),                                          text: '(literal "/a\\\\")' },
  { name: 'newlines and tabs in a path',       tree: literal(string('/a\n(b)\r\t')),                                   text: '(literal "/a\\n(b)\\r\\t")' },
  { name: 'control characters in a path',      tree: literal(string('/a\u001b[2J\u007f')),                             text: '(literal "/a\\x1b[2J\\x7f")' },
  { name: 'unicode in a path is as it is',     tree: literal(string('/é/日本/😀;#|')),                                 text: '(literal "/é/日本/😀;#|")' },
] as { name: string; tree: Expression; text: string }[])('$name', ({ tree, text }) => {
  expect(printExpression(tree)).toBe(text)
})

test('a long form has a line for each filter, and a nested one too', () => {
  const paths = ['/System/Library/Frameworks', '/System/Library/PrivateFrameworks', '/usr/lib', '/usr/share', '/Library/Apple/System/Library']
  expect(printExpression(list('allow', 'file-read*', 'file-test-existence', ...paths.map(path => subpath(string(path)))))).toBe([
    '(allow file-read* file-test-existence',
    '  (subpath "/System/Library/Frameworks")',
    '  (subpath "/System/Library/PrivateFrameworks")',
    '  (subpath "/usr/lib")',
    '  (subpath "/usr/share")',
    '  (subpath "/Library/Apple/System/Library"))',
  ].join('\n'))
  expect(printExpression(list('deny', 'file-write*', requireAll(...paths.map(path => subpath(string(path))))))).toBe([
    '(deny file-write*',
    '  (require-all',
    '    (subpath "/System/Library/Frameworks")',
    '    (subpath "/System/Library/PrivateFrameworks")',
    '    (subpath "/usr/lib")',
    '    (subpath "/usr/share")',
    '    (subpath "/Library/Apple/System/Library")))',
  ].join('\n'))
})

test('a form stands below its comment, and no comment ends early', () => {
  expect(printProfile([form(list('version', 1)), form(list('deny', 'default'), 'closed\n\nunless\r(allow default)\u001b')])).toBe(
    '(version 1)\n; closed\n;\n; unless\\x0d(allow default)\\x1b\n(deny default)\n')
  expect(printProfile([])).toBe('')
})

test.each([
  { name: 'NUL in a string',               build: () => string('/a\0b') },
  { name: 'half of a surrogate pair',      build: () => string('/a\ud800') },
  { name: 'NUL in a regex',                build: () => regex('a\0') },
  { name: 'a symbol with a parenthesis',   build: () => symbol('a)') },
  { name: 'a symbol with a space',         build: () => symbol('a b') },
  { name: 'a symbol with a comment',       build: () => symbol('a;b') },
  { name: 'an empty symbol',               build: () => symbol('') },
  { name: 'a symbol that is a number',     build: () => symbol('12') },
  { name: 'a symbol that is a negative number', build: () => symbol('-.5') },
  { name: 'a symbol that is a boolean',    build: () => symbol('#t') },
  { name: 'a text of a path as a symbol',  build: () => list('literal', '/a b') },
  { name: 'half a number',                 build: () => number(0.5) },
  { name: 'a number beyond exactness',     build: () => number(2 ** 53) },
  { name: 'NUL in a tree made by hand',    build: () => printExpression({ kind: 'string', value: '\0' }) },
  { name: 'a surrogate in a tree made by hand', build: () => printExpression({ kind: 'string', value: '\udfff' }) },
  { name: 'a quote in a regex made by hand', build: () => printExpression({ kind: 'regex', source: 'a" b' }) },
  { name: 'a backslash before a regex\'s end', build: () => printExpression({ kind: 'regex', source: 'a\\' }) },
  { name: 'a symbol made by hand',         build: () => printExpression({ kind: 'symbol', name: 'a (b)' }) },
  { name: 'a number made by hand',         build: () => printExpression({ kind: 'number', value: Number.NaN }) },
])('refused: $name', ({ build }) => {
  expect(build).toThrow(expect.objectContaining({ code: 'profile_text_invalid' }))
})
