// A Sandbox whose launcher is the fake one: the exec layer without enforcement.
import { onTestFinished } from 'vitest'
import { Sandbox } from '../../src/exec/sandbox.js'
import { startLauncher } from '../../src/platform/linux/native/launcher.js'
import type { HostSnapshot } from '../../src/policy/host-snapshot.js'
import { presetPolicy } from '../../src/policy/presets.js'
import { resolve } from '../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../src/policy/sandbox-policy.js'
import { fakeHost } from './fake-host.js'
import { fakePlan, makeFakeLauncher } from './fake-launcher.js'

const FAKE_HOST: HostSnapshot = fakeHost({ w: { '.git': {}, 'notes.txt': '' }, etc: { hosts: '' }, home: { user: {} }, tmp: {} }, { cwd: '/w' })

/** Closed when the test ends. */
export async function startFakeSandbox(changes: Partial<SandboxPolicy> = {}): Promise<Sandbox> {
  const fake = makeFakeLauncher()
  const policy = resolve({ ...presetPolicy('workspace-write', 'reference'), ...changes }, FAKE_HOST)
  const sandbox = new Sandbox(policy, fakePlan(), await startLauncher(fake.path, fakePlan()), () => FAKE_HOST)
  onTestFinished(async () => {
    await sandbox.close()
    fake.remove()
  })
  return sandbox
}
