// Tries on a Mac what the tests elsewhere suppose: that its kernel loads the profiles, that they mean there what `decide` says, that
// tools work under them and that nothing gets out. Everything that differs is told; nothing is left out in silence.
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { MAC_ATTEMPTS } from '../src/doctor/escapes/mac.js'
import { asAttempted, formatAttempt, formatScore, scoreEscapes } from '../src/doctor/escape-score.js'
import { SandboxError } from '../src/errors.js'
import type { SandboxFiles } from '../src/exec/files/files.js'
import type { ParsedSandboxOptions } from '../src/exec/options.js'
import type { Sandbox } from '../src/exec/sandbox.js'
import { takeSnapshot } from '../src/host/snapshot.js'
import type { FileAccess } from '../src/policy/decision.js'
import { followLinks, followLinksToParent } from '../src/policy/follow-links.js'
import { judge } from '../src/policy/judge-path.js'
import { presetPolicy } from '../src/policy/presets.js'
import type { SandboxPolicy } from '../src/policy/sandbox-policy.js'
import { ATTEMPTS, makeScene, makeTree } from '../test/conformance/attempts.js'
import { SCENE, TABLE } from '../test/conformance/table.js'

export interface VerifyOptions {
  readonly policies: number
  readonly seed: number
  readonly makeSandbox: (options: ParsedSandboxOptions) => Promise<Sandbox>
  readonly tell: (line: string) => void
}

/** One part of the report: what came as it should, and a line for each thing that did not. */
export interface Part {
  readonly title: string
  readonly right: number
  readonly wrong: readonly string[]
}

export interface Report {
  readonly ok: boolean
  readonly parts: readonly Part[]
}

const COMMAND_TIMEOUT_MS = 30_000

export async function verifyMac(options: VerifyOptions): Promise<Report> {
  const steps = [verifyPolicies, verifyConformance, verifyTools, verifyFiles, verifyEscapes, verifyLog]
  const parts: Part[] = []
  for (const step of steps) {
    const found = await step(options)
    parts.push(...found)
    for (const { title, right, wrong } of found) options.tell(`${title}: ${right} right, ${wrong.length} wrong`)
  }
  return { ok: parts.every(({ wrong }) => wrong.length === 0), parts }
}

const MOST_LINES = 60

/** Plain text to paste: a summary, then what went wrong. */
export function formatReport(machine: readonly string[], { ok, parts }: Report): string {
  const width = Math.max(...parts.map(({ title }) => title.length))
  return [
    'codex-sandbox on a Mac', ...machine, '',
    ...parts.map(({ title, right, wrong }) => `${title.padEnd(width)}  ${String(right).padStart(6)} right  ${String(wrong.length).padStart(6)} wrong`), '',
    ...parts.flatMap(({ title, wrong }) => wrong.length === 0 ? [] : [`${title}:`, ...wrong.slice(0, MOST_LINES).map(line => `  ${plain(line)}`), ...(wrong.length > MOST_LINES ? [`  … and ${wrong.length - MOST_LINES} more`] : []), '']),
    ok ? 'All of it is as it should be.' : 'Something is not as it should be: please send this whole report.', '',
  ].join('\n')
}

const plain = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ').slice(0, 400)

/** Policies of every kind over a scene of their own: does the kernel load the profile, and does it answer as `decide` does? */
export async function verifyPolicies({ policies, seed, makeSandbox }: VerifyOptions): Promise<Part[]> {
  const random = randomNumbers(seed)
  const loaded: Mutable = { title: 'profiles that the kernel loads', right: 0, wrong: [] }
  const judged: Mutable = { title: 'accesses that it judges as decide does', right: 0, wrong: [] }
  for (let number = 1; number <= policies; number++) {
    const place = number % 2 === 0 ? tmpdir() : homedir()
    const base = realpathSync(mkdtempSync(join(place, 'codex-sandbox-verify-')))
    try {
      makeTree(base, SCENE)
      for (const each of ['caf\u00e9', 'Mixed Case', 'q"uote', '(allow default)']) writeFileSync(join(base, 'work', each), 'text\n')
      const policy = randomPolicy(random, base)
      const name = `policy ${number} (seed ${seed})`
      let sandbox: Sandbox
      try {
        sandbox = await makeSandbox({ policy, cwd: join(base, 'work'), allowDegraded: ['later-glob-matches'] })
      } catch (error) {
        // A policy that contradicts itself is refused before any profile is made.
        if (error instanceof SandboxError && error.code !== 'set_up_failed' && error.code !== 'layer_missing') continue
        loaded.wrong.push(`${name}: ${wordsOf(error)}`)
        continue
      }
      try {
        const answers = await askKernel(sandbox, accessesIn(base))
        loaded.right++
        for (const { kind, path, outcome } of answers) {
          const verdict = judge(sandbox.policy, { kind, path: canonical(kind, path) }).verdict
          if (outcome === 'other') continue
          if (outcome === verdict) judged.right++
          else judged.wrong.push(`${name}: ${kind} ${JSON.stringify(path.slice(base.length + 1))}: the kernel says ${outcome}, decide ${verdict}; ${JSON.stringify(shortPolicy(policy, base))}`)
        }
      } catch (error) {
        loaded.wrong.push(`${name}: ${wordsOf(error)}; ${JSON.stringify(shortPolicy(policy, base))}`)
      } finally {
        await sandbox.close()
      }
    } finally {
      rmSync(base, { recursive: true, force: true })
    }
  }
  return [loaded, judged]
}

interface Mutable extends Part { right: number; wrong: string[] }
interface Asked { readonly kind: FileAccess; readonly path: string }
interface Answer extends Asked { readonly outcome: 'allow' | 'deny' | 'other' }

/** Runs inside. EPERM is the sandbox's; what is missing or no file says nothing. What it makes, it removes again if it may. */
const PROBE = `
const fs = require('node:fs'), { spawnSync } = require('node:child_process')
const attempts = {
  read: path => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : fs.closeSync(fs.openSync(path, 'r')),
  write: path => fs.closeSync(fs.openSync(path, 'r+')),
  create: path => { fs.closeSync(fs.openSync(path, 'wx')); try { fs.unlinkSync(path) } catch {} },
  execute: path => { const { error } = spawnSync(path); if (error) throw error },
}
const asked = JSON.parse(fs.readFileSync(0, 'utf8'))
process.stdout.write(JSON.stringify(asked.map(({ kind, path }) => {
  try { attempts[kind](path); return 'allow' } catch (error) { return error.code === 'EPERM' ? 'deny' : error.code === 'EACCES' && kind === 'execute' ? 'deny' : 'other' }
})))`

async function askKernel(sandbox: Sandbox, asked: readonly Asked[]): Promise<Answer[]> {
  const result = await sandbox.exec([process.execPath, '-e', PROBE], { stdin: JSON.stringify(asked), timeoutMs: COMMAND_TIMEOUT_MS, output: { maxBytes: 1 << 20 } })
  if (result.exitCode !== 0) throw new Error(`node did not run: exit ${result.exitCode} ${result.stderr.slice(0, 300)}`)
  const outcomes = JSON.parse(result.stdout) as Answer['outcome'][]
  return asked.map((each, index) => ({ ...each, outcome: outcomes[index] as Answer['outcome'] }))
}

function accessesIn(base: string): Asked[] {
  const places = ['', 'work', 'work/src', 'work/src/a.txt', 'work/src/gen', 'work/src/gen/b.txt', 'work/deep', 'work/deep/er', 'work/deep/er/secret.txt', 'work/deep/er/open.txt', 'work/id.key', 'work/.git', 'work/.git/config', 'work/.git/hooks/pre-commit',
    'work/run', 'work/link/file.txt', 'work/café', 'work/Mixed Case', 'work/q"uote', 'work/(allow default)', 'outside', 'outside/file.txt', 'outside/open/inner.txt', 'outside/run', 'other', 'other/file.txt', 'other/.agents/a.md']
  const spelled = places.flatMap(path => [path, path.toUpperCase(), path.normalize('NFD')]).map(path => join(base, path))
  const made = ['work', 'work/src', 'work/.git/hooks', 'work/deep/er', 'outside', 'other'].flatMap(folder => ['new', '.git', '.GIT', '.codex', '.Agent\u017f', 'x.key', 'X.KEY', 'caf\u00e9s'].map(name => join(base, folder, name)))
  const far = ['work/deep/er/secret.txt', 'work/id.key', 'work/src/a.txt'].map(path => `/System/Volumes/Data${join(base, path)}`)
  return [
    ...[...spelled, ...far].flatMap((path): Asked[] => [{ kind: 'read', path }, { kind: 'write', path }]),
    ...made.map((path): Asked => ({ kind: 'create', path })),
    ...['work/run', 'outside/run'].map((path): Asked => ({ kind: 'execute', path: join(base, path) })),
  ]
}

function canonical(kind: FileAccess, path: string): string {
  const host = takeSnapshot({ selfPaths: [] })
  return (kind === 'create' ? followLinksToParent : followLinks)(host, path, 'path').path
}

/** Of everything that a policy can say something, and node always readable. */
function randomPolicy(random: () => number, base: string): SandboxPolicy {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
  const some = (items: readonly string[], most: number) => Array.from({ length: Math.floor(random() * (most + 1)) }, () => join(base, pick(items)))
  const paths = ['work/src', 'work/src/gen', 'work/deep', 'work/deep/er/secret.txt', 'work/id.key', 'work/.git', 'outside', 'outside/open', 'outside/file.txt', 'other', 'work/later', 'work/deep/missing/x', 'work/caf\u00e9', 'work/mixed case', 'work/q"uote', 'work/(allow default)', 'WORK/SRC']
  const globs = ['work/**/*.key', 'work/*/er/*.txt', '**/.agents', 'outside/?pen', 'work/[a-d]*', 'other/{file,x}.txt']
  const mode = pick(['workspace-write', 'workspace-write', 'read-only'] as const)
  const node = dirname(dirname(realpathSync(process.execPath)))
  return {
    ...presetPolicy(mode, pick(['library', 'reference'] as const)),
    writableRoots: mode === 'read-only' ? [] : some(['outside', 'other'], 1).slice(0, 1),
    read: [...some(paths, 2).map(escapeGlob), node], write: mode === 'read-only' ? [] : some(paths, 2).map(escapeGlob),
    deny: [...some(paths, 2).map(escapeGlob), ...some(globs, 1)],
    protect: pick([[], ['vendor'], ['src/gen']]), git: pick(['protected', 'commits'] as const), network: pick(['off', 'open'] as const),
    readAccess: pick([{ kind: 'full' }, { kind: 'full' }, { kind: 'restricted', includePlatformDefaults: true, readableRoots: [join(base, 'other')] }] as const),
    excludeSlashTmp: random() < 0.5, excludeTmpdirEnvVar: random() < 0.5,
  }
}

const escapeGlob = (path: string): string => path.replaceAll(/[*?[\]{}\\!()]/g, '\\$&')

const shortPolicy = ({ mode, read, write, deny, protect, git, readAccess, writableRoots }: SandboxPolicy, base: string): object =>
  JSON.parse(JSON.stringify({ mode, read, write, deny, protect, git, readAccess, writableRoots }).replaceAll(JSON.stringify(base).slice(1, -1), '$'))

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** The table that every back end is held to. */
async function verifyConformance({ makeSandbox }: VerifyOptions): Promise<Part[]> {
  const part: Mutable = { title: 'rows of the conformance table', right: 0, wrong: [] }
  for (const group of TABLE) {
    for (const row of group.rows) {
      const base = makeScene(group)
      const path = row.path.startsWith('/') ? `${row.path}-${process.pid}` : join(base, row.path)
      const name = `${group.name}: ${row.verdict} ${row.access} ${row.path} (${row.why})`
      try {
        const changes = group.policy(each => join(base, each))
        const sandbox = await makeSandbox({ policy: { ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, cwd: join(base, 'work'), allowDegraded: [...group.allowDegraded ?? []] })
        try {
          const verdict = await ATTEMPTS[row.access]({ base, path, sandbox }) ? 'allow' : 'deny'
          if (verdict === row.verdict) part.right++
          else part.wrong.push(name)
        } finally {
          await sandbox.close()
        }
      } catch (error) {
        // Every process of a Mac sees the same /tmp: such a policy is refused, and that is right.
        if (error instanceof SandboxError && error.field === 'tmp') part.right++
        else part.wrong.push(`${name}: ${wordsOf(error)}`)
      } finally {
        rmSync(base, { recursive: true, force: true })
        if (row.path.startsWith('/')) rmSync(path, { recursive: true, force: true })
      }
    }
  }
  return [part]
}

/** What people run under such a profile; `network`: needs it. */
const TOOLS: readonly { readonly name: string; readonly script: string; readonly network?: true }[] = [
  { name: 'a shell', script: 'echo a | cat | grep -q a && test "$(expr 2 + 3)" = 5' },
  { name: 'substitution of processes', script: '/bin/bash -c "diff <(echo a) <(echo a)"' },
  { name: 'files', script: 'mkdir d && cp -R d e && touch d/f && cp d/f g && mv g h && ln h i && ln -s h j && rm -rf d e h i j' },
  { name: 'whoami, id, groups', script: 'test -n "$(whoami)" && id > /dev/null && groups > /dev/null && ls -l > /dev/null' },
  { name: 'uname, sysctl, sw_vers', script: 'uname -a && sysctl -n hw.ncpu kern.osrelease machdep.cpu.brand_string && sw_vers' },
  { name: 'dates and locales', script: 'date && LANG=de_DE.UTF-8 date' },
  { name: 'node', script: '"$NODE" -e "const os = require(\'os\'); os.cpus(); os.userInfo(); os.networkInterfaces(); require(\'crypto\').randomBytes(8); require(\'child_process\').execSync(\'true\'); new Function(\'return 1\')()"' },
  { name: 'node workers and JIT', script: '"$NODE" -e "const { Worker } = require(\'worker_threads\'); new Worker(\'let x = 0; for (let i = 0; i < 1e6; i++) x += i\', { eval: true }).on(\'exit\', code => process.exit(code))"' },
  { name: 'git', script: 'git init -q repo && cd repo && git config user.email a@b && git config user.name a && echo x > f && git add f && git commit -qm x && git log --oneline | grep -q x' },
  { name: 'python3', script: 'command -v python3 > /dev/null || exit 0; python3 -c "import os, socket, subprocess, tempfile, threading; subprocess.run([\'true\'], check=True); tempfile.mkstemp(); print(os.cpu_count())"' },
  { name: 'python3 multiprocessing', script: 'command -v python3 > /dev/null || exit 0; printf "import multiprocessing as m\\ndef f(x): return x * x\\nif __name__ == \'__main__\':\\n  m.set_start_method(\'fork\')\\n  q = m.Queue(); q.put(1); q.get()\\n  print(m.Pool(2).map(f, [1, 2]))\\n" > m.py && python3 m.py' },
  { name: 'a compiler', script: 'command -v cc > /dev/null || exit 0; printf "#include <stdio.h>\\nint main(void) { puts(\\"hi\\"); return 0; }\\n" > t.c && cc t.c -o t && test "$(./t)" = hi' },
  { name: 'make', script: 'command -v make > /dev/null || exit 0; printf "all:\\n\\t@echo made\\n" > Makefile && make | grep -q made' },
  { name: 'a terminal inside', script: 'script -q /dev/null sh -c "test -t 0 && stty size" < /dev/null' },
  { name: 'perl and ruby', script: 'perl -e "print 1" && { command -v ruby > /dev/null || exit 0; ruby -e "puts 1"; }' },
  { name: 'tar, zip, sed, awk, find, xargs', script: 'echo a > f && tar czf t.tgz f && zip -q t.zip f && sed s/a/b/ f | awk "{print}" | xargs echo && find . -name f | grep -q f' },
  { name: 'curl over TLS', script: 'curl -sS -o /dev/null https://www.apple.com/', network: true },
  { name: 'names of hosts by node', script: '"$NODE" -e "require(\'dns\').lookup(\'www.apple.com\', error => process.exit(error ? 1 : 0))"', network: true },
  { name: 'a server of its own', script: '"$NODE" -e "const s = require(\'net\').createServer(c => c.end()).listen(0, \'127.0.0.1\', () => require(\'net\').connect(s.address().port).on(\'connect\', () => process.exit(0)).on(\'error\', () => process.exit(1)))"', network: true },
]

async function verifyTools({ makeSandbox }: VerifyOptions): Promise<Part[]> {
  const part: Mutable = { title: 'tools that work', right: 0, wrong: [] }
  const policies: readonly (readonly [string, Partial<SandboxPolicy>])[] = [
    ['workspace-write', {}],
    ['restricted reads', { readAccess: { kind: 'restricted', includePlatformDefaults: true, readableRoots: [dirname(dirname(realpathSync(process.execPath)))] }, denySecrets: false }],
  ]
  for (const [name, changes] of policies) {
    for (const tool of TOOLS) {
      const base = realpathSync(mkdtempSync(join(tmpdir(), 'codex-sandbox-verify-')))
      try {
        mkdirSync(join(base, 'work'))
        const sandbox = await makeSandbox({ policy: { ...presetPolicy('workspace-write', 'library'), ...changes, network: tool.network === true ? 'open' : 'off' }, cwd: join(base, 'work') })
        try {
          const { exitCode, stdout, stderr } = await sandbox.exec(['/bin/sh', '-c', tool.script], { env: { NODE: process.execPath, HOME: join(base, 'work') }, timeoutMs: COMMAND_TIMEOUT_MS })
          if (exitCode === 0) part.right++
          else part.wrong.push(`${name}: ${tool.name}: exit ${exitCode}: ${(stderr || stdout).trim().slice(0, 300)}`)
        } finally {
          await sandbox.close()
        }
      } catch (error) {
        part.wrong.push(`${name}: ${tool.name}: ${wordsOf(error)}`)
      } finally {
        rmSync(base, { recursive: true, force: true })
      }
    }
  }
  return [part]
}

/** `sandbox.files`, whose server is Node itself: what it does, and what it must not. */
async function verifyFiles({ makeSandbox }: VerifyOptions): Promise<Part[]> {
  const part: Mutable = { title: 'file work of the library', right: 0, wrong: [] }
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'codex-sandbox-verify-')))
  mkdirSync(join(base, 'work'))
  writeFileSync(join(base, 'outside'), 'outside')
  const steps: readonly (readonly [string, (files: SandboxFiles) => Promise<unknown>, 'done' | 'denied'])[] = [
    ['write', files => files.writeFile('a', 'x'), 'done'],
    ['replace', async files => { await files.writeFile('a', 'new'); if (readFileSync(join(base, 'work/a'), 'utf8') !== 'new') throw new Error('it is not there') }, 'done'],
    ['read', async files => { if (await files.readFile('a', 'utf8') !== 'new') throw new Error('it is another') }, 'done'],
    ['folders', async files => { await files.mkdir('b/c/d', { recursive: true }); await files.rename('a', 'b/c/a'); await files.readdir('b/c'); await files.stat('b/c/a'); await files.rm('b', { recursive: true }) }, 'done'],
    ['write outside', files => files.writeFile('../outside', 'x'), 'denied'],
    ['make outside', files => files.writeFile('../new', 'x'), 'denied'],
    ['remove outside', files => files.rm('../outside'), 'denied'],
    ['make a protected name', files => files.writeFile('.GIT', 'x'), 'denied'],
  ]
  try {
    const sandbox = await makeSandbox({ policy: { ...presetPolicy('workspace-write', 'library'), excludeTmpdirEnvVar: true }, cwd: join(base, 'work') })
    try {
      for (const [name, step, wanted] of steps) {
        const outcome = await step(sandbox.files).then(() => 'done', error => error instanceof SandboxError && error.code === 'denied' ? 'denied' : wordsOf(error))
        if (outcome === wanted) part.right++
        else part.wrong.push(`${name}: ${outcome}`)
      }
    } finally {
      await sandbox.close()
    }
  } catch (error) {
    part.wrong.push(wordsOf(error))
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
  return [part]
}

async function verifyEscapes({ makeSandbox, tell }: VerifyOptions): Promise<Part[]> {
  const score = await scoreEscapes(() => {}, async (policy, cwd, allowDegraded) => asAttempted(await makeSandbox({ policy, cwd, allowDegraded }), COMMAND_TIMEOUT_MS), MAC_ATTEMPTS)
  tell(formatScore(score))
  const wrong = score.results.filter(({ result, twin }) => result.outcome === 'escaped' || result.outcome === 'failed' || twin?.outcome === 'broken')
  const skipped = score.results.filter(({ result }) => result.outcome === 'skipped').length
  return [{ title: `attempts to escape that are held${skipped === 0 ? '' : ` (${skipped} skipped)`}`, right: score.results.length - wrong.length - skipped, wrong: wrong.map(result => formatAttempt(result).join(' ')) }]
}

/** Whether the system's log tells a denial, with its path. */
async function verifyLog({ makeSandbox }: VerifyOptions): Promise<Part[]> {
  const title = 'denials that the log tells'
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'codex-sandbox-verify-')))
  try {
    mkdirSync(join(base, 'work'))
    const sandbox = await makeSandbox({ policy: { ...presetPolicy('workspace-write', 'library'), excludeTmpdirEnvVar: true }, cwd: join(base, 'work'), observe: 'reads' })
    try {
      const { denials } = await sandbox.exec(['/usr/bin/touch', join(base, 'outside')], { timeoutMs: COMMAND_TIMEOUT_MS })
      const seen = denials.find(({ certainty, path }) => certainty === 'refused' && path === join(base, 'outside'))
      return [{ title, right: seen === undefined ? 0 : 1, wrong: seen === undefined ? [`none for ${join(base, 'outside')}; told: ${JSON.stringify(denials.map(({ message, certainty }) => ({ message, certainty })))}`] : [] }]
    } finally {
      await sandbox.close()
    }
  } catch (error) {
    return [{ title, right: 0, wrong: [wordsOf(error)] }]
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

const wordsOf = (error: unknown): string => error instanceof Error ? error.message : String(error)
