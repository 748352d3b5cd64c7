// Run on a poor host, in a process of its own: what is said of the host there, what starts, and what comes of rows of the conformance
// table. The task is in HOST_TASK; each answer has its key.
import { realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { examine, formatDoctor } from '../../src/doctor/doctor.js'
import { SandboxError } from '../../src/errors.js'
import { capabilities, checkHost, type HostCheck } from '../../src/exec/check-host.js'
import { createSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import type { DegradationName, Enforcement } from '../../src/platform/launch-plan.js'
import type { LayerReport } from '../../src/platform/backend.js'
import { makeScene } from '../conformance/attempts.js'
import { TABLE } from '../conformance/table.js'
import { tryRow } from '../conformance/try-row.js'
import { answer } from '../support/user-answers.js'
import { ALL_REACHES, REACHES, type Reach } from './reaches.js'

export interface HostTask {
  /** Numbers of rows, over all groups. */
  readonly rows: readonly number[]
  readonly allow: readonly DegradationName[]
}

export interface HostAnswer {
  readonly layers: readonly LayerReport[]
  readonly check: HostCheck
  readonly doctor: { readonly ok: boolean; readonly text: string }
}

/** Of workspace-write. A refusal: with the field of the error, and nothing ran. */
export type StartAnswer =
  | { readonly enforcement: Enforcement; readonly reached: readonly Reach[] }
  | { readonly code: string; readonly field: string; readonly message: string; readonly remedy: string }

const ROWS = TABLE.flatMap(group => group.rows.map(row => ({ group, row })))
const { rows, allow } = JSON.parse(process.env['HOST_TASK'] ?? '') as HostTask

const base = makeScene({})
try {
  const cwd = join(realpathSync(base), 'work')
  process.chdir(cwd)
  answer('host', { layers: (await capabilities()).layers, check: await checkHost('workspace-write', { cwd, allowDegraded: allow }), doctor: await askDoctor() } satisfies HostAnswer)
  answer('start', await start(cwd))
} finally {
  process.chdir('/')
  rmSync(base, { recursive: true, force: true })
}
for (const index of rows) {
  const { group, row } = ROWS[index] as (typeof ROWS)[number]
  answer(String(index), await tryRow(group, row, { name: 'as it is chosen here' }, allow).catch((error: unknown) => ({ verdict: 'failed', changed: [String(error)] })))
}

async function askDoctor(): Promise<HostAnswer['doctor']> {
  const report = await examine()
  return { ok: report.ok, text: formatDoctor(report) }
}

async function start(cwd: string): Promise<StartAnswer> {
  let sandbox: Sandbox
  try {
    // As programs do it: with what a probe on a better host may have left for this user.
    sandbox = await createSandbox({ cwd, allowDegraded: allow })
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error
    return { code: error.code, field: error.field ?? error.step ?? '', message: error.message, remedy: error.remedy }
  }
  try {
    const reached: Reach[] = []
    for (const reach of ALL_REACHES) if (await REACHES[reach]({ base, sandbox })) reached.push(reach)
    return { enforcement: (await sandbox.exec(['true'])).enforcement, reached }
  } finally {
    await sandbox.close()
  }
}
