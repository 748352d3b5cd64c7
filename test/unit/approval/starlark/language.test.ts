// The language of rules: each expression has the type and the text that the reference gave for it (codex-cli 0.169.0), and what it refused is refused.
import { describe, expect, test } from 'vitest'
import { RulesError } from '../../../../src/approval/rules-error.js'
import { parseRules } from '../../../../src/approval/rules-file.js'

const read = (text: string) => parseRules(text, { name: 'x.rules', source: 'user' })
/** What a program hands to its last rule. */
const said = (text: string): string | undefined => read(text).prefixes.at(-1)?.justification
const shownBy = (expression: string): string | undefined => said(`x = ${expression}\nprefix_rule(["t"], justification=type(x) + " " + repr(x))`)

function errorOf(text: string): RulesError {
  try {
    read(text)
  } catch (error) {
    if (error instanceof RulesError) return error
    throw error
  }
  throw new Error('it was understood')
}

describe('as the reference evaluates', () => {
  test.each([
    ['"%s" % "a"',                                 'string "a"'],
    ['"a".format()',                               'string "a"'],
    ['"{}b".format("a")',                          'string "ab"'],
    ['f"a{1}"',                                    'string "a1"'],
    ['f"{"a"}"',                                   'string "a"'],
    ['str(3)',                                     'string "3"'],
    ['[i for i in range(3)]',                      'list [0, 1, 2]'],
    ['{"a":1}["a"]',                               'int 1'],
    ['"a" if True else "b"',                       'string "a"'],
    ['(lambda y: y)("a")',                         'string "a"'],
    ['not 1',                                      'bool False'],
    ['1 in [1]',                                   'bool True'],
    ['3 // 2',                                     'int 1'],
    ['"a"*3',                                      'string "aaa"'],
    ['[1,2][-1]',                                  'int 2'],
    ['"abc"[1:]',                                  'string "bc"'],
    ['"abc"[::-1]',                                'string "cba"'],
    ['len("a")',                                   'int 1'],
    ['sorted([2,1])',                              'list [1, 2]'],
    ['dict(a=1)',                                  'dict {"a": 1}'],
    ['type(1)',                                    'string "int"'],
    ['enumerate(["a"])',                           'list [(0, "a")]'],
    ['zip([1],[2])',                               'list [(1, 2)]'],
    ['any([1])',                                   'bool True'],
    ['all([1])',                                   'bool True'],
    ['min(1,2)',                                   'int 1'],
    ['repr("a")',                                  'string "\\"a\\""'],
    ['int("3")',                                   'int 3'],
    ['bool(1)',                                    'bool True'],
    ['chr(65)',                                    'string "A"'],
    ['ord("a")',                                   'int 97'],
    ['reversed([1])',                              'list [1]'],
    ['tuple([1])',                                 'tuple (1,)'],
    ['list((1,2))',                                'list [1, 2]'],
    ['None',                                       'NoneType None'],
    ['r"a\\n"',                                    'string "a\\\\n"'],
    ['\'\'\'a\'\'\'',                              'string "a"'],
    ['0x10',                                       'int 16'],
    ['0b1',                                        'int 1'],
    ['0o7',                                        'int 7'],
    ['"a".upper()',                                'string "A"'],
    ['"a,b".split(",")',                           'list ["a", "b"]'],
    ['",".join(["a"])',                            'string "a"'],
    ['"a".replace("a","b")',                       'string "b"'],
    ['" a ".strip()',                              'string "a"'],
    ['"a".startswith("a")',                        'bool True'],
    ['[1,2]+[3]',                                  'list [1, 2, 3]'],
    ['[1]*2',                                      'list [1, 1]'],
    ['(1,)',                                       'tuple (1,)'],
    ['(1,2)+(3,)',                                 'tuple (1, 2, 3)'],
    ['{"a":1}.items()',                            'list [("a", 1)]'],
    ['1 << 3',                                     'int 8'],
    ['~1',                                         'int -2'],
    ['-1',                                         'int -1'],
    ['+1',                                         'int 1'],
    ['[x for x in "abc".elems() if x != "a"]',     'list ["b", "c"]'],
    ['{k:1 for k in "ab".elems()}',                'dict {"a": 1, "b": 1}'],
    ['"\\x41"',                                    'string "A"'],
    ['"\\u0041"',                                  'string "A"'],
    ['"\\q"',                                      'string "\\\\q"'],
    ['1 and 2',                                    'int 2'],
    ['"a" or 1',                                   'string "a"'],
    ['5 % 3',                                      'int 2'],
    ['-5 // 2',                                    'int -3'],
    ['-5 % 3',                                     'int 1'],
    ['abs(-1)',                                    'int 1'],
    ['max([1,2])',                                 'int 2'],
    ['"a b  c".split()',                           'list ["a", "b", "c"]'],
    ['"a b  c".split(" ")',                        'list ["a", "b", "", "c"]'],
    ['"a,b,c".rsplit(",",1)',                      'list ["a,b", "c"]'],
    ['"a b c".split(None,1)',                      'list ["a", "b c"]'],
    ['"abcabc".rfind("c")',                        'int 5'],
    ['"abcabc".count("bc")',                       'int 2'],
    ['"aBc dE".title()',                           'string "Abc De"'],
    ['"aBc dE".capitalize()',                      'string "Abc de"'],
    ['"abc".partition("b")',                       'tuple ("a", "b", "c")'],
    ['"abc".rpartition("z")',                      'tuple ("", "", "abc")'],
    ['"a\\nb\\r\\nc".splitlines()',                'list ["a", "b", "c"]'],
    ['"xxaxx".strip("x")',                         'string "a"'],
    ['"xxa".removeprefix("x")',                    'string "xa"'],
    ['"axx".removesuffix("x")',                    'string "ax"'],
    ['"abc".isalpha()',                            'bool True'],
    ['"ab1".isalnum()',                            'bool True'],
    ['"12".isdigit()',                             'bool True'],
    ['" ".isspace()',                              'bool True'],
    ['"A".isupper()',                              'bool True'],
    ['"a{}c{}".format(1,"x")',                     'string "a1cx"'],
    ['"{0}{1}{0}".format("a","b")',                'string "aba"'],
    ['"{x}".format(x=1)',                          'string "1"'],
    ['"%d-%s-%r" % (1,"a","b")',                   'string "1-a-\\"b\\""'],
    ['len("é€😀")',                                 'int 3'],
    ['"😀a"[1]',                                    'string "a"'],
    ['"abc".find("z")',                            'int -1'],
    ['"b" in "abc"',                               'bool True'],
    ['"a" in {"a":1}',                             'bool True'],
    ['[1,[2,3]] == [1,[2,3]]',                     'bool True'],
    ['True == 1',                                  'bool False'],
    ['(1,2) < (1,3)',                              'bool True'],
    ['"a" < "b"',                                  'bool True'],
    ['range(3)',                                   'range range(3)'],
    ['list(range(5,0,-2))',                        'list [5, 3, 1]'],
    ['[1,2,3,4][1:3]',                             'list [2, 3]'],
    ['[1,2,3,4][-2:]',                             'list [3, 4]'],
    ['[1,2,3][::2]',                               'list [1, 3]'],
    ['str([1,"a",None,True,(1,),{"k":[]}])',       'string "[1, \\"a\\", None, True, (1,), {\\"k\\": []}]"'],
    ['[a+b for a in ["x","y"] for b in ["1","2"] if a != b]', 'list ["x1", "x2", "y1", "y2"]'],
    ['dict([("a",1)])',                            'dict {"a": 1}'],
    ['{"a":1}.get("b","d")',                       'string "d"'],
    ['sorted(["b","A"], key=lambda s: s.lower())', 'list ["A", "b"]'],
    ['sorted([1,2],reverse=True)',                 'list [2, 1]'],
    ['max("a","bb",key=len)',                      'string "bb"'],
    ['1 if [] else 2',                             'int 2'],
    ['f"{1+1}{{x}}"',                              'string "2{x}"'],
    ['f"{"a"!r}"',                                 'string "\\"a\\""'],
    ['"a".join(["x","y"])',                        'string "xay"'],
    ['"-".join([str(i) for i in range(3)])',       'string "0-1-2"'],
    ['"a" not in ["a"]',                           'bool False'],
    ['not "a" in ["a"]',                           'bool False'],
    ['(1 if True else 2) + 3',                     'int 4'],
    ['- 3',                                        'int -3'],
    ['1 - -1',                                     'int 2'],
    ['"%s" % ("a",)',                              'string "a"'],
    ['"100%%" % ()',                               'string "100%"'],
  ])('%s', (expression, value) => {
    expect(shownBy(expression)).toBe(value)
  })
})

test.each<{ name: string; text: string; gives: string }>([
  { name: 'defaults, names and names only',              gives: '123 125 013', text: 'def f(a, b=2, *, c=3):\n  return str(a)+str(b)+str(c)\nx = " ".join([f(1), f(1, c=5), f(b=1, a=0)])' },
  { name: 'None is an argument as any other',            gives: '[None, None, None, 1]', text: 'def f(a=None):\n  return a\nx = str([f(), f(None), f(a=None), f(1)])' },
  { name: 'rest and named rest',                         gives: '(1, (2, 3), {"c": 4})', text: 'def f(a, *b, **c):\n  return (a, b, c)\nx = str(f(1, 2, 3, c=4))' },
  { name: 'spread arguments',                            gives: '(1, 2, 3)', text: 'def f(a, b, c):\n  return (a, b, c)\nx = str(f(*[1, 2], **{"c": 3}))' },
  { name: 'a function keeps what it was made in',        gives: '2', text: 'def make():\n  seen = []\n  def add(x):\n    seen.append(x)\n    return len(seen)\n  return add\nadd = make()\nadd(1)\nx = str(add(1))' },
  { name: 'a function sees names that come later',       gives: 'q', text: 'def f():\n  return z\nz = "q"\nx = f()' },
  { name: 'loops: continue, break, return from inside',  gives: '5', text: 'def f():\n  for i in range(9):\n    if i == 3:\n      continue\n    if i == 5:\n      return str(i)\nx = f()' },
  { name: 'elif and else',                               gives: 'c', text: 'if 0:\n  x = "a"\nelif []:\n  x = "b"\nelse:\n  x = "c"' },
  { name: 'unpacking and changes in place',              gives: '[1, 2, 3, {"a": 3}]', text: 'a, (b, c) = 1, (2, 3)\nd = {"a": 1}\nd["a"] += 2\nx = str([a, b, c, d])' },
  { name: '+= changes the list itself',                  gives: '[1, 2]', text: 'a = [1]\nb = a\na += [2]\nx = str(b)' },
  { name: 'lines joined by brackets and backslashes',    gives: '6', text: 'x = str((1 +\n  2) + \\\n  3)' },
  { name: 'several statements a line',                   gives: '3', text: 'a = 1; b = 2; x = str(a + b);' },
  { name: 'carriage returns',                            gives: '3', text: 'a = 1\r\nif a:\r\n  x = "3"\r\n' },
  { name: 'strings over several lines',                  gives: 'a\nb', text: 'x = """a\nb"""' },
  { name: 'characters are code points',                  gives: '2 😀 1', text: 's = "😀a"\nx = str(len(s)) + " " + s[0] + " " + str(s.find("a"))' },
  { name: 'the names of a comprehension are its own',    gives: '7', text: 'i = 7\na = [i for i in range(3)]\nx = str(i)' },
  { name: 'a list in itself can be made',                gives: 'ok', text: 'a = []\na.append(a)\nx = "ok"' },
])('$name', ({ text, gives }) => {
  expect(said(`${text}\nprefix_rule(["t"], justification=x)`)).toBe(gives)
})

describe('is refused, where it stands', () => {
  test.each<[text: string, at: string, says: string]>([
    ['x = set([1])',                          '1:5',  'there is no `set`'],
    ['x = print("x")',                        '1:5',  'there is no `print`'],
    ['fail("x", 1)',                          '1:1',  'x 1'],
    ['x = "a" "b"',                           '1:9',  'unexpected a string'],
    ['x = 1 < 2 < 3',                         '1:11', 'comparisons'],
    ['x = 07',                                '1:5',  'does not begin with 0'],
    ['x = 1_000',                             '1:6',  'the name `_000`'],
    ['x = 1.5',                               '1:5',  'only whole numbers'],
    ['x = 1 / 2',                             '1:7',  'use `//`'],
    ['x = 9007199254740993',                  '1:5',  'too large'],
    ['x = 9007199254740991 + 1',              '1:5',  'too large'],
    ['x = 1 // 0',                            '1:5',  'a division by 0'],
    ['x = b"a"',                              '1:5',  'bytes'],
    ['x = x',                                 '1:5',  'there is no `x`'],
    ['def f():\n  y = z\n  z = 1\nz = 2\nf()', '2:7', '`z` is used before it has a value (called from line 5)'],
    ['x = 2**3',                              '1:6',  '`**`'],
    ['x = [c for c in "abc"]',                '1:5',  'use .elems()'],
    ['x = 1 is 1',                            '1:7',  '`is` is not part'],
    ['while True:\n  pass',                  '1:1',  '`while` is not part'],
    ['load("a", "b")',                        '1:1',  '`load` is not available'],
    ['x = {1: 2, 1: 3}',                      '1:5',  'the key 1 is there twice'],
    ['x = [1][5]',                            '1:5',  'there is no index 5'],
    ['x = {}["a"]',                           '1:5',  'there is no key "a"'],
    ['x = 1 + "a"',                           '1:5',  'not understood for int and string'],
    ['x = {[]: 1}',                           '1:5',  'a list cannot be a key'],
    ['x = [1]\nfor i in x:\n  x.append(i)', '3:3',  'while a loop walks over it'],
    ['x = [1]\nfor i in x:\n  x += [i]',    '3:3',  'while a loop walks over it'],
    ['\tx = 1',                              '1:1',  'tabs are not allowed'],
    ['if 1:\n    x = 1\n  y = 2',           '3:3',  'matches no line above'],
    ['  x = 1',                               '1:3',  'indented'],
    ['if 1:\nx = 1',                         '2:1',  'expected an indented block'],
    ['x = [1,\n2',                           '1:5',  'this `[` is not closed'],
    ['x = (1]',                               '1:7',  '`]` does not close `(`'],
    ['x = 1)',                                '1:6',  'closes nothing'],
    ['x = "abc',                              '1:5',  'not closed'],
    ['x = """abc\n',                         '1:5',  'not closed'],
    ['x = f"{1',                              '1:7',  'this `{` of an f-string is not closed'],
    ['x = f"}"',                              '1:7',  'single `}`'],
    ['x = f"{1:3}"',                          '1:9',  'formats in f-strings'],
    ['x = "\\ud800"',                       '1:6',  'is no character'],
    ['x = @',                                 '1:5',  '"@" is not part'],
    ['\ufeffx = 1',                          '1:1',  'is not part'],
    ['return 1',                              '1:1',  'in no function'],
    ['break',                                 '1:1',  'in no loop'],
    ['3 = 1',                                 '1:1',  'nothing can be assigned'],
    ['a = b = 1',                             '1:7',  'one assignment'],
    ['def f(a, a): pass',                     '1:10', 'a parameter `a` already'],
    ['def f(a: str): pass',                   '1:8',  'types are not part'],
    ['def f(a): pass\nf()',                  '2:1',  'f needs `a`'],
    ['def f(a): pass\nf(1, 2)',              '2:1',  'takes 1 arguments, and has 2'],
    ['def f(a): pass\nf(1, a=2)',            '2:1',  'given twice'],
    ['def f(a): pass\nf(b=2)',               '2:1',  'needs `a`'],
    ['def f(a=1): pass\nf(b=2)',             '2:1',  'no parameter `b`'],
    ['x = "a".nope()',                        '1:5',  'a string has no `.nope`'],
    ['x = "a".__class__',                     '1:5',  'has no `.__class__`'],
    ['x = [].constructor',                    '1:5',  'has no `.constructor`'],
    ['x = toString',                          '1:5',  'there is no `toString`'],
  ])('%s', (text, at, says) => {
    const error = errorOf(text)
    expect(`${error.source?.line}:${error.source?.column}`).toBe(at)
    expect(error.message).toContain(`x.rules:${at}`)
    expect(error.message).toContain(says)
  })
})

describe('never goes on for ever, nor takes all memory', () => {
  test.each<[name: string, text: string, says: string]>([
    ['a function that calls itself',      'def f(n):\n  return f(n)\nf(1)',                                           'functions wait for one another'],
    ['a long loop',                       'for i in range(1000000000):\n  pass',                                       'steps'],
    ['loops in loops',                    'for i in range(10000):\n  for j in range(10000):\n    pass',               'steps'],
    ['a huge list',                       'x = [0] * 100000000',                                                        'steps'],
    ['a huge string',                     'x = "a" * 1000000000',                                                       'steps'],
    ['doubling',                          'x = "a"\nfor i in range(64):\n  x = x + x',                                'steps'],
    ['doubling lists',                    'x = [0]\nfor i in range(64):\n  x += x',                                   'more than'],
    ['a range that is laid out',          'x = list(range(1000000000))',                                                'more than'],
    ['replacing',                         'x = "a" * 100000\nx = x.replace("a", x)',                                   'more than'],
    ['joining',                           'x = ("a" * 10000).join(["b"] * 100000)',                                     'more than'],
    ['a value that is shared again and again, printed', 'x = (1,)\nfor i in range(40):\n  x = (x, x)\ny = str(x)',   'more than'],
    ['compared',                          'x = (1,)\ny = (1,)\nfor i in range(40):\n  x = (x, x)\n  y = (y, y)\nz = x == y', 'more than'],
    ['as a key',                          'x = (1,)\nfor i in range(40):\n  x = (x, x)\ny = {x: 1}',                 'more than'],
    ['a list in itself, printed',         'x = []\nx.append(x)\ny = str(x)',                                          'nested too deeply'],
    ['compared with itself',              'x = []\nx.append(x)\ny = []\ny.append(y)\nz = x == y',                   'nested too deeply'],
    ['brackets in brackets',              `x = ${'['.repeat(5000)}${']'.repeat(5000)}`,                                 'nested too deeply'],
    ['signs before signs',                `x = ${'-'.repeat(5000)}1`,                                                   'nested too deeply'],
    ['not before not',                    `x = ${'not '.repeat(5000)}1`,                                                'nested too deeply'],
    ['a long sum',                        `x = ${Array(5000).fill('1').join(' + ')}`,                                   'too long'],
    ['a long chain of or',                `x = ${Array(5000).fill('0').join(' or ')}`,                                  'nested too deeply'],
    ['a long chain of calls',             `x = "a"${'.strip()'.repeat(5000)}`,                                          'too long'],
    ['blocks in blocks',                  Array.from({ length: 300 }, (_, depth) => `${' '.repeat(depth)}if 1:\n`).join(''), 'nested too deeply'],
    ['a file of megabytes',               `#${'x'.repeat(2 ** 21)}`,                                                    'characters'],
    ['ten thousand and one rules',        'for i in range(10001):\n  prefix_rule(["a"])',                              'more than 10000 rules'],
  ])('%s', (_, text, says) => {
    expect(errorOf(text).message).toContain(says)
  })

  // More than this process's stack could take as the arguments of one call.
  test.each([
    ['brackets on one line',   `x = ${'['.repeat(150_000)}${']'.repeat(150_000)}`, 'nested too deeply'],
    ['signs on one line',      `x = ${'-'.repeat(150_000)}1`,                  'nested too deeply'],
    ['statements on one line', `${'pass;'.repeat(150_000)}x = y`,              '`y`'],
    ['columns of zip',         `x = zip(${'[],'.repeat(150_000)})\ny = z`,     '`z`'],
  ])('a file as long as it may be, with many %s, is refused for what is in it', (_, text, says) => {
    const error = errorOf(text)
    expect(error).toBeInstanceOf(RulesError)
    expect(error.message).toContain(says)
  })

  test.each([
    ['on one line',   ';',  1],
    ['each on a line', '\n', 9000],
  ])('nine thousand rules %s say where they are', (_, between, line) => {
    expect(read(Array(9000).fill('prefix_rule(["a"])').join(between)).prefixes.at(-1)?.place).toBe(`x.rules:${line}`)
  })

  test('what strip takes off may be long', () => {
    expect(read('x = ("a" * 1000000).strip("b" * 1000000 + "a")\nprefix_rule(["[%s]" % x])').prefixes[0]?.pattern).toEqual([['[]']])
  })

  test('what a file of a person needs is far from the limits', () => {
    expect(read('for i in range(2000):\n  prefix_rule(["tool-" + str(i), ["a", "b"]], match=["tool-%d a" % i])').prefixes).toHaveLength(2000)
  })
})

test('an error shows the line and a caret', () => {
  expect(errorOf('a = 1\nb = a +* 2  # x\n').excerpt).toBe('2 | b = a +* 2  # x\n  |        ^')
})
test('a call over several lines shows the first of them', () => {
  expect(errorOf('prefix_rule(\n  pattern=[])').excerpt).toBe('1 | prefix_rule(\n  | ^^^^^^^^^^^^')
})
test('what a file says cannot forge a line or turn the direction of a terminal', () => {
  const error = errorOf('fail("a\\nb\\u202e") # \u202e')
  expect(error.message).not.toMatch(/[\n\u202e]/)
  expect(error.excerpt).not.toContain('\u202e')
})
test('files do not see each other', () => {
  read('x = 1\ndef f(): pass')
  expect(errorOf('y = x').message).toContain('there is no `x`')
})
