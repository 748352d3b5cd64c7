// Resource limits on macOS: what setrlimit(2) holds there for each process, set by the shell that starts the command.
import type { Limits } from '../../policy/sandbox-policy.js'
import { givenLimits, type LimitHolding, type LimitHoldings } from '../limits.js'

interface Holding extends LimitHolding {
  /** The option of `ulimit`, and what one unit of it is. */
  readonly ulimit?: { readonly option: string; readonly unit: number }
}

/**
 * One row a limit. Source: setrlimit(2) and sh(1) of macOS. RLIMIT_AS is not enforced there, and RLIMIT_NPROC counts all
 * processes of the user, so neither says anything about one command.
 */
export const LIMIT_HOLDINGS: LimitHoldings<Holding> = {
  memoryBytes:   { mechanism: 'absent' },
  pids:          { mechanism: 'absent' },
  cpuSeconds:    { mechanism: 'perProcess', ulimit: { option: '-t', unit: 1 }, note: 'processor time is limited for each process, not for all of a command\'s together' },
  openFiles:     { mechanism: 'exact', ulimit: { option: '-n', unit: 1 } },
  fileSizeBytes: { mechanism: 'exact', ulimit: { option: '-f', unit: 512 }, note: 'the size of a file is limited in steps of 512 bytes, rounded down' },
}

/** The words for `ulimit`, as one line for a shell: `ulimit -t 5 -n 256`; undefined where there is nothing to set. */
export function ulimitLine(limits: Limits): string | undefined {
  const words = givenLimits(limits).flatMap(([name, value]) => {
    const { ulimit } = LIMIT_HOLDINGS[name]
    return ulimit === undefined ? [] : [`ulimit ${ulimit.option} ${Math.floor(value / ulimit.unit)}`]
  })
  return words.length === 0 ? undefined : words.join(' && ')
}
