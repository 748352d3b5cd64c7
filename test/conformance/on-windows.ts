// The table on a Windows machine, for scripts/verify-windows.ps1: bundled, and run by Node there with the built package. Each row has a scene of
// its own in the user's profile, which is set up for it; each access is tried by a command, and judged by what it left or reached outside.
// Prints TAP. Never run yet: nobody has had a Windows machine for it.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { SandboxError } from '../../src/errors.js'
import { hostCompletion, resolvePolicy, snapshotFor } from '../../src/exec/prepare.js'
import { createParsedSandbox, type Sandbox } from '../../src/exec/sandbox.js'
import { loadWindowsAddon } from '../../src/platform/windows/addon.js'
import type { DegradationName, WindowsMode } from '../../src/platform/launch-plan.js'
import { openWindowsSetUp } from '../../src/platform/windows/setup/open.js'
import { presetPolicy } from '../../src/policy/presets.js'
import type { SandboxPolicy } from '../../src/policy/sandbox-policy.js'
import type { Tree } from '../support/fake-host.js'
import { type Group, type Row, SCENE, TABLE } from './table.js'

const mode = process.argv[2] as WindowsMode
const only = process.argv[3]
const [home, codexHome] = [required('USERPROFILE'), required('CODEX_HOME')]
const calls = openWindowsSetUp({ addon: loadWindowsAddon(), codexHome })
const completion = await hostCompletion()

/** What %TEMP% is to commands: small, so that its walk takes no time. */
const temp = mkdtempSync(join(home, 'codex-sandbox-temp-'))
process.env['TEMP'] = process.env['TMP'] = temp

/** Held by the account alone, or by nothing here: the plan says so, and the row is not judged. */
const NOT_HELD: Record<WindowsMode, readonly DegradationName[]> = {
  elevated: ['restricted-reads', 'absent-paths', 'later-glob-matches', 'world-writable'],
  unelevated: ['network', 'denied-reads', 'restricted-reads', 'absent-paths', 'later-glob-matches', 'world-writable'],
}
const READS: readonly Row['access'][] = ['read', 'list', 'execute']

function whyNotTried({ access, path }: Row): string | undefined {
  if (access === 'unix-connect') return 'nothing on Windows tells who made a socket'
  if (path.startsWith('/')) return 'Windows has no /tmp'
  // The scene's program is a script for a shell that Windows does not have.
  return access === 'execute' ? 'the table\'s program is a shell script' : undefined
}

function whyNotJudged({ access, verdict }: Row, degraded: readonly DegradationName[]): string | undefined {
  if (verdict === 'allow') return undefined
  const by: DegradationName | undefined = READS.includes(access) ? (['denied-reads', 'restricted-reads'] as const).find(name => degraded.includes(name)) : access === 'connect' ? degraded.find(name => name === 'network') : access === 'create' ? degraded.find(name => name === 'absent-paths') : undefined
  return by === undefined ? undefined : `not held here: ${by}`
}

let number = 0
const counts = { pass: 0, fail: 0, skip: 0 }
function tell(ok: boolean, name: string, more: { readonly skip?: string; readonly why?: string } = {}): void {
  number++
  counts[more.skip !== undefined ? 'skip' : ok ? 'pass' : 'fail']++
  console.log(`${ok ? 'ok' : 'not ok'} ${number} - ${name.replaceAll('#', '\\#')}${more.skip === undefined ? '' : ` # SKIP ${more.skip}`}`)
  if (more.why !== undefined) console.log(more.why.split('\n').map(line => `  # ${line}`).join('\n'))
}

for (const group of TABLE) {
  for (const row of group.rows) {
    const name = `${mode}: ${group.name}: ${row.verdict} ${row.access} ${row.path}`
    if (only !== undefined && !name.includes(only)) continue
    const skip = whyNotTried(row)
    if (skip !== undefined) tell(true, name, { skip })
    else await tryRow(group, row, name)
  }
}
rmSync(temp, { recursive: true, force: true })
console.log(`1..${number}\n# conformance ${mode}: pass ${counts.pass}, fail ${counts.fail}, skip ${counts.skip}`)
process.exitCode = counts.fail === 0 && counts.pass > 0 ? 0 : 1

async function tryRow(group: Group, row: Row, name: string): Promise<void> {
  const base = mkdtempSync(join(group.below === '/tmp' ? temp : home, 'codex-sandbox-scene-'))
  try {
    makeTree(base, SCENE)
    const changes = group.policy(path => join(base, ...path.split('/')))
    const policy: SandboxPolicy = { ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes, excludeTmpdirEnvVar: group.below !== '/tmp' || (changes.excludeSlashTmp ?? false) }
    const work = join(base, 'work')
    const host = () => snapshotFor({ cwd: work }, completion)
    await calls.setUp({
      mode, policies: [resolvePolicy({ policy, cwd: work }, host())],
      facts() {
        const { windows } = host()
        if (windows === undefined) throw new Error('this machine cannot be read')
        return windows
      },
    })
    const sandbox = await createParsedSandbox({ policy, cwd: work, windowsMode: mode, allowDegraded: [...NOT_HELD[mode], ...group.allowDegraded ?? []] })
    try {
      const notJudged = whyNotJudged(row, sandbox.enforcement.degraded)
      if (notJudged !== undefined) return tell(true, name, { skip: notJudged })
      const found = await attempt(sandbox, row, join(base, ...row.path.split('/')), base) ? 'allow' : 'deny'
      tell(found === row.verdict, name, found === row.verdict ? {} : { why: `the table says ${row.verdict}: ${row.why}; found: ${found}` })
    } finally {
      await sandbox.close()
    }
  } catch (error) {
    // A policy that Windows refuses as a whole is told, and not counted as held.
    if (error instanceof SandboxError && error.code === 'rule_not_enforceable') tell(true, name, { skip: `refused: ${error.message}` })
    else tell(false, name, { why: error instanceof Error ? error.stack ?? error.message : String(error) })
  } finally {
    rmSync(base, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function attempt(sandbox: Sandbox, { access }: Row, path: string, base: string): Promise<boolean> {
  const node = async (script: string) => sandbox.exec([process.execPath, '-e', `const fs = require('node:fs'), p = process.argv[1]; ${script}`, path], { timeoutMs: 30_000 })
  switch (access) {
    case 'read': return (await node('process.stdout.write(fs.readFileSync(p))')).stdout === readFileSync(path, 'utf8')
    case 'list': return (await node('process.stdout.write(fs.readdirSync(p).sort().join("\\n"))')).stdout === readdirSync(path).sort().join('\n')
    case 'write':
      await node('fs.appendFileSync(p, "x\\n")')
      return readFileSync(path, 'utf8').endsWith('x\n')
    case 'create':
      await node('const d = require("node:path").dirname(p); try { fs.mkdirSync(d, { recursive: true }) } catch {} for (const make of [() => fs.writeFileSync(p, "x"), () => fs.mkdirSync(p), () => { fs.writeFileSync("made", "x"); fs.renameSync("made", p) }]) try { make(); break } catch {}')
      // What a sandbox put there itself goes with it.
      await sandbox.close()
      return exists(path)
    case 'remove':
      await node(`for (const call of [() => fs.unlinkSync(p), () => fs.rmdirSync(p), () => fs.renameSync(p, p + '.moved'), () => fs.renameSync(p, ${JSON.stringify(join(base, 'work', 'moved'))})]) try { call() } catch {}`)
      return !exists(path)
    case 'connect': {
      let connections = 0
      const server = createServer(socket => {
        connections++
        socket.on('error', () => {})
        socket.end()
      })
      await new Promise<void>(resolve => server.listen(0, '0.0.0.0', resolve))
      const { port } = server.address() as { port: number }
      const address = Object.values(networkInterfaces()).flatMap(each => each ?? []).find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'
      await node(`require('node:net').connect({ host: ${JSON.stringify(address)}, port: ${port} }).on('error', () => {}).on('connect', function () { this.end() })`)
      await new Promise(resolve => server.close(resolve))
      return connections > 0
    }
    case 'execute': case 'unix-connect': throw new Error(`${access} is not tried here`)
    default: return access satisfies never
  }
}

function makeTree(folder: string, tree: Tree): void {
  for (const [name, node] of Object.entries(tree)) {
    const path = join(folder, name)
    if (typeof node === 'string') writeFileSync(path, node)
    // Symbolic links need a privilege; junctions, which lead to folders, do not.
    else if ('target' in node && typeof node.target === 'string') symlinkSync(join(folder, node.target), path, 'junction')
    else {
      mkdirSync(path)
      makeTree(path, node as Tree)
    }
  }
}

function exists(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function required(name: string): string {
  const value = process.env[name]
  if (value === undefined || value === '') throw new Error(`${name} is not set`)
  return value
}
