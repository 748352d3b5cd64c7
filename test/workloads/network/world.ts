// Servers of the test's own on the loopback of this machine, and a resolver that leads every name to them: only rules tell hosts apart.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, connect, createServer as createTcpServer, type Server } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'

/** Absolute paths and ports of what clients need. */
export interface World {
  readonly http: number
  readonly https: number
  /** Undefined where there is no sshd. */
  readonly ssh: number | undefined
  /** A registry of npm packages with `greeting`. */
  readonly npm: number
  /** The certificate that the TLS server's is signed by. */
  readonly ca: string
  /** For ssh: its client's key, and known_hosts. */
  readonly keys: string
  readonly repository: string
  /** Hosts that were asked for since the last call, by the Host header or by TLS. */
  hits(): string[]
  close(): Promise<void>
}

export const has = (program: string): boolean => spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0
export const SSHD = '/usr/sbin/sshd'

/** Every name leads here. */
export const resolveToLoopback = async (): Promise<{ address: string; family: 4 | 6 }[]> => [{ address: '127.0.0.1', family: 4 }]

export async function makeWorld(): Promise<World> {
  const folder = realpathSync(mkdtempSync('/var/tmp/network-world-'))
  const seen: string[] = []
  const at = (name: string): string => join(folder, name)
  const run = (program: string, ...args: string[]): void => {
    const { status, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}`)
  }
  makeRepository(at, run)
  makePackages(at, run)
  run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-keyout', 'tls.key', '-out', 'tls.crt',
    '-subj', '/CN=test', '-addext', 'subjectAltName=DNS:*.allowed.test,DNS:*.denied.test')

  const answer = (request: Pick<IncomingMessage, 'url' | 'headers'>, response: Pick<ServerResponse, 'statusCode' | 'setHeader' | 'end'>): void => {
    const host = String(request.headers.host ?? (request.headers as Record<string, unknown>)[':authority'])
    seen.push(host.replace(/:\d+$/, ''))
    const file = at(`files${new URL(request.url ?? '/', 'http://x').pathname}`)
    const found = existsSync(file) && statSync(file).isDirectory() ? join(file, 'index.html') : file
    if (found.endsWith('.html')) response.setHeader('content-type', 'text/html')
    if (existsSync(found)) response.end(readFileSync(found))
    else {
      response.statusCode = request.url === '/' ? 200 : 404
      response.end(`hello from ${host.replace(/:\d+$/, '')}\n`)
    }
  }
  const http = createServer(answer)
  // WebSocket: one frame is answered by the same in capitals.
  http.on('upgrade', (request, socket) => {
    seen.push(String(request.headers.host).replace(/:\d+$/, ''))
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
    socket.on('data', (frame: Buffer) => {
      const text = unmask(frame)?.toUpperCase()
      if (text !== undefined) socket.write(Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text)]))
    })
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
  })
  const https = createSecureServer({ key: readFileSync(at('tls.key')), cert: readFileSync(at('tls.crt')), allowHTTP1: true }, (request, response) =>
    answer(request as unknown as IncomingMessage, response as unknown as ServerResponse))
  https.on('sessionError', () => {})
  const [httpPort, httpsPort] = [await listen(http), await listen(https)]
  const registry = spawn(process.execPath, ['test/support/npm-registry.mjs', '0', at('npm')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const npm = await new Promise<number>(resolve => registry.stdout.once('data', (chunk: Buffer) => resolve(Number(/listening on (\d+)/.exec(String(chunk))?.[1]))))
  const sshd = existsSync(SSHD) ? await startSshd(at, run) : undefined
  return {
    http: httpPort, https: httpsPort, ssh: sshd?.port, npm, ca: at('tls.crt'), keys: at('ssh'), repository: at('files/repo.git'),
    hits: () => seen.splice(0),
    async close() {
      registry.kill()
      sshd?.process.kill()
      http.closeAllConnections()
      await Promise.all([http, https].map(server => new Promise(resolve => {
        server.close(resolve)
        // HTTP/2 sessions that a client has left open.
        setTimeout(resolve, 500)
      })))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** By git's own dumb protocol too: files and nothing else. */
function makeRepository(at: (name: string) => string, run: (program: string, ...args: string[]) => void): void {
  mkdirSync(at('files/simple/greeting'), { recursive: true })
  run('git', 'init', '-q', '-b', 'main', 'source')
  writeFileSync(at('source/note.txt'), 'from the repository\n')
  run('git', '-C', 'source', 'add', '.')
  run('git', '-C', 'source', '-c', 'user.name=t', '-c', 'user.email=t@example.org', 'commit', '-qm', 'first')
  run('git', 'clone', '-q', '--bare', 'source', 'files/repo.git')
  run('git', '-C', 'files/repo.git', 'update-server-info')
}

function makePackages(at: (name: string) => string, run: (program: string, ...args: string[]) => void): void {
  mkdirSync(at('npm/greeting'), { recursive: true })
  writeFileSync(at('npm/greeting/package.json'), JSON.stringify({ name: 'greeting', version: '1.0.0', main: 'index.js' }))
  writeFileSync(at('npm/greeting/index.js'), 'module.exports = "hello from npm"\n')
  if (!has('python3')) return
  run('python3', '-c', `
import zipfile
with zipfile.ZipFile('files/simple/greeting/greeting-1.0-py3-none-any.whl', 'w') as z:
    z.writestr('greeting.py', 'text = "hello from pip"\\n')
    z.writestr('greeting-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: greeting\\nVersion: 1.0\\n')
    z.writestr('greeting-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    z.writestr('greeting-1.0.dist-info/RECORD', 'greeting.py,,\\ngreeting-1.0.dist-info/METADATA,,\\ngreeting-1.0.dist-info/WHEEL,,\\ngreeting-1.0.dist-info/RECORD,,\\n')
`)
  writeFileSync(at('files/simple/greeting/index.html'), '<a href="greeting-1.0-py3-none-any.whl">greeting-1.0-py3-none-any.whl</a>\n')
}

async function startSshd(at: (name: string) => string, run: (program: string, ...args: string[]) => void): Promise<{ process: ChildProcess; port: number }> {
  mkdirSync(at('ssh'))
  for (const name of ['host', 'client']) run('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', at(`ssh/${name}`))
  writeFileSync(at('ssh/authorized'), readFileSync(at('ssh/client.pub')))
  chmodSync(at('ssh'), 0o700)
  // It separates its privileges in a folder that its package's service makes.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true })
  const port = await freePort()
  writeFileSync(at('ssh/known_hosts'), ['git.allowed.test', 'git.denied.test'].map(host => `[${host}]:${port} ${readFileSync(at('ssh/host.pub'), 'utf8').trim()}\n`).join(''))
  writeFileSync(at('ssh/config'), [
    'ListenAddress 127.0.0.1', `Port ${port}`, `HostKey ${at('ssh/host')}`, `AuthorizedKeysFile ${at('ssh/authorized')}`, 'StrictModes no', 'UsePAM no', 'PermitRootLogin yes',
    'PasswordAuthentication no', `PidFile ${at('ssh/pid')}`, '',
  ].join('\n'))
  const sshd = spawn(SSHD, ['-D', '-e', '-f', at('ssh/config')], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  sshd.stderr.on('data', (chunk: Buffer) => { said += String(chunk) })
  while (!await answers(port)) {
    if (sshd.exitCode !== null) throw new Error(`sshd ended: ${said}`)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return { process: sshd, port }
}

function answers(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

async function freePort(): Promise<number> {
  const server = createTcpServer()
  const port = await listen(server)
  await new Promise(resolve => server.close(resolve))
  return port
}

const listen = (server: Pick<Server, 'listen' | 'address'>): Promise<number> =>
  new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)))

/** The text of one short masked frame. */
function unmask(frame: Buffer): string | undefined {
  const length = (frame[1] ?? 0) & 0x7f
  if (frame[0] !== 0x81 || length > 125 || frame.length < 6 + length) return undefined
  return Buffer.from(frame.subarray(6, 6 + length).map((byte, index) => byte ^ (frame[2 + index % 4] ?? 0))).toString()
}
