// Mutated TOML as configuration of any layer: it is read or refused with its place, never anything else, and a project's never widens.
// Short here; CONFIG_FUZZ_RUNS says how many, CONFIG_FUZZ_SEED repeats a run.
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { stringify } from 'smol-toml'
import { afterAll, describe, expect, test } from 'vitest'
import { isNarrowerApproval } from '../../src/approval/approval-setting.js'
import { loadConfig, type LoadedConfig } from '../../src/config/load.js'
import { noticesOf } from '../../src/config/load-policy.js'
import { describeConfig, formatConfig } from '../../src/cli/debug-config.js'
import { SandboxError } from '../../src/errors.js'
import { parsePolicy } from '../../src/policy/parse.js'
import { configTables, requirementTables } from '../support/random-config.js'

const RUNS = Number(process.env['CONFIG_FUZZ_RUNS'] ?? 150)
const seed = process.env['CONFIG_FUZZ_SEED']
/** Long runs are asked for by hand. */
const timeout = Math.max(60_000, RUNS * 200)
const parameters = { numRuns: RUNS, ...(seed === undefined ? {} : { seed: Number(seed) }) }

const folder = realpathSync(mkdtempSync('/var/tmp/cs-config-fuzz-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const [codexHome, project, system] = ['home/.codex', 'project', 'system'].map(name => join(folder, name)) as [string, string, string]
for (const each of [codexHome, join(project, '.git'), join(project, '.codex'), system]) mkdirSync(each, { recursive: true })
const FILES = { user: join(codexHome, 'config.toml'), project: join(project, '.codex/config.toml'), system: join(system, 'config.toml'), managed: join(system, 'managed_config.toml'), requirements: join(system, 'requirements.toml') } as const
type FileName = keyof typeof FILES
const NAMES = Object.keys(FILES) as FileName[]

/** Words that mean something to TOML, to JavaScript or to our tables, put where they do not belong. */
const TOKENS = [
  '[', ']', '[[', ']]', '{', '}', '=', ',', '.', '"', '\'', '"""', '\'\'\'', '\\', '\\u0000', '\\U0010FFFF', '#', '\n', '\r', '\r\n', '\0', '\t', '\u0085', '\ud800', '\ufeff', '__proto__', 'constructor', 'toString',
  'true', 'false', 'nan', 'inf', '-0', '1e400', '9223372036854775808', '0x', '1979-05-27', '07:32:00', '[profiles.p]', 'profile = "p"', 'profiles', 'projects', 'network', '[features]', 'network_proxy = true',
  'sandbox_mode = "danger-full-access"', 'approval_policy = "never"', 'a'.repeat(5000), 'a.'.repeat(500), '['.repeat(200), '{a='.repeat(200), 'writable_roots = ["/"]', '[projects."/"]', 'trust_level = "trusted"',
]

type Edit = { readonly kind: 'insert' | 'replace' | 'delete' | 'double'; readonly at: number; readonly length: number; readonly token: string }
const edits = fc.array(fc.record<Edit>({ kind: fc.constantFrom('insert', 'replace', 'delete', 'double'), at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat(40), token: fc.oneof(fc.constantFrom(...TOKENS), fc.string({ maxLength: 3, unit: 'binary' })) }), { maxLength: 4 })

function mutate(text: string, changes: readonly Edit[]): string {
  return changes.reduce((before, { kind, at, length, token }) => {
    const start = Math.floor(at * (before.length + 1))
    const end = kind === 'insert' ? start : start + length
    const middle = kind === 'delete' ? '' : kind === 'double' ? before.slice(start, end).repeat(2) : token
    return before.slice(0, start) + middle + before.slice(end)
  }, text)
}

const tables = configTables(folder)
/** Text of each file, some of them mutated. */
const documents = fc.record({ user: tables, project: tables, system: tables, managed: tables, requirements: requirementTables }).chain(all =>
  fc.record(Object.fromEntries(NAMES.map(name => [name, fc.option(edits, { freq: 2, nil: [] as Edit[] }).map(changes => mutate(stringify(all[name]), changes))])) as Record<FileName, fc.Arbitrary<string>>))

async function load(texts: Partial<Record<FileName, string>>, overrides: readonly string[] = []): Promise<LoadedConfig | SandboxError> {
  for (const name of NAMES) writeFileSync(FILES[name], texts[name] ?? '')
  try {
    return await loadConfig({ codexHome, cwd: project, systemFolder: system, env: { HOME: join(folder, 'home') }, platform: 'linux', overrides: [`projects."${project}".trust_level=trusted`, ...overrides] })
  } catch (error) {
    if (error instanceof SandboxError) return error
    throw error
  }
}

/** The codes that a text may be refused with, and whether they name a place in it. */
const REFUSALS: Readonly<Record<string, boolean>> = { config_invalid: true, config_unreadable: false, profile_not_found: false }

describe('mutated configuration', () => {
  test('is read, or refused with its place', { timeout }, async () => {
    const seen = new Map<string, number>()
    await fc.assert(fc.asyncProperty(documents, async texts => {
      const loaded = await load(texts)
      const outcome = loaded instanceof SandboxError ? loaded.code : 'read'
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1)
      if (!(loaded instanceof SandboxError)) {
        // All that is made of it can be made, and goes through the other door as it is.
        const { policy } = describeConfig(loaded)
        expect(parsePolicy(policy).mode).toBe(policy.mode)
        expect(formatConfig(loaded) + noticesOf(loaded).join('\n')).not.toContain('undefined')
        return
      }
      expect(Object.keys(REFUSALS)).toContain(loaded.code)
      expect(loaded.message).not.toMatch(/[\n\0]/)
      if (!REFUSALS[loaded.code]) return
      const { file = '', line = 0, column = 0 } = loaded.source ?? {}
      const name = NAMES.find(each => FILES[each] === file)
      const lines = name === undefined ? [] : texts[name].split('\n')
      expect(line >= 1 && line <= lines.length && column >= 1 && column <= (lines[line - 1] ?? '').length + 1, `${file}:${line}:${column}`).toBe(true)
    }), parameters)
    // The mutations are neither too mild nor too wild to tell anything.
    expect([...seen.keys()]).toEqual(expect.arrayContaining(['read', 'config_invalid']))
  })

  test('of a project: never wider than without it', { timeout }, async () => {
    let read = 0
    await fc.assert(fc.asyncProperty(tables, tables, edits, async (user, said, changes) => {
      const [without, withIt] = [await load({ user: stringify(user) }), await load({ user: stringify(user), project: mutate(stringify(said), changes) })]
      if (withIt instanceof SandboxError) return
      if (without instanceof SandboxError) throw without
      read++
      const [narrow, wide] = [withIt, without].map(({ config }) => config) as [LoadedConfig['config'], LoadedConfig['config']]
      const MODES = ['read-only', 'workspace-write', 'danger-full-access']
      expect(MODES.indexOf(narrow.sandboxMode)).toBeLessThanOrEqual(MODES.indexOf(wide.sandboxMode))
      expect(wide.workspaceWrite.writableRoots).toEqual(expect.arrayContaining([...narrow.workspaceWrite.writableRoots]))
      expect(isNarrowerApproval(narrow.approvalPolicy, wide.approvalPolicy)).toBe(true)
      expect(narrow.shellEnvironmentPolicy.set).toEqual(wide.shellEnvironmentPolicy.set)
      expect(wide.network.allowedDomains ?? []).toEqual(expect.arrayContaining([...narrow.network.allowedDomains ?? []]))
      expect(['off', 'proxied', 'open'].indexOf(withIt.policy().network)).toBeLessThanOrEqual(['off', 'proxied', 'open'].indexOf(without.policy().network))
      expect(withIt.profile).toBe(without.profile)
      expect(withIt.trust).toBe('trusted')
    }), parameters)
    expect(read).toBeGreaterThan(RUNS / 20)
  })

  test('-c of any text is taken or refused in words', { timeout }, async () => {
    const texts = fc.tuple(fc.constantFrom('sandbox_mode', 'sandbox_workspace_write.writable_roots', 'shell_environment_policy.set.A', 'network.domains."a.org"', 'projects."/x".trust_level', 'profile', 'model'), fc.constantFrom('=read-only', '=["/a"]', '="x"', '={ a = 1 }', '=allow', '='), edits)
      .map(([key, value, changes]) => mutate(key + value, changes))
    await fc.assert(fc.asyncProperty(texts, async text => {
      const loaded = await load({}, [text])
      if (loaded instanceof SandboxError) {
        expect(['config_invalid', 'option_invalid', 'profile_not_found']).toContain(loaded.code)
        expect(loaded.message).not.toMatch(/[\n\0]/)
      }
    }), parameters)
  })
})
