// Repeats a command with a growing policy until a run has no denial: what it takes to run, and no more.
import type { Denial } from '../exec/denial.js'
import type { ParsedSandboxOptions } from '../exec/options.js'
import { createParsedSandbox } from '../exec/sandbox.js'
import type { ExecResult } from '../exec/result.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { followLinks } from '../policy/follow-links.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { type LearnPlace, type Met, type NetworkStep, propose, type Proposal } from './proposal.js'

export interface LearnOptions {
  /** Of the first run; its policy is where learning starts. */
  readonly sandbox: ParsedSandboxOptions
  readonly argv: readonly string[]
  readonly timeoutMs?: number
  /** Default: 8. */
  readonly mostRuns?: number
  /** Before the first run and after each. */
  readonly lookAtHost: () => HostSnapshot
  readonly onOutput?: (chunk: Buffer, stream: 'stdout' | 'stderr') => unknown
  readonly onRun?: (run: LearnRun) => unknown
}

export interface LearnRun {
  /** From 1. */
  readonly number: number
  readonly policy: SandboxPolicy
  readonly result: ExecResult<'bytes'>
}

export interface Learned extends Proposal {
  readonly runs: readonly LearnRun[]
  /** The last run was under `policy`, and had no denial. */
  readonly complete: boolean
  /** `complete`; or it ended with exit code 0, and what was denied is only what it did without (`Withheld.needless`). */
  readonly enough: boolean
}

const MOST_RUNS = 8

/** @throws SandboxError as `createSandbox` and `exec` do */
export async function learn(options: LearnOptions): Promise<Learned> {
  const { sandbox, mostRuns = MOST_RUNS } = options
  const runs: LearnRun[] = []
  const met: Met[] = []
  let proposal: Proposal = { policy: sandbox.policy, reasons: [], withheld: [] }
  let withNetwork = false
  for (;;) {
    const { policy } = proposal
    const run = await runOnce(options, policy, runs.length + 1)
    runs.push(run)
    await options.onRun?.(run)
    const { denials, exitCode } = run.result
    if (denials.length === 0) return { ...proposal, withheld: [], runs, complete: true, enough: true }
    met.push(...denials.map(denial => ({ denial, caches: policy.caches })))
    const isSame = (next: Proposal): boolean => JSON.stringify(next.policy) === JSON.stringify(policy)
    const proposeWith = (network: NetworkStep): Proposal => propose(sandbox.policy, met, placeOf(options), network)
    let next = proposeWith(withNetwork ? 'open' : exitCode === 0 ? 'needless' : 'untried')
    // The network last of all, and only where the command fails without it.
    if (isSame(next) && !withNetwork && exitCode !== 0) {
      withNetwork = true
      next = proposeWith('open')
    }
    const same = isSame(next)
    // What is withheld is what is denied still.
    const withheld = next.withheld.filter(({ denial }) => denials.some(({ message }) => message === denial.message))
    proposal = { ...next, withheld }
    const isNeedless = ({ message }: Denial): boolean => withheld.some(({ denial, needless }) => needless === true && denial.message === message)
    if (same || runs.length >= mostRuns) return { ...proposal, runs, complete: false, enough: same && exitCode === 0 && denials.every(isNeedless) }
  }
}

async function runOnce({ sandbox, argv, timeoutMs, onOutput }: LearnOptions, policy: SandboxPolicy, number: number): Promise<LearnRun> {
  const open = await createParsedSandbox({ ...sandbox, policy, observe: 'reads' })
  try {
    const result = await open.exec(argv, { ...(timeoutMs === undefined ? {} : { timeoutMs }), output: { encoding: 'bytes' as const }, ...(onOutput === undefined ? {} : { onOutput: (chunk: Buffer, stream) => onOutput(chunk, stream) }) })
    return { number, policy, result }
  } finally {
    await open.close()
  }
}

function placeOf({ sandbox, lookAtHost }: LearnOptions): LearnPlace {
  const host = lookAtHost()
  const canonical = (path: string | undefined): string | undefined => {
    if (path === undefined || !path.startsWith('/')) return undefined
    const { path: found, entry } = followLinks(host, path, 'path')
    return entry === undefined ? undefined : found
  }
  const cwd = canonical(sandbox.cwd ?? host.cwd)
  if (cwd === undefined) throw new Error('a folder in which a command ran is gone')
  return { platform: host.platform, home: host.home, files: host.files, cwd, slashTmp: canonical('/tmp'), tmpdir: canonical(host.tmpdir) }
}
