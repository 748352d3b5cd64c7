// The attempts themselves: against a sandbox that confines nothing, those that harm nothing must be seen to escape. An attempt
// that cannot show an escape proves nothing when it holds.
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ESCAPE_ATTEMPTS } from '../../../src/doctor/escape-attempts.js'
import { formatAttempt, formatScore, score } from '../../../src/doctor/escape-score.js'
import { type EscapeAttempt, findProgram, python } from '../../../src/doctor/escapes/attempt.js'
import { FILE_ATTEMPTS } from '../../../src/doctor/escapes/files.js'
import { MAC_ATTEMPTS } from '../../../src/doctor/escapes/mac.js'
import { PROTECTED_ATTEMPTS } from '../../../src/doctor/escapes/protected-names.js'
import { SOCKET_ATTEMPTS } from '../../../src/doctor/escapes/sockets.js'
import { type AttemptSandbox, type MakeSandbox, tryEscape } from '../../../src/doctor/try-escapes.js'
import { SandboxError } from '../../../src/errors.js'

/** Runs commands as they are. */
const unconfined: MakeSandbox = async (_policy, cwd) => {
  const run: AttemptSandbox['run'] = (argv, env) => new Promise(done => {
    execFile(argv[0] as string, argv.slice(1), { cwd, env: { ...process.env, ...env }, timeout: 15_000 }, (_error, stdout, stderr) => done(stdout + stderr))
  })
  return { run, runOnTerminal: run, close: async () => {} }
}

/** Runs nothing: what a sandbox in which everything fails looks like. */
const dead: MakeSandbox = async () => ({ run: async () => 'cannot run anything', runOnTerminal: async () => '', close: async () => {} })

const refusing: MakeSandbox = async () => { throw new SandboxError('layer_missing', { field: 'seccomp', value: 'seccomp' }) }

/** Hold without any sandbox too: node leaves no descriptor open, and this file system tells letter cases apart. Or they aim at devices and at node itself, which a test leaves alone. */
const NOT_SHOWN_HERE = ['reach the host through an inherited descriptor', 'use another letter case of a protected name', 'use devices of the host', 'rewrite this package, its launcher or node', 'find a way out of the private network']
const shown = [...FILE_ATTEMPTS, ...PROTECTED_ATTEMPTS, ...SOCKET_ATTEMPTS, ...MAC_ATTEMPTS].filter(({ name }) => !NOT_SHOWN_HERE.includes(name))

describe('without a sandbox', () => {
  test.for(shown)('$name: the escape is seen, and what must work does', { timeout: 20_000 }, async (attempt, { skip }) => {
    const { result, twin } = await tryEscape(attempt, unconfined)
    if (result.outcome === 'skipped') skip(result.reason)
    expect(result).toEqual({ outcome: 'escaped', evidence: expect.stringMatching(/./) })
    expect(twin).toEqual(attempt.can === undefined ? undefined : { outcome: 'works' })
  })
})

test.skipIf(findProgram('python3') === undefined).each([
  { name: 'a mistake in a script is no refusal', script: 'int("00400000-004", 16)', result: { outcome: 'failed', reason: expect.stringMatching(/^its script is wrong: ValueError: /) } },
  { name: 'a refused call is',                   script: 'raise PermissionError(13, "Permission denied")', result: { outcome: 'held' } },
])('$name', async ({ script, result }) => {
  expect((await tryEscape({ name: 'n', failure: 'f', attack: python(script) }, unconfined)).result).toEqual(result)
})

test('a sandbox in which everything fails is noticed', async () => {
  const { result, twin } = await tryEscape(attempt('make a file outside'), dead)
  expect([result.outcome, twin]).toEqual(['held', { outcome: 'broken', reason: expect.stringContaining('cannot run anything') }])
})
test('a sandbox that refuses keeps its promise, but not what must work', async () => {
  const { result, twin } = await tryEscape(attempt('make a file outside'), refusing)
  expect([result.outcome, twin?.outcome]).toEqual(['refused', 'broken'])
})
test('an attempt that cannot be prepared is not taken for held', async () => {
  const { result } = await tryEscape({ ...attempt('make a file outside'), prepare: () => { throw new Error('no such tool') } }, unconfined)
  expect(result).toEqual({ outcome: 'failed', reason: 'it could not be prepared: no such tool' })
})
test('nothing is left in the temporary folder', async () => {
  // One of its own: other tests make attempts in the common one at the same time.
  const own = mkdtempSync(join(tmpdir(), 'try-escapes-'))
  onTestFinished(() => rmSync(own, { recursive: true }))
  vi.stubEnv('TMPDIR', own)
  onTestFinished(() => void vi.unstubAllEnvs())
  let seen: string[] = []
  const { result } = await tryEscape(attempt('make a file outside'), async (...place) => {
    seen = readdirSync(own)
    return unconfined(...place)
  })
  expect([result.outcome, seen.length, readdirSync(own)]).toEqual(['escaped', 1, []])
})

test('no two attempts have one name', () => {
  const names = ESCAPE_ATTEMPTS.map(({ name }) => name)
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
})
test('every published failure that concerns Linux has an attempt', () => {
  const rows = [1, 2, 3, 13, 15, 16, 18, 19, 20, 21, 22, 23, 25, 28, 32, 33, 34, 35, 36, 39, 40, 41, 49]
  const named = ESCAPE_ATTEMPTS.flatMap(({ failure }) => [...failure.matchAll(/row (\d+)/g)].map(([, row]) => Number(row)))
  expect(rows.filter(row => !named.includes(row))).toEqual([])
})

test('the score counts each outcome once, and says an escape aloud', async () => {
  const one = attempt('make a file outside')
  const counted = score([
    { attempt: one, result: { outcome: 'held' }, twin: { outcome: 'works' } },
    { attempt: one, result: { outcome: 'refused', reason: 'x' }, twin: { outcome: 'broken', reason: 'y' } },
    { attempt: one, result: { outcome: 'escaped', evidence: '/x\nis new' }, twin: undefined },
    { attempt: one, result: { outcome: 'skipped', reason: 'x' }, twin: undefined },
  ])
  expect(counted).toMatchObject({ held: 2, escaped: 1, skipped: 1, failed: 0, works: 1, broken: 1 })
  expect(formatScore(counted)).toBe('2 of 3 escape attempts held, 1 ESCAPED; 1 of 2 things that must work do.\n1 skipped.')
  expect(formatAttempt(counted.results[2]!)).toEqual(['ESCAPED  make a file outside', '         /x is new', `         stands for: ${one.failure}`])
})

const attempt = (name: string): EscapeAttempt => ESCAPE_ATTEMPTS.find(each => each.name === name)!
