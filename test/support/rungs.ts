// The ways in which a policy is held on Linux, for tests that run once on each: namespaces, the supervised rung as this kernel has it,
// and as an older kernel in a container would.
import type { SandboxOptions } from '../../src/exec/options.js'
import { parseOptions, prepare, type Preparation } from '../../src/exec/prepare.js'
import { type Sandbox, startSandbox } from '../../src/exec/sandbox.js'
import type { LayerReport } from '../../src/platform/backend.js'
import type { LinuxNativePlan, Rung } from '../../src/platform/launch-plan.js'

export interface RungVariant {
  readonly name: string
  readonly rung: Rung
  /** Plan for this ABI of Landlock, which any newer kernel carries out as that one would. */
  readonly abi?: number
  /** Plan as where pidfd_getfd(2) is refused. */
  readonly makesSockets?: boolean
}

export const RUNG_VARIANTS: readonly RungVariant[] = [
  { name: 'namespaces', rung: 'namespaces' },
  { name: 'supervised', rung: 'supervised' },
  { name: 'supervised, Landlock ABI 4, no pidfd_getfd', rung: 'supervised', abi: 4, makesSockets: true },
]

/** As `prepare`, on that rung. */
export async function prepareOn({ rung, abi, makesSockets }: RungVariant, options: SandboxOptions): Promise<Preparation> {
  const parsed = await parseOptions({ ...options, rung })
  const preparation = await prepare(parsed)
  if (abi === undefined && makesSockets !== true) return preparation
  const layers = preparation.layers.map((report): LayerReport => report.layer === 'landlock' && abi !== undefined ? { ...report, version: abi }
    : report.layer === 'descriptor-copy' && makesSockets === true ? { ...report, available: false } : report)
  const { cwd, stateDirectory, limits } = preparation.plan as LinuxNativePlan
  const plan = preparation.backend.compile(preparation.policy, layers, {
    allowDegraded: new Set(options.allowDegraded), limits, architecture: process.arch === 'arm64' ? 'arm64' : 'x64', stateDirectory, cwdIdentity: cwd.identity, rung,
  })
  return { ...preparation, layers, plan }
}

export const startOn = async (variant: RungVariant, options: SandboxOptions): Promise<Sandbox> => startSandbox(await prepareOn(variant, options), options)
