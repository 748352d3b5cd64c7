// `learn`: the smallest policy that a command needs, found by running it.
import { constants, openSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { SandboxError } from '../errors.js'
import { currentFolder, currentPlatform, takeSnapshot, userHome } from '../host/snapshot.js'
import { learn as learnPolicy, type Learned, type LearnRun } from '../learn/learn.js'
import { policyJson, policyToml } from '../learn/policy-text.js'
import type { Reason, Withheld } from '../learn/proposal.js'
import type { ExecResult } from '../exec/result.js'
import { DEGRADATIONS, type DegradationName, type LinuxBackend, LINUX_BACKENDS, RUNGS } from '../platform/launch-plan.js'
import { policyObject } from '../policy/policy-object.js'
import type { Arguments } from './arguments.js'
import { policyFromOptions } from './policy-options.js'
import { print } from './print.js'
import { oneOf, parseCount, parseDurationMs } from './values.js'
import { refuseWithoutEffect } from './without-effect.js'

/** @returns 0 where the policy is enough for the command, else 1 */
export async function learn({ verb, options, words }: Arguments): Promise<number> {
  if (words.length === 0) throw new SandboxError('option_missing', { field: 'a command', value: undefined }, { detail: 'nothing to learn from', remedy: 'Give one after --: `codex-sandbox learn -- COMMAND`.' })
  const here = currentFolder()
  const cwd = options.cd === undefined ? here : resolve(here, options.cd)
  let configured: { readonly backend?: LinuxBackend } = {}
  const policy = await policyFromOptions(verb, options, { cwd: here, onBackend: backend => { configured = { backend } } })
  if (policy.mode !== 'read-only' && policy.mode !== 'workspace-write') throw new SandboxError('policy_contradiction', { field: '--sandbox', value: policy.mode }, { detail: 'nothing is denied there, so there is nothing to learn', remedy: 'Leave it out.' })
  refuseWithoutEffect({ verb, options, platform: currentPlatform(), mode: policy.mode })
  const out = options.out === undefined ? undefined : openOut(options.out)
  const tell = async (text: string): Promise<void> => { if (options.quiet !== true) await print(process.stderr, text) }
  const learned = await learnPolicy({
    sandbox: {
      policy, cwd,
      allowDegraded: (options.allowDegraded ?? []).map(name => oneOf('--allow-degraded', name, Object.keys(DEGRADATIONS) as DegradationName[])),
      ...(options.backend === undefined ? configured : { backend: oneOf('--backend', options.backend, LINUX_BACKENDS) }),
      ...(options.rung === undefined ? {} : { rung: oneOf('--rung', options.rung, RUNGS) }),
      allowBroadRoots: policy.write.some(path => path === '/' || path === userHome()),
    },
    argv: words,
    ...(options.timeout === undefined ? {} : { timeoutMs: parseDurationMs('--timeout', options.timeout) }),
    ...(options.runs === undefined ? {} : { mostRuns: parseCount('--runs', options.runs) }),
    lookAtHost: () => takeSnapshot({ selfPaths: [], cwd }),
    ...(options.quiet === true ? {} : { onOutput: chunk => print(process.stderr, chunk.toString()) }),
    onRun: run => tell(`codex-sandbox: ${runLine(run)}\n`),
  })
  await tell(`${[...learnedLines(learned)].join('\n')}\n`)
  if (out !== undefined) writeOut(out, out.isToml ? policyToml(learned.policy) : policyJson(learned.policy))
  if (options.json === true) await print(process.stdout, asJson(learned))
  else if (out === undefined) await print(process.stdout, `${policyJson(learned.policy)}\n# the same for config.toml\n${policyToml(learned.policy)}`)
  return learned.enough ? 0 : 1
}

const runLine = ({ number, result }: LearnRun): string => `run ${number}: ${endOf(result)}, ${counted(result.denials.length, 'denial')}`

function endOf({ exitCode, signal, timedOut }: Pick<ExecResult, 'exitCode' | 'signal' | 'timedOut'>): string {
  return timedOut ? 'timed out' : signal === null ? `exit code ${exitCode}` : `ended by ${signal}`
}

function* learnedLines({ runs, reasons, withheld, complete, enough }: Learned): Generator<string> {
  const ends = complete ? 'the last one had no denial' : enough ? 'the last one ended with exit code 0, with the denials below' : withheld.length > 0 ? 'the last one had the denials below' : 'the last one still had others'
  yield `codex-sandbox: learned from ${counted(runs.length, 'run')}; ${ends}`
  if (reasons.length === 0) yield '  nothing beyond the policy that it began with'
  for (const reason of reasons) yield* reasonLines(reason)
  if (withheld.length > 0) yield `codex-sandbox: not proposed, ${enough ? 'as it is not needed' : 'for you to decide'}:`
  for (const each of withheld) yield* withheldLines(each)
}

function* reasonLines({ change, because, warning }: Reason): Generator<string> {
  yield `  ${change}: ${because}`
  if (warning !== undefined) yield `    warning: ${warning}`
}

function* withheldLines({ denial, because }: Withheld): Generator<string> {
  yield `  ${denial.message}`
  const wanted = denial.remedy.flags.length === 0 ? '' : `; to have it, begin with ${denial.remedy.flags.join(' ')}`
  if (wanted !== '' || because !== denial.remedy.text) yield `    ${because}${wanted}`
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`

function asJson({ policy, reasons, withheld, runs, complete, enough }: Learned): string {
  return `${JSON.stringify({
    complete, enough, policy: policyObject(policy), config: policyToml(policy), reasons,
    withheld: withheld.map(({ denial, ...why }) => ({ ...why, ...denial })),
    runs: runs.map(({ policy, result: { exitCode, signal, timedOut, denials } }) => ({ policy: policyObject(policy), exitCode, signal, timedOut, denials })),
  }, null, 2)}\n`
}

interface Out {
  readonly path: string
  readonly descriptor: number
  readonly isToml: boolean
}

function writeOut({ path, descriptor }: Out, text: string): void {
  try {
    writeFileSync(descriptor, text)
  } catch (error) {
    throw new SandboxError('output_file', { field: '--out', value: path }, { detail: (error as Error).message, remedy: 'Make room there, or name another file.', cause: error })
  }
}

/** Opened before the command runs, so that a wrong path costs nothing; a link is not followed, as a command may have made it. */
function openOut(path: string): Out {
  try {
    return { path, descriptor: openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW, 0o666), isToml: path.endsWith('.toml') }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new SandboxError('option_invalid', { field: '--out', value: path }, { detail: code === 'ELOOP' ? 'it is a symbolic link' : `it cannot be written (${code})`, remedy: 'Name a file that you may write.', cause: error })
  }
}
