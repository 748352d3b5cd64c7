// A small agent does its day's work, on each way of enforcement: edits, tests, installs, serves, commits, meets denials and passes by their
// remedy. What it did is looked at from outside.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, copyFileSync, cpSync, existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runInContainer, whyNoContainer } from '../support/docker-like.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const noContainer = whyNoContainer()
const USER = 54_322

interface Report {
  readonly rung: 'namespaces' | 'supervised'
  readonly hasLoopback: boolean
  readonly transcript: readonly { readonly tool: string; readonly answer: string }[]
  readonly approvals: readonly { readonly permissions: object; readonly why: string; readonly agreed: boolean }[]
  readonly stoppedAt: object | null
  readonly report: string | false
}

const HOSTS = [
  { name: 'on this machine',                                  in: 'machine',   rung: 'namespaces', forced: undefined },
  { name: 'on this machine, on the supervised rung',          in: 'machine',   rung: 'supervised', forced: 'supervised' },
  { name: 'in a container as Docker makes it, as root',       in: 'container', rung: 'supervised', uid: 0 },
  { name: 'in a container as Docker makes it, as a user',     in: 'container', rung: 'supervised', uid: USER },
] as const

describe.each(HOSTS)('$name', host => {
  const reason = host.in === 'container' ? noContainer : undefined
  test('the agent does its work, and nothing else happens', { timeout: 240_000 }, context => {
    if (reason !== undefined) context.skip(reason)
    const uid = 'uid' in host ? host.uid : process.getuid?.() ?? -1
    const place = makePlace(uid)
    const env = {
      PATH: process.env['PATH'], HOME: place.home, LANG: 'C.UTF-8', XDG_STATE_HOME: place.state, AGENT_INDEX: join(place.package, 'dist/index.js'),
      ...('forced' in host && host.forced !== undefined ? { AGENT_RUNG: host.forced } : {}),
    }
    const argv = [process.execPath, join(place.package, 'agent.mjs'), place.work, place.packages]
    const { status, stdout, stderr } = host.in === 'container' ? runInContainer(argv, { uid, cwd: place.work }, env) : spawnSync(argv[0]!, argv.slice(1), { env, cwd: place.work, encoding: 'utf8', timeout: 200_000 })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const report = JSON.parse(stdout) as Report
    expect(report.stoppedAt).toBeNull()
    expect(report).toMatchObject({ rung: host.rung, hasLoopback: host.rung === 'namespaces', report: 'all tests pass\n' })
    expect(report.approvals.filter(({ agreed }) => agreed).map(({ permissions }) => permissions)).toEqual([
      // Without a loopback of its own: to install, and to serve.
      ...(host.rung === 'supervised' ? [{ network: { enabled: true } }, { network: { enabled: true } }] : []),
      { fileSystem: { write: [join(place.folder, 'reports')] } },
    ])
    expectWork(place)
    expectNothingElse(place)
  })
})

interface Place {
  readonly folder: string
  readonly work: string
  readonly home: string
  readonly state: string
  readonly packages: string
  readonly package: string
  readonly config: string
}

/** A workspace with a project in a repository, a home with a token, a copy of the package that anybody may read. */
function makePlace(uid: number): Place {
  const folder = realpathSync(mkdtempSync('/var/tmp/agent-loop-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const at = (...names: string[]): string => join(folder, ...names)
  for (const name of ['work/src', 'work/test', 'home', 'state', 'reports', 'outside', 'packages/greeting', 'package/node_modules']) mkdirSync(at(name), { recursive: true })
  const files: Record<string, string> = {
    'work/package.json': JSON.stringify({ name: 'project', version: '1.0.0', type: 'module', scripts: { test: 'node --test test/*.js' } }),
    'work/.gitignore': 'node_modules/\n',
    'work/src/sum.js': 'export const sum = (a, b) => a - b\n',
    'work/test/sum.test.js': 'import assert from \'node:assert\'\nimport test from \'node:test\'\nimport { sum } from \'../src/sum.js\'\ntest(\'sum\', () => assert.equal(sum(2, 3), 5))\n',
    'work/server.js': 'import { createServer } from \'node:http\'\nimport { greeting } from \'greeting\'\nimport { sum } from \'./src/sum.js\'\n'
      + 'createServer((request, response) => response.end(`${greeting}: ${sum(2, 3)}`)).listen(3000, \'127.0.0.1\', () => console.log(\'ready\'))\n',
    'packages/greeting/package.json': JSON.stringify({ name: 'greeting', version: '1.2.3', type: 'module', exports: './index.js' }),
    'packages/greeting/index.js': 'export const greeting = \'hello from a package\'\n',
    'home/.gitconfig': '[user]\nname = Agent\nemail = agent@example.org\n[init]\ndefaultBranch = main\n',
    'home/.npmrc': '//registry.npmjs.org/:_authToken=secret\n',
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(at(name), text)
  const git = (...words: string[]) => execFileSync('git', ['-C', at('work'), ...words], { env: { PATH: process.env['PATH'], HOME: at('home') } })
  git('init', '--quiet')
  git('add', '--all')
  git('commit', '--quiet', '--message', 'begin')
  for (const part of ['dist/index.js', 'dist/index', `dist/launcher/linux-${process.arch}`, 'package.json', 'node_modules/zod', 'node_modules/smol-toml']) cpSync(join(ROOT, part), at('package', part), { recursive: true })
  copyFileSync(fileURLToPath(new URL('agent.mjs', import.meta.url)), at('package/agent.mjs'))
  copyFileSync(join(ROOT, 'test/support/npm-registry.mjs'), at('package/npm-registry.mjs'))
  // What it must not reach, it could reach without the sandbox.
  for (const name of ['work', 'home', 'state', 'reports', 'outside']) give(at(name), uid)
  for (const path of [folder, at('package')]) chmodSync(path, 0o755)
  return { folder, work: at('work'), home: at('home'), state: at('state'), packages: at('packages'), package: at('package'), config: readFileSync(at('work/.git/config'), 'utf8') }
}

function give(path: string, uid: number): void {
  if (process.getuid?.() !== 0) return
  chownSync(path, uid, uid)
  if (lstatSync(path).isDirectory()) for (const name of readdirSync(path)) give(join(path, name), uid)
}

function expectWork({ work, folder }: Place): void {
  expect(readFileSync(join(work, 'src/sum.js'), 'utf8')).toBe('export const sum = (a, b) => a + b\n')
  expect(JSON.parse(readFileSync(join(work, 'package.json'), 'utf8'))).toMatchObject({ dependencies: { greeting: '^1.2.3' } })
  expect(existsSync(join(work, 'node_modules/greeting/index.js'))).toBe(true)
  expect(readFileSync(join(folder, 'reports/result.txt'), 'utf8')).toBe('all tests pass\n')
  const log = execFileSync('git', ['-C', work, '-c', 'safe.directory=*', 'log', '--format=%s by %an'], { encoding: 'utf8' })
  expect(log).toBe('mend the sum by Agent\nbegin by Agent\n')
}

function expectNothingElse({ work, folder, home, config }: Place): void {
  expect(readFileSync(join(work, '.git/config'), 'utf8')).toBe(config)
  expect(existsSync(join(work, '.git/hooks/pre-commit'))).toBe(false)
  expect(readdirSync(join(folder, 'outside'))).toEqual([])
  expect(readdirSync(join(folder, 'reports'))).toEqual(['result.txt'])
  expect(readdirSync(folder).sort()).toEqual(['home', 'outside', 'package', 'packages', 'reports', 'state', 'work'])
  // Placeholders are gone, and so are all processes.
  expect(readdirSync(work).sort()).toEqual(['.git', '.gitignore', 'link', 'node_modules', 'package-lock.json', 'package.json', 'server.js', 'src', 'test'])
  expect(readdirSync(home).sort()).toEqual(['.cache', '.gitconfig', '.npmrc'])
  expect(readdirSync(join(home, '.cache'))).toEqual(['codex-sandbox'])
  expect(processesIn(folder)).toEqual([])
}

/** Those whose directory or program lies there. */
const processesIn = (folder: string): string[] => readdirSync('/proc').filter(name => /^\d+$/.test(name)).filter(pid => ['cwd', 'exe'].some(link => {
  try {
    return readlinkSync(`/proc/${pid}/${link}`).startsWith(folder)
  } catch {
    return false // gone, or the kernel's
  }
}))
