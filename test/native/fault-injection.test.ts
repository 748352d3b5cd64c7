// Every step of the launcher made to fail, one at a time: nothing runs then, the error names the step, and nothing is left.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { SandboxError } from '../../src/errors.js'
import type { Preparation } from '../../src/exec/prepare.js'
import { type Sandbox, startSandbox } from '../../src/exec/sandbox.js'
import type { LinuxNativePlan, MountStep } from '../../src/platform/launch-plan.js'
import { whyNoGroup } from '../support/control-groups.js'
import { locateBwrap } from '../../src/platform/linux/bwrap/find.js'
import { BWRAP, NAMESPACES, prepareOn, type RungVariant, SUPERVISED, SUPERVISED_BEFORE, SUPERVISED_IN_GROUP } from '../support/rungs.js'
import { expectNone } from './host-processes.js'
import { type OwnLauncher, ownLauncher } from './own-launcher.js'
import { makeWorkspace, type Workspace } from './workspace.js'

/** Taken only where control groups hold limits, for which they must be delegated: scripts/verify-cgroups.mjs makes it fail. */
const OF_LIMITS = ['divide_sandbox_group']

/** Taken where control groups hold limits or end commands. */
const OF_GROUPS = ['enter_sandbox_group', 'make_command_group', 'enter_command_group']

/** Steps of one rung only. */
const OF_NAMESPACES = [
  'open_journal', 'unshare_namespaces', 'write_id_maps', 'make_mounts_private', 'clone_devices', 'make_tree_read_only', 'make_devices', 'bind_writable', 'bind_read_only', 'mask', 'pin', 'placeholder',
  'private_directory', 'watch', 'git_operations', 'make_mounts_shared', 'bring_up_loopback', 'forker_death_signal', 'prepare_ruleset', 'recheck', 'slave_mounts', 'mount_proc', 'protect_proc',
]
const OF_SUPERVISION = ['outer_domain', 'adopt_orphans', 'refresh_rules', 'program_landlock']
/** Only inside bwrap. */
const OF_BWRAP = ['check_namespaces', 'check_mounts']
/** What bwrap does itself, or what commands that share a PID namespace have not. */
const NOT_OF_BWRAP = [
  'unshare_namespaces', 'write_id_maps', 'make_mounts_private', 'clone_devices', 'make_tree_read_only', 'make_devices', 'bind_writable', 'bind_read_only', 'mask', 'pin', 'private_directory', 'git_operations',
  'make_mounts_shared', 'bring_up_loopback', 'forker_death_signal', 'prepare_ruleset', 'slave_mounts', 'mount_proc', 'protect_proc', 'outer_domain', 'refresh_rules',
]
/** Only where Landlock does not keep signals inside. */
const OF_OLD_LANDLOCK = ['start_guardian']

/** Read from the file itself, so that a new row is tested at once. */
const STEPS = [...readFileSync('native/linux/steps.def', 'utf8').matchAll(/^STEP\((\w+),\s*(\w+),/gm)].map(([, step, role]) => ({ step: step!, role: role! }))

/** Taken only where a helper runs: test/unit/exec/files makes it fail. */
const OF_HELPERS = ['open_helper']

const KINDS: readonly MountStep['step'][] = ['bind_writable', 'bind_read_only', 'mask', 'pin', 'placeholder', 'watch', 'private_directory']

/** Steps that are taken for a command, not for the sandbox: the sandbox starts, and each of its commands fails. */
const OF_A_COMMAND = ['decode_command', 'placeholder', 'refresh_rules', 'make_streams', 'make_command_group', 'enter_command_group', 'fork_program', 'program_landlock', 'set_limits', 'connect_streams', 'enter_cwd', 'exec']

/** How a failure is told where it is the command's own, and not the sandbox's. */
const OUTCOMES: Readonly<Record<string, object>> = {
  // The program, not the sandbox, is what cannot be had; a shell says 126.
  exec: { result: { exitCode: 126, stderr: 'codex-sandbox: sh: EIO\n' } },
  // The caller named the folder: the error points at its field.
  enter_cwd: { error: { code: 'path_not_found', field: 'cwd' } },
}

const expectedOutcome = (step: string): object => OUTCOMES[step] ?? { error: { code: 'set_up_failed', step, errno: 'EIO' } }

/** Steps that are taken again for each command, or for each init that is prepared for one. */
const AGAIN = STEPS.filter(({ step, role }) => ![...OF_GROUPS, ...OF_LIMITS].includes(step) && !OF_SUPERVISION.includes(step) && (role === 'INIT' || role === 'COMMAND' || ['decode_command', 'make_streams', 'prepare_ruleset', 'fork_command'].includes(step))).map(({ step }) => step)

/** How often a command takes a step, where not once: closing descriptors and setting limits are one step in two calls. */
const TIMES: Readonly<Record<string, number>> = { keep_descriptors: 2 }

function makeFullWorkspace(): Workspace {
  const workspace = makeWorkspace('protected', 'deep/er', 'hidden/open')
  writeFileSync(join(workspace.path, 'deep/er/secret'), 'secret')
  return workspace
}

/** A sandbox that needs every kind of step of its rung. */
async function prepareFull({ path, outside }: Workspace, launcher: OwnLauncher, variant: RungVariant): Promise<Preparation> {
  return prepareOn(variant, {
    cwd: path,
    launcherPath: launcher.path,
    policy: {
      mode: 'workspace-write', tmp: variant.rung === 'namespaces' || variant === BWRAP ? 'private' : 'host', protect: ['protected'], read: [`${path}/hidden/open`],
      deny: [`${path}/hidden`, `${path}/deep/er/secret`, `${outside}/not-there`],
      network: { allowedDomains: ['example.com'], allowLocalPorts: [5432] },
    },
  })
}

async function start(workspace: Workspace, launcher: OwnLauncher, variant: RungVariant = NAMESPACES): Promise<Sandbox> {
  const sandbox = await startSandbox(await prepareFull(workspace, launcher, variant), { launcherPath: launcher.path })
  onTestFinished(() => sandbox.close())
  return sandbox
}

const pick = (from: object, like: object | undefined): object => Object.fromEntries(Object.keys(like ?? {}).map(key => [key, from[key as keyof typeof from]]))

/** Runs a command that makes a file in the workspace; what came of it, in the fields that are expected. */
async function tryCommand(sandbox: Sandbox, marker: string, expected: { result?: object; error?: object }): Promise<object> {
  try {
    return { result: pick(await sandbox.exec(['sh', '-c', `: > ${marker}`]), expected.result ?? { exitCode: 0 }) }
  } catch (error) {
    return failureOf(error, expected)
  }
}

function failureOf(error: unknown, expected: { error?: object }): object {
  if (!(error instanceof SandboxError)) throw error
  return { error: pick(error, expected.error ?? { code: '', step: '', errno: '' }) }
}

const RAN = { result: { exitCode: 0 } }

const ROWS = [
  ...STEPS.filter(({ step }) => ![...OF_SUPERVISION, ...OF_OLD_LANDLOCK, ...OF_GROUPS, ...OF_BWRAP].includes(step)).map(({ step }) => ({ variant: NAMESPACES, step })),
  ...STEPS.filter(({ step }) => ![...OF_NAMESPACES, ...OF_OLD_LANDLOCK, ...OF_GROUPS, ...OF_BWRAP].includes(step)).map(({ step }) => ({ variant: SUPERVISED, step })),
  ...STEPS.filter(({ step }) => ![...NOT_OF_BWRAP, ...OF_OLD_LANDLOCK, ...OF_GROUPS, ...OF_LIMITS].includes(step)).map(({ step }) => ({ variant: BWRAP, step })),
  ...OF_OLD_LANDLOCK.map(step => ({ variant: SUPERVISED_BEFORE, step })),
  ...[...OF_GROUPS, ...OF_OLD_LANDLOCK].map(step => ({ variant: SUPERVISED_IN_GROUP, step })),
]

test.for(ROWS)('$variant.name: $step fails: nothing runs, the error names it, nothing is left', async ({ step, variant }, context) => {
  if (OF_LIMITS.includes(step)) context.skip('no control group of this plan holds limits: scripts/verify-cgroups.mjs makes its step fail where they are delegated')
  const noGroup = variant === SUPERVISED_IN_GROUP ? whyNoGroup() : undefined
  if (noGroup !== undefined) context.skip(noGroup)
  if (variant === BWRAP && locateBwrap(process.env['PATH'] ?? '') === undefined) context.skip('no bwrap is installed')
  if (OF_HELPERS.includes(step)) context.skip('no command of this test runs a helper: files.e2e.test.ts makes its step fail')
  const workspace = makeFullWorkspace()
  const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: step })
  const before = workspace.entries()
  const expected = expectedOutcome(step)

  const started = await start(workspace, launcher, variant).catch((error: unknown) => failureOf(error, expected))

  // The keeper makes what is missing before bwrap starts.
  if (OF_A_COMMAND.includes(step) && !(variant === BWRAP && step === 'placeholder')) {
    // What fails for one command must not be taken for done by the next, be it right behind it or later.
    const tries = Array.from({ length: 3 }, () => tryCommand(started as Sandbox, 'marker', expected))
    expect(await Promise.all(tries)).toEqual(Array.from(tries, () => expected))
    expect(await tryCommand(started as Sandbox, 'marker', expected)).toEqual(expected)
    await (started as Sandbox).close()
  } else {
    expect(started).toEqual(expected)
  }
  await expectNone(launcher.processes)
  expect(workspace.entries()).toEqual(before)
  if (variant === NAMESPACES || (variant === BWRAP && existsSync(join(workspace.outside, 'state/codex-sandbox')))) expect(workspace.journal()).toEqual([])
})

test('supervised, and no step fails: the command runs', async () => {
  const workspace = makeFullWorkspace()
  const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: 'none' })
  const sandbox = await start(workspace, launcher, SUPERVISED)
  expect((sandbox.plan as LinuxNativePlan).supervision?.reads[0]?.closed).toEqual(expect.arrayContaining([`${workspace.path}/hidden`]))
  expect(await tryCommand(sandbox, 'marker', RAN)).toEqual(RAN)
  expect(workspace.entries()).toContain('marker')
})

test('no step fails: the same plan has every kind of step, and its command runs', async () => {
  const workspace = makeFullWorkspace()
  const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: 'none' })
  const sandbox = await start(workspace, launcher)
  const { mounts, seccomp, landlock, network } = sandbox.plan as LinuxNativePlan

  expect(new Set(mounts.map(({ step }) => step))).toEqual(new Set(KINDS))
  expect(mounts.some(each => each.step === 'mask' && each.openings.length > 0)).toBe(true)
  expect({ network, listener: seccomp.listener !== undefined, files: landlock?.files !== undefined }).toEqual({ network: 'private', listener: true, files: true })
  expect(await tryCommand(sandbox, 'marker', RAN)).toEqual(RAN)
  expect(workspace.entries()).toContain('marker')
})

describe('later', () => {
  test.each(AGAIN)('%s fails after some commands: the next ones do not run', async step => {
    const workspace = makeFullWorkspace()
    const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: `${step}@${5 * (TIMES[step] ?? 1)}` })
    const sandbox = await start(workspace, launcher)
    const expected = expectedOutcome(step)
    const ran = (i: number): boolean => i < 5
    const commands = Array.from({ length: 10 }, (_, i) => `marker-${i}`)
    for (const [i, marker] of commands.entries()) {
      const awaited = ran(i) ? RAN : expected
      expect(await tryCommand(sandbox, marker, awaited)).toEqual(awaited)
    }
    await sandbox.close()
    expect(commands.map(marker => existsSync(join(workspace.path, marker)))).toEqual(commands.map((_, i) => ran(i)))
    await expectNone(launcher.processes)
    expect(workspace.journal()).toEqual([])
  })

  test('placeholder fails for the second path: the first one is removed, and no later command runs', async () => {
    const workspace = makeFullWorkspace()
    const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: 'placeholder@1' })
    const before = workspace.entries()
    const sandbox = await start(workspace, launcher)
    const expected = expectedOutcome('placeholder')
    const tries = Array.from({ length: 4 }, () => tryCommand(sandbox, 'marker', expected))
    expect(await Promise.all(tries)).toEqual(Array.from(tries, () => expected))
    await sandbox.close()
    expect(workspace.entries()).toEqual(before)
    expect(workspace.journal()).toEqual([])
  })

  test('recheck fails after the host changed a path: what runs is ended, and no later command runs', async () => {
    const workspace = makeFullWorkspace()
    // The first look is the set-up's.
    const launcher = ownLauncher('fault-injection', { CODEX_SANDBOX_FAIL_STEP: 'recheck@1' })
    const sandbox = await start(workspace, launcher)
    mkdirSync(join(workspace.path, '.git'))
    const expected = expectedOutcome('recheck')
    for (let i = 0; i < 4; i++) expect(await tryCommand(sandbox, 'marker', expected)).toEqual(expected)
    await sandbox.close()
    expect(workspace.entries()).not.toContain('marker')
  })
})

test('each row of steps.def has a place where it can be made to fail', () => {
  const source = readdirSync('native/linux').filter(name => name.endsWith('.c')).map(name => readFileSync(`native/linux/${name}`, 'utf8')).join('\n')
  const places = new Set([...source.matchAll(/\b(?:INJECTED|INJECTED_RAW|TRY|TRY_PROGRAM)\((?:job, )?(\w+)/g)].map(([, name]) => name))
  expect(STEPS.map(({ step }) => step).filter(step => !places.has(step))).toEqual([])
})

test('the launcher that is shipped fails no step on demand', async () => {
  const workspace = makeFullWorkspace()
  const launcher = ownLauncher('release', { CODEX_SANDBOX_FAIL_STEP: 'exec' })
  expect(await tryCommand(await start(workspace, launcher), 'marker', RAN)).toEqual(RAN)
})
