// Writes vitest's outcome for scripts/test.mjs to the file that CODEX_SANDBOX_TEST_SUMMARY names: what failed, what was skipped and why.
import { writeFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node'

interface Summary {
  passed: number
  readonly failed: string[]
  readonly skipped: { readonly name: string; readonly reason: string }[]
}

export default class SummaryReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const path = process.env['CODEX_SANDBOX_TEST_SUMMARY']
    if (path === undefined) return
    const summary: Summary = { passed: 0, failed: [], skipped: [] }
    for (const module of modules) {
      if (module.errors().length > 0) summary.failed.push(module.relativeModuleId)
      for (const suite of module.children.allSuites()) addSuite(summary, suite)
      for (const test of module.children.allTests()) addTest(summary, test)
    }
    writeFileSync(path, JSON.stringify(summary))
  }
}

/** A suite fails by itself when its set-up does. */
function addSuite(summary: Summary, suite: TestSuite): void {
  if (suite.errors().length > 0) summary.failed.push(`${suite.module.relativeModuleId} > ${suite.fullName}`)
}

function addTest(summary: Summary, test: TestCase): void {
  const name = `${test.module.relativeModuleId} > ${test.fullName}`
  const result = test.result()
  switch (result.state) {
    case 'passed':
      summary.passed++
      break
    case 'skipped':
      summary.skipped.push({ name, reason: result.note ?? reasonInName(test.name) ?? 'no reason given' })
      break
    case 'failed':
    case 'pending': // vitest was stopped before it ran
      summary.failed.push(name)
      break
    default:
      result satisfies never
  }
}

/** `skipIf` cannot give a reason; there it ends the name, in brackets. */
const reasonInName = (name: string): string | undefined => /\(([^)]*)\)$/.exec(name)?.[1]
