// Private caches in real sandboxes: tools with a cold home, what each workspace may write, and what is never written for it.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { basename, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { CACHE_ROWS } from '../../../src/exec/caches.js'
import type { SandboxOptions } from '../../../src/exec/options.js'
import type { ExecResult } from '../../../src/exec/result.js'
import { createSandbox, type Sandbox } from '../../../src/exec/sandbox.js'
import { expectNone } from '../../native/host-processes.js'
import { ownLauncher } from '../../native/own-launcher.js'
import { makeWorkspace, type Workspace } from '../../native/workspace.js'

/** A home folder with nothing in it, and variables that a host may have or not. */
function coldHome(workspace: Workspace, variables: Readonly<Record<string, string | undefined>> = {}): string {
  const home = join(workspace.outside, 'home')
  mkdirSync(home)
  const changed: Record<string, string | undefined> = { HOME: home, XDG_CACHE_HOME: undefined, NPM_CONFIG_CACHE: undefined, npm_config_userconfig: undefined, MAVEN_OPTS: undefined, ...Object.fromEntries(CACHE_ROWS.map(({ variable }) => [variable, undefined])), ...variables }
  const before = Object.fromEntries(Object.keys(changed).map(name => [name, process.env[name]]))
  const set = (values: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
  set(changed)
  onTestFinished(() => set(before))
  return home
}

async function start(workspace: Workspace, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await createSandbox({ cwd: workspace.path, ...options })
  onTestFinished(() => sandbox.close())
  return sandbox
}

const sh = (sandbox: Sandbox, script: string, env: Record<string, string> = {}): Promise<ExecResult> => sandbox.exec(['sh', '-euc', script], { env })
const variable = async (sandbox: Sandbox, name: string): Promise<string> => (await sh(sandbox, `printf %s "\${${name}-}"`)).stdout
const cachesOf = (home: string): string[] => existsSync(join(home, '.cache/codex-sandbox')) ? readdirSync(join(home, '.cache/codex-sandbox')) : []
const filesOf = (home: string, workspace: Workspace): string => join(home, '.cache/codex-sandbox', cachesOf(home).find(name => name.startsWith(`${basename(workspace.path)}-`))!, 'files')
/** What stands in the home folder beside our own caches. */
const rest = (home: string): string[] => readdirSync(home, { recursive: true, encoding: 'utf8' }).filter(name => !/^\.cache(?:\/codex-sandbox.*)?$/.test(name)).sort()
const isThere = (program: string): boolean => spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0

describe('with a cold home works', () => {
  interface Row { readonly tool: string; readonly needs: readonly string[]; readonly given: (path: (name: string) => string) => void; readonly run: string; readonly prints: string; readonly fills: string; readonly env?: Record<string, string>; readonly tolerates?: RegExp }
  function tinyPackage(path: (name: string) => string): void {
    mkdirSync(path('package'))
    writeFileSync(path('package/package.json'), JSON.stringify({ name: 'tiny', version: '1.0.0' }))
    writeFileSync(path('package/index.js'), 'module.exports = 7')
    execFileSync('tar', ['-czf', path('tiny-1.0.0.tgz'), '-C', path('.'), 'package'])
    writeFileSync(path('package.json'), JSON.stringify({ name: 'app', version: '1.0.0', scripts: { start: 'node -p "require(\'tiny\')"' } }))
  }
  const ROWS: readonly Row[] = [
    {
      tool: 'npm', needs: ['npm', 'tar'], fills: 'npm',
      given: path => tinyPackage(path),
      run: 'npm install --silent --offline --no-audit --no-fund ./tiny-1.0.0.tgz; npm start --silent', prints: '7\n',
    },
    {
      tool: 'pnpm', needs: ['pnpm', 'tar'], fills: 'pnpm', given: path => tinyPackage(path),
      run: 'pnpm add --silent --offline ./tiny-1.0.0.tgz 2>&1; node -p "require(\'tiny\')"', prints: '7\n', tolerates: /"\/_tmp_/,
    },
    {
      tool: 'bun', needs: ['bun', 'tar'], fills: 'bun', given: path => tinyPackage(path),
      run: 'bun add --silent ./tiny-1.0.0.tgz; node -p "require(\'tiny\')"', prints: '7\n',
    },
    {
      tool: 'pip', needs: ['python3', 'pip'], fills: 'pip',
      given: path => {
        // A source package whose wheel pip builds and keeps in its cache, with a build backend of its own: nothing is downloaded.
        mkdirSync(path('tiny'))
        writeFileSync(path('tiny/pyproject.toml'), '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n[project]\nname = "tiny"\nversion = "1.0"\n')
        writeFileSync(path('tiny/backend.py'), [
          'import zipfile', 'def build_wheel(folder, config_settings=None, metadata_directory=None):',
          '  name = "tiny-1.0-py3-none-any.whl"', '  with zipfile.ZipFile(folder + "/" + name, "w") as z:',
          '    z.writestr("tiny.py", "value = 7\\n")', '    z.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")',
          '    z.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")', '    z.writestr("tiny-1.0.dist-info/RECORD", "")', '  return name', '',
        ].join('\n'))
        execFileSync('tar', ['-czf', path('tiny-1.0.tar.gz'), '--transform', 's,^tiny,tiny-1.0,', '-C', path('.'), 'tiny'])
      },
      // Of an index that is a folder: what comes from an index is cached.
      run: 'python3 -m venv v; mkdir -p index/tiny; mv tiny-1.0.tar.gz index/tiny; echo "<a href=\\"tiny-1.0.tar.gz\\">tiny-1.0.tar.gz</a>" > index/tiny/index.html; v/bin/pip install -q --disable-pip-version-check --index-url "file://$PWD/index" tiny; v/bin/python -c "import tiny; print(tiny.value)"; v/bin/pip cache dir | grep -c codex-sandbox',
      prints: '7\n1\n', env: { PIP_NO_INDEX: '', PIP_FIND_LINKS: '' },
    },
    {
      tool: 'cargo', needs: ['cargo', 'tar'], fills: 'cargo',
      given: path => {
        mkdirSync(path('tiny-0.1.0/src'), { recursive: true })
        writeFileSync(path('tiny-0.1.0/Cargo.toml'), '[package]\nname = "tiny"\nversion = "0.1.0"\nedition = "2021"\n')
        writeFileSync(path('tiny-0.1.0/src/lib.rs'), 'pub fn value() -> u32 { 7 }\n')
        mkdirSync(path('registry/index/ti/ny'), { recursive: true })
        execFileSync('tar', ['-czf', path('registry/tiny-0.1.0.crate'), '-C', path('.'), 'tiny-0.1.0'])
        const cksum = createHash('sha256').update(readFileSync(path('registry/tiny-0.1.0.crate'))).digest('hex')
        writeFileSync(path('registry/index/ti/ny/tiny'), `${JSON.stringify({ name: 'tiny', vers: '0.1.0', deps: [], cksum, features: {}, yanked: false })}\n`)
        for (const folder of ['src', '.cargo']) mkdirSync(path(folder))
        writeFileSync(path('.cargo/config.toml'), '[source.crates-io]\nreplace-with = "local"\n[source.local]\nlocal-registry = "registry"\n')
        writeFileSync(path('Cargo.toml'), '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\ntiny = "0.1"\n')
        writeFileSync(path('src/main.rs'), 'fn main() { println!("{}", tiny::value()); }\n')
      },
      run: 'cargo run -q', prints: '7\n',
    },
    {
      tool: 'go', needs: ['go'], fills: 'go-build',
      given: path => {
        writeFileSync(path('go.mod'), 'module example.org/app\n\ngo 1.18\n')
        writeFileSync(path('main.go'), 'package main\n\nfunc main() { println(7) }\n')
      },
      run: 'go build -o app .; ./app 2>&1; go vet .; cd "$(mktemp -d)"; printf "package main\\nfunc main() { println(8) }\\n" > x.go; go run x.go 2>&1', prints: '7\n8\n',
    },
    { tool: 'gradle', needs: ['gradle'], fills: 'gradle', given: path => writeFileSync(path('build.gradle'), 'task seven { doLast { println 7 } }\n'), // The start script of Debian says on stderr which Java there is.
      run: 'gradle -q --offline --no-daemon seven 2>err || cat err >&2', prints: '7\n' },
  ]

  test.for(ROWS)('$tool', async ({ needs, given, run, prints, fills, env, tolerates }, { skip }) => {
    const missing = needs.find(program => !isThere(program))
    if (missing !== undefined) skip(`${missing} is not installed`)
    const workspace = makeWorkspace()
    // The programs of rustup and pyenv find what they start by these.
    const home = coldHome(workspace, { RUSTUP_HOME: process.env['RUSTUP_HOME'] ?? join(process.env['HOME']!, '.rustup'), PYENV_ROOT: process.env['PYENV_ROOT'] ?? join(process.env['HOME']!, '.pyenv') })
    given(name => join(workspace.path, name))
    const sandbox = await start(workspace)
    // What it asks the network is another matter: npm looks for a newer npm.
    const { exitCode, stdout, stderr, denials } = await sh(sandbox, run, env)
    expect({ exitCode, stdout, stderr, denials: denials.filter(({ kind, message }) => kind === 'file' && tolerates?.test(message) !== true).map(({ message }) => message) }).toEqual({ exitCode: 0, stdout: prints, stderr: '', denials: [] })
    expect(readdirSync(join(filesOf(home, workspace), fills)).length).toBeGreaterThan(0)
    expect(rest(home)).toEqual([])
    // Another sandbox of the same workspace finds them again.
    await sandbox.close()
    expect((await sh(await start(workspace), 'ls "$1"/..'.replace('$1', `$${CACHE_ROWS.find(({ folder }) => folder === fills)!.variable}`))).stdout).toContain(fills)
  })

  test('maven has a repository of its own, and keeps the options that the host has; without the network the home folder\'s stays, if there is one', async ({ skip }) => {
    if (!isThere('mvn')) skip('mvn is not installed')
    const workspace = makeWorkspace()
    const home = coldHome(workspace, { MAVEN_OPTS: '-Dx=y' })
    writeFileSync(join(workspace.path, 'pom.xml'), '<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId><version>1</version><packaging>pom</packaging></project>')
    const cold = await start(workspace)
    const own = join(filesOf(home, workspace), 'maven')
    expect(await variable(cold, 'MAVEN_OPTS')).toBe(`-Dx=y -Dmaven.repo.local=${own}`)
    expect(await sh(cold, 'mvn -X -o validate')).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`Using local repository at ${own}\n`) })
    mkdirSync(join(home, '.m2/repository'), { recursive: true })
    expect(await variable(await start(workspace), 'MAVEN_OPTS')).toBe('-Dx=y')
    const open = await start(workspace, { policy: { mode: 'workspace-write', network: 'open' } })
    expect(await variable(open, 'MAVEN_OPTS')).toBe(`-Dx=y -Dmaven.repo.local=${own} -Dmaven.repo.local.tail=${home}/.m2/repository`)
  })

  test('go takes modules from the home folder\'s cache, without the network', async ({ skip }) => {
    if (!isThere('go') || !isThere('zip')) skip('go or zip is not installed')
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    const download = join(home, 'go/pkg/mod/cache/download/example.org/tiny/@v')
    mkdirSync(download, { recursive: true })
    const folder = join(workspace.outside, 'example.org/tiny@v1.0.0')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'go.mod'), 'module example.org/tiny\n')
    writeFileSync(join(folder, 'tiny.go'), 'package tiny\n\nconst Value = 7\n')
    execFileSync('zip', ['-q', '-r', join(download, 'v1.0.0.zip'), 'example.org/tiny@v1.0.0'], { cwd: workspace.outside })
    writeFileSync(join(download, 'v1.0.0.mod'), 'module example.org/tiny\n')
    writeFileSync(join(download, 'v1.0.0.info'), '{"Version":"v1.0.0"}')
    writeFileSync(join(download, 'list'), 'v1.0.0\n')
    writeFileSync(join(workspace.path, 'go.mod'), 'module example.org/app\n\ngo 1.18\n\nrequire example.org/tiny v1.0.0\n')
    writeFileSync(join(workspace.path, 'main.go'), 'package main\n\nimport "example.org/tiny"\n\nfunc main() { println(tiny.Value) }\n')
    const sandbox = await start(workspace)
    expect(await sh(sandbox, 'GOFLAGS="$GOFLAGS -mod=mod" GOSUMDB=off go run . 2>&1 | tail -1')).toMatchObject({ exitCode: 0, stdout: '7\n' })
  })

  test('cargo builds from a home registry, which it may not write', async ({ skip }) => {
    if (!isThere('cargo')) skip('cargo is not installed')
    const workspace = makeWorkspace()
    const rustup = process.env['RUSTUP_HOME'] ?? join(process.env['HOME']!, '.rustup')
    const home = coldHome(workspace, { RUSTUP_HOME: rustup })
    mkdirSync(join(home, '.cargo/registry'), { recursive: true })
    mkdirSync(join(workspace.path, 'src'))
    writeFileSync(join(workspace.path, 'Cargo.toml'), '[package]\nname = "app"\nversion = "0.1.0"\nedition = "2021"\n')
    writeFileSync(join(workspace.path, 'src/main.rs'), 'fn main() { println!("7"); }\n')
    const sandbox = await start(workspace)
    expect(await variable(sandbox, 'CARGO_HOME')).toBe('')
    expect(await sh(sandbox, 'cargo run -q')).toMatchObject({ exitCode: 0, stdout: '7\n' })
    expect(await sh(sandbox, 'echo x > ~/.cargo/registry/x || echo refused')).toMatchObject({ stdout: 'refused\n' })
  })
})

describe('configuration that is hidden for its keys', () => {
  test('does not make npm fail, and its public lines count', async ({ skip }) => {
    if (!isThere('npm')) skip('npm is not installed')
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    writeFileSync(join(home, '.npmrc'), 'registry=http://127.0.0.1:4873/\n//127.0.0.1:4873/:_authToken=secret-token\nsave-exact=true\n')
    writeFileSync(join(workspace.path, 'package.json'), '{"name":"app","version":"1.0.0"}')
    for (const policy of [{ mode: 'workspace-write' }, { mode: 'workspace-write', caches: 'off' }, { mode: 'workspace-write', readOnlyAccess: { type: 'restricted' } }] satisfies SandboxOptions['policy'][]) {
      const sandbox = await start(workspace, { policy })
      const { stdout, stderr, exitCode } = await sh(sandbox, 'npm config get registry; npm config get save-exact; npm pkg get name; cat ~/.npmrc 2>/dev/null || echo hidden')
      expect({ stdout, stderr, exitCode }).toEqual({ stdout: 'http://127.0.0.1:4873/\ntrue\n"app"\nhidden\n', stderr: expect.not.stringContaining('secret'), exitCode: 0 })
      expect((await sh(sandbox, 'cat "$npm_config_userconfig"; echo x >> "$npm_config_userconfig" || echo read-only')).stdout).toBe('registry=http://127.0.0.1:4873/\nsave-exact=true\nread-only\n')
      await sandbox.close()
    }
    // Where it may be read, it is what counts.
    const open = await start(workspace, { policy: { denySecrets: { except: ['~/.npmrc'] } } })
    expect([await variable(open, 'npm_config_userconfig'), (await sh(open, 'cat ~/.npmrc | wc -l')).stdout.trim()]).toEqual(['', '3'])
  })

  test('does not make npm fail either where npm itself has started this process, and says where it is', async ({ skip }) => {
    if (!isThere('npm')) skip('npm is not installed')
    const workspace = makeWorkspace()
    const home = coldHome(workspace, { npm_config_userconfig: join(workspace.outside, 'home/.npmrc'), NPM_CONFIG_CACHE: '/root/.npm' })
    writeFileSync(join(home, '.npmrc'), 'save-exact=true\n_auth=secret\n')
    const { stdout, exitCode } = await sh(await start(workspace), 'npm config get save-exact; env | grep -ic "^npm_config_userconfig="; env | grep -ic "^npm_config_cache="')
    expect({ stdout, exitCode }).toEqual({ stdout: 'true\n1\n1\n', exitCode: 0 })
  })

  test('that cannot be written leaves no launcher behind', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    writeFileSync(join(home, '.npmrc'), 'save-exact=true\n')
    const launcher = ownLauncher()
    const sandbox = await createSandbox({ cwd: workspace.path, launcherPath: launcher.path })
    expect(launcher.processes()).toContain(sandbox.pid)
    const copy = join(filesOf(home, workspace), '../settings/npmrc')
    writeFileSync(join(filesOf(home, workspace), 'kept'), '')
    await sandbox.close()
    rmSync(copy)
    mkdirSync(join(copy, 'taken'), { recursive: true })
    await expect(createSandbox({ cwd: workspace.path, launcherPath: launcher.path })).rejects.toMatchObject({ code: 'EISDIR' })
    await expectNone(launcher.processes)
  })

  test('does not make pip fail', async ({ skip }) => {
    if (!isThere('pip')) skip('pip is not installed')
    const workspace = makeWorkspace()
    const home = coldHome(workspace, { PIP_CONFIG_FILE: undefined, PYENV_ROOT: process.env['PYENV_ROOT'] ?? join(process.env['HOME']!, '.pyenv') })
    mkdirSync(join(home, '.config/pip'), { recursive: true })
    writeFileSync(join(home, '.config/pip/pip.conf'), '[global]\nindex-url = http://127.0.0.1:4874/simple\nextra-index-url = http://user:secret-word@127.0.0.1/\n')
    const sandbox = await start(workspace)
    const { stdout, exitCode } = await sh(sandbox, 'pip config list')
    expect(exitCode).toBe(0)
    expect(stdout).toContain('http://127.0.0.1:4874/simple')
    expect(stdout).not.toContain('secret-word')
  })
})

describe('who may write where', () => {
  test('each workspace has its own; another one\'s commands, and nobody else\'s, write in it', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    const second = join(workspace.outside, 'second')
    mkdirSync(second)
    const [one, two] = [await start(workspace), await createSandbox({ cwd: second })]
    onTestFinished(() => two.close())
    const [ours, theirs] = [await variable(one, 'npm_config_cache'), await variable(two, 'npm_config_cache')]
    expect(ours).not.toBe(theirs)
    expect((await sh(one, 'mkdir -p "$npm_config_cache"; echo good > "$npm_config_cache/x"')).exitCode).toBe(0)
    const attack = await sh(two, `cat ${ours}/x; for at in ${ours}/x ${ours}/y ${ours}/../z ${ours}/../../settings ${home}/.cache/codex-sandbox/new ${home}/.cache/new; do (echo bad > $at) 2>/dev/null && echo "wrote $at"; mv $at $at.moved 2>/dev/null && echo "moved $at"; done; true`)
    expect(attack.stdout).toBe('good\n')
    for (const path of [`${ours}/x`, `${ours}/y`, `${home}/.cache/codex-sandbox/new`]) expect([path, (await two.decide({ kind: 'write', path })).verdict]).toEqual([path, 'deny'])
    expect((await two.decide({ kind: 'write', path: `${theirs}/x` })).verdict).toBe('allow')
    expect(readFileSync(`${ours}/x`, 'utf8')).toBe('good\n')
  })

  test('a root that holds all caches opens none of the others', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    const one = await start(workspace)
    await sh(one, 'mkdir -p "$npm_config_cache"; echo good > "$npm_config_cache/x"')
    const ours = await variable(one, 'npm_config_cache')
    const second = join(workspace.outside, 'second')
    mkdirSync(second)
    const two = await createSandbox({ cwd: second, policy: { write: [join(home, '.cache')] } })
    onTestFinished(() => two.close())
    expect((await sh(two, `echo x > ~/.cache/mine; echo mine > "$XDG_CACHE_HOME" && (echo bad > ${ours}/x) 2>/dev/null && echo wrote; mv ~/.cache/codex-sandbox ~/.cache/away 2>/dev/null && echo moved; true`)).stdout).toBe('')
    expect([readFileSync(`${ours}/x`, 'utf8'), existsSync(join(home, '.cache/mine'))]).toEqual(['good\n', true])
    await expect(createSandbox({ cwd: second, policy: { write: [ours] } })).rejects.toMatchObject({ code: 'self_not_protectable', field: 'write[0]' })
    await expect(createSandbox({ cwd: join(home, '.cache/codex-sandbox') })).rejects.toMatchObject({ code: 'self_not_protectable' })
  })

  test('a command that puts a link in a folder\'s place makes nothing appear where it leads', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    mkdirSync(join(home, '.cargo'))
    writeFileSync(join(home, '.cargo/config.toml'), '[net]\noffline = true\n')
    const target = join(workspace.outside, 'target')
    mkdirSync(target)
    const policy = { network: 'open' } as const
    const first = await start(workspace, { policy })
    const cargo = await variable(first, 'CARGO_HOME')
    // The twin: where nobody meddles, the configuration is there.
    expect(readlinkSync(join(cargo, 'config.toml'))).toBe(join(home, '.cargo/config.toml'))
    expect((await sh(first, 'cat "$CARGO_HOME/config.toml" | head -1')).stdout).toBe('[net]\n')
    await sh(first, `rm -rf "$CARGO_HOME"; ln -s ${target} "$CARGO_HOME"; ln -s ${target} "$npm_config_cache"`)
    await first.close()
    const second = await start(workspace, { policy })
    await second.close()
    expect(readdirSync(target)).toEqual([])
  })

  test.each<{ name: string; spoil: (parent: string) => void }>([
    { name: 'others may write in it', spoil: parent => { mkdirSync(parent, { recursive: true }); chmodSync(parent, 0o777) } },
    { name: 'it is a link',           spoil: parent => { mkdirSync(`${parent}-elsewhere`, { recursive: true }); symlinkSync(`${parent}-elsewhere`, parent) } },
    { name: 'it is a file',           spoil: parent => { mkdirSync(join(parent, '..'), { recursive: true }); writeFileSync(parent, '') } },
  ])('refused before anything runs, where $name', async ({ spoil }) => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    spoil(join(home, '.cache/codex-sandbox'))
    await expect(createSandbox({ cwd: workspace.path })).rejects.toMatchObject({ code: 'set_up_failed', step: 'make_cache_directory' })
    const without = await start(workspace, { policy: { caches: 'off' } })
    expect((await sh(without, 'true')).exitCode).toBe(0)
  })
})

describe('the folders', () => {
  test('are gone after the last sandbox that used them, where nothing was cached, and stay where something was', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    writeFileSync(join(home, '.npmrc'), 'x=y\n')
    const [first, second] = [await start(workspace), await start(workspace)]
    expect(cachesOf(home)).toHaveLength(1)
    await first.close()
    // The other one still uses them.
    expect((await sh(second, 'mkdir "$npm_config_cache" && cat "$npm_config_userconfig" && rmdir "$npm_config_cache"')).exitCode).toBe(0)
    await second.close()
    expect(cachesOf(home)).toEqual([])
    const third = await start(workspace)
    await sh(third, 'echo x > "$npm_config_cache"')
    await third.close()
    expect(cachesOf(home)).toHaveLength(1)
  })

  test('of a killed process are taken over, and many sandboxes at once do not take them from each other', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    const sandbox = await start(workspace)
    const own = join(filesOf(home, workspace), '..')
    // Of no process that lives.
    writeFileSync(join(own, 'user-4194304-dead'), '')
    await sandbox.close()
    expect(cachesOf(home)).toEqual([])
    const rounds = await Promise.all(Array.from({ length: 4 }, async (_, lane) => {
      const codes: number[] = []
      for (let i = 0; i < 4; i++) {
        const each = await createSandbox({ cwd: workspace.path })
        codes.push((await sh(each, `mkdir "$XDG_CACHE_HOME-${lane}-${i}" && rmdir "$XDG_CACHE_HOME-${lane}-${i}"`)).exitCode)
        await each.close()
      }
      return codes
    }))
    expect(rounds.flat().filter(code => code !== 0)).toEqual([])
    expect(cachesOf(home)).toEqual([])
  })

  test('checkHost and a refused policy leave none behind', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    const { checkHost } = await import('../../../src/exec/check-host.js')
    expect((await checkHost('workspace-write', { cwd: workspace.path })).ok).toBe(true)
    expect(cachesOf(home)).toEqual([])
    await expect(createSandbox({ cwd: workspace.path, policy: { writableRoots: ['/'] } })).rejects.toMatchObject({ code: 'path_too_broad' })
    await expect(createSandbox({ cwd: workspace.path, policy: { mode: 'workspace-write', deny: [workspace.path] } })).rejects.toMatchObject({ code: 'policy_contradiction' })
    expect(existsSync(join(home, '.cache'))).toBe(true)
    expect(cachesOf(home)).toEqual([])
  })

  test('a glob that denies them holds when they are made, as it does when they are there', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    const policy = { mode: 'workspace-write', deny: [join(home, '.cache/*/*/files')] } as const
    // The folder above them is there, as after any earlier sandbox.
    mkdirSync(join(home, '.cache/codex-sandbox'), { recursive: true, mode: 0o700 })
    const seen: object[] = []
    for (let round = 0; round < 2; round++) {
      const sandbox = await start(workspace, { policy, allowDegraded: ['later-glob-matches'] })
      const { exitCode } = await sandbox.exec(['sh', '-c', ': > "$0/written"', filesOf(home, workspace)])
      seen.push({ wrote: exitCode === 0, isThere: existsSync(join(filesOf(home, workspace), 'written')), covered: sandbox.policy.ignored.filter(({ field }) => field === 'caches').map(({ reason }) => reason) })
    }
    expect(seen).toEqual([{ wrote: false, isThere: false, covered: ['covered'] }, { wrote: false, isThere: false, covered: ['covered'] }])
  })

  test('are found by the workspace\'s real path, however it is written', async () => {
    const workspace = makeWorkspace()
    coldHome(workspace)
    symlinkSync(workspace.path, join(workspace.outside, 'link'))
    const [real, linked] = [await start(workspace), await createSandbox({ cwd: join(workspace.outside, 'link') })]
    onTestFinished(() => linked.close())
    expect(await variable(linked, 'GOCACHE')).toBe(await variable(real, 'GOCACHE'))
  })
})

describe('the variables', () => {
  const names = [...CACHE_ROWS.map(({ variable }): string => variable), 'MAVEN_OPTS']
  const setIn = async (sandbox: Sandbox): Promise<string[]> => (await sh(sandbox, 'env')).stdout.split('\n').filter(line => line.includes('/codex-sandbox/')).map(line => line.split('=')[0]!).sort()

  test.each<{ name: string; options: SandboxOptions; set: readonly string[] }>([
    { name: 'all by default',                      options: {}, set: names },
    { name: 'none with caches: off',               options: { policy: { caches: 'off' } }, set: [] },
    { name: 'none read-only',                      options: { policy: 'read-only' }, set: [] },
    { name: 'read-only, where they are asked for', options: { policy: { mode: 'read-only', caches: 'private' } }, set: names },
    { name: 'none under the wire\'s policies',     options: { policy: { type: 'workspaceWrite' } }, set: [] },
    { name: 'none without a sandbox',              options: { policy: 'danger-full-access' }, set: [] },
    { name: 'all with an empty environment',       options: { policy: { env: { inherit: 'core' } } }, set: names },
    { name: 'not one that the policy excludes',    options: { policy: { env: { exclude: ['GO*'] } } }, set: names.filter(name => !name.startsWith('GO')) },
    { name: 'not one that the policy sets',        options: { policy: { env: { set: { GOCACHE: '/elsewhere' } } } }, set: names.filter(name => name !== 'GOCACHE') },
    { name: 'all where reads are restricted',      options: { policy: { readOnlyAccess: { type: 'restricted' } } }, set: names },
  ])('$name', async ({ options, set }) => {
    const workspace = makeWorkspace()
    coldHome(workspace)
    const sandbox = await start(workspace, options)
    expect(await setIn(sandbox)).toEqual([...set].sort())
    if (set.length > 1) expect((await sh(sandbox, 'mkdir -p "$XDG_CACHE_HOME" && echo x > "$XDG_CACHE_HOME/x" && cat "$XDG_CACHE_HOME/x"')).stdout).toBe('x\n')
  })

  test('of the host stay where commands may write, and give way where they may not', async () => {
    const workspace = makeWorkspace()
    coldHome(workspace, { GOCACHE: join(workspace.path, '.go'), PIP_CACHE_DIR: '/var/cache/pip', NPM_CONFIG_CACHE: '/var/cache/npm', GRADLE_USER_HOME: 'relative' })
    const sandbox = await start(workspace)
    expect(await setIn(sandbox)).toEqual(names.filter(name => name !== 'GOCACHE').sort())
    expect([await variable(sandbox, 'GOCACHE'), await variable(sandbox, 'NPM_CONFIG_CACHE')]).toEqual([join(workspace.path, '.go'), ''])
  })

  test('lead to what of the home folder\'s caches can be read beside', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace, { GRADLE_RO_DEP_CACHE: undefined, PLAYWRIGHT_BROWSERS_PATH: undefined, GOPROXY: undefined, GOFLAGS: undefined, GOPATH: undefined })
    for (const folder of ['.gradle/caches', '.cache/ms-playwright', 'go/pkg/mod/cache/download']) mkdirSync(join(home, folder), { recursive: true })
    const off = await start(workspace)
    expect([await variable(off, 'GRADLE_RO_DEP_CACHE'), await variable(off, 'PLAYWRIGHT_BROWSERS_PATH'), await variable(off, 'GOPROXY')])
      .toEqual([join(home, '.gradle/caches'), join(home, '.cache/ms-playwright'), `file://${home}/go/pkg/mod/cache/download,https://proxy.golang.org,direct`])
    await off.close()
    const open = await start(workspace, { policy: { network: 'open' } })
    expect([await variable(open, 'GRADLE_RO_DEP_CACHE'), await variable(open, 'PLAYWRIGHT_BROWSERS_PATH')]).toEqual([join(home, '.gradle/caches'), ''])
  })

  test('below a folder that the policy denies there are none, and the report says so', async () => {
    const workspace = makeWorkspace()
    const home = coldHome(workspace)
    mkdirSync(join(home, '.cache'))
    const sandbox = await start(workspace, { policy: { deny: [join(home, '.cache')] } })
    expect(await setIn(sandbox)).toEqual([])
    expect(sandbox.policy.ignored).toContainEqual(expect.objectContaining({ field: 'caches', reason: 'covered' }))
  })
})

describe('tmp', () => {
  test.each<{ tmp: 'host' | 'private' | 'none'; own: string; seen: boolean; leads: string | undefined }>([
    { tmp: 'host',    own: 'written', seen: true,  leads: undefined },
    { tmp: 'private', own: 'written', seen: false, leads: '/tmp' },
    { tmp: 'none',    own: 'refused', seen: true,  leads: undefined },
  ])('$tmp', async ({ tmp, own, seen, leads }) => {
    const workspace = makeWorkspace()
    const folder = execFileSync('mktemp', ['-d', '/tmp/tmp-of-host-XXXXXX'], { encoding: 'utf8' }).trim()
    coldHome(workspace, { TMPDIR: folder })
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const sandbox = await start(workspace, { policy: { tmp } })
    const { stdout } = await sh(sandbox, `(echo x > /tmp/codex-sandbox-test-$$ && rm /tmp/codex-sandbox-test-$$) 2>/dev/null && echo written || echo refused; test -e ${folder} && echo seen || echo hidden; (echo x > "$TMPDIR/x") 2>/dev/null && echo written || echo refused; echo "$TMPDIR"`)
    expect(stdout.trim().split('\n')).toEqual([own, seen ? 'seen' : 'hidden', own, leads ?? folder])
    expect(existsSync(join(folder, 'x'))).toBe(tmp === 'host')
  })
})

test('moving the workspace away and another one in its place: the place decides, and the root is the one that was opened', async () => {
  const workspace = makeWorkspace()
  coldHome(workspace)
  const sandbox = await start(workspace)
  const before = await variable(sandbox, 'GOCACHE')
  await sandbox.close()
  renameSync(workspace.path, `${workspace.path}-old`)
  mkdirSync(workspace.path)
  expect(await variable(await start(workspace), 'GOCACHE')).toBe(before)
})
