// Laws that hold for any configuration: a project only narrows, requirements bound everything, and each value is its layer's.
// The reference for each is said here in a few lines of its own, and shares no code with src/config.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { stringify } from 'smol-toml'
import { afterAll, describe, expect, test } from 'vitest'
import { loadConfig, type LoadConfigOptions, type LoadedConfig } from '../../../src/config/load.js'
import { QUESTIONS } from '../../../src/approval/approval-setting.js'
import { makeEnvironment } from '../../../src/exec/environment.js'
import { realFiles } from '../../../src/host/snapshot.js'
import { compileDomains, decideName } from '../../../src/policy/domains.js'
import { decide } from '../../../src/policy/decide.js'
import { parsePolicy } from '../../../src/policy/parse.js'
import { policyObject } from '../../../src/policy/policy-object.js'
import { resolve } from '../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../src/policy/sandbox-policy.js'
import { configTables, requirementTables } from '../../support/random-config.js'

const RUNS = Number(process.env['CONFIG_RUNS'] ?? 30)
/** Long runs are asked for by hand. */
const timeout = Math.max(120_000, RUNS * 2000)
const folder = realpathSync(mkdtempSync('/var/tmp/cs-laws-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const [codexHome, project, system, tmpdir] = ['home/.codex', 'project', 'system', 'tmp/mine'].map(name => join(folder, name)) as [string, string, string, string]
for (const each of [codexHome, join(project, '.git'), join(project, '.codex'), join(project, 'sub/.git'), system, join(tmpdir, '.git')]) mkdirSync(each, { recursive: true })

type Tables = Readonly<Record<string, unknown>>
const FILES = { system: join(system, 'config.toml'), user: join(codexHome, 'config.toml'), project: join(project, '.codex/config.toml'), managed: join(system, 'managed_config.toml'), requirements: join(system, 'requirements.toml') }

async function load(tables: { readonly [Name in keyof typeof FILES]?: Tables | undefined }, options: Partial<LoadConfigOptions> = {}): Promise<LoadedConfig> {
  for (const [name, file] of Object.entries(FILES)) writeFileSync(file, stringify(tables[name as keyof typeof FILES] ?? {}))
  return loadConfig({ codexHome, cwd: project, systemFolder: system, env: { HOME: join(folder, 'home'), TMPDIR: tmpdir }, platform: 'linux', ...options })
}
const trusted = (user: Tables): Tables => ({ ...user, projects: { [project]: { trust_level: 'trusted' } } })

/* What commands may do under a policy: asked of the policy itself, not of its fields. */

const PATHS = [
  ...['', '/x', '/.git', '/.git/config', '/.codex/config.toml', '/sub', '/sub/x', '/sub/.git', '/sub/.git/hooks', '/new/x'].map(path => project + path),
  ...['/x', '/.git/config'].map(path => tmpdir + path), '/tmp/x', '/data/x', '/data/sub/x', '/data/sub/.git/x', '/other/x', '/etc/x', '/x', join(folder, 'home/x'), join(folder, 'home/.codex/config.toml'), FILES.system, FILES.requirements,
]
const TARGETS = ['a.org', 'b.a.org', 'c.b.a.org', 'b.org', 'c.org', 'd.org', '10.1.2.3', '10.2.3.4', '127.0.0.1', '8.8.8.8'].flatMap(host => [443, 80].map(port => ({ host, port })))
const VARIABLES = { PATH: '/bin', HOME: '/h', A1: 'a', B: 'b', MY_TOKEN: 't', OTHER: 'o' }

/** A file system in which all roots are there, beside what is. */
const ROOTS = new Set(['/data', '/data/sub', '/other', '/tmp'])
const files = realFiles()
const snapshot = {
  platform: 'linux' as const, cwd: project, home: join(folder, 'home'), tmpdir, codexHome, uid: 1000, gid: 1000, selfPaths: [],
  files: { ...files, entry: (path: string) => ROOTS.has(path) ? { kind: 'directory' as const, device: 'd', inode: path } : files.entry(path) },
}

interface Powers {
  readonly allowed: Set<string>
  /** And what somebody may be asked about. */
  readonly asked: Set<string>
}

function powersOf(policy: SandboxPolicy): Powers {
  const { allowed, asked } = networkPowers(policy)
  const resolved = resolve(policy, snapshot, { cwd: project, allowBroadRoots: true })
  for (const path of PATHS) for (const kind of ['read', 'write', 'create'] as const) if (decide(resolved, { kind, path }, snapshot.files).verdict === 'allow') allowed.add(`${kind} ${path}`)
  for (const name of Object.keys(makeEnvironment(policy.env, VARIABLES, policy.network === 'open' ? 'open' : 'off').variables)) if (name !== 'CODEX_SANDBOX_NETWORK_DISABLED') allowed.add(`variable ${name}`)
  for (const one of allowed) asked.add(one)
  return { allowed, asked }
}

function networkPowers({ mode, network, networkRules: rules }: SandboxPolicy): Powers {
  // Nothing is held there.
  const allowed = new Set<string>(mode === 'danger-full-access' ? ['socket /run/a', 'socket /run/b', 'dangerouslyAllowAllUnixSockets', 'allowLocalBinding', 'allowUpstreamProxy'] : [])
  const asked = new Set<string>()
  for (const target of TARGETS) {
    const name = `connect ${target.host}:${target.port}`
    if (network === 'open') allowed.add(name).add(`${name} POST`)
    if (network !== 'proxied' || rules === undefined) continue
    const domains = compileDomains(rules)
    for (const [words, request] of [['', { ...target, protocol: 'http', method: 'GET' }], [' POST', { ...target, protocol: 'http', method: 'POST' }]] as const) {
      const { verdict } = decideName(domains, request)
      if (verdict === 'allow') allowed.add(name + words)
      if (verdict !== 'deny') asked.add(name + words)
    }
  }
  for (const socket of rules?.allowUnixSockets ?? []) allowed.add(`socket ${socket}`)
  for (const key of ['dangerouslyAllowAllUnixSockets', 'allowLocalBinding', 'allowUpstreamProxy'] as const) if (rules?.[key] === true) allowed.add(key)
  for (const one of allowed) asked.add(one)
  return { allowed, asked }
}

/** Of the approval policy: what happens without a question, and which questions there are. */
function approvalsOf({ config: { approvalPolicy: policy } }: LoadedConfig): Set<string> {
  const questions = policy === 'never' ? [] : typeof policy === 'string' ? QUESTIONS : QUESTIONS.filter(question => policy.asks[question])
  return new Set([...policy === 'untrusted' ? [] : ['unasked'], ...questions.map(question => `ask ${question}`)])
}
const others = ({ config }: LoadedConfig): Set<string> =>
  new Set([...config.allowLoginShell ? ['login shell'] : [], ...[1, 1000, 300_000, 400_000].filter(timeout => timeout <= config.backgroundTerminalMaxTimeoutMs).map(timeout => `timeout ${timeout}`)])

const beyond = (narrow: ReadonlySet<string>, wide: ReadonlySet<string>): string[] => [...narrow].filter(each => !wide.has(each))

const tables = configTables(folder)

describe('a project only narrows', () => {
  test('whatever it says, and whatever the user says, nothing may be done that may not be done without it', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, async (user, said) => {
      const [without, withIt] = [await load({ user: trusted(user) }), await load({ user: trusted(user), project: said })]
      const [narrow, wide] = [powersOf(withIt.policy()), powersOf(without.policy())]
      expect(beyond(narrow.allowed, wide.allowed)).toEqual([])
      expect(beyond(narrow.asked, wide.asked)).toEqual([])
      expect(beyond(approvalsOf(withIt), approvalsOf(without))).toEqual([])
      expect(beyond(others(withIt), others(without))).toEqual([])
      expect(withIt.config.windowsSandbox).toBe(without.config.windowsSandbox)
      expect(withIt.config.features).toEqual(without.config.features)
      expect(withIt.config.shellEnvironmentPolicy.set).toEqual(without.config.shellEnvironmentPolicy.set)
      // In every mode that a request may choose as well.
      for (const sandboxMode of ['read-only', 'workspace-write'] as const) {
        expect(beyond(powersOf(withIt.policy({ sandboxMode })).asked, powersOf(without.policy({ sandboxMode })).asked)).toEqual([])
      }
    }), { numRuns: RUNS })
  })
  test('whatever of both concerns the network, which mode, rules and two switches say together', { timeout }, async () => {
    const said = fc.record({
      sandbox_mode: fc.constantFrom('read-only', 'workspace-write', 'danger-full-access'),
      sandbox_workspace_write: fc.record({ network_access: fc.boolean() }, { requiredKeys: [] }),
      network: fc.record({ enabled: fc.boolean(), mode: fc.constantFrom('full', 'limited'), allowed_domains: fc.subarray(['a.org', 'b.org']), denied_domains: fc.subarray(['a.org', 'c.org']) }, { requiredKeys: [] }),
    }, { requiredKeys: [] })
    await fc.assert(fc.asyncProperty(said, said, async (user, project) => {
      const [without, withIt] = [await load({ user: trusted(user) }), await load({ user: trusted(user), project })]
      for (const choices of [{}, { sandboxMode: 'read-only' as const }, { sandboxMode: 'workspace-write' as const }]) {
        const [narrow, wide] = [networkPowers(withIt.policy(choices)), networkPowers(without.policy(choices))]
        expect(beyond(narrow.allowed, wide.allowed)).toEqual([])
        expect(beyond(narrow.asked, wide.asked)).toEqual([])
      }
    }), { numRuns: RUNS * 3 })
  })
  test('what the user says above it, by -c, holds as it does without it', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, tables, async (user, said, above) => {
      const flags = { overrides: Object.entries(above).map(([key, value]) => `${key}=${inline(value)}`) }
      const [without, withIt] = [await load({ user: trusted(user) }, flags), await load({ user: trusted(user), project: said }, flags)]
      for (const key of ['sandbox_mode', 'approval_policy', 'allow_login_shell', 'background_terminal_max_timeout']) if (above[key] !== undefined) expect(withIt.tables[key]).toEqual(without.tables[key])
    }), { numRuns: Math.ceil(RUNS / 3) })
  })
  test('one that is not trusted changes nothing at all', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, fc.constantFrom({}, { projects: { [project]: { trust_level: 'untrusted' } } }, { projects: { [folder]: { trust_level: 'trusted' } } }), async (user, said, trust) => {
      const mine = { ...user, ...trust }
      const [without, withIt] = [await load({ user: mine }), await load({ user: mine, project: said })]
      expect(withIt.config).toEqual(without.config)
      expect(withIt.tables).toEqual(without.tables)
      expect(withIt.policy()).toEqual(without.policy())
    }), { numRuns: Math.ceil(RUNS / 3) })
  })
})

const inline = (value: unknown): string => Array.isArray(value) ? `[${value.map(inline).join(', ')}]`
  : typeof value === 'object' && value !== null ? `{ ${Object.entries(value).map(([key, each]) => `${JSON.stringify(key)} = ${inline(each)}`).join(', ')} }` : JSON.stringify(value)

interface Required {
  readonly allowed_sandbox_modes?: string[]
  readonly allowed_approval_policies?: unknown[]
  readonly allowed_windows_sandbox_implementations?: string[]
  readonly network?: { enabled?: boolean; allowed_domains?: string[]; denied_domains?: string[]; managed_allowed_domains_only?: boolean; allow_unix_sockets?: string[]; allow_local_binding?: boolean; allow_upstream_proxy?: boolean; dangerously_allow_all_unix_sockets?: boolean }
  readonly permissions?: { filesystem?: { deny_read?: string[] } }
}

/** What a policy must keep to, in the words of the requirements. */
function breaches(policy: SandboxPolicy, required: Required): string[] {
  const found: string[] = []
  if (required.allowed_sandbox_modes?.includes(policy.mode) === false) found.push(`mode ${policy.mode}`)
  const { network } = required
  const domains = compileDomains({ mode: 'full', allowedDomains: network?.allowed_domains ?? [], deniedDomains: network?.denied_domains ?? [] })
  // What no sandbox is made of has no powers.
  const powers = policy.mode === 'danger-full-access' ? undefined : orConflict(() => powersOf(policy))
  if (network !== undefined && Object.keys(network).length > 0) {
    if (policy.network === 'open') found.push('an open network')
    if (network.enabled === false && policy.network !== 'off') found.push('a network')
    for (const target of TARGETS) {
      const name = `connect ${target.host}:${target.port}`
      const { verdict } = decideName(domains, { ...target, protocol: 'http', method: 'GET' })
      if (network.allowed_domains !== undefined && verdict !== 'allow' && powers?.allowed.has(name) === true) found.push(`${name} is not among the allowed`)
      if (verdict === 'deny' && network.denied_domains?.includes(target.host) === true && powers?.asked.has(name) === true) found.push(`${name} is denied`)
      if (network.managed_allowed_domains_only === true && verdict !== 'allow' && powers?.asked.has(name) === true) found.push(`${name} is asked about`)
    }
    for (const socket of policy.networkRules?.allowUnixSockets ?? []) if (network.allow_unix_sockets?.includes(socket) === false) found.push(`socket ${socket}`)
    if (network.allow_local_binding === false && policy.networkRules?.allowLocalBinding === true) found.push('allow_local_binding')
    if (network.allow_upstream_proxy === false && policy.networkRules?.allowUpstreamProxy === true) found.push('allow_upstream_proxy')
    if ((network.dangerously_allow_all_unix_sockets === false || network.allow_unix_sockets !== undefined) && policy.networkRules?.dangerouslyAllowAllUnixSockets === true) found.push('all sockets')
  }
  const hidden = required.permissions?.filesystem?.deny_read ?? []
  if (hidden.length > 0 && (policy.mode === 'danger-full-access' || policy.mode === 'external-sandbox' || hidden.some(path => !policy.deny.includes(path) || policy.requiredDeny?.includes(path) !== true))) found.push('deny_read')
  for (const path of PATHS) if (powers?.allowed.has(`read ${path}`) === true && hidden.some(each => path === each || path.startsWith(`${each}/`))) found.push(`${path} is read`)
  return found
}

describe('requirements bound everything', () => {
  test('whatever the layers say', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, tables, requirementTables, async (user, said, managed, required) => {
      const loaded = await load({ user: trusted(user), project: said, managed, requirements: required })
      expect(breaches(loaded.policy(), required)).toEqual([])
      const bounds = required as Required
      const { allowedApprovalPolicies } = loaded.requirements ?? {}
      if (bounds.allowed_approval_policies !== undefined) expect(allowedApprovalPolicies?.value).toContainEqual(loaded.config.approvalPolicy)
      if (bounds.allowed_windows_sandbox_implementations !== undefined && loaded.config.windowsSandbox !== undefined) expect(bounds.allowed_windows_sandbox_implementations).toContain(loaded.config.windowsSandbox)
      for (const sandboxMode of ['read-only', 'workspace-write', 'danger-full-access'] as const) {
        const chosen = orConflict(() => loaded.policy({ sandboxMode }))
        if (chosen !== undefined) expect(breaches(chosen, required)).toEqual([])
      }
    }), { numRuns: RUNS })
  })
  test('and whatever one request asks for: it is refused, or bounded', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, requirementTables, async (user, asked, required) => {
      const free = await load({ user: asked })
      const loaded = await load({ user, requirements: required })
      const request = free.policy()
      const bounded = orConflict(() => loaded.bound(request))
      if (bounded === undefined) expect(Object.keys(required)).not.toEqual([])
      else {
        expect(breaches(bounded, required)).toEqual([])
        // What was asked for and is allowed is not lost.
        expect({ ...bounded, deny: request.deny, requiredDeny: request.requiredDeny, networkRules: undefined }).toEqual({ ...request, requiredDeny: request.requiredDeny, networkRules: undefined })
        expect(bounded.networkRules?.allowedDomains).toEqual(request.networkRules?.allowedDomains)
      }
    }), { numRuns: RUNS })
  })
})

function orConflict<Made>(step: () => Made): Made | undefined {
  try {
    return step()
  } catch (error) {
    if ((error as { code?: string }).code === 'requirement_conflict') return undefined
    throw error
  }
}

describe('each value is its layer\'s', () => {
  const SCALARS = ['sandbox_mode', 'approval_policy', 'allow_login_shell', 'background_terminal_max_timeout', 'sandbox_workspace_write.network_access', 'sandbox_workspace_write.exclude_slash_tmp', 'sandbox_workspace_write.writable_roots', 'shell_environment_policy.inherit', 'shell_environment_policy.set.A1', 'network.mode', 'network.enabled', 'model'] as const
  const at = (tree: unknown, key: string): unknown => key.split('.').reduce<unknown>((table, name) => typeof table === 'object' && table !== null ? (table as Record<string, unknown>)[name] : undefined, tree)

  test('without a project: the strongest that says it, and its value', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, tables, tables, tables, async (systemSays, user, profile, flags, managed) => {
      const overrides = Object.entries(flags).map(([key, value]) => `${key}=${inline(value)}`)
      const loaded = await load({ system: systemSays, user: { ...user, profile: 'p', profiles: { p: profile } }, managed }, { overrides })
      const layers = [['managed-config', managed], ['session-flags', flags], ['profile', profile], ['user', user], ['system', systemSays]] as const
      for (const key of SCALARS) {
        const [name, says] = layers.find(([, each]) => at(each, key) !== undefined) ?? []
        const origin = loaded.origins.get(key)
        if (name === undefined) expect(origin?.name ?? 'built-in').toBe('built-in')
        else {
          expect(`${key} ${origin?.name}`).toBe(`${key} ${name}`)
          expect(at(loaded.tables, key)).toEqual(at(says, key))
          expect(at(origin?.config, key)).toEqual(at(says, key))
        }
      }
    }), { numRuns: RUNS })
  })
  test('every value of the tables has one, and every one a value', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, async (user, said) => {
      const { tables: merged, origins } = await load({ user: trusted(user), project: said })
      const keys: string[] = []
      const walk = (table: object, path: string): void => {
        for (const [name, value] of Object.entries(table)) {
          const key = `${path}${path === '' ? '' : '.'}${/^[\w-]+$/.test(name) ? name : JSON.stringify(name)}`
          if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value as object).length > 0 && key !== 'approval_policy') walk(value as object, key)
          else keys.push(key)
        }
      }
      walk(merged, '')
      expect([...origins.keys()].sort()).toEqual(keys.sort())
    }), { numRuns: RUNS })
  })
  test('with a project: its own where it narrowed, else as without it', { timeout }, async () => {
    await fc.assert(fc.asyncProperty(tables, tables, async (user, said) => {
      const [without, withIt] = [await load({ user: trusted(user) }), await load({ user: trusted(user), project: said })]
      for (const [key, { name }] of withIt.origins) {
        if (name === 'project') expect(at(said, key)).toBeDefined()
        else expect({ key, name, value: at(withIt.tables, key) }).toEqual({ key, name: without.origins.get(key)?.name, value: at(without.tables, key) })
      }
    }), { numRuns: RUNS })
  })
})

test('a policy from configuration can be written down, and is the same when it is read again', { timeout }, async () => {
  await fc.assert(fc.asyncProperty(tables, requirementTables, async (user, requirements) => {
    const policy = (await load({ user, requirements })).policy()
    expect(parsePolicy(JSON.parse(JSON.stringify(policyObject(policy))))).toEqual(policy)
  }), { numRuns: RUNS * 2 })
})
