// The table against the real kernel: each access is tried in a sandbox, and judged by what it left or reached outside.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { presetPolicy } from '../../src/policy/presets.js'
import type { Tree } from '../support/fake-host.js'
import { startParsedOn, TABLE_RUNGS } from '../support/rungs.js'
import { type Group, type Row, SCENE, TABLE } from './table.js'

interface Place {
  readonly base: string
  /** What the access is about. */
  readonly path: string
  readonly sandbox: Sandbox
}

/** Tries an access and says whether it had its effect. */
type Attempt = (place: Place) => Promise<boolean>

const ATTEMPTS: Readonly<Record<Row['access'], Attempt>> = {
  read: async place => await output(place, 'cat "$1"') === readFileSync(place.path, 'utf8'),
  list: async place => await output(place, 'ls -A "$1"') === readdirSync(place.path).sort().map(name => `${name}\n`).join(''),
  execute: async place => await output(place, '"$1"') === 'text\n',
  write: async place => {
    await output(place, 'echo x >> "$1"')
    return readFileSync(place.path, 'utf8').endsWith('x\n')
  },
  create: async place => {
    await output(place, 'mkdir -p "$(dirname "$1")"; echo x > "$1" || mkdir "$1" || ln -s nowhere "$1" || { echo x > "$PWD/made" && ! mv -n "$PWD/made" "$1"; rm -f "$PWD/made"; }')
    // What a sandbox put there itself goes with it.
    await place.sandbox.close()
    return exists(place.path)
  },
  remove: async place => {
    await run(place, `for (const call of [() => fs.unlinkSync(p), () => fs.rmdirSync(p), () => fs.renameSync(p, p + '.moved'), () => fs.renameSync(p, 'moved')]) try { call() } catch {}`)
    return !exists(place.path)
  },
  connect: async place => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(0, '0.0.0.0', resolve))
    const { port } = server.address() as { port: number }
    return reaches(server, place, `{ host: ${JSON.stringify(ownAddress())}, port: ${port} }`)
  },
  'unix-connect': async place => {
    const server = createServer()
    await new Promise<void>(resolve => server.listen(place.path, resolve))
    return reaches(server, place, '{ path: p }')
  },
}

describe.each(TABLE_RUNGS.flatMap(variant => TABLE.map(group => ({ variant, group }))))('$variant.name: $group.name', ({ variant, group }) => {
  test.each(group.rows)('$verdict $access $path: $why', async row => {
    const base = makeScene(group)
    const path = row.path.startsWith('/') ? row.path : join(base, row.path)
    const changes = group.policy(each => join(base, each))
    const sandbox = await startParsedOn(variant, {
      policy: { ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, cwd: join(base, 'work'), allowDegraded: group.allowDegraded ?? [],
    })
    onTestFinished(() => sandbox.close())
    const before = look(base)
    expect(await ATTEMPTS[row.access]({ base, path, sandbox }) ? 'allow' : 'deny').toBe(row.verdict)
    await sandbox.close()
    const after = look(base)
    // A refused access leaves everything as it was; an allowed one changes nothing beside what it was about.
    const own = row.verdict === 'deny' ? undefined : realOf(base, path)
    expect(without(after, own)).toEqual(without(before, own))
  })
})

/** What a shell prints that gets the path as its first argument. */
async function output({ sandbox, path }: Place, script: string): Promise<string> {
  return (await sandbox.exec(['sh', '-c', script, 'sh', path])).stdout
}

/** Calls that a shell has no word for; `p` is the path. */
async function run({ sandbox, path }: Place, script: string): Promise<void> {
  await sandbox.exec([process.execPath, '-e', `const p = process.argv[1]; ${script}`, path])
}

async function reaches(server: Server, place: Place, target: string): Promise<boolean> {
  let connections = 0
  server.on('connection', socket => {
    connections++
    socket.on('error', () => {})
    socket.end()
  })
  await run(place, `require('node:net').connect(${target}).on('error', () => {}).on('connect', function () { this.end() })`)
  await new Promise(resolve => server.close(resolve))
  return connections > 0
}

/** An address of this machine that is not the loopback, where there is one. */
function ownAddress(): string {
  const found = Object.values(networkInterfaces()).flatMap(each => each ?? []).find(({ family, internal }) => family === 'IPv4' && !internal)
  return found?.address ?? '127.0.0.1'
}

function makeScene({ below }: Group): string {
  const base = mkdtempSync(join(realpathSync(below ?? '/var/tmp'), 'conformance-'))
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  makeTree(base, SCENE)
  return base
}

function makeTree(folder: string, tree: Tree): void {
  for (const [name, node] of Object.entries(tree)) {
    const path = join(folder, name)
    if (typeof node === 'string') writeFileSync(path, node, { mode: node.startsWith('#!') ? 0o755 : 0o644 })
    else if ('target' in node && typeof node.target === 'string') symlinkSync(node.target, path)
    else {
      mkdirSync(path)
      makeTree(path, node as Tree)
    }
  }
}

/** Everything below a folder: each path with its kind and content. Sockets come and go with their servers. */
function look(folder: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isSymbolicLink()) found.set(path, `link ${readlinkSync(path)}`)
    else if (entry.isFile()) found.set(path, `file ${readFileSync(path, 'utf8')}`)
    else if (entry.isDirectory()) found.set(path, 'directory')
  }
  return found
}

const without = (seen: ReadonlyMap<string, string>, path: string | undefined): [string, string][] => [...seen].filter(([at]) => at !== path).sort(([a], [b]) => a < b ? -1 : 1)

const realOf = (base: string, path: string): string => exists(dirname(path)) ? join(realpathSync(dirname(path)), path.slice(dirname(path).length)) : join(base, path)

function exists(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
