// How each access of the table is tried for real, in a scene made for it, and judged by what it left or reached outside.
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { Sandbox } from '../../src/exec/sandbox.js'
import type { Tree } from '../support/fake-host.js'
import { type Group, type Row, SCENE } from './table.js'

export interface Place {
  readonly base: string
  /** What the access is about. */
  readonly path: string
  readonly sandbox: Sandbox
}

/** Tries an access and says whether it had its effect. */
type Attempt = (place: Place) => Promise<boolean>

export const ATTEMPTS: Readonly<Record<Row['access'], Attempt>> = {
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

/** The scene's folder, canonical. Whoever made it removes it. */
export function makeScene({ below }: Pick<Group, 'below'>): string {
  const base = mkdtempSync(join(realpathSync(below ?? '/var/tmp'), 'conformance-'))
  makeTree(base, SCENE)
  return base
}

export function makeTree(folder: string, tree: Tree): void {
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

export function exists(path: string): boolean {
  try {
    lstatSync(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

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
