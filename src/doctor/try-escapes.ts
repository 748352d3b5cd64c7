// Runs escape attempts, each in folders made for it alone, and says what came of each.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { SandboxError } from '../errors.js'
import { takeSnapshot } from '../host/snapshot.js'
import type { BackendName, DegradationName, Rung } from '../platform/launch-plan.js'
import { presetPolicy } from '../policy/presets.js'
import type { SandboxPolicy } from '../policy/sandbox-policy.js'
import { type EscapeAttempt, findProgram, type Need, type Scene, type SupervisedForm, textOf } from './escapes/attempt.js'
import { fileState, firstChange } from './file-state.js'

/** `refused`: the sandbox declined to run it at all, which keeps its promise. `failed`: the attempt itself went wrong. */
export type Outcome =
  | { readonly outcome: 'held' }
  | { readonly outcome: 'escaped'; readonly evidence: string }
  | { readonly outcome: 'refused' | 'skipped' | 'failed'; readonly reason: string }

export type TwinOutcome = { readonly outcome: 'works' } | { readonly outcome: 'broken'; readonly reason: string }

export interface AttemptResult {
  readonly attempt: EscapeAttempt
  readonly result: Outcome
  /** Whether what must work did; undefined where the attempt has no twin or did not run. */
  readonly twin: TwinOutcome | undefined
}

/** The little of a sandbox that attempts use; a test gives one that confines nothing. */
export interface AttemptSandbox {
  /** Absent where the back end knows no rungs. */
  readonly rung?: Rung
  /** Absent: nothing differs by it. */
  readonly backend?: BackendName
  run(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<string>
  runOnTerminal(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<string>
  close(): Promise<void>
}
export type MakeSandbox = (policy: SandboxPolicy, cwd: string, allowDegraded: readonly DegradationName[]) => Promise<AttemptSandbox>

/** Runs one attempt and its twin. Throws nothing but what means a bug. */
export async function tryEscape(attempt: EscapeAttempt, makeSandbox: MakeSandbox): Promise<AttemptResult> {
  const lacking = (attempt.needs ?? []).find(need => !HAS[need].has())
  if (lacking !== undefined) return { attempt, result: { outcome: 'skipped', reason: HAS[lacking].reason }, twin: undefined }
  const result = await onStage(attempt, makeSandbox, runAttack)
  if (attempt.can === undefined || result.outcome === 'skipped' || result.outcome === 'failed') return { attempt, result, twin: undefined }
  return { attempt, result, twin: await onStage(attempt, makeSandbox, runTwin) }
}

const HAS: Record<Need, { has: () => boolean; reason: string }> = {
  python3: { has: () => findProgram('python3') !== undefined, reason: 'python3 is not installed' },
  git:     { has: () => findProgram('git') !== undefined,     reason: 'git is not installed' },
  root:    { has: () => process.getuid?.() === 0,             reason: 'only root could do it on this machine' },
  macos:   { has: () => takeSnapshot({ selfPaths: [] }).platform === 'macos', reason: 'only macOS has what it tries' },
  x64:     { has: () => process.arch === 'x64',               reason: 'only x64 has this entry' },
}

interface Stage {
  readonly scene: Scene
  /** Makes the scene's sandbox; `scene.run` works from then on. Returns the attempt as it is made there. */
  open(): Promise<EscapeAttempt>
  /** Closes every sandbox of the scene. */
  close(): Promise<void>
}

async function runAttack(attempt: EscapeAttempt, { scene, open, close }: Stage): Promise<Outcome> {
  try {
    await attempt.prepare?.(scene)
  } catch (error) {
    return { outcome: 'failed', reason: `it could not be prepared: ${wordsOf(error)}` }
  }
  const held = [scene.outside, ...(attempt.unchanged ?? []).map(path => `${scene.workspace}/${path}`)]
  const before = fileState(held)
  let refusal: string | undefined
  let there = attempt
  try {
    there = await open()
    await there.attack(scene)
  } catch (error) {
    if (!(error instanceof SandboxError)) return { outcome: 'failed', reason: wordsOf(error) }
    refusal = error.message
  }
  await close()
  const leaked = textOf(scene.leak).trim()
  const evidence = firstChange(before, fileState(held)) ?? (leaked === '' ? undefined : leaked.replaceAll('\n', '; ')) ?? await there.evidence?.(scene)
  if (refusal !== undefined) return { outcome: 'refused', reason: refusal }
  return evidence === undefined ? { outcome: 'held' } : { outcome: 'escaped', evidence }
}

async function runTwin(attempt: EscapeAttempt, { scene, open, close }: Stage): Promise<TwinOutcome> {
  let trouble = 'its command ran, but without the effect that it must have'
  try {
    await attempt.prepare?.(scene)
    const { can } = await open()
    await can?.act(scene)
  } catch (error) {
    trouble = wordsOf(error)
  }
  await close()
  if (existsSync(`${scene.workspace}/can`)) return { outcome: 'works' }
  const said = scene.notes.get('last output')?.trim()
  return { outcome: 'broken', reason: said === undefined || said === '' ? trouble : `${trouble}: ${said}` }
}

/** Makes the folders and the scene, lets `act` play, and takes all away again. */
async function onStage<Result>(attempt: EscapeAttempt, makeSandbox: MakeSandbox, act: (attempt: EscapeAttempt, stage: Stage) => Promise<Result>): Promise<Result> {
  const root = realpathSync(mkdtempSync(`${tmpdir()}/codex-sandbox-escape-`))
  const workspace = `${root}/workspace`
  const outside = `${root}/outside`
  mkdirSync(workspace)
  mkdirSync(outside)
  const env = { W: workspace, O: outside, LEAK: `${workspace}/leak` }
  const undo: (() => void | Promise<void>)[] = []
  const open = new Set<AttemptSandbox>()
  let own: AttemptSandbox | undefined

  const make = async (policy: Partial<SandboxPolicy>): Promise<AttemptSandbox> => {
    const sandbox = await makeSandbox({ ...presetPolicy('workspace-write', 'library'), excludeSlashTmp: true, excludeTmpdirEnvVar: true, ...policy }, workspace, attempt.allowDegraded ?? [])
    open.add(sandbox)
    return sandbox
  }
  const opened = (): AttemptSandbox => {
    if (own === undefined) throw new Error('the scene has no sandbox yet')
    return own
  }
  const note = async (running: Promise<string>): Promise<string> => {
    const output = await running
    scene.notes.set('last output', output)
    return output
  }
  const scene: Scene = {
    id: root.slice(-6), workspace, outside, leak: env.LEAK, notes: new Map(),
    run: argv => note(opened().run(argv, env)),
    runOnTerminal: argv => note(opened().runOnTerminal(argv, env)),
    another: async policy => {
      const sandbox = await make(policy)
      return { run: argv => sandbox.run(argv, env), close: async () => { open.delete(sandbox); await sandbox.close() } }
    },
    defer: step => { undo.push(step) },
  }
  const close = async (): Promise<void> => {
    for (const sandbox of open) await sandbox.close()
    open.clear()
  }
  try {
    return await act(attempt, {
      scene, close,
      open: async () => {
        own = await make(attempt.policy?.(scene) ?? {})
        return { ...attempt, ...formOf(attempt, own) }
      },
    })
  } finally {
    await close()
    for (const step of undo.reverse()) await step()
    removeStage(root)
  }
}

function formOf({ supervised, bwrap }: EscapeAttempt, { rung, backend }: AttemptSandbox): SupervisedForm | undefined {
  if (backend === 'linux-bwrap') return bwrap === 'as supervised' ? supervised : bwrap
  return rung === 'supervised' ? supervised : undefined
}

function removeStage(root: string): void {
  try {
    rmSync(root, { recursive: true, force: true })
  } catch (error) {
    // A mount that an escape left there: it is the escape that must be reported.
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error
  }
}

const wordsOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
