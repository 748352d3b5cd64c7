// Whether a command runs unasked, is asked about or is refused: rules first, then what is known of commands, then the approval policy. Pure.
//
// It judges words, and words can say anything: what holds a command is the sandbox that it runs in. No answer here lets it out of there.
import { SandboxError } from '../errors.js'
import { type AdditionalPermissions, keyOfPermissions } from '../policy/additional-permissions.js'
import type { SandboxMode } from '../policy/sandbox-policy.js'
import { proposeAmendment } from './amendment.js'
import { SANDBOX_PERMISSIONS, type SandboxPermissions } from './approval-request.js'
import { APPROVAL_WORDS, type ApprovalSetting, approvalSetting, mayAsk, type Question } from './approval-setting.js'
import { type CommandParts, partsOf } from './command-parts.js'
import { type CommandRules, matchPrefixes, mergeRules, NO_RULES, type PrefixRule, programName, strictest } from './command-rules.js'
import { isDangerous } from './dangerous-commands.js'
import { isKnownSafe } from './safe-commands.js'
import type { ScriptCommand } from './shell-script.js'

/** `ask`, `forbidden`: one sentence. `amendment`: the prefix of a rule with which the same command would run unasked. */
export type Assessment =
  | { readonly run: 'sandboxed' }
  | { readonly ask: string; readonly amendment?: readonly string[] }
  | { readonly forbidden: string }

/** `untrusted | on-request | on-failure | never`, `{ granular: … }` or the older `{ reject: … }`, or the form that config has of them. */
export type ApprovalPolicy = ApprovalSetting | { readonly granular: Readonly<Partial<Record<Question, boolean>>> } | { readonly reject: Readonly<Partial<Record<Question, boolean>>> }

export interface AssessOptions {
  readonly approvalPolicy: ApprovalPolicy
  /** What the command would run in. */
  readonly sandboxMode: SandboxMode
  /** The user's and the project's. Default: none. */
  readonly rules?: CommandRules
  /** Those of requirements: they never allow. Default: none. */
  readonly requirements?: CommandRules
  /** What the command asks for. Default: `use_default`. */
  readonly sandboxPermissions?: SandboxPermissions
  readonly additionalPermissions?: AdditionalPermissions
  /** False refuses shells that read the user's profile. Default: true. */
  readonly allowLoginShell?: boolean
  /** The policy denies reading something: then nothing may run without the sandbox. Default: false. */
  readonly deniesReading?: boolean
  /** The prefix that the asker suggests for a rule. Untrusted: it is only taken where it is the beginning of the command. */
  readonly prefixRule?: readonly string[]
  /** Of the host that would run it. Default: `linux`. */
  readonly platform?: 'linux' | 'macos' | 'windows'
}

/** Told of one command; more would not be read. */
const MOST_REASONS = 3

/** A reason to ask, and the kind of question that it is. */
interface Reason {
  readonly question: Extract<Question, 'sandbox_approval' | 'rules'>
  readonly text: string
  /** Where a rule would answer it: the segment that needs one. */
  readonly segment?: number
}

interface Verdict {
  readonly forbidden: readonly string[]
  readonly asks: readonly Reason[]
}

/**
 * @param command  the argument vector. `bash -lc SCRIPT` is judged by what the script runs
 * @throws SandboxError `argument_invalid` for what is no command, `option_invalid` for an approval policy that there is none of
 */
export function assess(command: readonly string[], options: AssessOptions): Assessment {
  return assessWithReasons(command, options).assessment
}

/** `byRules`: what rules want to be asked about. An answer to other questions is none to these. */
export function assessWithReasons(command: readonly string[], options: AssessOptions): { readonly assessment: Assessment; readonly byRules: readonly string[] } {
  if (typeof options !== 'object' || options === null) throw new SandboxError('option_invalid', { field: 'options', value: options }, { detail: 'it must be an object', remedy: 'Give {approvalPolicy, sandboxMode}.' })
  const setting = settingOf(options.approvalPolicy)
  if (!Array.isArray(command) || command.length === 0 || command.some(word => typeof word !== 'string')) throw new SandboxError('argument_invalid', { field: 'command', value: command })
  const parts = partsOf(command, options.platform === 'windows')
  const rules = mergeRules(options.rules ?? NO_RULES, options.requirements ?? NO_RULES)
  const { forbidden, asks } = judge(command, parts, rules, setting, options)
  const [refusal] = [...forbidden, ...asks.flatMap(({ question, text }) => mayAsk(setting, question) ? [] : [`${text}, and ${whyNotAsked(setting, question)}`])]
  const byRules = asks.flatMap(({ question, text }) => question === 'rules' ? [text] : [])
  if (refusal !== undefined) return { assessment: { forbidden: refusal }, byRules }
  if (asks.length === 0) return { assessment: { run: 'sandboxed' }, byRules }
  const amendment = amendmentFor(parts, asks, options, rules)
  return { assessment: { ask: [...new Set(asks.map(({ text }) => text))].slice(0, MOST_REASONS).join('; '), ...(amendment === undefined ? {} : { amendment }) }, byRules }
}

/** @throws SandboxError `option_invalid` */
export function settingOf(policy: ApprovalPolicy): ApprovalSetting {
  if (typeof policy === 'object' && policy !== null && 'asks' in policy) return policy
  const setting = approvalSetting(policy)
  if (setting === undefined) throw new SandboxError('option_invalid', { field: 'approvalPolicy', value: policy }, { detail: `it must be ${APPROVAL_WORDS}`, remedy: 'Correct it.' })
  return setting
}

function judge(command: readonly string[], parts: CommandParts, rules: CommandRules, setting: ApprovalSetting, options: AssessOptions): Verdict {
  const judged = parts.segments.map((segment, index) => judgeSegment(segment, index, parts, rules, setting, options))
  const hidden = parts.found.flatMap(({ command: each, segment }) => judgeFound(each, segment === undefined ? undefined : judged[segment]?.allowed, rules, setting, options))
  const broken: Reason[] = rules.broken.slice(0, 1).map(text => ({ question: 'rules', text: `command rules cannot be relied on: ${text.replace(/\.$/, '')}` }))
  const unread: Reason[] = parts.unread ? [{ question: 'sandbox_approval', text: `${shown(command)} is too much to be read` }] : []
  const wider = judgePermissions(command, options)
  return {
    forbidden: [...judged, ...hidden, wider].flatMap(({ forbidden }) => forbidden).concat(parts.loginShell && options.allowLoginShell === false ? [`${shown(command)} is a login shell, which allow_login_shell = false refuses`] : []),
    // What rules say comes first: it has the better words.
    asks: [...judged, ...hidden, { forbidden: [], asks: [...broken, ...unread] }, wider].flatMap(({ asks }) => asks).sort((a, b) => Number(b.question === 'rules') - Number(a.question === 'rules')),
  }
}

/** `allowed`: a rule of the user says so, and no other one is stricter. */
function judgeSegment(segment: ScriptCommand, index: number, parts: CommandParts, rules: CommandRules, setting: ApprovalSetting, options: AssessOptions): Verdict & { readonly allowed: boolean } {
  const matches = [...restricting(segment, rules, options), ...allowing(segment, rules)]
  const { forbidden, asks } = byRules(segment, matches)
  if (strictest(matches.map(({ decision }) => decision)) === 'allow') return { forbidden, asks, allowed: true }
  const unknown = whyUnknown(segment, parts, setting, options)
  // With a rule that is stricter too: a question that nobody may be asked stays one.
  return { forbidden, asks: [...asks, ...(unknown === undefined ? [] : [{ question: 'sandbox_approval', text: `${shownSegment(segment)} ${unknown}`, segment: index } as const])], allowed: false }
}

/** Undefined where no rule is needed for it to run. */
function whyUnknown(segment: ScriptCommand, { kind }: CommandParts, setting: ApprovalSetting, { platform, sandboxMode }: AssessOptions): string | undefined {
  if (kind === 'plain' && isKnownSafe(segment, platform)) return undefined
  if (platform === 'windows' && sandboxMode === 'read-only') return 'would run in a read-only mode that Windows does not hold'
  if (setting !== 'untrusted') return undefined
  return kind === 'plain' ? 'is not known to be harmless' : 'is more than plain commands, so nothing is known of what it runs'
}

/** Commands anywhere in it: what must not run, and what is dangerous unless a rule allows the whole. */
function judgeFound(command: ScriptCommand, allowed: boolean | undefined, rules: CommandRules, setting: ApprovalSetting, options: AssessOptions): Verdict[] {
  const verdicts = [byRules(command, restricting(command, rules, options))]
  if (allowed !== true && allowing(command, rules).length === 0 && isDangerous(command, options.platform) && !(setting === 'never' && isUnconfined(options.sandboxMode))) {
    verdicts.push({ forbidden: [], asks: [{ question: 'sandbox_approval', text: `${shownSegment(command)} could destroy what does not come back` }] })
  }
  return verdicts
}

const isUnconfined = (mode: SandboxMode): boolean => mode === 'danger-full-access' || mode === 'external-sandbox'

function byRules(command: ScriptCommand, rules: readonly PrefixRule[]): Verdict {
  const because = (rule: PrefixRule): string => `${rule.justification === undefined ? '' : `: ${rule.justification}`} (${rule.place})`
  return {
    forbidden: rules.filter(({ decision }) => decision === 'forbidden').map(rule => `${shownSegment(command)} is forbidden by a rule${because(rule)}`),
    asks: rules.filter(({ decision }) => decision === 'prompt').map(rule => ({ question: 'rules', text: `a rule wants ${shownSegment(command)} to be asked about${because(rule)}` })),
  }
}

/** By its words as they are written and by its program's base name, wherever that lies: what shall not run has no other spelling. */
function restricting(command: ScriptCommand, rules: CommandRules, { platform }: AssessOptions): PrefixRule[] {
  const words = command.map(({ text }) => text)
  const named = [programName(words[0] ?? '', platform === 'windows'), ...words.slice(1)]
  const matches = new Set([...matchPrefixes(rules, words), ...matchPrefixes(rules, named)].map(({ rule }) => rule))
  return [...matches].filter(({ decision }) => decision !== 'allow')
}

/** Only by words that stay what they are, and by a base name only for the paths that the user lists for it. */
function allowing(command: ScriptCommand, rules: CommandRules): PrefixRule[] {
  const end = command.findIndex(({ fixed }) => !fixed)
  const words = (end === -1 ? command : command.slice(0, end)).map(({ text }) => text)
  const [program] = words
  if (program === undefined) return []
  const name = programName(program)
  const listed = rules.executables.get(name)?.includes(program) === true
  const matches = [...matchPrefixes(rules, words), ...(listed ? matchPrefixes(rules, [name, ...words.slice(1)]) : [])]
  return [...new Set(matches.map(({ rule }) => rule))].filter(({ decision, source }) => decision === 'allow' && source === 'user')
}

/** More than the sandbox as it is is never had by rules or by what is known of a command: only by an answer. */
function judgePermissions(command: readonly string[], { sandboxPermissions = 'use_default', additionalPermissions, deniesReading, sandboxMode }: AssessOptions): Verdict {
  if (!SANDBOX_PERMISSIONS.includes(sandboxPermissions)) throw new SandboxError('option_invalid', { field: 'sandboxPermissions', value: sandboxPermissions }, { detail: `it must be one of ${SANDBOX_PERMISSIONS.join(', ')}` })
  const wider = additionalPermissions !== undefined && keyOfPermissions(additionalPermissions) !== ''
  if (wider && sandboxPermissions !== 'with_additional_permissions') throw new SandboxError('option_invalid', { field: 'additionalPermissions', value: additionalPermissions }, { detail: `they belong to with_additional_permissions, and this is ${sandboxPermissions}` })
  if (isUnconfined(sandboxMode) || sandboxPermissions === 'use_default') return { forbidden: [], asks: [] }
  const text = shown(command)
  if (sandboxPermissions === 'with_additional_permissions') {
    return wider ? { forbidden: [], asks: [{ question: 'sandbox_approval', text: `${text} asks for more than the sandbox allows` }] } : { forbidden: [], asks: [] }
  }
  if (deniesReading === true) return { forbidden: [`${text} asks to run without the sandbox, and the policy denies reading some paths, which it could read then`], asks: [] }
  return { forbidden: [], asks: [{ question: 'sandbox_approval', text: `${text} asks to run without the sandbox` }] }
}

const whyNotAsked = (setting: ApprovalSetting, question: Reason['question']): string =>
  typeof setting === 'string' ? `the approval policy is ${setting}: nobody is asked` : `the approval policy asks nobody about ${question}`

/** Only where one rule answers all that is asked, for which a person's eye is enough: one command, of known words. */
function amendmentFor(parts: CommandParts, asks: readonly Reason[], options: AssessOptions, rules: CommandRules): readonly string[] | undefined {
  if (parts.kind !== 'plain' || asks.some(({ question }) => question === 'rules')) return undefined
  const candidates = parts.segments.filter((segment, index) => asks.some(ask => ask.segment === index) || isDangerous(segment, options.platform))
  const [candidate] = candidates
  const prefix = candidate === undefined ? undefined : proposeAmendment(candidate, options.prefixRule)
  if (prefix === undefined) return undefined
  const rule: PrefixRule = { pattern: prefix.map(word => [word]), decision: 'allow', source: 'user', place: 'proposed' }
  const { requirements: _, ...without } = options
  const after = assessRules(parts, { ...rules, prefixes: [...rules.prefixes, rule] }, without)
  return after ? prefix : undefined
}

/** Whether nothing would be asked with these rules. */
function assessRules(parts: CommandParts, rules: CommandRules, options: AssessOptions): boolean {
  const { forbidden, asks } = judge(parts.segments[0]?.map(({ text }) => text) ?? [], parts, rules, settingOf(options.approvalPolicy), options)
  return forbidden.length === 0 && asks.length === 0
}

/** For sentences: quoted, so that no word can forge a line, and cut. */
function shown(command: readonly string[]): string {
  const text = command.map(word => /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)).join(' ')
  const safe = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '.')
  return `\`${safe.length > 120 ? `${safe.slice(0, 120)}…` : safe}\``
}

const shownSegment = (segment: ScriptCommand): string => shown(segment.map(({ text }) => text))
