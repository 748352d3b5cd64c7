// A policy to what confines a command on Windows: a restricted token, entries of access lists, a job, variables, and what set-up makes once.
// Pure: runs on every platform. Nothing of it has run on Windows.
import { SandboxError } from '../../errors.js'
import type { WindowsAccount, WindowsFacts, WindowsSetUp } from '../../policy/host-snapshot.js'
import { isInside, joinPath, parentOf, rootOf } from '../../policy/path-syntax.js'
import type { PathRule, ResolvedPolicy } from '../../policy/resolved-policy.js'
import { layer } from '../../policy/rule-order.js'
import type { CompileOptions, LayerReport } from '../backend.js'
import { DEGRADATIONS, type DegradationName, type WindowsMode, type WindowsPlaceholder, type WindowsPlan } from '../launch-plan.js'
import { isGranted } from './access-check.js'
import { FILE_RIGHTS } from './access-rights.js'
import { accessEdits, isPlaceholder, kindOf, knownIdentities, outermostRoots, type RootCapability } from './access-plan.js'
import { assignCapabilities, EMPTY_STORE, READ_ONLY_KEY } from './capability-sids.js'
import { environmentPlan } from './environment.js'
import { firewallRules } from './firewall.js'
import { descriptorOf, drivesWithoutLists, whyNoLists } from './host-facts.js'
import { WINDOWS_LAYER } from './layer.js'
import { limitMechanisms, limitNotes, lowerLimits, refuseUnheldLimits } from '../limits.js'
import { jobPlan, LIMIT_HOLDINGS } from './limits.js'
import { firstPending, SET_UP_VERSION, setUpRequired } from './set-up.js'
import { STATE_FILES, STATE_FOLDER } from './setup/state-files.js'
import { COMMON_GROUPS, plainToken, tokenPlan } from './token.js'
import { SUPPOSED_ACCOUNTS } from './users.js'

/**
 * Compiles `policy` for `mode`. Pure. Afterwards each rule is enforced by a part of the plan, or named in `plan.degraded`.
 *
 * @param layers  what `probe` reported
 * @throws        SandboxError `layer_missing`; `windows_setup_required` with the command that sets up; `rule_not_enforceable` for what this
 *                mode cannot hold and `allowDegraded` does not name; `path_too_broad` for a drive or a profile as a root
 */
export function compileWindows(policy: ResolvedPolicy, mode: WindowsMode, layers: readonly LayerReport[], options: CompileOptions): WindowsPlan {
  if (policy.base === 'write') throw new Error(`${policy.mode} has nothing to enforce`)
  refuseMissingLayer(layers)
  const { windows: facts } = options
  if (facts === undefined) throw new SandboxError('layer_missing', { field: WINDOWS_LAYER, value: undefined }, { detail: 'the drives, accounts and access lists of this machine could not be read' })
  refuseUnknown(policy, options)
  refuseBroad(policy, facts)
  refuseWithoutLists(policy, facts)
  const roots = outermostRoots(policy)
  const rootPaths = roots.map(({ root }) => root.path)
  const foreign = mode === 'elevated' ? [] : facts.worldWritable.filter(path => layer(policy).effectAt(path) !== 'write' && !isOwn(facts, path))
  const degraded = findDegradations(policy, mode, facts, foreign, options)
  const limits = lowerLimits(policy.limits, options.limits)
  const degradedNames = namesIn(degraded, refuseUnheldLimits(LIMIT_HOLDINGS, limits, options.allowDegraded, 'Windows'))
  const setUp = options.supposeSetUp === true ? supposedSetUp(roots.map(({ key }) => key), options) : facts.setUp
  if (setUp === undefined) throw setUpRequired(mode, rootPaths, 'windows', mode, 'nothing was set up yet')
  if (setUp.version !== SET_UP_VERSION) throw setUpRequired(mode, rootPaths, 'windows', mode, `it was set up by version ${setUp.version}, and this is ${SET_UP_VERSION}`)
  const capabilities = roots.map(({ root, key }): RootCapability => ({ root: root.path, key, sid: sidOf(setUp, key, mode, rootPaths, root) }))
  const readOnlySid = sidOf(setUp, READ_ONLY_KEY, mode, rootPaths, undefined)
  const network = networkOf(policy, mode, options)
  const { account, accounts } = accountOf(mode, network, facts, setUp, rootPaths, options)
  const access = accessEdits({ policy, facts: { ...facts, worldWritable: facts.worldWritable.filter(path => !foreign.includes(path)) }, capabilities, readOnlySid, ...(accounts === undefined ? {} : { accounts: { group: accounts.group.sid, token: plainToken(account.sid, [accounts.group.sid]) } }) })
  if (mode === 'unelevated') refuseForeignLists(access, policy, facts)
  const sids = [...capabilities.map(({ sid }) => sid), readOnlySid]
  const token = tokenPlan(account, sids, mode === 'elevated')
  const placeholders = placeholdersOf(policy, facts)
  if (options.supposeSetUp !== true && options.isSettingUp !== true) {
    const inToken = new Set([...token.restricting, account.sid, ...COMMON_GROUPS, ...(accounts === undefined ? [] : [accounts.group.sid])])
    const pending = firstPending(access, new Set(placeholders.map(({ path }) => path)), facts, setUp, inToken)
    if (pending !== undefined) throw setUpRequired(mode, rootPaths, 'windows', pending.path, 'its access list does not have what this policy needs')
  }
  return {
    backend: `windows-${mode}`,
    platform: 'windows',
    token,
    capabilities: [...capabilities, { key: READ_ONLY_KEY, sid: readOnlySid }],
    access,
    placeholders,
    job: jobPlan(limits),
    desktop: 'own',
    network,
    // Of several ports that commands may reach, the proxy's comes first.
    ...(policy.network !== 'proxied' || options.endpoints?.proxyPorts?.[0] === undefined ? {} : { proxyPort: options.endpoints.proxyPorts[0] }),
    // A proxy's variables are the sandbox's own, and no others may stand in their place.
    environment: environmentPlan(policy.network === 'proxied' ? 'open' : network),
    commandInterpreter: joinPath('windows', facts.systemRoot, 'System32\\cmd.exe'),
    stateDirectory: options.stateDirectory,
    ...(accounts === undefined ? {} : { machine: { accounts: [accounts.offline, accounts.online], group: accounts.group.sid, firewall: firewallRules(accounts.offline.sid, setUp.proxyPorts), secrets: secretsFile(options, facts) } }),
    limits,
    cwd: { path: policy.cwd, identity: options.cwdIdentity },
    degraded: degradedNames,
    enforcement: {
      backend: `windows-${mode}`,
      layers: ['restricted-token', 'access-lists', 'job-object', 'desktop', ...(mode === 'elevated' ? ['sandbox-account', ...(network === 'blocked' ? ['firewall'] : [])] : [])],
      degraded: degradedNames,
      limits: limitMechanisms(LIMIT_HOLDINGS, limits),
      notes: [...NOTES, ...(mode === 'elevated' ? ELEVATED_NOTES : UNELEVATED_NOTES), ...(network === 'blocked' ? [SENT_BY_OTHERS] : []), ...limitNotes(LIMIT_HOLDINGS, limits)],
    },
  }
}

const NOTES = [
  'nobody has run this back end on Windows yet',
  'services of the system that start programs for a user (WMI, the Task Scheduler, COM surrogates) may be asked by a command, and what they start is not confined',
  'a file that everybody may write is found by a bounded scan of folders: one by itself, deep in a tree, may be missed',
  'a file that is moved keeps its access list: what somebody moves into a closed or denied folder stays as open as it was until the next set-up',
]
const UNELEVATED_NOTES = ['shares on other machines are reached with the user\'s own rights', 'the memory of the user\'s other processes can be read: only what changes something is restricted']
const ELEVATED_NOTES = [
  'what only this user may read outside of the profile, and where keys and tokens lie, commands cannot read',
  'what one policy denies is denied to all sandboxes of this machine that run with the same accounts',
]

/** A rule of the firewall is for who sends, and that is not the account then. */
const SENT_BY_OTHERS = 'what the system itself sends for a command may pass the firewall: names that it looks up (DNS), and shares on other machines'

function refuseMissingLayer(layers: readonly LayerReport[]): void {
  const report = layers.find(({ layer: name }) => name === WINDOWS_LAYER)
  if (report?.available === true) return
  throw new SandboxError('layer_missing', { field: WINDOWS_LAYER, value: report?.errno ?? 'missing' }, {
    ...(report?.reason === undefined ? {} : { detail: report.reason }), ...(report?.remedy === undefined ? {} : { remedy: report.remedy }),
  })
}

function refuseUnknown(policy: ResolvedPolicy, { rung, endpoints }: CompileOptions): void {
  if (policy.tmp === 'private') throw notEnforceable('tmp', 'private', 'Windows shows every process the same folder for temporary files', 'Say "host" or "none"; set TEMP and TMP to a folder in the workspace.')
  if (rung !== undefined) throw new SandboxError('option_invalid', { field: 'rung', value: rung }, { detail: 'Windows has ways of its own to confine', remedy: 'Leave it out.' })
  if (endpoints?.localBinding === true) throw notEnforceable('localBinding', true, 'the firewall cannot tell own servers from others on the loopback', 'Leave it out.')
  if (endpoints?.unixSockets !== undefined && endpoints.unixSockets.length > 0) throw notEnforceable('unixSockets', endpoints.unixSockets, 'unix sockets are files like others on Windows', 'Leave it out.')
}

const notEnforceable = (field: string, value: unknown, detail: string, remedy?: string): SandboxError =>
  new SandboxError('rule_not_enforceable', { field, value }, { detail, ...(remedy === undefined ? {} : { remedy }) })

/** Whatever the caller allows: an entry that all of a drive or a profile inherits would change every list on it, those of secrets too. */
function refuseBroad(policy: ResolvedPolicy, { systemRoot }: WindowsFacts): void {
  for (const { path, effect, field } of policy.paths) {
    if (effect !== 'write') continue
    const what = path === rootOf('windows', path) ? 'it is a whole drive'
      : policy.home !== undefined && isInside('windows', path, policy.home) ? (isInside('windows', policy.home, path) ? 'it is a profile' : 'it holds your profile')
        : isInside('windows', path, systemRoot) || isInside('windows', systemRoot, path) ? 'it belongs to Windows itself' : undefined
    if (what !== undefined) throw new SandboxError('path_too_broad', { field: field ?? 'policy', value: path }, { detail: `${what}, which cannot be a writable root on Windows`, remedy: 'Name a folder inside it.' })
  }
}

/** A root, or what is closed in one or denied, is held by its list. */
function refuseWithoutLists(policy: ResolvedPolicy, facts: WindowsFacts): void {
  const rules = layer(policy)
  for (const { path, effect, field } of policy.paths) {
    const parent = parentOf('windows', path)
    const isHeld = effect !== 'read' || (parent !== path && rules.effectAt(parent) === 'write')
    const why = isHeld ? whyNoLists(facts, path) : undefined
    if (why !== undefined) throw notEnforceable(field ?? 'policy', path, why, 'Use a folder on a drive of this machine with NTFS or ReFS.')
  }
}

interface Missing {
  readonly name: DegradationName
  readonly field: string
  readonly value: unknown
  readonly detail: string
}

/** What this mode cannot hold of this policy. @throws SandboxError `rule_not_enforceable` for the first that was not allowed by name */
function findDegradations(policy: ResolvedPolicy, mode: WindowsMode, facts: WindowsFacts, foreign: readonly string[], { allowDegraded, endpoints }: CompileOptions): readonly Missing[] {
  const isElevated = mode === 'elevated'
  const rules = layer(policy)
  const denied = policy.paths.find(({ effect }) => effect === 'deny')
  const absent = policy.paths.find(rule => rule.effect === 'deny' && rule.kind === 'missing' && !isPlaceholder(rules, facts, rule))
  const link = policy.paths.find(rule => rule.placeholder === 'symlink' && isPlaceholder(rules, facts, rule))
  if (link !== undefined) throw notEnforceable(link.field ?? 'git', link.path, 'what would hold this name while it is missing is a symbolic link, which only administrators make', 'Say git: "protected".')
  const open = drivesWithoutLists(facts)
  const [glob] = policy.globs
  const found: (Missing | undefined)[] = [
    isClosed(policy, endpoints) ? isElevated ? undefined : { name: 'network', field: 'network', value: policy.network === 'open' ? 'proxied' : policy.network, detail: 'without accounts of its own nothing holds the network' } : undefined,
    policy.base === 'deny' ? { name: 'restricted-reads', field: 'readAccess', value: 'restricted', detail: isElevated ? 'what every account of the machine may read cannot be closed to one' : 'a token that only writing is restricted of reads what the user may' } : undefined,
    denied !== undefined && !isElevated ? { name: 'denied-reads', field: denied.field ?? 'deny', value: denied.path, detail: 'a token that only writing is restricted of reads what the user may' } : undefined,
    absent !== undefined && isElevated ? { name: 'absent-paths', field: absent.field ?? 'deny', value: absent.path, detail: 'there is nothing that could have an access list' } : undefined,
    glob === undefined ? undefined : { name: 'later-glob-matches', field: glob.field, value: glob.pattern, detail: 'files that match later have no entry that denies them' },
    open.length > 0 ? { name: 'world-writable', field: 'drives', value: open, detail: 'they keep no access lists, so every process may write on them' } : undefined,
    foreign.length > 0 ? { name: 'world-writable', field: 'policy', value: foreign, detail: 'everybody may write there, and you may not change that' } : undefined,
  ]
  const missing = found.filter(each => each !== undefined)
  for (const { name, field, value, detail } of missing) {
    if (!allowDegraded.has(name)) throw notEnforceable(field, value, detail, `Drop the rule, or allow it by name: allowDegraded ["${name}"].${isElevated ? '' : ' The other mode, elevated, holds more.'}`)
  }
  return missing
}

const namesIn = (missing: readonly Missing[], more: readonly DegradationName[]): DegradationName[] => {
  const names = new Set<string>([...missing.map(({ name }) => name), ...more])
  return (Object.keys(DEGRADATIONS) as DegradationName[]).filter(name => names.has(name))
}

/** `unelevated`: somebody has to be allowed to change a list, and that is the user himself. What is not there has none yet. */
export function isOwn(facts: WindowsFacts, path: string): boolean {
  const descriptor = descriptorOf(facts, path)
  return descriptor === undefined || isGranted(plainToken(facts.user.sid, []), descriptor, FILE_RIGHTS.writeDac)
}

function refuseForeignLists(access: WindowsPlan['access'], policy: ResolvedPolicy, facts: WindowsFacts): void {
  const foreign = access.find(({ path }) => !isOwn(facts, path))
  if (foreign === undefined) return
  const rule = policy.paths.find(({ path }) => path === foreign.path)
  throw notEnforceable(rule?.field ?? 'policy', foreign.path, 'you may not change its access list', 'Name a folder that is yours, or set up the other mode: elevated.')
}

function sidOf(setUp: WindowsSetUp, key: string, mode: WindowsMode, roots: readonly string[], root: PathRule | undefined): string {
  const sid = setUp.capabilities[key]
  if (sid === undefined) throw setUpRequired(mode, roots, root?.field ?? 'windows', root?.path ?? mode, root === undefined ? 'nothing was set up yet' : 'this root, with what is closed in it, has no capability yet')
  return sid
}

/** Off, or open through a proxy alone. */
const isClosed = ({ network }: ResolvedPolicy, endpoints: CompileOptions['endpoints']): boolean => network !== 'open' || (endpoints?.proxyPorts?.length ?? 0) > 0

const networkOf = (policy: ResolvedPolicy, mode: WindowsMode, { endpoints }: CompileOptions): WindowsPlan['network'] =>
  isClosed(policy, endpoints) ? mode === 'elevated' ? 'blocked' : 'advised' : 'open'

/** Whose token it is. A proxy's ports are part of the firewall's rules, so others than those of set-up need it again. */
function accountOf(mode: WindowsMode, network: WindowsPlan['network'], { user }: WindowsFacts, setUp: WindowsSetUp, roots: readonly string[], { endpoints }: CompileOptions): { account: WindowsAccount; accounts?: NonNullable<WindowsSetUp['accounts']> } {
  if (mode === 'unelevated') return { account: user }
  const { accounts } = setUp
  if (accounts === undefined) throw setUpRequired(mode, roots, 'windows', mode, 'it has no accounts yet')
  const other = (endpoints?.proxyPorts ?? []).find(port => !setUp.proxyPorts.includes(port))
  if (other !== undefined) throw setUpRequired(mode, roots, 'proxyPorts', other, 'the firewall does not leave this port open')
  return { account: network === 'blocked' ? accounts.offline : accounts.online, accounts }
}

const secretsFile = ({ codexHome }: CompileOptions, { systemRoot }: WindowsFacts): string =>
  // Without a home nothing was set up, and then nothing is found there either.
  joinPath('windows', codexHome ?? systemRoot, STATE_FOLDER, STATE_FILES.secrets)

/** A set-up as it would be, with SIDs that are easily told from each other: `S-1-5-21-7-7-7-1` and on. */
function supposedSetUp(keys: readonly string[], { endpoints }: CompileOptions): WindowsSetUp {
  let drawn = 0
  const { sids } = assignCapabilities(EMPTY_STORE, [...keys, READ_ONLY_KEY], () => ++drawn % 4 === 0 ? drawn / 4 : 7)
  return { version: SET_UP_VERSION, accounts: SUPPOSED_ACCOUNTS, proxyPorts: endpoints?.proxyPorts ?? [], capabilities: sids, prepared: [] }
}

/** Made before the first command, with their entries, and removed after the last where they are still the same and empty. */
function placeholdersOf(policy: ResolvedPolicy, facts: WindowsFacts): WindowsPlaceholder[] {
  const identities = knownIdentities(policy)
  const rules = layer(policy)
  return policy.paths.filter(rule => isPlaceholder(rules, facts, rule)).map(rule => {
    const parent = identities(parentOf('windows', rule.path))
    if (parent === undefined) throw new Error(`the folder of ${rule.path} is not known`)
    return { path: rule.path, parent, kind: kindOf(rule), ...(rule.placeholderText === undefined ? {} : { text: rule.placeholderText }) }
  })
}
