// One attack on the supervised rung: a program whose threads change what its calls mean, in a sandbox or (the control) without, and what
// the files that it may not change looked like before and after, seen from outside.
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createSandbox } from '../../src/exec/sandbox.js'

export interface AttackOptions {
  /** test/escape/programs/race-files.c, compiled. */
  readonly program: string
  /** It stops at what comes first. */
  readonly attempts: number
  readonly seconds: number
  readonly sandboxed: boolean
  /** How `secret` is closed. What is made beside a denied path is not readable before the next sandbox, so some calls then fail earlier. */
  readonly secret: 'protected' | 'denied'
  /** The attacker's folders are there before the sandbox: then the kernel alone decides about what lies in them. */
  readonly granted: boolean
}

export interface AttackOutcome {
  /** What the program counted. `reached`: descriptors of files that may not be changed, open for writing. */
  readonly counted: { readonly attempts: number; readonly succeeded: number; readonly reached: number; readonly exchanges: number; readonly failed: boolean; readonly operations: Readonly<Record<string, readonly [attempts: number, succeeded: number]>> }
  /** Mode, owner, links, inode, size, times, content and attributes of each file and folder. */
  readonly before: string
  readonly after: string
}

export async function attackSupervised({ program, attempts, seconds, sandboxed, secret, granted }: AttackOptions): Promise<AttackOutcome> {
  const base = realpathSync(mkdtempSync('/var/tmp/supervised-attack-'))
  const [work, outside] = [join(base, 'work'), join(base, 'outside')]
  for (const folder of ['.git/hooks', 'secret', '../outside', ...(granted ? ['src/carried', 'sw', 'dx/in', 'dy'] : [])]) mkdirSync(join(work, folder), { recursive: true })
  for (const file of ['.git/config', '.git/hooks/pre-commit', 'secret/config', '../outside/config']) writeFileSync(join(work, file), `${file}, as it was\n`)
  symlinkSync('../outside', join(work, 'outs'))
  const look = () => execFileSync(program, ['look', join(work, '.git'), join(work, '.codex'), join(work, '.agents'), join(work, 'secret'), outside], { encoding: 'utf8' })
  const words = [program, 'attack', String(attempts), String(seconds)] as const
  try {
    const before = look()
    const printed = sandboxed ? await runInside(work, secret, words) : (await promisify(execFile)(words[0], words.slice(1), { cwd: work })).stdout
    return { counted: JSON.parse(printed) as AttackOutcome['counted'], before, after: look() }
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

async function runInside(work: string, secret: 'protected' | 'denied', words: readonly string[]): Promise<string> {
  const policy = { mode: 'workspace-write' as const, ...(secret === 'denied' ? { deny: [join(work, 'secret')] } : { protect: ['secret'] }) }
  const sandbox = await createSandbox({ cwd: work, policy, rung: 'supervised', observe: 'off' })
  try {
    const result = await sandbox.exec([...words])
    if (result.exitCode !== 0) throw new Error(`the attacker ended with ${result.exitCode}: ${result.stderr}`)
    return result.stdout
  } finally {
    await sandbox.close()
  }
}
