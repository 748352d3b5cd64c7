// Every example of the documents is run: TypeScript as programs that use the package, consoles command by command, JSON as policies.
// A block that cannot be run says why in a comment above it, and is reported as skipped with that reason.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { fromSrtSettings } from '../../src/config/srt-settings.js'
import { parsePolicy } from '../../src/policy/parse.js'
import { type Block, matches, printedBy, readBlocks, stepsOf } from './blocks.js'
import { PLACES } from './places.js'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const DOCUMENTS = ['README.md', ...readdirSync(join(ROOT, 'docs')).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)]
const blocks = DOCUMENTS.flatMap(document => readBlocks(join(ROOT, document)).map(block => ({ ...block, document })))
const ran = blocks.filter(({ notRun, file }) => notRun === undefined && file === undefined)

const nameOf = ({ document, line }: Block): string => `${document}:${line}`

interface Place {
  readonly folder: string
  /** What the documents call /work: where everything starts. */
  readonly work: string
  /** And /home/me. */
  readonly home: string
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Paths of this run as the documents have them. */
  shown(text: string): string
}

/** A workspace, a home with a key in it, and the command on the PATH; outside /tmp, which policies treat by rules of its own. */
async function makePlace(document: string): Promise<Place> {
  const folder = realpathSync(mkdtempSync('/var/tmp/cs-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const [work, home, bin, state] = ['at/work', 'home', 'bin', 'state'].map(name => join(folder, name)) as [string, string, string, string]
  for (const path of [work, home, bin, state]) mkdirSync(path, { recursive: true })
  writeFileSync(join(home, '.npmrc'), '//registry.npmjs.org/:_authToken=secret\n')
  writeFileSync(join(bin, 'codex-sandbox'), `#!/bin/sh\nexec '${process.execPath}' '${join(ROOT, 'dist/cli.cjs')}' "$@"\n`)
  chmodSync(join(bin, 'codex-sandbox'), 0o755)
  for (const block of blocks) if (block.document === document && block.file !== undefined) writeFileSync(join(work, block.file), block.text)
  const env: NodeJS.ProcessEnv = {
    PATH: `${bin}:${process.env['PATH']}`, HOME: home, LANG: 'C.UTF-8', XDG_STATE_HOME: state, GIT_CONFIG_GLOBAL: join(home, '.gitconfig'), GIT_CONFIG_NOSYSTEM: '1',
  }
  writeFileSync(join(home, '.gitconfig'), '[user]\nname = Me\nemail = me@example.org\n[init]\ndefaultBranch = main\n')
  const prepared = await PLACES[document]?.({ work, home, start: startServer })
  return { folder, work, home, cwd: prepared?.cwd ?? work, env: { ...env, ...prepared?.env }, shown: text => text.replaceAll(work, '/work').replaceAll(home, '/home/me') }
}

/** A program on the host until the test ends; resolves with the first line that it prints. */
function startServer(argv: readonly string[]): Promise<string> {
  const child = spawn(argv[0]!, argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return new Promise(resolve => child.stdout.once('data', chunk => resolve(String(chunk).trim())))
}

describe('each block is run, or says why not', () => {
  const LANGUAGES = ['ts', 'console', 'json', 'toml', '']
  test.each(blocks.map(block => ({ name: nameOf(block), block })))('$name', ({ block }, ) => {
    if (block.notRun === undefined) expect(LANGUAGES).toContain(block.language)
    else expect(block.notRun).toMatch(/\w+ \w+/)
  })
  for (const block of blocks.filter(({ notRun }) => notRun !== undefined)) {
    test(`${nameOf(block)} is not run`, context => context.skip(`an example: ${block.notRun}`))
  }
})

/* Programs: all blocks of one document with the same name, as one. */

const programOf = ({ document, program = '' }: Block): string => `${document} ${program}`.trim()
const typeScript = ran.filter(({ language }) => language === 'ts')
const programs = [...new Set(typeScript.map(programOf))].map(name => {
  const parts = typeScript.filter(block => programOf(block) === name)
  return { name, document: parts[0]!.document, needs: parts.flatMap(({ needs }) => needs), text: parts.map(({ text }) => text).join('\n') }
})

test.each(programs.filter(({ name }) => name.endsWith(' before')))('$name prints the same as after', ({ name, text }) => {
  const after = programs.find(other => other.name === name.replace(/before$/, 'after'))
  expect(printedBy(after?.text ?? '')).toEqual(printedBy(text))
  expect(printedBy(text)).not.toEqual([])
})

describe('programs', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync('/var/tmp/codex-sandbox-docs-types-')
    linkPackages(folder)
    writeFileSync(join(folder, 'package.json'), '{"type": "module"}')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      extends: join(ROOT, 'tsconfig.json'), include: ['*.ts'],
      compilerOptions: { rootDir: '/', noUnusedLocals: false, noUnusedParameters: false, skipLibCheck: true, typeRoots: [join(ROOT, 'node_modules/@types')], paths: { 'codex-sandbox': [join(ROOT, 'src/index.ts')] } },
    }))
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('a compiler accepts them all', () => {
    for (const [index, { text }] of programs.entries()) writeFileSync(join(folder, `${index}.ts`), `${text}\nexport {}\n`)
    const { stdout } = spawnSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
    expect(stdout.replaceAll(/^.*?(\d+)\.ts\(/gm, (_, index: string) => `${programs[Number(index)]?.name}(`)).toBe('')
  }, 120_000)

  test.for(programs)('$name prints what it says', { timeout: 120_000 }, async ({ document, needs, text }, { skip }) => {
    const missing = needs.filter(name => spawnSync('sh', ['-c', 'command -v "$0"', name]).status !== 0)
    if (missing.length > 0) skip(`an example of another tool, which needs ${missing.join(', ')}`)
    const { folder, work, home, cwd, env, shown } = await makePlace(document)
    const program = join(folder, 'program')
    linkPackages(program)
    const { code } = await transform(text.replaceAll('/work', work).replaceAll('/home/me', home), { loader: 'ts', format: 'esm', target: 'node20.19' })
    writeFileSync(join(program, 'program.mjs'), code)
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(program, 'program.mjs')], { cwd, encoding: 'utf8', env, timeout: 100_000 })
    expect({ status, stderr: shown(stderr) }).toEqual({ status: 0, stderr: '' })
    expectOutput(shown(stdout), printedBy(text).join('\n'))
  })
})

/** What the programs import, as if it were installed beside them. */
function linkPackages(folder: string): void {
  mkdirSync(join(folder, 'node_modules'), { recursive: true })
  symlinkSync(ROOT, join(folder, 'node_modules/codex-sandbox'))
  for (const name of ['execa', '@anthropic-ai']) symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
}

/* Consoles. */

describe('consoles', () => {
  test.each(ran.filter(({ language }) => language === 'console').map(block => ({ name: nameOf(block), block })))('$name', async ({ block }) => {
    const { work, home, cwd, env, shown } = await makePlace(block.document)
    const steps = stepsOf(block.text)
    // One shell for all, so that `$?` and `cd` mean what they say.
    const script = steps.map(({ command }) => `${asInstalled(command).replaceAll('/work', work).replaceAll('/home/me', home)}\n__status=$?; printf '\\001'; (exit $__status)`).join('\n')
    const { stdout } = spawnSync('bash', ['-c', `exec 2>&1\n${script}`], { cwd, encoding: 'utf8', env, timeout: 100_000 })
    const outputs = shown(stdout).split('\u0001')
    for (const [index, { output }] of steps.entries()) expectOutput(outputs[index] ?? '(nothing ran)', output)
  }, 120_000)
})

/** From a clone the same program is called through npm; .ci/run does so. */
const asInstalled = (command: string): string => command.replace(/^npm start --silent --/, 'codex-sandbox --')

function expectOutput(actual: string, expected: string): void {
  if (!matches(actual, expected)) expect(actual).toBe(expected === '' ? '' : `${expected}\n`)
}

describe('JSON and TOML', () => {
  test.each(ran.filter(({ language }) => language === 'json').map(block => ({ name: nameOf(block), block })))('$name is a policy, or settings of sandbox-runtime', ({ block }) => {
    const value = JSON.parse(block.text) as object
    if ('filesystem' in value) expect(fromSrtSettings(value).policy).toBeTypeOf('object')
    else expect(parsePolicy(value)).toBeTypeOf('object')
  })
  test.each(ran.filter(({ language }) => language === 'toml').map(block => ({ name: nameOf(block), block })))('$name is a policy file', async ({ block }) => {
    const { work, env } = await makePlace(block.document)
    writeFileSync(join(work, 'policy.toml'), block.text)
    expect(spawnSync('codex-sandbox', ['--policy', 'policy.toml', '--print-plan'], { cwd: work, env, encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' })
  })
})

test('what the documents link to is there', () => {
  const broken = DOCUMENTS.flatMap(document => [...readFileSync(join(ROOT, document), 'utf8').matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target]) => target!)
    .filter(target => !/^[a-z]+:/.test(target) && !existsSync(join(ROOT, document, '..', target))).map(target => `${document}: ${target}`))
  expect(broken).toEqual([])
})
