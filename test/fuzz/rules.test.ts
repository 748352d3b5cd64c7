// Rules files that nobody wrote: whatever the text, it is understood or refused with a place in it, and always ends.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RulesError } from '../../src/approval/rules-error.js'
import { parseRules } from '../../src/approval/rules-file.js'
import { splitWords } from '../../src/approval/split-words.js'

/** A longer run: FUZZ_RUNS=100000 npx vitest run test/fuzz/rules.test.ts */
const numRuns = Number(process.env['FUZZ_RUNS'] ?? 1500)

const PIECES = [
  'prefix_rule', 'network_rule', 'host_executable', 'pattern', 'decision', 'match', '"git"', '"a b"', '\'x\'', '"""', 'f"{', '{x}', '}"', 'r"', '\\', '\n', '\n  ', '\n    ', '\r\n', ' ', '\t', '#', ';',
  '(', ')', '[', ']', '{', '}', ',', ':', '=', '==', '+=', '+', '-', '*', '**', '//', '%', '<<', '|', '~', '<', '.', '->', 'def f(x):', 'lambda x: x', 'if', 'elif', 'else:', 'for', 'in', 'not', 'and', 'or', 'return',
  'break', 'continue', 'pass', 'load', 'while', 'x', 'y', 'True', 'None', '0', '1', '17', '99999999999999999999', 'range(9)', 'len', 'str', '.append', '.join', '.split()', '.items()', '😀', '\u202e', '\0', '\ud800',
]
const soup = fc.array(fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...PIECES) }, { weight: 1, arbitrary: fc.string({ maxLength: 4 }) }), { maxLength: 40 }).map(pieces => pieces.join(''))

const VALID = [
  'def allow(*words, **more):\n  prefix_rule(list(words), **more)\n\nfor name in ["npm", "pnpm"]:\n  allow(name, "test", match=[f"{name} test -- x"])\n',
  'names = {k: [v, v * 2] for k, v in [("a", 1), ("b", 2)] if v > 0}\nprefix_rule([sorted(names)[0], ["x", "y"]], "forbidden", justification="%s" % names["a"])\n',
  'host_executable(name="git", paths=["/usr/bin/git"])\nprefix_rule(pattern=["git", ["push", "fetch"]], decision="prompt", justification="remote", not_match=["git status"])\nnetwork_rule(host="example.com", protocol="https", decision="deny")\n',
]
/** A program with something cut out, put in or swapped. */
const mutated = fc.tuple(fc.constantFrom(...VALID), fc.array(fc.tuple(fc.nat(400), fc.nat(6), fc.constantFrom('', ...PIECES)), { minLength: 1, maxLength: 4 }))
  .map(([text, edits]) => edits.reduce((result, [at, cut, put]) => result.slice(0, at % (result.length + 1)) + put + result.slice((at % (result.length + 1)) + cut), text))

describe.each([['words in any order', soup], ['programs with mistakes', mutated]] as const)('%s', (_, texts) => {
  test('are understood, or refused with a place', () => {
    let [understood, refused] = [0, 0]
    fc.assert(fc.property(texts, text => {
      try {
        parseRules(text, { name: 'x.rules', source: 'user' })
        understood++
      } catch (error) {
        // Anything else is a mistake of ours.
        if (!(error instanceof RulesError)) throw error
        refused++
        expect(error.source?.line).toBeGreaterThan(0)
        expect(error.source?.line).toBeLessThanOrEqual(text.split('\n').length)
        expect(error.source?.column).toBeGreaterThan(0)
        expect(error.message).not.toContain('\n')
        expect(error.excerpt).toMatch(/^\d+ \| .*\n +\| *\^+$/u)
      }
    }), { numRuns })
    // The generator makes both, or the test says nothing.
    expect(understood).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })

  test('give the same twice', () => {
    const outcome = (text: string): string => {
      try {
        return JSON.stringify(parseRules(text, { name: 'x.rules', source: 'user' }))
      } catch (error) {
        return (error as Error).message
      }
    }
    fc.assert(fc.property(texts, text => { expect(outcome(text)).toBe(outcome(text)) }), { numRuns: numRuns / 5 })
  })
})

test('words that are quoted are divided into what they were', () => {
  const quote = (word: string): string => `'${word.replaceAll('\'', '\'\\\'\'')}'`
  fc.assert(fc.property(fc.array(fc.string({ unit: 'binary' })), words => {
    expect(splitWords(words.map(quote).join(' '))).toEqual(words)
  }), { numRuns })
})
