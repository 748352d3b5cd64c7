// Every rung of the ladder, reached by really taking layers away: what is enforced there is what the report says. Rows of the conformance
// table hold on each; what cannot be held is refused before anything runs, and what is allowed by name opens that alone.
import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Group, type Row, TABLE } from '../conformance/table.js'
import { expectedOf, type RowOutcome } from '../conformance/try-row.js'
import { inContainer } from '../support/docker-like.js'
import { makeOrdinaryUser, type OrdinaryUser } from '../support/ordinary-user.js'
import { onPoorHost, whyNoPoorHost } from '../support/poor-host.js'
import { answersOf } from '../support/user-answers.js'
import type { DegradationName } from '../../src/platform/launch-plan.js'
import { LAYERS, type Layer } from '../../src/platform/linux/native/layers.js'
import { type Host, HOSTS, type Outcome } from './hosts.js'
import { ALL_REACHES, OWN } from './reaches.js'
import type { HostAnswer, HostTask, StartAnswer } from './run-on-host.js'

const ALL_ROWS = TABLE.flatMap(group => group.rows.map(row => ({ group, row }))).map((each, index) => ({ ...each, index }))
/** What is run on every host: a row for each way in which something is held. `CODEX_SANDBOX_TEST_ALL=1` runs all of them. */
const CORE: readonly { readonly group: string; readonly access: Row['access']; readonly path: string }[] = [
  { group: 'workspace-write', access: 'write', path: 'work/src/a.txt' },
  { group: 'workspace-write', access: 'create', path: 'outside/new.txt' },
  { group: 'workspace-write', access: 'write', path: 'work/link/file.txt' },
  { group: 'protected names', access: 'write', path: 'work/.git/config' },
  { group: 'protected names', access: 'create', path: 'work/.codex' },
  { group: 'a denied file in a root', access: 'read', path: 'work/deep/er/secret.txt' },
  { group: 'a denied file in a root', access: 'remove', path: 'work/deep' },
  { group: 'restricted reads', access: 'read', path: 'outside/file.txt' },
  { group: 'restricted reads', access: 'read', path: 'outside/open/inner.txt' },
  { group: 'a workspace below a private /tmp', access: 'create', path: 'work/new.txt' },
  { group: 'git: commits', access: 'create', path: 'work/.git/objects/new' },
  { group: 'the network off', access: 'connect', path: '' },
  { group: 'the network off', access: 'unix-connect', path: 'work/server' },
  { group: 'the network open', access: 'connect', path: '' },
]
const isCore = ({ group, row }: { group: Group; row: Row }): boolean => CORE.some(each => each.group === group.name && each.access === row.access && each.path === row.path)
const EVERY = process.env['CODEX_SANDBOX_TEST_ALL'] !== undefined
const CHOSEN = ALL_ROWS.filter(each => EVERY || isCore(each))

const ROW_TIMEOUT_MS = 120_000
const reason = whyNoPoorHost()

test('a poorer host can be made here, and every row of the core is one of the table', context => {
  if (reason !== undefined) context.skip(reason)
  expect(ALL_ROWS.filter(isCore)).toHaveLength(CORE.length)
})

let user: OrdinaryUser
let entry: string
beforeAll(async () => {
  if (reason !== undefined) return
  user = makeOrdinaryUser()
  entry = await user.bundle('test/ladder/run-on-host.ts')
  mkdirSync(join(user.home, 'root'), { mode: 0o700 })
  mkdirSync(join(user.home, 'user'), { mode: 0o700 })
  chownSync(join(user.home, 'user'), user.uid, user.uid)
  chmodSync(user.home, 0o755)
})
afterAll(() => user?.remove())

describe.skipIf(reason !== undefined).each(HOSTS)('$name', host => {
  describe('as it is', () => hold(host, [], host.asItIs))
  const { allowing } = host
  if (allowing !== undefined) describe(`allowing ${allowing.names.join(' and ')}`, () => hold(host, allowing.names, allowing.outcome))
})

function hold(host: Host, allow: readonly DegradationName[], outcome: Outcome): void {
  let answerTo: (key: string) => Promise<unknown>
  let child: ChildProcess
  beforeAll(() => {
    child = startOn(host, { allow, rows: CHOSEN.map(({ index }) => index) })
    answerTo = answersOf(child)
  })
  afterAll(() => { child.kill('SIGKILL') })

  test('what is said of the host is so, and every reason has a remedy', { timeout: ROW_TIMEOUT_MS }, async () => {
    const { layers, check, doctor } = await answerTo('host') as HostAnswer
    const missing = layers.filter(({ available }) => !available)
    expect(missing.map(({ layer }) => layer)).toEqual(host.missing)
    expect(missing.every(each => (each.reason ?? '') !== '' && (each.remedy ?? '') !== '')).toBe(true)
    if (host.abi !== undefined) expect(layers.find(({ layer }) => layer === 'landlock')?.version).toBe(host.abi)
    expect(doctor.ok, doctor.text).toBe(host.missing.length === 0)
    for (const { layer } of missing) expect(doctor.text).toMatch(new RegExp(`^missing +${layer} `, 'm'))
    // Inside another sandbox the one sentence goes on.
    expect(doctor.text).toMatch('refused' in host.asItIs ? /^workspace-write cannot be enforced here[.:]/m : /^workspace-write is enforced here by linux-native/m)
    if ('refused' in outcome) {
      expect(check).toMatchObject({ ok: false, missing: expect.anything() })
      expect(check.ok ? undefined : check.missing[0]).toMatchObject({ layer: outcome.refused, reason: expect.stringMatching(outcome.reason), remedy: expect.stringMatching(/\S/) })
      expect(check.ok ? [] : check.missing.map(({ layer }) => layer).toSorted()).toEqual(host.missing.toSorted())
    } else expect(check).toMatchObject({ ok: true, enforcement: expectedEnforcement(allow, outcome) })
  })

  test('refused' in outcome ? 'nothing starts, and the error names the layer and what to do' : 'what starts says the same, and reaches nothing more', { timeout: ROW_TIMEOUT_MS }, async () => {
    const { check } = await answerTo('host') as HostAnswer
    const started = await answerTo('start') as StartAnswer
    if ('refused' in outcome) {
      expect(started).toMatchObject({ code: 'layer_missing', field: outcome.refused, message: expect.stringMatching(outcome.reason), remedy: expect.stringMatching(/\S/) })
      return
    }
    if (!('enforcement' in started)) throw new Error(started.message)
    expect(check).toMatchObject({ ok: true, enforcement: started.enforcement })
    const opens = outcome.opens ?? []
    const seesOthers = opens.includes('process-seen') || outcome.rung === 'supervised'
    expect(started.reached).toEqual(ALL_REACHES.filter(reach => OWN.includes(reach) || (reach === 'process-seen' ? seesOthers : opens.includes(reach))))
  })

  test.each(CHOSEN)('$group.name: $row.verdict $row.access $row.path', { timeout: ROW_TIMEOUT_MS }, async ({ group, row, index }) => {
    expect(await answerTo(String(index)) as RowOutcome).toEqual(expectedOn(host, group, row, outcome))
  })
}

function startOn({ without, container, asUser }: Host, task: HostTask): ChildProcess {
  const argv = [process.execPath, entry]
  const inside = container === true ? inContainer(argv, asUser === true ? { uid: user.uid } : {}) : argv
  const [program, ...words] = onPoorHost(asUser === true && container !== true ? [...without, `uid=${user.uid}`] : without, inside)
  const home = join(user.home, asUser === true ? 'user' : 'root')
  return spawn(program, words, {
    cwd: '/', stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: home, LANG: 'C.UTF-8', HOST_TASK: JSON.stringify(task) },
  })
}

function expectedEnforcement(allow: readonly DegradationName[], { rung }: Exclude<Outcome, { refused: unknown }>): object {
  const needed = (LAYERS as readonly Layer[]).filter(({ without, supervised }) => rung === 'supervised' ? supervised === 'needed' : without !== 'unused')
  return { backend: 'linux-native', rung, layers: needed.filter(({ without }) => !allow.some(name => name === without)).map(({ layer }) => layer), degraded: allow }
}

function expectedOn({ missing }: Host, group: Group, row: Row, outcome: Outcome): RowOutcome {
  // Only Landlock holds these, which no word allows to go without.
  if (group.name === 'restricted reads' && missing.includes('landlock') && ('rung' in outcome || outcome.refused === 'landlock')) return { verdict: 'refused', field: 'readAccess', changed: [] }
  if ('refused' in outcome) return { verdict: 'refused', field: outcome.refused, changed: [] }
  const { rung, opens = [] } = outcome
  const expected = expectedOf(group, row, rung)
  return expected.verdict === 'deny' && opens.includes(row.access) ? { ...expected, verdict: 'allow' } : expected
}
