// `approval_policy` of config.toml: its spellings, one internal form, and which of two is narrower.
import { isRecord } from '../policy/record.js'

/** What a user may be asked about. An absent kind of an earlier spelling counts as may. */
export const QUESTIONS = ['sandbox_approval', 'rules', 'mcp_elicitations', 'skill_approval', 'request_permissions'] as const
export type Question = (typeof QUESTIONS)[number]

/**
 * `untrusted`: only commands known to be harmless run unasked. `on-request`: commands run in the sandbox, and what they need beyond it is
 * asked. `on-failure` (deprecated): as `on-request`, asked when a command failed. `never`: nothing is asked, so nothing leaves the sandbox.
 * An object: as `on-request`, and only these kinds of questions are asked; the others are answered with no.
 */
export type ApprovalSetting =
  | 'untrusted' | 'on-failure' | 'on-request' | 'never'
  | { readonly asks: Readonly<Record<Question, boolean>> }

const NAMES = ['untrusted', 'on-failure', 'on-request', 'never'] as const
/** `skill_approval` and `request_permissions` are asked only where they are named: they came with `granular`. */
const REQUIRED: Readonly<Record<Question, boolean>> = { sandbox_approval: true, rules: true, mcp_elicitations: true, skill_approval: false, request_permissions: false }
const REJECTABLE = ['sandbox_approval', 'rules', 'mcp_elicitations'] as const satisfies readonly Question[]

export const APPROVAL_WORDS = `one of ${NAMES.join(', ')}, or a table: { reject = { ${REJECTABLE.join(', ')} } } or { granular = { … } }, each true or false`

/** Any spelling → the internal form; undefined where it is none. */
export function approvalSetting(value: unknown): ApprovalSetting | undefined {
  const name = NAMES.find(each => each === value)
  if (name !== undefined) return name
  if (!isRecord(value)) return undefined
  const [key, ...others] = Object.keys(value)
  if (key === undefined || others.length > 0) return undefined
  const flags = value[key]
  if (!isRecord(flags) || Object.values(flags).some(flag => typeof flag !== 'boolean')) return undefined
  const known: readonly string[] = key === 'reject' ? REJECTABLE : QUESTIONS
  if (Object.keys(flags).some(name => !known.includes(name))) return undefined
  switch (key) {
    // True means refused there, and asked in the later spelling. What `reject` does not know is asked only if it was named.
    case 'reject': return { asks: fill(question => REQUIRED[question] && flags[question] !== true) }
    case 'granular': return QUESTIONS.some(question => REQUIRED[question] && flags[question] === undefined) ? undefined : { asks: fill(question => flags[question] === true) }
    default: return undefined
  }
}

/** The internal form as one generation spells it; undefined where it has no words for it. */
export function spellApproval(setting: ApprovalSetting, as: 'reject' | 'granular'): unknown {
  if (typeof setting === 'string') return setting
  if (as === 'granular') return { granular: setting.asks }
  if (QUESTIONS.some(question => !REQUIRED[question] && setting.asks[question])) return undefined
  return { reject: Object.fromEntries(REJECTABLE.map(question => [question, !setting.asks[question]])) }
}

/**
 * Whether `narrow` lets nothing happen that `wide` does not: neither unasked, nor by a user's yes.
 *
 * `never` and `untrusted` are not comparable: the one runs unasked what the other asks about, which in turn may be let out of the sandbox.
 */
export function isNarrowerApproval(narrow: ApprovalSetting, wide: ApprovalSetting): boolean {
  return unasked(narrow) <= unasked(wide) && QUESTIONS.every(question => !mayAsk(narrow, question) || mayAsk(wide, question))
}

/** Runs without a question: harmless commands only, or all that the sandbox holds. */
const unasked = (setting: ApprovalSetting): number => setting === 'untrusted' ? 0 : 1

/** Whether somebody may be asked. */
export function mayAsk(setting: ApprovalSetting, question: Question): boolean {
  return typeof setting === 'string' ? setting !== 'never' : setting.asks[question]
}

export const sameApproval = (one: ApprovalSetting, other: ApprovalSetting): boolean =>
  typeof one === 'string' || typeof other === 'string' ? one === other : QUESTIONS.every(question => one.asks[question] === other.asks[question])

const fill = (of: (question: Question) => boolean): Record<Question, boolean> => Object.fromEntries(QUESTIONS.map(question => [question, of(question)])) as Record<Question, boolean>
