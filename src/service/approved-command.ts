// `sandbox/runCommand`: a command that is decided about first, by rules, the approval policy and the client; then run as `command/exec` does.
import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { CommandApprovals, CommandToApprove } from '../approval/command-approvals.js'
import type { AdditionalPermissions } from '../policy/additional-permissions.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import type { Client, Request } from './client.js'
import type { Report } from './command-exec.js'
import { boundPermissions, keyOf } from './policies.js'
import type { RunCommandParams, RunCommandResult } from './protocol.js'
import { invalidRequest } from './rpc-error.js'

type Outcome = RunCommandResult['outcome']
type Status = 'inProgress' | 'completed' | 'failed' | 'declined'

/** Without a sandbox: what was approved to leave it. */
const UNCONFINED = { type: 'dangerFullAccess' } as const

/** Tells of it as the reference tells of an item: started, asked about, resolved, completed. */
export async function runApproved(client: Client, params: RunCommandParams, report: Report, request: Request): Promise<RunCommandResult> {
  const { turnId, itemId, sandboxPermissions, additionalPermissions, justification, prefixRule, ...exec } = params
  if (exec.command.length === 0) throw invalidRequest('command must not be empty')
  const origin = { turnId: turnId ?? `turn-${String(request.id)}`, itemId: itemId ?? randomUUID() }
  const cwd = resolve(client.shared.cwd, exec.cwd ?? '.')
  const more = additionalPermissions === null || additionalPermissions === undefined ? undefined : additionalPermissions as AdditionalPermissions
  const asked: CommandToApprove = {
    command: exec.command, cwd, sandboxPermissions: sandboxPermissions ?? (more === undefined ? 'use_default' : 'with_additional_permissions'),
    ...(more === undefined ? {} : { additionalPermissions: more }),
    ...(typeof justification === 'string' ? { justification } : {}), ...(Array.isArray(prefixRule) ? { prefixRule } : {}),
  }
  const tell = (method: 'item/started' | 'item/completed', status: Status, exitCode: number | null): void =>
    client.notify(method, { threadId: client.threadId, turnId: origin.turnId, item: { type: 'commandExecution', id: origin.itemId, command: exec.command, cwd, status, exitCode } })
  const finish = (outcome: Outcome, given: Partial<RunCommandResult>): RunCommandResult => {
    const exitCode = given.exec?.exitCode ?? null
    tell('item/completed', outcome !== 'ran' ? 'declined' : exitCode === 0 ? 'completed' : 'failed', exitCode)
    return { outcome, reason: null, asked: false, escalated: false, retried: false, warning: null, exec: null, ...given }
  }

  const approvals = await client.commandApprovals(exec.sandboxPolicy)
  if (more !== undefined) boundPermissions((await client.policy(exec.sandboxPolicy)).policy, more, await client.shared.configuration())
  const ask = client.approvals.about(origin)
  tell('item/started', 'inProgress', null)
  try {
    const first = await approvals.decide(asked, undefined, ask)
    if (first.outcome !== 'run') return finish(first.outcome, { reason: first.reason, asked: first.outcome !== 'forbidden' })
    if (client.isGone) throw invalidRequest('the client is gone')
    const common = { asked: first.asked, escalated: first.escalated, warning: first.warning ?? null }
    if (first.escalated) return finish('ran', { ...common, exec: await client.commands.exec({ ...exec, sandboxPolicy: UNCONFINED }, report) })
    let deniedByFiles = false
    const result = await client.commands.exec(exec, (said, sandbox) => {
      deniedByFiles = said.exitCode !== 0 && !said.timedOut && !said.cancelled && said.denials.some(({ kind }) => kind !== 'network')
      report(said, sandbox)
    }, more === undefined ? {} : { additionalPermissions: more })
    // A retry is the same again, and what a client streams in is gone.
    const again = deniedByFiles && exec.streamStdin !== true && exec.tty !== true ? await approvals.decideRetry(asked, undefined, ask) : undefined
    const askedAgain = again !== undefined && again.outcome !== 'forbidden'
    if (again?.outcome !== 'run' || client.isGone) return finish('ran', { ...common, asked: first.asked || askedAgain, exec: result })
    return finish('ran', { asked: true, escalated: true, retried: true, exec: await client.commands.exec({ ...exec, sandboxPolicy: UNCONFINED }, report) })
  } catch (error) {
    // Who was told that it began is told that it is over.
    tell('item/completed', 'failed', null)
    throw error
  }
}

/** One for each policy of a client: what it approved for the session was approved for commands in that sandbox. */
export class SessionApprovals {
  readonly #byPolicy = new Map<string, CommandApprovals>()

  async of(client: Client, policy: SandboxPolicy): Promise<CommandApprovals> {
    const [{ CommandApprovals, deniesReading }, { approvals }] = await Promise.all([import('../approval/command-approvals.js'), client.shared.configuration()])
    const key = keyOf(policy)
    const known = this.#byPolicy.get(key)
    if (known !== undefined) return known
    const made = new CommandApprovals(approvals, { sandboxMode: policy.mode, deniesReading: deniesReading(policy), platform: client.shared.platform }, client.approvals.onApproval())
    this.#byPolicy.set(key, made)
    return made
  }
}
