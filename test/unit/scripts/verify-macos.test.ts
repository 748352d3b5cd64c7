// The script for people with a Mac, with a program in the place of sandbox-exec that confines nothing: each part must notice.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, onTestFinished, test } from 'vitest'
import { formatReport, verifyMac, verifyPolicies } from '../../../scripts/verify-macos.js'
import type { ParsedSandboxOptions } from '../../../src/exec/options.js'
import { Sandbox } from '../../../src/exec/sandbox.js'
import { takeSnapshot } from '../../../src/host/snapshot.js'
import { macosSeatbeltBackend } from '../../../src/platform/macos/backend.js'
import type { HostSnapshot } from '../../../src/policy/host-snapshot.js'
import { resolve } from '../../../src/policy/resolve.js'
import { compileOptions } from '../../support/linux-layers.js'
import { SEATBELT_THERE } from '../../support/macos-host.js'
import { logStandIn, sandboxExecStandIn } from '../../support/stand-ins.js'

const asMac = (cwd: string): HostSnapshot => ({ ...takeSnapshot({ selfPaths: [], cwd }), platform: 'macos' })

function sandboxes(instead?: string): (options: ParsedSandboxOptions) => Promise<Sandbox> {
  const backend = macosSeatbeltBackend({ sandboxExec: sandboxExecStandIn(instead).path, log: logStandIn('exec sleep 60').path })
  return async ({ policy: wanted, cwd = '/', allowDegraded = [], observe }) => {
    const host = asMac(cwd)
    const policy = resolve(wanted, host)
    const entry = host.files.entry(policy.cwd)
    const plan = backend.compile(policy, SEATBELT_THERE, compileOptions({
      allowDegraded: new Set(allowDegraded), cwdIdentity: { device: entry?.device ?? '', inode: entry?.inode ?? '' }, ...(observe === undefined ? {} : { observe }),
    }))
    return new Sandbox(policy, plan, await backend.start(plan), () => asMac(cwd))
  }
}

const leftOver = (): string[] => [tmpdir(), homedir()].flatMap(folder => readdirSync(folder).filter(name => name.startsWith('codex-sandbox-verify-')))

test('where nothing is confined, every part that is about confinement says so, and nothing is left behind', { timeout: 240_000 }, async () => {
  const before = leftOver()
  const told: string[] = []
  const report = await verifyMac({ policies: 3, seed: 7, makeSandbox: sandboxes(), tell: line => { told.push(line) } })
  expect(report.ok).toBe(false)
  const [loaded, judged, rows, tools, files, escapes, log] = report.parts
  expect(loaded).toMatchObject({ title: 'profiles that the kernel loads', right: 3, wrong: [] })
  expect(judged?.wrong.join('\n')).toMatch(/^policy \d \(seed 7\): create ".*": the kernel says allow, decide deny; \{"mode"/m)
  expect(rows?.right).toBeGreaterThan(50)
  expect(rows?.wrong.join('\n')).toMatch(/deny create/)
  expect(tools?.right).toBeGreaterThan(10)
  expect(files).toMatchObject({ right: 4, wrong: ['write outside: done', 'make outside: done', 'remove outside: done', 'make a protected name: done'] })
  expect(escapes?.wrong.join('\n')).toMatch(/ESCAPED\s+make, change, remove and rename outside/)
  expect(log).toMatchObject({ right: 0, wrong: [expect.stringMatching(/^none for /)] })
  const text = formatReport(['a machine'], report)
  expect(text).toMatch(/^codex-sandbox on a Mac\na machine\n\nprofiles that the kernel loads +3 right +0 wrong\n/)
  expect(text).toContain('Something is not as it should be: please send this whole report.')
  expect(text).not.toMatch(/[^\P{Cc}\n]/u)
  expect(told.length).toBeGreaterThanOrEqual(report.parts.length)
  expect(leftOver()).toEqual(before)
})

test('a kernel that refuses the profiles is told for each policy', { timeout: 60_000 }, async () => {
  const [loaded, judged] = await verifyPolicies({ policies: 2, seed: 1, makeSandbox: sandboxes('echo "sandbox-exec: profile: line 3: unbound variable: file-link" >&2; exit 65'), tell: () => {} })
  expect(loaded).toMatchObject({ right: 0, wrong: [expect.stringMatching(/^policy 1 \(seed 1\): .*unbound variable: file-link/), expect.stringMatching(/^policy 2/)] })
  expect(judged).toMatchObject({ right: 0, wrong: [] })
})

test('a report in which all is right says so', () => {
  expect(formatReport(['machine'], { ok: true, parts: [{ title: 'a part', right: 12, wrong: [] }] })).toBe('codex-sandbox on a Mac\nmachine\n\na part      12 right       0 wrong\n\nAll of it is as it should be.\n')
})

test('the command of the script can be bundled', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'verify-macos-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const root = fileURLToPath(new URL('../../../', import.meta.url))
  const { errors, warnings } = await build({ absWorkingDir: root, entryPoints: ['scripts/verify-macos-main.ts'], outfile: join(folder, 'out.mjs'), bundle: true, platform: 'node', format: 'esm', packages: 'external', target: 'node20.19', logLevel: 'silent' })
  expect([errors, warnings]).toEqual([[], []])
})
