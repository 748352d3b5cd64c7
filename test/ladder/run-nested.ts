// Run inside another sandbox, or on a host without one: what comes of a policy there. The task is in NESTED_TASK.
import { SandboxError } from '../../src/errors.js'
import { checkHost, type HostCheck } from '../../src/exec/check-host.js'
import { createSandbox } from '../../src/exec/sandbox.js'
import type { SandboxOptions } from '../../src/exec/options.js'
import type { Enforcement } from '../../src/platform/launch-plan.js'
import { answer } from '../support/user-answers.js'

export type NestedTask = Pick<SandboxOptions, 'policy' | 'cwd' | 'allowDegraded'> & { /** A shell's words. */ readonly script: string }

export type NestedAnswer =
  | { readonly enforcement: Enforcement; readonly stdout: string; readonly check: HostCheck }
  | { readonly code: string; readonly field: string | undefined; readonly message: string; readonly remedy: string; readonly check: HostCheck }

const { script, ...options } = JSON.parse(process.env['NESTED_TASK'] ?? '') as NestedTask
const { policy, ...others } = options
const check = await checkHost(policy, others)
try {
  const sandbox = await createSandbox(options)
  const { enforcement, stdout } = await sandbox.exec(['sh', '-c', script])
  await sandbox.close()
  answer('nested', { enforcement, stdout, check } satisfies NestedAnswer)
} catch (error) {
  if (!(error instanceof SandboxError)) throw error
  const { code, field, message, remedy } = error
  answer('nested', { code, field, message, remedy, check } satisfies NestedAnswer)
}
