// What the tests' `vitest` is in a virtual machine: Vitest's own runner and expectations, without the bundler, the workers and the reporters
// around them, which would take longer to start there than the tests take. scripts/test-kernels.mjs bundles this to one file.
// biome-ignore-start lint/correctness/noUndeclaredDependencies: parts of vitest, of the same version
import {
  addCustomEqualityTesters, ASYMMETRIC_MATCHERS_OBJECT, chai, customMatchers, getState, GLOBAL_EXPECT, JestAsymmetricMatchers, JestChaiExpect, JestExtend, setState,
} from '@vitest/expect'
import { startTests } from '@vitest/runner'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

export { afterAll, afterEach, beforeAll, beforeEach, describe, it, onTestFailed, onTestFinished, test } from '@vitest/runner'
// biome-ignore-end lint/correctness/noUndeclaredDependencies: until here
export { expect }

for (const plugin of [JestExtend, JestChaiExpect, JestAsymmetricMatchers]) chai.use(plugin)

const expect = (value, message) => chai.expect(value, message)
Object.assign(expect, chai.expect, globalThis[ASYMMETRIC_MATCHERS_OBJECT], {
  getState: () => getState(expect),
  setState: state => setState(state, expect),
  extend: matchers => chai.expect.extend(expect, matchers),
  addEqualityTesters: addCustomEqualityTesters,
  poll,
})
Object.defineProperty(globalThis, GLOBAL_EXPECT, { value: expect, writable: true, configurable: true })
setState({ assertionCalls: 0, isExpectingAssertions: false, isExpectingAssertionsError: null, expectedAssertionsNumber: null, expectedAssertionsNumberErrorGen: null }, expect)
expect.extend(customMatchers)

/** `expect.poll(fn).not.toBe(…)`: looks until it holds. An emulated machine is slow, so the time is multiplied as every other. */
function poll(fn, { interval = 50, timeout = 1000, message } = {}) {
  const chain = words => new Proxy(() => {}, {
    get: (_, word) => word === 'then' ? undefined : chain([...words, word]),
    apply: async (_, __, args) => {
      const end = Date.now() + timeout * slowness
      for (;;) {
        try {
          const [matcher, ...before] = [...words].reverse()
          return before.reverse().reduce((assertion, word) => assertion[word], expect(await fn(), message))[matcher](...args)
        } catch (error) {
          if (Date.now() > end) throw error
        }
        await wait(interval)
      }
    },
  })
  return chain([])
}

let slowness = 1

/**
 * Runs test files one after another.
 *
 * @param slower    how many times longer than usual each test may take that says no time of its own
 * @param share     runs every so manieth of the tests that match, and says nothing of the others
 * @param onResult  gets `{ file, name, state: 'passed' | 'failed' | 'skipped', reason? }` for each test, and for each file or group whose set-up failed
 */
export async function runFiles(files, { slower = 1, matching, share = 1, onResult }) {
  slowness = slower
  const report = (task, state, reason) => onResult({ file: task.file.name, name: fullName(task), state, ...(reason === undefined ? {} : { reason }) })
  const failures = task => (task.result?.errors ?? []).map(error => [error.message, error.diff, error.stack?.split('\n').slice(0, 4).join('\n')].filter(Boolean).join('\n')).join('\n')
  const chosen = new Set()
  const runner = {
    config: {
      root: process.cwd(), setupFiles: [], name: undefined, passWithNoTests: false, testNamePattern: matching, allowOnly: false, maxConcurrency: 1, retry: 0,
      sequence: { seed: 0, hooks: 'stack', setupFiles: 'list' }, chaiConfig: { truncateThreshold: 0 }, includeTaskLocation: false, tags: [], tagsFilter: undefined, strictTags: false,
      testTimeout: 30_000 * slower, hookTimeout: 60_000 * slower,
    },
    onCollected: collected => {
      const matched = collected.flatMap(withAllBelow).filter(task => task.type === 'test' && (matching === undefined || matching.test(fullName(task))))
      for (const [index, task] of matched.entries()) {
        if (index % share === 0) chosen.add(task)
        else task.mode = 'skip'
      }
    },
    importFile: path => import(pathToFileURL(path).href),
    extendTaskContext: context => Object.assign(context, { expect }),
    onAfterRunTask(task) {
      if (task.result?.state === 'pass') report(task, 'passed')
      else if (task.result?.state === 'fail') report(task, 'failed', failures(task))
      else return
      chosen.delete(task)
    },
  }
  const all = await startTests(files.map(filepath => ({ filepath })), runner)
  for (const task of all.flatMap(withAllBelow)) {
    if (task.type === 'suite' && task.result?.errors?.length > 0) report(task, 'failed', failures(task)) // its set-up, or a file that cannot be loaded
    // The runner says nothing of those that skip themselves, nor of those that it never starts.
    if (chosen.has(task)) report(task, 'skipped', task.result?.note ?? reasonInName(task))
  }
}

const withAllBelow = suite => [suite, ...suite.tasks.flatMap(task => task.type === 'suite' ? withAllBelow(task) : [task])]
const fullName = task => task.suite === undefined || task.suite === task.file ? task.name : `${fullName(task.suite)} > ${task.name}`
/** As test/support/summary-reporter.ts finds it. */
const reasonInName = ({ name }) => /\(([^)]*)\)$/.exec(name)?.[1] ?? 'no reason given'
