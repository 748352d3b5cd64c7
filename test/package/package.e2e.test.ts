// What a stranger gets: the tarball, installed where there is no compiler, used as a command, as a library, and bundled into a program.
import { spawnSync } from 'node:child_process'
import { appendFileSync, chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { filesOf, makeRelease, type Release, ROOT } from './release.js'

const { missingCompiler } = await import(join(ROOT, 'scripts/build-native.mjs')) as { missingCompiler(arch: string): string | undefined }
const OTHER_ARCH = process.arch === 'arm64' ? 'x64' : 'arm64'
const missing = process.platform === 'linux' ? missingCompiler(OTHER_ARCH) : 'the launcher is built on Linux'
const whyNot = missing === undefined ? undefined : `a release has the launcher for ${OTHER_ARCH} too, but ${missing}`

/** A small agent, as a program that embeds this package has it; prints what it saw as one line of JSON. */
const AGENT = `
import { createSandbox } from 'codex-sandbox'

async function main() {
  const options = JSON.parse(process.env.AGENT_OPTIONS ?? '{}')
  const seen = []
  for (const policy of ['workspace-write', { mode: 'workspace-write', deny: ['secret'] }]) {
    const sandbox = await createSandbox({ policy, cwd: process.cwd(), ...options })
    const allowed = await sandbox.exec(['sh', '-c', 'echo hello > note && cat note'])
    const targets = (process.env.AGENT_TARGETS ?? '/etc/x-codex-sandbox-agent').split(':')
    const tried = await sandbox.exec(['sh', '-c', 'for target; do echo x > "$target" && echo "$target"; done', 'sh', ...targets])
    seen.push({ stdout: allowed.stdout, backend: allowed.enforcement.backend, written: tried.stdout, denials: tried.denials.map(({ path }) => path) })
    await sandbox.close()
  }
  return seen
}
main().then(seen => console.log(JSON.stringify(seen)), ({ code, field, message }) => { console.log(JSON.stringify({ code, field, message })); process.exitCode = 1 })
`
const WORKED = { stdout: 'hello\n', backend: 'linux-native', written: '' }

let release: Release
beforeAll(() => { if (whyNot === undefined) release = makeRelease() }, 300_000)
afterAll(() => release?.remove())
const packageFolder = (): string => join(release.project, 'node_modules', 'codex-sandbox')

test('a release can be made here', context => {
  if (whyNot !== undefined) context.skip(whyNot)
  expect(existsSync(release.tarball)).toBe(true)
})

describe.skipIf(whyNot !== undefined)('the tarball', () => {
  test('carries what runs, what describes it, and nothing else', () => {
    const files = filesOf(packageFolder())
    expect(files.filter(name => !/^(?:dist\/(?:types|index|cli)|docs)\//.test(name))).toEqual([
      'CHANGELOG.md', 'LICENSE', 'README.md', 'dist/THIRD-PARTY-NOTICES.txt', 'dist/cli.cjs', 'dist/index.js',
      'dist/launcher/linux-arm64/codex-sandbox-launcher', 'dist/launcher/linux-x64/codex-sandbox-launcher', 'package.json',
    ])
    expect(files).toContain('dist/types/index.d.ts')
    expect(files).toContain('docs/cli.md')
    // It belongs to one Node, and nobody can read what it does.
    expect(files.filter(name => name.endsWith('.code-cache'))).toEqual([])
  })

  test.each([
    { arch: 'x64',   machine: 0x3e },
    { arch: 'arm64', machine: 0xb7 },
  ])('the launcher for $arch is static, executable and for that processor', ({ arch, machine }) => {
    const path = join(packageFolder(), `dist/launcher/linux-${arch}/codex-sandbox-launcher`)
    const elf = readFileSync(path)
    expect({ magic: elf.subarray(0, 4).toString('latin1'), machine: elf.readUInt16LE(18), interpreter: segmentTypes(elf).includes(PT_INTERP), executable: (statSync(path).mode & 0o111) === 0o111 })
      .toEqual({ magic: '\x7fELF', machine, interpreter: false, executable: true })
  })

  test('has no script that an installation would run', () => {
    const { scripts } = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as { scripts: Record<string, string> }
    expect(Object.keys(scripts).filter(name => /^(?:pre|post)?install$|^prepare$|^(?:pre|post)prepare$/.test(name))).toEqual([])
    expect(existsSync(join(packageFolder(), 'binding.gyp'))).toBe(false)
  })
})

describe.skipIf(whyNot !== undefined)('installed where there is no compiler', () => {
  test('there is none', () => {
    expect(release.run('sh', ['-c', 'for name in cc gcc clang musl-gcc make ld npm; do command -v $name; done; command -v node']).stdout).toBe(`${join(release.path, 'node')}\n`)
  })

  test('the command runs, denies, and says how to allow it', () => {
    const command = join(release.project, 'node_modules/.bin/codex-sandbox')
    expect(release.run(command, ['--', 'sh', '-c', 'echo hello > made && cat made'])).toMatchObject({ status: 0, stdout: 'hello\n', stderr: '' })
    const denied = release.run(command, ['--', 'sh', '-c', 'echo x > ../outside'])
    expect(denied.stderr).toContain(`creation of "${release.folder}/outside" denied`)
    expect(existsSync(join(release.folder, 'outside'))).toBe(false)
  })

  test.each([
    { kind: 'an ES module',     name: 'agent.mjs', text: AGENT },
    { kind: 'require',          name: 'agent.cjs', text: AGENT.replace("import { createSandbox } from 'codex-sandbox'", "const { createSandbox } = require('codex-sandbox')") },
  ])('the library runs: $kind', ({ name, text }) => {
    writeFileSync(join(release.project, name), text)
    const { stdout, stderr } = release.run('node', ['--no-warnings', name])
    expect({ seen: parsed(stdout), stderr }).toEqual({ seen: [WORKED, WORKED].map(seen => ({ ...seen, denials: ['/etc/x-codex-sandbox-agent'] })), stderr: '' })
  })

  test('a compiler finds its types, with nothing else installed than @types/node', () => {
    writeFileSync(join(release.project, 'typed.ts'), `
      import { createSandbox, type ExecResult, SandboxError } from 'codex-sandbox'
      export const run = async (argv: readonly string[]): Promise<ExecResult> => {
        await using sandbox = await createSandbox({ policy: { mode: 'workspace-write', deny: ['.env'] } })
        return sandbox.exec(argv, { timeoutMs: 1000 })
      }
      export const isOurs = (error: unknown): error is SandboxError => error instanceof SandboxError && error.code === 'layer_missing'
      // @ts-expect-error: there is no such option
      export const wrong = createSandbox({ polcy: 'read-only' })
    `)
    const words = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2023,esnext.disposable', '--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types'), 'typed.ts']
    const { status, stdout } = spawnSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...words], { cwd: release.project, encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
  })

  test('a launcher that was changed after the installation is not run by the library', () => {
    const path = join(packageFolder(), `dist/launcher/linux-${process.arch}/codex-sandbox-launcher`)
    const kept = readFileSync(path)
    onTestFinished(() => writeFileSync(path, kept))
    appendFileSync(path, '\0')
    writeFileSync(join(release.project, 'agent.mjs'), AGENT)
    expect(parsed(release.run('node', ['agent.mjs']).stdout)).toMatchObject({ code: 'launcher_not_known', field: 'launcher' })
  })
})

const FORMATS = [
  { name: 'one ES module',                 file: 'agent.mjs', options: { format: 'esm' } },
  { name: 'ES modules in parts, minified', file: 'agent.mjs', options: { format: 'esm', splitting: true, minify: true } },
  { name: 'one CommonJS file',             file: 'agent.cjs', options: { format: 'cjs' } },
  { name: 'one CommonJS file, minified',   file: 'agent.cjs', options: { format: 'cjs', minify: true } },
] as const

describe.skipIf(whyNot !== undefined)('bundled into a program', () => {
  test.each(FORMATS)('$name: works with the launcher that CODEX_SANDBOX_LAUNCHER or launcherPath names', async ({ file, options }) => {
    const { app, launcher } = await bundle(options, file)
    const named = [{ CODEX_SANDBOX_LAUNCHER: launcher }, { AGENT_OPTIONS: JSON.stringify({ launcherPath: launcher }) }]
    for (const env of named) {
      const { stdout, stderr } = release.run('node', [file], { cwd: app, env })
      expect({ seen: parsed(stdout), stderr }).toEqual({ seen: [WORKED, WORKED].map(seen => ({ ...seen, denials: ['/etc/x-codex-sandbox-agent'] })), stderr: '' })
    }
  })

  test.each(FORMATS)('$name: the bundler has nothing to warn of', async ({ file, options }) => {
    expect((await bundle(options, file)).warnings).toEqual([])
  })

  // The policy's folder is the bundle's own, so only a rule for the bundle protects it.
  test.each(FORMATS)('$name: a command cannot write the bundle itself, though it lies in a writable root', async ({ file, options }) => {
    const { app, launcher } = await bundle(options, file)
    const parts = readdirSync(app).map(name => join(app, name))
    const before = parts.map(path => readFileSync(path, 'utf8'))
    const { stdout } = release.run('node', [file], { cwd: app, env: { CODEX_SANDBOX_LAUNCHER: launcher, AGENT_TARGETS: [...parts, join(app, 'other')].join(':') } })
    expect(parsed(stdout)).toMatchObject([{ written: `${join(app, 'other')}\n` }, { written: `${join(app, 'other')}\n` }])
    expect(parts.map(path => readFileSync(path, 'utf8'))).toEqual(before)
  })

  test('without a launcher: an error that says where to copy one from', async () => {
    const { app } = await bundle({ format: 'cjs' }, 'agent.cjs')
    expect(parsed(release.run('node', ['agent.cjs'], { cwd: app }).stdout)).toEqual({
      code: 'launcher_not_found', field: 'launcher', message: expect.stringContaining(`require.resolve("codex-sandbox/launcher/linux-${process.arch}")`),
    })
  })

  test.each([
    { name: 'another program',       make: (folder: string) => script(join(folder, 'other')),                          code: 'launcher_not_known' },
    { name: 'a relative path',       make: () => 'launcher',                                                            code: 'path_not_absolute' },
    { name: 'a path of nothing',     make: (folder: string) => join(folder, 'nothing'),                                 code: 'launcher_not_found' },
    { name: 'a folder',              make: (folder: string) => folder,                                                  code: 'launcher_not_found' },
    { name: 'the other processor\'s', make: () => createRequire(join(release.project, 'x.js')).resolve(`codex-sandbox/launcher/linux-${OTHER_ARCH}`), code: 'launcher_not_known' },
  ])('$name as the launcher is refused, and does not run', async ({ make, code }) => {
    const { app, folder } = await bundle({ format: 'esm' }, 'agent.mjs')
    const path = make(folder)
    for (const [field, env] of [['CODEX_SANDBOX_LAUNCHER', { CODEX_SANDBOX_LAUNCHER: path }], ['launcherPath', { AGENT_OPTIONS: JSON.stringify({ launcherPath: path }) }]] as const) {
      expect(parsed(release.run('node', ['agent.mjs'], { cwd: app, env }).stdout)).toMatchObject({ code, field })
    }
    expect(existsSync(join(folder, 'ran'))).toBe(false)
  })

  test('a launcher in a writable root is refused, though it is the right one', async () => {
    const { app, launcher } = await bundle({ format: 'esm' }, 'agent.mjs')
    const inside = join(app, 'launcher')
    copyFileSync(launcher, inside)
    expect(parsed(release.run('node', ['agent.mjs'], { cwd: app, env: { CODEX_SANDBOX_LAUNCHER: inside } }).stdout))
      .toMatchObject({ code: 'self_not_protectable', field: 'CODEX_SANDBOX_LAUNCHER', message: expect.stringContaining(JSON.stringify(app)) })
  })

  test('a launcher of another build runs where its hash is named', async () => {
    const { app, launcher } = await bundle({ format: 'esm' }, 'agent.mjs')
    appendFileSync(launcher, '\0')
    const hash = spawnSync('sha256sum', [launcher], { encoding: 'utf8' }).stdout.slice(0, 64)
    const runWith = (options: object) => parsed(release.run('node', ['agent.mjs'], { cwd: app, env: { AGENT_OPTIONS: JSON.stringify(options) } }).stdout)
    expect(runWith({ launcherPath: launcher })).toMatchObject({ code: 'launcher_not_known' })
    expect(runWith({ launcherPath: launcher, launcherSha256: hash })).toMatchObject([WORKED, WORKED])
  })

  // A command that may write above the bundle makes what looks like this package around it.
  test('a forged package around the bundle does not get its launcher run', async () => {
    const { app, folder } = await bundle({ format: 'esm' }, 'dist/index.js')
    const forged = join(app, 'dist/launcher', `linux-${process.arch}`)
    mkdirSync(forged, { recursive: true })
    writeFileSync(join(app, 'package.json'), JSON.stringify({ name: 'codex-sandbox', type: 'module' }))
    copyFileSync(script(join(folder, 'other')), join(forged, 'codex-sandbox-launcher'))
    expect(parsed(release.run('node', ['dist/index.js'], { cwd: app }).stdout)).toMatchObject({ code: 'launcher_not_known' })
    expect(existsSync(join(folder, 'ran'))).toBe(false)
  })
})

/** The agent in a folder of its own, away from any node_modules, and the launcher in another. */
async function bundle(options: { format: 'esm' | 'cjs'; splitting?: boolean; minify?: boolean }, file: string) {
  const folder = join(release.folder, `bundled-${Math.random().toString(36).slice(2)}`)
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const app = join(folder, 'app')
  const launcher = join(folder, 'launcher')
  mkdirSync(app, { recursive: true })
  const { warnings } = await build({
    stdin: { contents: AGENT, resolveDir: release.project, loader: 'js' }, bundle: true, platform: 'node', target: 'node20.19', logLevel: 'silent',
    outdir: app, entryNames: file.replace(/\.[^.]+$/, ''), outExtension: { '.js': /\.[^.]+$/.exec(file)![0] }, ...options,
  })
  cpSync(createRequire(join(release.project, 'x.js')).resolve(`codex-sandbox/launcher/linux-${process.arch}`), launcher)
  return { folder, app, launcher, warnings: warnings.map(({ text }) => text) }
}

/** A program that leaves a trace where it runs. */
function script(path: string): string {
  writeFileSync(path, `#!/bin/sh\n: > '${join(path, '..', 'ran')}'\n`)
  chmodSync(path, 0o755)
  return path
}

const parsed = (line: string): unknown => line === '' ? 'printed nothing' : JSON.parse(line)

const PT_INTERP = 3
/** Of a 64-bit little-endian program's headers. */
const segmentTypes = (elf: Buffer): number[] =>
  Array.from({ length: elf.readUInt16LE(56) }, (_, index) => elf.readUInt32LE(Number(elf.readBigUInt64LE(32)) + index * elf.readUInt16LE(54)))
