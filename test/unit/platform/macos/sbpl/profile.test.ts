import { describe, expect, test } from 'vitest'
import { evaluate } from '../../../../../src/platform/macos/sbpl/evaluate.js'
import { FILTER_CATEGORIES, namesOperation } from '../../../../../src/platform/macos/sbpl/filter-categories.js'
import { OPERATIONS } from '../../../../../src/platform/macos/sbpl/operations.js'
import { parseProfile, type ProfileOptions } from '../../../../../src/platform/macos/sbpl/profile.js'
import type { Request } from '../../../../../src/platform/macos/sbpl/request.js'

/** What a profile that starts with (version 1) and (deny default) lets be read of the paths /a to /f. */
function readable(text: string, options: ProfileOptions = {}): string {
  const profile = parseProfile(`(version 1)(deny default)${text}`, options)
  return [...'abcdef'].filter(name => evaluate(profile, { operation: 'file-read-data', path: `/${name}` }).verdict === 'allow').join('')
}

describe('the language', () => {
  test.each([
    { name: 'define of a value',             text: '(define x "/a") (allow file-read* (literal x))',                                                      opens: 'a' },
    { name: 'define of a procedure',         text: '(define (open p) (allow file-read* (literal p))) (open "/a") (open "/b")',                            opens: 'ab' },
    { name: 'rest arguments',                text: '(define (open . ps) (for-each (lambda (p) (allow file-read* (literal p))) ps)) (open "/a" "/c")',     opens: 'ac' },
    { name: 'one name for all arguments',    text: '(define open (lambda ps (allow file-read* (apply literal ps)))) (open "/a" "/c")',                    opens: 'ac' },
    { name: 'a needed and a rest argument',  text: '(define (open x . ps) (allow file-read* (apply literal x ps))) (open "/a") (open "/b" "/c")',         opens: 'abc' },
    { name: 'lambda',                        text: '((lambda (p) (allow file-read* (literal p))) "/a")',                                                  opens: 'a' },
    { name: 'a procedure sees its own place', text: '(define x "/a") (define (f) x) (let ((x "/b")) (allow file-read* (literal (f))))',                   opens: 'a' },
    { name: 'let',                           text: '(let ((x "/a") (y "/b")) (allow file-read* (literal x y)))',                                          opens: 'ab' },
    { name: 'let does not see its own names', text: '(define x "/a") (let ((x "/b") (y x)) (allow file-read* (literal y)))',                              opens: 'a' },
    { name: 'let*',                          text: '(let* ((x "/") (y (string-append x "a")) (x "/b")) (allow file-read* (literal x y)))',                opens: 'ab' },
    { name: 'letrec',                        text: '(letrec ((f (lambda (l) (if (null? l) "" (string-append (car l) (f (cdr l))))))) (allow file-read* (literal (f (list "/" "a")))))', opens: 'a' },
    { name: 'named let',                     text: '(let loop ((ps (list "/a" "/b" "/c"))) (if (not (null? ps)) (begin (allow file-read* (literal (car ps))) (loop (cdr ps)))))', opens: 'abc' },
    { name: 'if with both branches',         text: '(allow file-read* (if #t (literal "/a") (literal "/b")) (if #f (literal "/c") (literal "/d")))',      opens: 'ad' },
    { name: 'if without the second',         text: '(if #f (allow file-read* (literal "/a"))) (if (param "NO") (allow file-read*))',                      opens: '' },
    { name: 'all but #f is true',            text: '(if "" (allow file-read* (literal "/a"))) (if 0 (allow file-read* (literal "/b"))) (if (list) (allow file-read* (literal "/c")))', opens: 'abc' },
    { name: 'when and unless',               text: '(when #t (allow file-read* (literal "/a")) (allow file-read* (literal "/b"))) (when #f (allow file-read*)) (unless #f (allow file-read* (literal "/c"))) (unless #t (allow file-read*))', opens: 'abc' },
    { name: 'cond',                          text: '(define (p n) (cond ((= n 1) "/a") ((= n 2) "/b") (else "/c"))) (allow file-read* (literal (p 1) (p 3)))', opens: 'ac' },
    { name: 'cond without a body',           text: '(allow file-read* (literal (cond (#f) ((param "P")) (else "/b"))))',                                  opens: 'a', params: { P: '/a' } },
    { name: 'case',                          text: '(define (p n) (case n ((1 2) "/a") ((x) "/b") (else "/c"))) (allow file-read* (literal (p 2) (p (quote x))))', opens: 'ab' },
    { name: 'and, or, not',                  text: '(if (and #t 1 (not #f)) (allow file-read* (literal "/a"))) (if (or #f (not 1)) (allow file-read*)) (allow file-read* (literal (or #f "/b") (and 1 "/c")))', opens: 'abc' },
    { name: 'and and or stop early',         text: '(and #f (error "no")) (or #t (error "no")) (if (and) (allow file-read* (literal "/a"))) (if (or) (allow file-read*))', opens: 'a' },
    { name: 'begin',                         text: '(begin (define x "/a") (allow file-read* (literal x)))',                                              opens: 'a' },
    { name: 'set!',                          text: '(define x "/a") (define (next!) (set! x "/b")) (next!) (allow file-read* (literal x))',               opens: 'b' },
    { name: 'quote and lists',               text: "(for-each (lambda (p) (allow file-read* (literal p))) '(\"/a\" \"/b\"))",                             opens: 'ab' },
    { name: 'quasi-quote',                   text: '(define x "/b") (apply (lambda ps (allow file-read* (apply literal ps))) `("/a" ,x ,@(list "/c" "/d")))', opens: 'abcd' },
    { name: 'map and apply',                 text: '(allow file-read* (apply require-any (map (lambda (n) (literal (string-append "/" n))) (list "a" "b"))))', opens: 'ab' },
    { name: 'map over two lists',            text: '(allow file-read* (apply literal (map string-append (list "/" "/") (list "a" "b"))))',                opens: 'ab' },
    { name: 'filter',                        text: '(allow file-read* (apply literal (filter (lambda (p) (string>? p "/c")) (list "/a" "/d" "/e"))))',    opens: 'de' },
    { name: 'list procedures',               text: '(define l (append (cons "/a" (list "/b")) (reverse (list "/d" "/c")))) (allow file-read* (literal (car l) (cadr l) (caddr l) (list-ref l 3) (car (cdr (list-tail l 1)))))', opens: 'abcd' },
    { name: 'member and assoc',              text: "(if (member \"b\" '(\"a\" \"b\")) (allow file-read* (literal (cadr (assoc 'k '((j \"/b\") (k \"/a\")))))))", opens: 'a' },
    { name: 'equal? and its kin',            text: "(if (and (equal? '(1 (\"x\")) (list 1 (list \"x\"))) (not (equal? 1 \"1\")) (eq? 'a 'a) (eqv? 2 2) (equal? file-read* file-read*) (not (equal? self pgrp))) (allow file-read* (literal \"/a\")))", opens: 'a' },
    { name: 'comparing strings',             text: '(if (and (string=? "a" "a") (string<? "a" "b") (string>=? "b" "a") (string<=? "a" "a")) (allow file-read* (literal "/a")))', opens: 'a' },
    { name: 'numbers',                       text: '(if (and (= 3 (+ 1 2)) (< 1 2 3) (not (< 1 3 2)) (>= 2 2) (> 3 (- 5 3)) (= -1 (- 1)) (= 6 (* 2 3)) (zero? 0) (= 0 (+))) (allow file-read* (literal "/a")))', opens: 'a' },
    { name: 'kinds of values',               text: "(if (and (string? \"\") (number? 1) (boolean? #f) (symbol? 'a) (list? '()) (pair? '(1)) (null? '()) (procedure? car) (procedure? (lambda () 1)) (sbpl-filter? (literal \"/a\")) (not (string? 1))) (allow file-read* (literal \"/a\")))", opens: 'a' },
    { name: 'text',                          text: '(allow file-read* (literal (substring "x/ax" 1 3) (string-append) (string-append "/" (number->string (- (string->number "12") 12)))))', opens: undefined },
    { name: 'substring',                     text: '(allow file-read* (literal (substring "x/ax" 1 3)))',                                                 opens: 'a' },
    { name: 'numbers as text',               text: '(if (and (= (string->number "-12") -12) (string=? (number->string 5) "5") (= (string-length "abc") 3)) (allow file-read* (literal "/a")))', opens: 'a' },
    { name: 'symbols as text',               text: "(allow file-read* (literal (string-append \"/\" (symbol->string 'a)) (string-append \"/\" (symbol->string (string->symbol \"b\")))))", opens: 'ab' },
    { name: 'param',                         text: '(allow file-read* (literal (param "P")) (literal (getenv "Q")))',                                     opens: 'ab', params: { P: '/a', Q: '/b' } },
    { name: 'a parameter that is not given', text: '(if (not (param "P")) (allow file-read* (literal "/a"))) (if (param "constructor") (allow file-read*))', opens: 'a' },
    { name: 'a parameter cannot be code',    text: '(allow file-read* (literal (param "P")))',                                                            opens: '', params: { P: '/a") (allow default) ("' } },
    { name: 'string-append of parameters',   text: '(define (home-literal p) (literal (string-append (param "HOME") p))) (allow file-read* (home-literal "/x") (literal (string-append (param "R") "a")))', opens: 'a', params: { HOME: '/h', R: '/' } },
    { name: 'regex-quote',                   text: '(define (home-regex r) (regex (string-append "^" (regex-quote (param "HOME")) r))) (allow file-read* (home-regex #"(/|$)"))', opens: 'a', params: { HOME: '/a' } },
    { name: 'a regex as a string',           text: '(allow file-read* (regex (string-append #"^/" "[ab]$")))',                                            opens: 'ab' },
    { name: 'defined?',                      text: "(define x 1) (if (and (defined? 'x) (defined? 'file-read*) (defined? 'literal) (not (defined? 'file-frobnicate))) (allow file-read* (literal \"/a\")))", opens: 'a' },
    { name: 'a new meaning for a name',      text: '(define subpath literal) (define (if x) (literal x)) (allow file-read* (subpath "/a") (if "/b"))',    opens: 'ab' },
    { name: 'debug and trace',               text: '(debug deny) (debug all none) (trace "/tmp/t.sb") (allow file-read* (literal "/a"))',                 opens: 'a' },
    { name: 'options without a meaning here', text: '(disable-callouts) (disable-full-symbolication) (allow file-read* (literal "/a"))',                  opens: 'a' },
    { name: 'version again',                 text: '(version 1) (allow file-read* (literal "/a"))',                                                       opens: 'a' },
    { name: 'modifiers first or last',       text: '(allow (with report) file-read* (literal "/a")) (deny file-read* (literal "/b") (with no-log)) (allow file-read* (literal "/c") (with message "m") (with telemetry))', opens: 'ac' },
    { name: 'operations after filters',      text: '(allow (literal "/a") file-read*)',                                                                   opens: 'a' },
    { name: 'with-filter',                   text: '(with-filter (subpath "/a") (allow file-read*) (allow file-read* (literal "/b")))',                   opens: 'a' },
    { name: 'with-filter in each other',     text: '(with-filter (subpath "/a") (with-filter (require-not (literal "/a")) (allow file-read*)) (allow file-read* (literal "/a" "/b"))) (allow file-read* (literal "/c"))', opens: 'ac' },
    { name: 'with-modifier',                 text: '(with-modifier (with no-log) (deny file-write*)) (allow file-read* (literal "/a"))',                  opens: 'a' },
    { name: 'a deep and a long recursion',   text: '(define (count n) (if (= n 0) "/a" (count (- n 1)))) (allow file-read* (literal (count 20000)))',        opens: 'a' },
  ] as { name: string; text: string; opens: string | undefined; params?: Record<string, string> }[])('$name', ({ text, opens, params }) => {
    const options = params === undefined ? {} : { params }
    if (opens === undefined) expect(() => readable(text, options)).toThrow('takes an absolute path')
    else expect(readable(text, options)).toBe(opens)
  })
})

describe('import', () => {
  const files: Record<string, string> = {
    'one.sb': '(version 1)\n(define shared "/a")\n(import "two.sb")',
    'two.sb': '(allow file-read* (literal shared))\n(define (open p)\n  (allow file-read* (literal p)))',
    'loop.sb': '(import "loop2.sb")',
    'loop2.sb': '\n  (import "loop.sb")',
    'broken.sb': '(define x\n',
    'wrong.sb': '\n (define (f) (literal 5))',
    'twice.sb': '(allow file-write*)',
  }
  const importer = (path: string) => files[path]

  test('defines and rules of the other file count', () => {
    expect(readable('(import "one.sb") (open "/b")', { importer })).toBe('ab')
  })
  test('a rule names the file and line of its call', () => {
    const profile = parseProfile('(version 1)\n(import "one.sb")\n(open "/b")', { importer, source: 'main.sb' })
    expect(profile.rules.map(({ source, line, form }) => ({ source, line, form }))).toEqual([
      { source: 'two.sb', line: 1, form: '(allow file-read* (literal shared))' },
      { source: 'two.sb', line: 3, form: '(allow file-read* (literal p))' },
    ])
  })
  test.each([
    { text: '(import "none.sb")',          field: 'main.sb:1:13',  detail: '"none.sb" is not found' },
    { text: '(import "loop.sb")',          field: 'loop2.sb:2:3',  detail: 'imports itself' },
    { text: '(import "broken.sb")',        field: 'broken.sb:1:1', detail: 'not closed' },
    { text: '(import "wrong.sb")\n(f)',    field: 'wrong.sb:2:14', detail: 'literal takes a string' },
    { text: '(import 5)',                  field: 'main.sb:1:13',  detail: 'import takes one path' },
    { text: '(import "twice.sb")'.repeat(65), field: `main.sb:1:${13 + 64 * 19}`, detail: 'more than 64 imports' },
  ])('refused: $text', ({ text, field, detail }) => {
    expect(() => parseProfile(`(version 1) ${text}`, { importer, source: 'main.sb' })).toThrow(expect.objectContaining({ code: 'profile_invalid', field, message: expect.stringContaining(detail) }))
  })
  test('without an importer nothing is found', () => {
    expect(() => parseProfile('(version 1) (import "one.sb")')).toThrow('not found')
  })
})

describe('refused', () => {
  test.each([
    { text: '',                                           at: undefined, detail: 'there is no (version 1)' },
    { text: '(allow default)',                            at: '1:1',  detail: '(version 1) must stand before' },
    { text: '(version 2)',                                at: '1:1',  detail: 'only version 1' },
    { text: '(version 1 2)',                              at: '1:1',  detail: 'only version 1' },
    { text: '(version 1)\n(allow file-frobnicate)',       at: '2:8',  detail: 'not defined' },
    { text: '(version 1)\n(alow file-read*)',             at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\n(allow file-read* (subpaht "/"))', at: '2:20', detail: 'not defined' },
    { text: '(version 1)\n(allow)',                       at: '2:1',  detail: 'without an operation' },
    { text: '(version 1)\n(allow (literal "/a"))',        at: '2:1',  detail: 'without an operation' },
    { text: '(version 1)\n(allow "file-read*")',          at: '2:1',  detail: 'takes operations, filters and modifiers, not the string' },
    { text: '(version 1)\n(allow file-read* (if #f 1))',  at: '2:1',  detail: 'not no value' },
    { text: '(version 1)\n(allow file-read* #f)',         at: '2:1',  detail: 'not #f' },
    { text: '(version 1)\n(allow file-read* (literal (param "P")))', at: '2:19', detail: 'literal takes a string, not #f' },
    { text: '(version 1)\n(allow file-read* (literal))',  at: '2:19', detail: 'without an argument' },
    { text: '(version 1)\n(allow file-read* (literal "a"))', at: '2:19', detail: 'takes an absolute path' },
    { text: '(version 1)\n(allow file-read* (subpath "/a/"))', at: '2:19', detail: 'without / at its end' },
    { text: '(version 1)\n(allow file-read* (subpath "/a/../b"))', at: '2:19', detail: 'without //, . and ..' },
    { text: '(version 1)\n(allow file-read* (subpath "/a//b"))', at: '2:19', detail: 'without //, . and ..' },
    { text: '(version 1)\n(allow file-read* (regex #"a{2}"))', at: '2:19', detail: 'at character 2' },
    { text: '(version 1)\n(allow file-read* (regex 5))',  at: '2:19', detail: 'takes a string' },
    { text: '(version 1)\n(allow file-read* (require-not (literal "/a") (literal "/b")))', at: '2:19', detail: 'require-not takes one filter' },
    { text: '(version 1)\n(allow file-read* (require-any))', at: '2:19', detail: 'without a filter' },
    { text: '(version 1)\n(allow file-read* (require-all "/a"))', at: '2:19', detail: 'takes filters, not the string' },
    { text: '(version 1)\n(allow file-read* (vnode-type FILE))', at: '2:31', detail: 'not defined' },
    { text: '(version 1)\n(allow file-read* (vnode-type self))', at: '2:19', detail: 'vnode-type takes REGULAR-FILE' },
    { text: '(version 1)\n(allow file-read* (file-mode #o0006))', at: '2:19', detail: 'one permission bit' },
    { text: '(version 1)\n(allow file-read* (file-mode "4"))', at: '2:19', detail: 'one permission bit' },
    { text: '(version 1)\n(allow network-outbound (remote tcp "example.org:80"))', at: '2:25', detail: '* or localhost as host' },
    { text: '(version 1)\n(allow network-outbound (remote tcp "127.0.0.1:80"))', at: '2:25', detail: '* or localhost as host' },
    { text: '(version 1)\n(allow network-outbound (remote tcp "localhost"))', at: '2:25', detail: '* or localhost as host' },
    { text: '(version 1)\n(allow network-outbound (remote tcp "*:65536"))', at: '2:25', detail: '* or localhost as host' },
    { text: '(version 1)\n(allow network-outbound (remote "*:*"))', at: '2:25', detail: 'takes a protocol' },
    { text: '(version 1)\n(allow network-outbound (remote self))', at: '2:25', detail: 'does not take self' },
    { text: '(version 1)\n(allow network-outbound (remote unix-socket "/s"))', at: '2:25', detail: 'takes a filter on the path' },
    { text: '(version 1)\n(allow mach-lookup (literal "/a"))', at: '2:1', detail: 'literal cannot stand on mach-lookup' },
    { text: '(version 1)\n(allow file-read* mach-lookup (global-name "a"))', at: '2:1', detail: 'global-name cannot stand on file-read*' },
    { text: '(version 1)\n(allow default (literal "/a"))', at: '2:1', detail: 'cannot stand on default' },
    { text: '(version 1)\n(allow process-exec (vnode-type REGULAR-FILE))', at: '2:1', detail: 'vnode-type cannot stand on process-exec*' },
    { text: '(version 1)\n(allow file-read* (require-any (literal "/a") (remote ip)))', at: '2:1', detail: 'remote cannot stand on file-read*' },
    { text: '(version 1)\n(allow file-read* (with no-log))', at: '2:1', detail: 'no-report cannot stand on allow' },
    { text: '(version 1)\n(deny file-read* (with report))', at: '2:1', detail: 'report cannot stand on deny' },
    { text: '(version 1)\n(allow file-read* (with no-sandbox))', at: '2:1', detail: 'no-sandbox cannot stand on file-read*' },
    { text: '(version 1)\n(deny default (with no-log 1))', at: '2:15', detail: 'no argument' },
    { text: '(version 1)\n(deny default (with message 1))', at: '2:15', detail: 'one string' },
    { text: '(version 1)\n(deny default (with message))', at: '2:15', detail: 'one string' },
    { text: '(version 1)\n(deny default (with send-signal "x"))', at: '2:15', detail: 'one number' },
    { text: '(version 1)\n(deny default (with self))', at: '2:15', detail: 'not a modifier' },
    { text: '(version 1)\n(deny default (with))',          at: '2:15', detail: 'takes the name of a modifier' },
    { text: '(version 1)\n(with-filter (list) (allow file-read*))', at: '2:1', detail: 'does not take the empty list' },
    { text: '(version 1)\n(with-filter)',                  at: '2:1',  detail: 'does not take no value' },
    { text: '(version 1)\n(trace 5)',                      at: '2:1',  detail: 'trace takes one path' },
    { text: '(version 1)\n(trace "/a")(trace "/b")',       at: '2:13', detail: 'only one trace' },
    { text: '(version 1)\n(param)',                        at: '2:1',  detail: 'takes the name of a parameter' },
    { text: '(version 1)\n(defined? "x")',                 at: '2:1',  detail: 'one quoted name' },
    { text: '(version 1)\n(define)',                       at: '2:1',  detail: 'takes 2 or more parts' },
    { text: '(version 1)\n(define x 1 2)',                 at: '2:1',  detail: 'a name takes one value' },
    { text: '(version 1)\n(define "x" 1)',                 at: '2:9',  detail: 'a name is expected' },
    { text: '(version 1)\n(define (f x x) 1)',             at: '2:9',  detail: 'named twice' },
    { text: '(version 1)\n(lambda (a . b c) 1)',           at: '2:9',  detail: 'one name is expected after the dot' },
    { text: '(version 1)\n(define (f x) x)\n(f)',          at: '3:1',  detail: 'f takes 1 arguments, not 0' },
    { text: '(version 1)\n(define (f x . y) x)\n(f)',      at: '3:1',  detail: 'f takes at least 1 arguments' },
    { text: '(version 1)\n(let ((x)) x)',                  at: '2:7',  detail: 'a name and its value' },
    { text: '(version 1)\n(let x)',                        at: '2:1',  detail: 'takes 2 or more parts' },
    { text: '(version 1)\n(if)',                           at: '2:1',  detail: 'takes 2 to 3 parts' },
    { text: '(version 1)\n(cond (else 1) (#t 2))',         at: '2:7',  detail: 'else is not the last' },
    { text: '(version 1)\n(cond (1 => car))',              at: '2:7',  detail: '=> is not known' },
    { text: '(version 1)\n(set! x 1)',                     at: '2:1',  detail: 'not defined by the profile' },
    { text: '(version 1)\n(set! allow deny)',              at: '2:1',  detail: 'not defined by the profile' },
    { text: '(version 1)\n(quote)',                        at: '2:1',  detail: 'takes 1 parts' },
    { text: '(version 1)\n`(a `b)',                        at: '2:5',  detail: 'a quasi-quotation in another' },
    { text: '(version 1)\n`(,@5)',                         at: '2:3',  detail: 'a list is expected here' },
    { text: '(version 1)\n(unquote x)',                    at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\nif',                             at: '2:1',  detail: 'a form of the language' },
    { text: '(version 1)\n("x" 1)',                        at: '2:1',  detail: 'cannot be called' },
    { text: '(version 1)\n(file-read* 1)',                 at: '2:1',  detail: 'the operation file-read* cannot be called' },
    { text: '(version 1)\n(car (list))',                   at: '2:1',  detail: 'car of an empty list' },
    { text: '(version 1)\n(car 5)',                        at: '2:1',  detail: 'is not a list' },
    { text: '(version 1)\n(car)',                          at: '2:1',  detail: 'car takes 1 arguments' },
    { text: '(version 1)\n(string-append "a" 5)',          at: '2:1',  detail: 'argument 2 of string-append is not a string' },
    { text: '(version 1)\n(substring "abc" 2 9)',          at: '2:1',  detail: '9 is not between 0 and 3' },
    { text: '(version 1)\n(substring "abc" 2 1)',          at: '2:1',  detail: 'ends before it starts' },
    { text: '(version 1)\n(string->number "1.5")',         at: '2:1',  detail: 'not a whole number' },
    { text: '(version 1)\n(+ 9007199254740991 1)',         at: '2:1',  detail: 'not a whole number that is exact' },
    { text: '(version 1)\n(eq? "a" "a")',                  at: '2:1',  detail: 'says nothing' },
    { text: '(version 1)\n(apply car)',                    at: '2:1',  detail: 'apply takes a procedure and a list' },
    { text: '(version 1)\n(error "no" 5)',                 at: '2:1',  detail: 'the profile gives up: no the number 5' },
    { text: '(version 1)\n(macro (m f) f)',                at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\n(define-macro (m f) f)',         at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\n(load "x")',                     at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\n(call/cc car)',                  at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\nconstructor',                    at: '2:1',  detail: 'not defined' },
    { text: '(version 1)\n(__proto__)',                    at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\n(home-subpath "/x")',            at: '2:2',  detail: 'not defined' },
    { text: '(version 1)\n(allow file-read* (process-name "x"))', at: '2:20', detail: 'not defined' },
  ])('$text', ({ text, at, detail }) => {
    expect(() => parseProfile(text, { source: 'x.sb' })).toThrow(expect.objectContaining({
      code: 'profile_invalid', field: at === undefined ? 'x.sb' : `x.sb:${at}`, message: expect.stringContaining(detail),
    }))
  })
})

describe('a hostile profile ends with an error', () => {
  test.each([
    { name: 'a loop',                        text: '(define (f) (f)) (f)',                                                             detail: 'steps of evaluation' },
    { name: 'a loop of two',                 text: '(define (f) (g)) (define (g) (f)) (f)',                                            detail: 'steps of evaluation' },
    { name: 'a loop through apply',          text: '(define (f) (apply f (list))) (f)',                                                detail: 'nested more than' },
    { name: 'a deep recursion',              text: '(define (f n) (+ 1 (f n))) (f 0)',                                                 detail: 'nested more than' },
    { name: 'a deep recursion through map',  text: '(define (f l) (map f (list l))) (f 1)',                                            detail: 'nested more than' },
    { name: 'a string that doubles',         text: '(define (f s) (f (string-append s s))) (f "x")',                                   detail: 'a string of more than' },
    { name: 'a list that doubles',           text: '(define (f l) (f (append l l))) (f (list 1))',                                     detail: 'steps of evaluation' },
    { name: 'a list that holds itself twice', text: '(define (f l) (f (list l l))) (f (list 1))',                                      detail: 'steps of evaluation' },
    { name: 'comparing such lists',          text: `(define (f l n) (if (= n 0) l (f (list l l) (- n 1)))) (equal? (f 1 60) (f 1 60))`, detail: 'steps of evaluation' },
    { name: 'cons on a growing list',        text: '(define (f l) (f (cons 1 l))) (f (list))',                                         detail: 'steps of evaluation' },
    { name: 'rules without end',             text: '(define (f) (allow file-read*) (f)) (f)',                                          detail: 'more than 20000 rules' },
    { name: 'with-filter without end',       text: '(define (f) (with-filter (literal "/a") (f))) (f)',                                detail: 'nested more than' },
    { name: 'a filter that doubles',         text: '(define (f x n) (if (= n 0) x (f (require-any x x) (- n 1)))) (allow file-read* (f (literal "/a") 40))', detail: 'comparisons' },
    { name: 'many rules with a large filter', text: '(define (f x n) (if (= n 0) x (f (require-any x x) (- n 1)))) (define x (f (literal "/a") 15)) (define (g) (allow file-read* x) (g)) (g)', detail: 'steps of evaluation' },
    { name: 'a large text quoted in a loop', text: `(define (f) '(${'1 '.repeat(10_000)}) (f)) (f)`,                                                detail: 'steps of evaluation' },
    { name: 'a large body made in a loop',   text: `(define (f) (lambda () ${'1 '.repeat(10_000)}) (f)) (f)`,                                        detail: 'steps of evaluation' },
    { name: 'a large clause passed over in a loop', text: `(define (f) (cond (#f ${'1 '.repeat(10_000)})) (f)) (f)`,                                 detail: 'steps of evaluation' },
    { name: 'a large regex in a loop',       text: `(define (f) (regex "${'[^a]'.repeat(2500)}") (f)) (f)`,                                          detail: 'steps of evaluation' },
    { name: 'quasi-quotes that grow',        text: '(define (f l) (f `(,@l ,@l))) (f (list 1))',                                       detail: 'steps of evaluation' },
    { name: 'numbers that grow',             text: '(define (f n) (f (* n n))) (f 2)',                                                 detail: 'not a whole number that is exact' },
    { name: 'regexes that grow',             text: '(define (f s) (regex s) (f (string-append "(" s "|" s ")"))) (f "a*")',            detail: '' },
  ])('$name', ({ text, detail }) => {
    expect(() => parseProfile(`(version 1) ${text}`)).toThrow(expect.objectContaining({ code: 'profile_invalid', field: expect.stringMatching(/^profile:\d+:\d+$/), message: expect.stringContaining(detail) }))
  })
  test('the bounds can be tightened', () => {
    expect(() => parseProfile('(version 1) (allow default)', { limits: { steps: 3 } })).toThrow('more than 3 steps')
    expect(() => parseProfile('(version 1) (allow file-read* (literal (string-append "/a")))', { limits: { depth: 2 } })).toThrow('nested more than 2')
  })
})

test('rules keep what they were made of', () => {
  const { rules, trace } = parseProfile('(version 1)\n(trace "/t")\n(allow process-exec\n  (literal "/bin/ps") (with no-sandbox))\n(deny default (with no-log) (with message "m"))')
  expect(trace).toBe('/t')
  expect(rules).toEqual([
    { action: 'allow', operations: ['process-exec*'], filter: expect.objectContaining({ name: 'literal' }), modifiers: [{ kind: 'modifier', modifier: 'no-sandbox' }], form: '(allow process-exec (literal "/bin/ps") (with no-sandbox))', source: 'profile', line: 3 },
    { action: 'deny', operations: ['default'], filter: undefined, modifiers: [{ kind: 'modifier', modifier: 'no-report' }, { kind: 'modifier', modifier: 'message', argument: 'm' }], form: '(deny default (with no-log) (with message "m"))', source: 'profile', line: 5 },
  ])
})

test('each row of the table of categories names an operation, and none is hidden by one before it', () => {
  const first = OPERATIONS.map(({ operation }) => FILTER_CATEGORIES.find(({ operations }) => namesOperation(operations, operation)))
  expect(FILTER_CATEGORIES.filter(row => !first.includes(row)).map(({ operations }) => operations)).toEqual([])
})

/** A small profile in which each construct has a part, and what it allows. */
const EXAMPLE = `
#| A profile that uses each construct of the language once, for tests. |#
(version 1)
(debug deny)
(deny default (with no-log))
(import "example-library.sb")

(define home (param "HOME"))                      ; a value
(define (home-subpath rest) (subpath (string-append home rest)))
(define (home-regex rest) (regex (string-append "^" (regex-quote home) rest)))

; reading
(allow file-read* file-test-existence
  (subpath "/usr/lib")                            ; libraries
  (home-subpath "/src")
  (require-all (home-regex #"/[^/]+\\.txt$") (require-not (home-regex #"/secret[^/]*$")))
  (require-any (literal "/dev/null") (literal "/dev/zero")))
(let* ((root (or (param "ROOT") "/work")) (git (string-append root "/.git")))
  (allow file-read* file-write* (subpath root))
  (deny file-write* (literal git) (subpath git)))
(allow file-read-metadata (path-ancestors "/work/a/b"))
(when (equal? (param "TTY") "yes") (allow-terminal))
(unless (param "ONLINE") (deny network*))
(cond ((string=? (or (param "NET") "") "proxy") (allow network-outbound (remote tcp "localhost:3128")))
      ((param "NET") (allow network*))
      (else #f))
(for-each (lambda (name) (allow mach-lookup (global-name name))) \`("com.example.one" ,@(list "com.example.two")))
(allow file-write-data (require-all (literal "/dev/null") (vnode-type CHARACTER-DEVICE)))
(with-filter (target same-sandbox) (allow signal process-info-pidinfo))
(if (defined? 'nvram*) (deny nvram*))
`
const LIBRARY_TEXT = `
(define (allow-terminal)
  (allow file-ioctl (regex #"^/dev/ttys[0-9]+$")))
`

test.each([
  { request: { operation: 'file-read-data', path: '/usr/lib/dyld' },                                  verdicts: 'allow' },
  { request: { operation: 'file-read-data', path: '/h.me/src/a' },                                    verdicts: 'allow' },
  { request: { operation: 'file-read-data', path: '/hxme/a.txt' },                                    verdicts: 'deny' },
  { request: { operation: 'file-read-data', path: '/h.me/a.txt' },                                    verdicts: 'allow' },
  { request: { operation: 'file-read-data', path: '/h.me/secret.txt' },                               verdicts: 'deny' },
  { request: { operation: 'file-read-data', path: '/dev/zero' },                                      verdicts: 'allow' },
  { request: { operation: 'file-write-create', path: '/work/x' },                                     verdicts: 'allow' },
  { request: { operation: 'file-write-create', path: '/work/.git' },                                  verdicts: 'deny' },
  { request: { operation: 'file-write-data', path: '/work/.git/config' },                             verdicts: 'deny' },
  { request: { operation: 'file-read-data', path: '/work/.git/config' },                              verdicts: 'allow' },
  { request: { operation: 'file-read-metadata', path: '/work' },                                      verdicts: 'allow' },
  { request: { operation: 'file-read-metadata', path: '/' },                                          verdicts: 'allow' },
  { request: { operation: 'file-ioctl', path: '/dev/ttys12' },                                        verdicts: 'allow' },
  { request: { operation: 'network-outbound', remote: { protocol: 'tcp', host: '127.0.0.1', port: 3128 } }, verdicts: 'allow' },
  { request: { operation: 'network-outbound', remote: { protocol: 'tcp', host: '127.0.0.1', port: 3129 } }, verdicts: 'deny' },
  { request: { operation: 'mach-lookup', globalName: 'com.example.two' },                             verdicts: 'allow' },
  { request: { operation: 'mach-lookup', globalName: 'com.example.three' },                           verdicts: 'deny' },
  { request: { operation: 'file-write-data', path: '/dev/null', vnodeType: 'CHARACTER-DEVICE' },      verdicts: 'allow' },
  { request: { operation: 'file-write-data', path: '/dev/null' },                                     verdicts: 'deny' },
  { request: { operation: 'signal', targets: ['same-sandbox'] },                                      verdicts: 'allow' },
  { request: { operation: 'signal', targets: ['others'] },                                            verdicts: 'deny' },
  { request: { operation: 'nvram-get' },                                                              verdicts: 'deny' },
] as { request: Request; verdicts: string }[])('the example: $request is $verdicts', ({ request, verdicts }) => {
  const profile = parseProfile(EXAMPLE, { params: { HOME: '/h.me', TTY: 'yes', NET: 'proxy' }, importer: path => path === 'example-library.sb' ? LIBRARY_TEXT : undefined })
  expect(evaluate(profile, request).verdict).toBe(verdicts)
})
