import { expect, test, vi } from 'vitest'
import { DenialJudge } from '../../../src/exec/denial-judge.js'
import { DenialLog } from '../../../src/exec/denial-log.js'
import type { Denial } from '../../../src/exec/denial.js'
import type { AccessReport } from '../../../src/platform/backend.js'
import type { Observation } from '../../../src/platform/launch-plan.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { resolve } from '../../../src/policy/resolve.js'
import { fakeHost } from '../../support/fake-host.js'

const host = fakeHost({ w: { notes: '' }, etc: { hosts: '', x: '' }, home: { user: {} }, tmp: {} }, { cwd: '/w' })
const policy = resolve(presetPolicy('workspace-write', 'reference'), host)
const write = (path: string | undefined): AccessReport => ({ operation: 'write', path, refused: false, modeRefuses: false, pid: 1, program: 'sh' })

function log({ judge = new DenialJudge(), observe = 'writes', listener, failed = () => {} }: { judge?: DenialJudge; observe?: Observation; listener?: (denial: Denial) => void; failed?: (error: unknown) => void } = {}): DenialLog {
  return new DenialLog({ judge, circumstances: () => ({ policy, host, cwd: '/w' }), observe, listener: () => listener, failed })
}
const paths = (denials: readonly Denial[]) => denials.map(({ path, certainty }) => `${certainty} ${path}`)

test('nothing told, nothing said: nothing is even loaded', () => {
  const judge = new DenialJudge()
  expect(log({ judge }).find('all went well')).toEqual([])
  expect(judge.loaded).toBeUndefined()
})

test('what came with the end is judged then and there; only what judges is waited for, once', async () => {
  const judge = new DenialJudge()
  const [first, second, third] = [log({ judge }), log({ judge }), log({ judge })]
  first.add(write('/etc/hosts'))
  const later = first.find('')
  expect(later).toBeInstanceOf(Promise)
  expect(paths(await later)).toEqual(['observed /etc/hosts'])
  second.add(write('/etc/hosts'))
  expect(second.find('')).toEqual(await later)
  // Nor is it judged a second time, by what was to judge it soon.
  await new Promise(resolve => setImmediate(resolve))
  expect(second.find('')).toEqual(await later)
  // Words alone are looked at then and there.
  expect(third.find('tee: /etc/y: Read-only file system')).toMatchObject([{ path: '/etc/y', certainty: 'reported' }])
})

test('a listener that comes late hears all at the end, each once', async () => {
  const heard: string[] = []
  let listener: ((denial: Denial) => void) | undefined
  const kept = new DenialLog({ judge: new DenialJudge(), circumstances: () => ({ policy, host, cwd: '/w' }), observe: 'writes', listener: () => listener, failed: () => {} })
  kept.add(write('/etc/hosts'))
  await kept.find('')
  listener = denial => heard.push(`${denial.path}`)
  kept.add(write('/etc/x'))
  await kept.find('')
  expect(heard).toEqual(['/etc/x', '/etc/hosts'])
})

test('where judging fails, the result says so, and nobody else has to catch it', async () => {
  const kept = new DenialLog({ judge: new DenialJudge(), circumstances: () => { throw new Error('no host') }, observe: 'writes', listener: () => undefined, failed: () => {} })
  kept.add(write('/etc/hosts'))
  await new Promise(resolve => setImmediate(resolve))
  await expect(async () => kept.find('')).rejects.toThrow('no host')
})

test('where judging fails with the end itself, too', async () => {
  const judge = new DenialJudge()
  await judge.load()
  const kept = new DenialLog({ judge, circumstances: () => { throw new Error('no host') }, observe: 'writes', listener: () => undefined, failed: () => {} })
  kept.add(write('/etc/hosts'))
  expect(() => kept.find('')).toThrow('no host')
})

test('a refused connect comes before what only stderr told, with the process that tried', async () => {
  const kept = log({ observe: 'off' })
  kept.add({ operation: 'unix-connect', path: 'run/x.sock', refused: true, modeRefuses: false, pid: 7, program: 'docker' })
  expect(await kept.find('tee: /etc/hosts: Read-only file system')).toMatchObject([
    { kind: 'unix-socket', path: '/w/run/x.sock', pid: 7, program: 'docker' },
    { kind: 'file', path: '/etc/hosts' },
  ])
})

test('a listener hears each denial once, while the command runs, and what only stderr told at its end', async () => {
  const heard: string[] = []
  const kept = log({ listener: denial => heard.push(`${denial.path}`) })
  kept.add(write('/etc/hosts'))
  kept.add(write('/w/notes'))
  kept.add(write('/etc/hosts'))
  await vi.waitFor(() => expect(heard).toEqual(['/etc/hosts']))
  kept.add(write('/etc/x'))
  expect(paths(await kept.find('tee: /etc/y: Read-only file system'))).toEqual(['observed /etc/hosts', 'observed /etc/x', 'reported /etc/y'])
  expect(heard).toEqual(['/etc/hosts', '/etc/x', '/etc/y'])
})

test('what a listener throws is told, and it hears no more of that turn', async () => {
  const errors: unknown[] = []
  const kept = log({ listener: () => { throw new Error('mine') }, failed: error => errors.push(error) })
  kept.add(write('/etc/hosts'))
  await kept.find('')
  expect(errors).toEqual([new Error('mine')])
})

test('what is too much is counted', async () => {
  const kept = log()
  for (let at = 0; at < 5000; at++) kept.add(write(`/etc/${at}`))
  kept.lost += 7
  expect((await kept.find('')).length).toBe(4096)
  expect(kept.lost).toBe(5000 - 4096 + 7)
})

test.each<{ name: string; observe: Observation; text: string; before?: AccessReport[]; denials: string[] }>([
  { name: 'of a write that nobody saw, "Permission denied" is another\'s', observe: 'writes', text: 'tool: /etc/hosts: Permission denied', denials: [] },
  { name: 'without an observer it may be ours', observe: 'off', text: 'tool: /etc/hosts: Permission denied', denials: ['reported /etc/hosts'] },
  { name: 'where a program could not be looked into, too', observe: 'writes', text: 'tool: /etc/hosts: Permission denied', before: [write(undefined)], denials: ['observed undefined', 'reported /etc/hosts'] },
  { name: '"Read-only file system" is ours in any case', observe: 'writes', text: 'tool: /etc/hosts: Read-only file system', denials: ['reported /etc/hosts'] },
  { name: 'what was seen is not told twice', observe: 'writes', text: 'tool: /etc/hosts: Read-only file system', before: [write('/etc/hosts')], denials: ['observed /etc/hosts'] },
])('$name', async ({ observe, text, before = [], denials }) => {
  const kept = log({ observe })
  for (const report of before) kept.add(report)
  expect(paths(await kept.find(text))).toEqual(denials)
})
