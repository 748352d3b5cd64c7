// Judging commands by their words: rules can only be as lax as the strictest that matches, and what is called plain is what a shell runs.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ApprovalPolicy, assess, type Assessment, type AssessOptions } from '../../src/approval/assess.js'
import { type CommandRules, matchPrefixes, NO_RULES, type PrefixRule, RULE_DECISIONS, strictest } from '../../src/approval/command-rules.js'
import { readScript } from '../../src/approval/shell-script.js'

/** A longer run: FUZZ_RUNS=100000 npx vitest run test/fuzz/assess.test.ts */
const numRuns = Number(process.env['FUZZ_RUNS'] ?? 1000)
/** The short run compares the same scripts each time; the longer one looks for new ones. */
const SAMPLE = process.env['FUZZ_RUNS'] === undefined ? { seed: 20260304 } : {}

const WORDS = ['git', 'push', 'rm', '-f', 'ls', 'npm', 'sudo', '/bin/git', './git', 'bash', '-c', '-lc', 'ls; git push', 'x']
const word = fc.constantFrom(...WORDS)
const command = fc.oneof(fc.array(word, { minLength: 1, maxLength: 4 }), fc.array(word, { minLength: 1, maxLength: 6 }).map(words => ['bash', '-lc', words.join(' ')]))
const rule: fc.Arbitrary<PrefixRule> = fc.record({
  pattern: fc.array(fc.uniqueArray(word, { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 3 }),
  decision: fc.constantFrom(...RULE_DECISIONS), source: fc.constantFrom('user', 'project', 'requirements'), place: fc.constant('x.rules:1'),
})
const policy: fc.Arbitrary<ApprovalPolicy> = fc.oneof(
  fc.constantFrom('untrusted', 'on-request', 'on-failure', 'never'),
  fc.record({ reject: fc.record({ sandbox_approval: fc.boolean(), rules: fc.boolean(), mcp_elicitations: fc.boolean() }) }),
)
const options: fc.Arbitrary<AssessOptions> = fc.record({
  approvalPolicy: policy, sandboxMode: fc.constantFrom('read-only', 'workspace-write', 'danger-full-access'), platform: fc.constantFrom('linux', 'windows'),
  sandboxPermissions: fc.constantFrom('use_default', 'require_escalated'), allowLoginShell: fc.boolean(),
})

const rank = (result: Assessment): number => 'run' in result ? 0 : 'ask' in result ? 1 : 2
const rulesOf = (prefixes: readonly PrefixRule[]): CommandRules => ({ ...NO_RULES, prefixes })

describe('rules', () => {
  const seen = { allow: 0, prompt: 0, forbidden: 0 }

  test('no decision is laxer than the strictest rule that matches the command, whatever other rules there are', () => {
    fc.assert(fc.property(fc.array(word, { minLength: 1, maxLength: 4 }).filter(([program]) => program !== 'bash'), fc.array(rule, { maxLength: 5 }), options, (argv, prefixes, given) => {
      const strict = strictest(matchPrefixes(rulesOf(prefixes), argv).map(({ rule: { decision } }) => decision))
      if (strict !== undefined) seen[strict]++
      expect(rank(assess(argv, { ...given, rules: rulesOf(prefixes) }))).toBeGreaterThanOrEqual(strict === undefined ? 0 : RULE_DECISIONS.indexOf(strict))
    }), { numRuns })
    expect(Object.values(seen).every(count => count > 0)).toBe(true)
  })

  test('a rule that does not allow never makes a decision laxer', () => {
    fc.assert(fc.property(command, fc.array(rule, { maxLength: 4 }), rule.filter(({ decision }) => decision !== 'allow'), fc.nat(4), options, (argv, prefixes, added, at, given) => {
      const before = rank(assess(argv, { ...given, rules: rulesOf(prefixes) }))
      expect(rank(assess(argv, { ...given, rules: rulesOf([...prefixes.slice(0, at), added, ...prefixes.slice(at)]) }))).toBeGreaterThanOrEqual(before)
    }), { numRuns })
  })

  test('a rule that allows never lifts what the others say', () => {
    fc.assert(fc.property(command, fc.array(rule.filter(({ decision }) => decision !== 'allow'), { maxLength: 4 }), fc.array(rule.filter(({ decision }) => decision === 'allow'), { maxLength: 3 }), options, (argv, strict, lax, given) => {
      // What the strict rules alone say of a command that needs nothing else.
      const alone = rank(assess(argv, { ...given, sandboxPermissions: 'use_default', allowLoginShell: true, approvalPolicy: 'on-request', sandboxMode: 'workspace-write', platform: 'linux', rules: rulesOf(strict) }))
      const dangerous = rank(assess(argv, { ...given, sandboxPermissions: 'use_default', allowLoginShell: true, approvalPolicy: 'on-request', sandboxMode: 'workspace-write', platform: 'linux' }))
      if (alone <= dangerous && alone < 2) return
      expect(rank(assess(argv, { ...given, rules: rulesOf([...lax, ...strict]) }))).toBeGreaterThanOrEqual(alone)
    }), { numRuns })
  })

  test('the order of rules means nothing', () => {
    fc.assert(fc.property(command, fc.array(rule, { maxLength: 5 }), options, (argv, prefixes, given) => {
      expect(rank(assess(argv, { ...given, rules: rulesOf(prefixes.toReversed()) }))).toBe(rank(assess(argv, { ...given, rules: rulesOf(prefixes) })))
    }), { numRuns })
  })

  test('a proposed amendment is enough: with its rule the same command runs', () => {
    let proposed = 0
    fc.assert(fc.property(command, fc.array(rule, { maxLength: 3 }), options, (argv, prefixes, given) => {
      const result = assess(argv, { ...given, rules: rulesOf(prefixes) })
      if (!('ask' in result) || result.amendment === undefined) return
      proposed++
      const added: PrefixRule = { pattern: result.amendment.map(each => [each]), decision: 'allow', source: 'user', place: 'x.rules:1' }
      expect(assess(argv, { ...given, rules: rulesOf([...prefixes, added]) })).toEqual({ run: 'sandboxed' })
    }), { numRuns })
    expect(proposed).toBeGreaterThan(0)
  })
})

test('any text is judged, and nothing throws', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ maxLength: 60 }), fc.string({ unit: 'binary', maxLength: 40 })), policy, (script, approvalPolicy) => {
    expect(rank(assess(['bash', '-lc', script], { approvalPolicy, sandboxMode: 'workspace-write' }))).toBeGreaterThanOrEqual(0)
  }), { numRuns })
})

/**
 * Scripts that are called plain are run by real shells in which nothing exists but one function: each command that is looked up is
 * written down with its words. What the shell runs must be among the segments, word by word.
 */
describe('plain scripts run what their segments say', () => {
  const PIECES = ['a', 'b', 'c1', '-x', '--y=z', 'é', ' ', '  ', '\t', '\n', ';', '&&', '||', '|', '&', '!', '\'', '"', '\\', '\\\n', '#', '*', '?', '[a]', '~', '{a,b}', '$', '$x', '`', '(', ')', '<', '>', '=', 'a=b', '%', '^', '@(a)', ':', ',', 'if', 'then', 'fi', 'do', '{', '}', 'time', '[[', ']]', '\'a b\'', '"a b"', '"a\'b"', '\r']
  const text = fc.tuple(fc.constantFrom('a ', 'b ', 'a', 'a;b ', ''), fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 9 })).map(([first, pieces]) => first + pieces.join(''))

  test.for(['bash', 'dash', 'zsh'])('in %s', (shell, context) => {
    if (spawnSync(`/bin/${shell}`, ['-c', 'exit 7']).status !== 7) return context.skip(`there is no /bin/${shell} here`)
    const dialect = shell === 'zsh' ? 'zsh' : 'bash'
    const plainScripts = [...new Set(fc.sample(text, { numRuns: numRuns * 4, ...SAMPLE }))].flatMap(script => {
      const { plain } = readScript(script, dialect)
      // Words that file names may take the place of are not what is compared here.
      return plain === undefined || plain.some(each => each.some(({ fixed }) => !fixed)) ? [] : [{ script, plain: plain.map(each => each.map(({ text: said }) => said)) }]
    })
    const scripts = plainScripts.slice(0, numRuns / 10)
    expect(scripts.length).toBeGreaterThan(20)
    let ranSomething = 0
    for (const { script, ran } of runAll(shell, scripts.map(each => each.script))) {
      ranSomething += ran.length
      const { plain } = scripts.find(each => each.script === script) as (typeof scripts)[number]
      for (const each of ran) expect({ script, ran: plain.some(segment => JSON.stringify(segment) === JSON.stringify(each)) ? 'as said' : each }).toEqual({ script, ran: 'as said' })
    }
    expect(ranSomething).toBeGreaterThan(20)
  })
})

/** Each script in one shell after another, in an empty folder, with an empty PATH: what is looked up is all that can happen. */
function runAll(shell: string, scripts: readonly string[]): { script: string; ran: string[][] }[] {
  const folder = mkdtempSync(join(tmpdir(), 'plain-'))
  try {
    // Names that the pieces can make are functions that note their words; bash asks one function for all others.
    const names = ['a', 'b', 'c1', 'ab', 'ba', 'aa', 'bb', 'ac1', 'bc1']
    // One write a command: those of a pipeline write at once.
    const note = 'END="$(printf "\\1")"; note() { printf "%s\\0" "$@" "$END" >> "$LOG"; }'
    const functions = ['command_not_found_handle() { note "$@"; }', ...names.map(name => `${name}() { note ${name} "$@"; return 0; }`)].join('\n')
    for (const [index, script] of scripts.entries()) {
      // As it would be run, by -c: a backslash at its end is followed by nothing.
      const text = `LOG='${join(folder, `${index}.log`)}'\n${note}\n${functions}\n${script}`
      spawnSync(`/bin/${shell}`, [...(shell === 'zsh' ? ['-f'] : []), '-c', text], { cwd: folder, env: { PATH: '/nonexistent', HOME: '/nonexistent' }, stdio: 'ignore', timeout: 10_000 })
    }
    const logs = new Set(readdirSync(folder))
    return scripts.map((script, index) => ({ script, ran: logs.has(`${index}.log`) ? readFileSync(join(folder, `${index}.log`), 'utf8').split('\u0001\0').slice(0, -1).map(each => each.split('\0').slice(0, -1)) : [] }))
  } finally {
    rmSync(folder, { recursive: true })
  }
}
