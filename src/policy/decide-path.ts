// Decides an access to a file, and what would permit it.
import type { Decision } from './decision.js'
import type { FileSystemView } from './host-snapshot.js'
import { type FileRequest, judge, type Refusal } from './judge-path.js'
import { normalizePath } from './path-syntax.js'
import { remedyFor } from './remedy.js'
import type { ResolvedPolicy } from './resolved-policy.js'

export function decidePath(policy: ResolvedPolicy, request: FileRequest, files?: FileSystemView): Decision {
  const judged = normalised(policy, request)
  const verdict = judge(policy, judged)
  return verdict.verdict === 'allow' ? verdict : withRemedy(verdict, remedyFor(policy, judged, verdict, files))
}

/** The verdict alone, without the work of finding what would permit it. */
export const isPermitted = (policy: ResolvedPolicy, request: FileRequest): boolean => judge(policy, normalised(policy, request)).verdict === 'allow'

const normalised = ({ platform }: ResolvedPolicy, { kind, path }: FileRequest): FileRequest => ({ kind, path: normalizePath(platform, path, { field: 'path', controlCharacters: 'accept' }) })

/** Spelled out by case, because a spread of a union is no union. */
function withRemedy(refusal: Refusal, remedy: ReturnType<typeof remedyFor>): Decision {
  switch (refusal.because) {
    case 'rule': return { ...refusal, remedy }
    case 'glob': return { ...refusal, remedy }
    case 'protected': return { ...refusal, remedy }
    case 'no-rule': return { ...refusal, remedy }
    case 'host': return { ...refusal, remedy }
    case 'network-off': case 'unix-socket': return { ...refusal, remedy }
    default: return refusal satisfies never
  }
}
