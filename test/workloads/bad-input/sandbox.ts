// A sandbox on the real launcher, in a workspace that goes when the test ends.
import { onTestFinished } from 'vitest'
import { SandboxError } from '../../../src/errors.js'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { makeWorkspace, type Workspace } from '../../native/workspace.js'

export async function startSandbox(options: SandboxOptions = {}, { path }: Workspace = makeWorkspace()): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: path, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

/** The error of a call, which must be ours and say everything in one line. */
export async function failureOf(call: () => Promise<unknown>): Promise<SandboxError> {
  try {
    await call()
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error
    if (/[\n\r\0]/.test(error.message)) throw new Error(`not one line: ${JSON.stringify(error.message)}`)
    return error
  }
  throw new Error('it did not fail')
}

/** Changes variables of this process until the test ends; undefined removes. */
export function setEnvironment(variables: Readonly<Record<string, string | undefined>>): void {
  const before = Object.keys(variables).map(name => [name, process.env[name]] as const)
  const assign = ([name, value]: readonly [string, string | undefined]): void => {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
  }
  for (const each of Object.entries(variables)) assign(each)
  onTestFinished(() => { for (const each of before) assign(each) })
}
