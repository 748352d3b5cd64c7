// Inside another sandbox, where the kernel makes no second one: commands run with what that one refuses, and nothing more. Only where the
// caller says so by name (`outer-sandbox`), and only where all that was tried of what the policy denies was refused.
//
// Nothing that the outer sandbox says of itself is asked: a variable, a file or a socket could be put there by what runs in it.
import { SandboxError } from '../../../errors.js'
import type { ResolvedPolicy } from '../../../policy/resolved-policy.js'
import type { Backend, CompileOptions, LayerReport } from '../../backend.js'
import { DEGRADATIONS, type DegradationName, type UnconfinedPlan } from '../../launch-plan.js'
import { unconfinedBackend } from '../../unconfined.js'
import { findOpen, MOST_FOUND } from './try-trials.js'

const OUTER_SANDBOX = 'outer-sandbox'

const NOTES = [
  'commands run without a sandbox of their own: what holds is the one around this process. What the policy denies was tried once, at the start, and was refused; what was not tried may be open',
  'with the network off, what begins to listen later on a loopback that the outer sandbox shares with others can be reached',
  'commands can signal and look into this process and each other; what this package keeps (caches, its state) is not protected from them',
  'what a command leaves in the background is ended with its process group only',
  'processor time and memory are not measured',
]

/** @param env  names places that are tried as well; none that is not */
export async function probeOuterSandbox(policy: ResolvedPolicy, env: NodeJS.ProcessEnv): Promise<LayerReport[]> {
  let open: string[]
  try {
    open = await findOpen(policy, env)
  } catch (error) {
    const { code, path } = error as NodeJS.ErrnoException
    if (code === undefined) throw error
    // What could not be tried may be open.
    return [{ layer: OUTER_SANDBOX, available: false, errno: code, reason: `not all that the policy denies could be tried: ${code}${path === undefined ? '' : ` at ${JSON.stringify(path)}`}`, remedy: 'Mend that and start again, or say external-sandbox where the sandbox around this process is enough.' }]
  }
  if (open.length === 0) return [{ layer: OUTER_SANDBOX, available: true }]
  return [{
    layer: OUTER_SANDBOX, available: false, reason: `nothing around this process refuses ${open.join(', ')}${open.length === MOST_FOUND ? ' and perhaps more' : ''}`,
    remedy: 'Have the outer sandbox refuse it, permit it in this policy, or say external-sandbox where that is enough.',
  }]
}

export function outerSandboxBackend(): Backend {
  const { name, probe, start, compile } = unconfinedBackend()
  return { name, probe, start, compile: (policy, layers, options) => compileOuterSandbox(policy, layers, options, compile) }
}

/** @throws SandboxError `layer_missing` where something is open; `rule_not_enforceable` for what no outer sandbox can hold for this one */
function compileOuterSandbox(policy: ResolvedPolicy, layers: readonly LayerReport[], options: CompileOptions, compile: Backend['compile']): UnconfinedPlan {
  const report = layers.find(({ layer }) => layer === OUTER_SANDBOX)
  if (report?.available !== true) {
    throw new SandboxError('layer_missing', { field: OUTER_SANDBOX, value: 'open' }, { detail: report?.reason ?? 'it was not tried', ...(report?.remedy === undefined ? {} : { remedy: report.remedy }) })
  }
  if (policy.network === 'proxied' || policy.networkRules !== undefined) {
    throw new SandboxError('rule_not_enforceable', { field: 'network', value: policy.network }, { detail: 'inside another sandbox nothing leads commands through a proxy', remedy: 'Say whether the network is off or open.' })
  }
  if (policy.tmp === 'private') {
    throw new SandboxError('rule_not_enforceable', { field: 'tmp', value: policy.tmp }, { detail: 'only a mount namespace can hold it', remedy: 'Say "none" and set TMPDIR to a folder of the workspace, or "host".' })
  }
  const [glob] = policy.globs.filter(({ effect }) => effect === 'deny')
  if (glob !== undefined && !options.allowDegraded.has('later-glob-matches')) {
    throw new SandboxError('rule_not_enforceable', { field: glob.field, value: glob.pattern }, { detail: DEGRADATIONS['later-glob-matches'], remedy: 'Deny a folder instead, or allow it by name: allowDegraded ["later-glob-matches"].' })
  }
  const plan = compile(policy, [], options) as UnconfinedPlan
  const degraded: DegradationName[] = [...(glob === undefined ? [] : ['later-glob-matches' as const]), ...plan.degraded, OUTER_SANDBOX]
  return { ...plan, degraded, enforcement: { ...plan.enforcement, degraded, notes: NOTES } }
}
