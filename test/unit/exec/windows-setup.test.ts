// Which policies set-up is asked to make ready, and what is refused before it is asked.
import { expect, test } from 'vitest'
import { openWindowsSetup, setup, setupStatus, uninstall } from '../../../src/exec/windows-setup.js'
import { presetPolicy } from '../../../src/policy/presets.js'
import { failureOf } from '../../support/failure-of.js'
import { fakeSetup, NOT_SET_UP } from '../../support/windows-setup.js'
import { EVERYBODYS } from '../../support/windows-host.js'

const WORK = 'C:\\Users\\me\\work'

test('the presets of the library and of the wire, for each root, with the machine as it is', async () => {
  const { setup: made, requests } = fakeSetup()
  await made.setUp('elevated', { roots: [WORK, 'C:\\src\\project'] })
  const [{ mode, policies, facts }] = requests as [(typeof requests)[0]]
  expect(mode).toBe('elevated')
  expect(policies.map(({ cwd, mode: of, paths }) => [cwd, of, paths.some(({ origin }) => origin === 'secret')])).toEqual([WORK, 'C:\\src\\project'].flatMap(cwd => [[cwd, 'workspace-write', true], [cwd, 'workspace-write', false], [cwd, 'read-only', false]]))
  expect(policies[0]?.paths).toContainEqual(expect.objectContaining({ path: WORK, effect: 'write' }))
  expect((await facts()).systemRoot).toBe('C:\\Windows')
})
test('a policy that is asked for beside them, once, for the first root', async () => {
  const { setup: made, requests } = fakeSetup()
  const own = { ...presetPolicy('workspace-write', 'reference'), protect: ['Makefile'] }
  await made.setUp('unelevated', { roots: [WORK, 'C:\\src\\project'] }, [own, presetPolicy('workspace-write', 'reference'), presetPolicy('danger-full-access', 'reference')])
  expect(requests[0]?.policies.map(({ cwd }) => cwd)).toEqual([WORK, WORK, WORK, WORK, 'C:\\src\\project', 'C:\\src\\project', 'C:\\src\\project'])
  expect(requests[0]?.policies.filter(({ paths }) => paths.some(({ path }) => path.endsWith('\\Makefile')))).toHaveLength(1)
})
test('ports of proxies are chosen once, where no service has its own, and stay', async () => {
  const [first, later] = [fakeSetup(), fakeSetup({ status: { ...NOT_SET_UP, proxyPorts: [50_000] } })]
  await first.setup.setUp('elevated')
  const chosen = first.requests[0]?.proxyPorts as readonly number[]
  expect([chosen.length, new Set(chosen).size, chosen.every(port => port >= 49_152 && port <= 65_535)]).toEqual([8, 8, true])
  await later.setup.setUp('elevated')
  expect(later.requests[0]?.proxyPorts).toEqual([50_000])
})
test.each([
  { name: 'a mode that there is not', mode: 'full', roots: [WORK], error: { code: 'option_invalid', field: 'mode' } },
  { name: 'a relative root', mode: 'elevated', roots: [WORK, 'here'], error: { code: 'path_not_absolute', field: 'roots[1]' } },
  { name: 'a root that is not there', mode: 'elevated', roots: [WORK, 'C:\\none'], error: { code: 'path_not_found', field: 'roots[1]' } },
  { name: 'a root that is a file', mode: 'elevated', roots: ['C:\\Users\\me\\.npmrc'], error: { code: 'path_not_directory', field: 'roots[0]' } },
])('$name is refused, and nothing is asked of the machine', async ({ mode, roots, error }) => {
  const { setup: made, calls } = fakeSetup()
  expect(await failureOf(() => made.setUp(mode as 'elevated', { roots }))).toMatchObject(error)
  expect(calls).toEqual([])
})
test('what set-up fails with is what the caller gets', async () => {
  const { setup: made } = fakeSetup({ work: async () => { throw new Error('token_restricting_sids failed') } })
  await expect(made.setUp('unelevated')).rejects.toThrow('token_restricting_sids failed')
})
test('folders that everybody may write, that are not closed, with their warning', async () => {
  const view = { folders: () => [], descriptor: () => EVERYBODYS, nowMs: () => 0 }
  const { setup: made } = fakeSetup({ scan: { scan: { found: ['C:\\open'], looked: 4, unseen: [], left: [] }, view } })
  expect(await made.worldWritable()).toMatchObject({ open: ['C:\\open'], warning: { samplePaths: ['C:\\open'], extraCount: 0, failedScan: false } })
  expect(await fakeSetup().setup.worldWritable()).toBeUndefined()
})
test.skipIf(process.platform === 'win32')('off Windows all of it is refused plainly', async () => {
  for (const call of [() => setup('elevated'), () => setupStatus(), () => uninstall(), openWindowsSetup]) {
    expect(await failureOf(call)).toMatchObject({ code: 'platform_unsupported', field: 'platform', message: expect.stringMatching(/sets up the sandbox of Windows\. Nothing of it is needed here/) })
  }
})
