// The network of one sandbox: its rules as they stand now, who is asked about hosts that no rule names, and a proxy for each launcher.
import { randomBytes, randomUUID } from 'node:crypto'
import { SandboxError } from '../../errors.js'
import { type ApprovalDecision, offeredDecision, type NetworkApprovalRequest, type OnApproval } from '../../approval/approval-request.js'
import { type Approvals, createApprovals } from '../../network/approvals.js'
import { createProxy, type ProxyOptions } from '../../network/proxy.js'
import type { HeldListener, Launcher } from '../../platform/backend.js'
import type { LaunchPlan } from '../../platform/launch-plan.js'
import { type CompiledDomains, compileDomains, type HostRequest, type NarrowingRules, narrowDomains, type NetworkRules } from '../../policy/domains.js'
import { writtenHost } from '../../policy/host-remedy.js'
import type { Variables } from '../environment.js'
import { denialOfProxy } from './network-denial.js'
import { type ConnectionSource, ProxiedLauncher } from './proxied-launcher.js'

/** What tests put in the place of the world. */
export type NetworkSeams = Pick<ProxyOptions, 'resolve' | 'dial' | 'hostAddresses'>

export interface SandboxNetworkOptions {
  readonly onApproval?: OnApproval | undefined
  readonly approvalTimeoutMs?: number | undefined
  /** Of the embedding process: its own proxy. */
  readonly variables: Variables
  readonly seams?: NetworkSeams | undefined
}

/** The fields of `network` that may change while a sandbox runs. Absent: as it is. */
export type NetworkUpdate = Partial<Pick<NetworkRules, 'mode' | 'allowedDomains' | 'deniedDomains'>> & { readonly strictAllowlist?: boolean }

/** 256 bits. */
const TOKEN_BYTES = 32

/** In what a confinement differs from the sandbox's own rules. */
export interface ConfinedNetwork {
  /** Rules in their place. */
  readonly own?: NetworkRules
  /** Hosts beside those that they permit; `isAll`: there are no others, as the sandbox's own network is off. */
  readonly more?: { readonly hosts: readonly string[]; readonly isAll: boolean }
  /** Of all that only what these permit as well. */
  readonly narrowing?: NarrowingRules
}

export class SandboxNetwork {
  readonly #options: SandboxNetworkOptions
  readonly #approvals: Approvals | undefined
  #rules: NetworkRules
  #compiled: CompiledDomains

  constructor(rules: NetworkRules, options: SandboxNetworkOptions) {
    this.#options = options
    this.#rules = rules
    this.#compiled = compileDomains(rules)
    const { onApproval, approvalTimeoutMs } = options
    // One for all launchers: a question is asked once, wherever its connections come from, and an answer for the session holds for all.
    this.#approvals = onApproval === undefined ? undefined : createApprovals({
      ask: (request, { signal, source }) => this.#ask(onApproval, request, signal, source as ConnectionSource),
      ...(approvalTimeoutMs === undefined ? {} : { timeoutMs: approvalTimeoutMs }),
      onPrompt: (open, source) => (source as ConnectionSource).launcher.prompted(open, source as ConnectionSource),
    })
  }

  /** As they stand now. */
  get rules(): NetworkRules {
    return this.#rules
  }

  /** Holds for the next connection. @throws SandboxError `policy_invalid_value`: nothing has changed then */
  update(rules: NetworkRules): void {
    this.#compiled = compileDomains(rules)
    this.#rules = rules
  }

  /** Serves what `launcher` listens on. */
  attach(launcher: Launcher, plan: LaunchPlan, listeners: readonly HeldListener[], { own, more, narrowing }: ConfinedNetwork = {}): Launcher {
    const compiled = own === undefined ? undefined : compileDomains(own)
    const base = more === undefined ? () => compiled ?? this.#compiled : keptWhile(() => this.#rules, rules => compileDomains(withMore(rules, more)))
    const { resolve, dial, hostAddresses } = this.#options.seams ?? {}
    const upstream = (own ?? this.#rules).allowUpstreamProxy ? upstreamOf(this.#options.variables) : undefined
    // The private namespace is the credential; a listener that others on the host can reach wants a token.
    const token = (plan.backend === 'linux-native' || plan.backend === 'linux-bwrap') && plan.network === 'private' ? undefined : randomBytes(TOKEN_BYTES).toString('hex')
    const proxy = createProxy({
      rules: narrowing === undefined ? base : keptWhile(base, wide => narrowDomains(wide, narrowing)),
      ...(token === undefined ? {} : { token }),
      ...(this.#approvals === undefined ? {} : { approvals: this.#approvals }),
      ...(upstream === undefined ? {} : { upstream }),
      ...(resolve === undefined ? {} : { resolve }), ...(dial === undefined ? {} : { dial }), ...(hostAddresses === undefined ? {} : { hostAddresses }),
      onUser: (user, source) => { (source as ConnectionSource).user = user },
      onDenied: (denial, source) => (source as ConnectionSource).launcher.denied(denialOfProxy(denial), source as ConnectionSource),
    })
    return new ProxiedLauncher(launcher, proxy, listeners.filter(({ kind }) => kind === 'proxy'), token)
  }

  /** Withdraws all questions. */
  close(): void {
    this.#approvals?.close()
  }

  async #ask(onApproval: OnApproval, { host, port, protocol }: HostRequest, signal: AbortSignal, source: ConnectionSource): Promise<ApprovalDecision | undefined> {
    const amendments = (['allow', 'deny'] as const).map(action => ({ host, action }))
    const command = source.launcher.commandOf(source)
    const availableDecisions: readonly ApprovalDecision[] = [
      'accept', 'acceptForSession', ...amendments.map(amendment => ({ applyNetworkPolicyAmendment: { network_policy_amendment: amendment } })), 'decline', 'cancel',
    ]
    const request: NetworkApprovalRequest = {
      kind: 'network', approvalId: randomUUID(), reason: `Network access to ${JSON.stringify(writtenHost({ host, port }))}, which no rule names.`,
      networkApprovalContext: { host, protocol }, port, availableDecisions, proposedNetworkPolicyAmendments: amendments,
      ...(command === undefined ? {} : { command: command.argv, cwd: command.cwd.path }),
    }
    return offeredDecision(await onApproval(request, { signal }), availableDecisions)
  }
}

/** Made again only when what it is made of is another. */
function keptWhile<From, Made>(read: () => From, make: (from: From) => Made): () => Made {
  let kept: { readonly from: From; readonly made: Made } | undefined
  return () => {
    const from = read()
    if (kept === undefined || kept.from !== from) kept = { from, made: make(from) }
    return kept.made
  }
}

const withMore = (rules: NetworkRules, { hosts, isAll }: NonNullable<ConfinedNetwork['more']>): NetworkRules =>
  ({ ...rules, allowedDomains: [...rules.allowedDomains ?? [], ...hosts], ...(isAll ? { strictAllowlist: true as const } : {}) })

/** @throws SandboxError `rule_not_enforceable` where there is one that no proxy of ours can speak to */
function upstreamOf(variables: Variables): URL | undefined {
  const name = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'].find(each => (variables[each] ?? '') !== '')
  if (name === undefined) return undefined
  const text = variables[name] as string
  try {
    const url = new URL(text.includes('://') ? text : `http://${text}`)
    if (url.protocol === 'http:' || url.protocol === 'https:') return url
  } catch {
    // Told below, without its password.
  }
  throw new SandboxError('rule_not_enforceable', { field: 'network.allowUpstreamProxy', value: true }, { detail: `${name} names no http:// or https:// proxy`, remedy: `Correct ${name}, or leave allowUpstreamProxy out.` })
}
