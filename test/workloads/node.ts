// Node and its package managers.
import { expect } from 'vitest'
import { LOOKUP, lines, withoutLoopback, type Workload } from './workload.js'

const node = (name: string, script: string, rest: Partial<Workload> = {}): Workload => ({ name: `node: ${name}`, needs: ['node'], given: place => place.write('main.mjs', script), run: ['node', 'main.mjs'], prints: 'ok\n', ...rest })

const PACKAGE = { name: 'tiny', version: '1.0.0', type: 'module', scripts: { hello: 'echo hello from $npm_lifecycle_event', test: 'node --test' } }

/** npm keeps logs and a cache at home, and asks for news of itself; it goes on without. */
const NPM_AT_HOME = new RegExp(`^(?:(?:create|remove|write) .*/\\.npm(?:/.*)?|connect .*|${LOOKUP})$`)

export const NODE: readonly Workload[] = [
  node('child_process spawn, exec and execFile', lines`
    import { execFileSync, execSync, spawn } from 'node:child_process'
    import { once } from 'node:events'
    if (execSync('echo shell').toString() !== 'shell\n') throw 1
    if (execFileSync(process.execPath, ['-p', '6 * 7']).toString() !== '42\n') throw 2
    const child = spawn('cat', { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin.end('ok\n')
    child.stdout.pipe(process.stdout)
    await once(child, 'close')
  `),
  node('fork with messages, and a socket sent to the child', lines`
    import { fork } from 'node:child_process'
    import { createServer, connect } from 'node:net'
    if (process.send) process.on('message', (text, socket) => socket.end(text).on('close', () => process.disconnect()))
    else {
      const child = fork(import.meta.filename)
      const server = createServer(socket => child.send('ok\n', socket)).listen(0, '127.0.0.1', () => connect(server.address().port, '127.0.0.1').pipe(process.stdout))
      child.on('exit', () => server.close())
    }
  `, withoutLoopback({ exits: 1, complains: /listen EACCES/ })),
  node('a detached child, and process groups', lines`
    import { spawn } from 'node:child_process'
    import { once } from 'node:events'
    const child = spawn('sleep', ['100'], { detached: true })
    await once(child, 'spawn')
    process.kill(-child.pid, 'SIGTERM')
    const [, signal] = await once(child, 'exit')
    console.log(signal === 'SIGTERM' ? 'ok' : signal)
  `),
  node('worker_threads with shared memory', lines`
    import { Worker, isMainThread, workerData } from 'node:worker_threads'
    import { once } from 'node:events'
    if (!isMainThread) Atomics.add(workerData, 0, 1)
    else {
      const shared = new Int32Array(new SharedArrayBuffer(4))
      await Promise.all(Array.from({ length: 8 }, () => once(new Worker(import.meta.filename, { workerData: shared }), 'exit')))
      console.log(shared[0] === 8 ? 'ok' : shared[0])
    }
  `),
  node('cluster with two workers behind one port', lines`
    import cluster from 'node:cluster'
    import http from 'node:http'
    if (cluster.isPrimary) {
      cluster.fork(); cluster.fork()
      let listening = 0
      cluster.on('listening', async (worker, { port }) => {
        if (++listening < 2) return
        const texts = await Promise.all([1, 2, 3, 4].map(async () => (await fetch('http://127.0.0.1:' + port)).text()))
        console.log(texts.join('') === 'wwww' ? 'ok' : texts)
        for (const each of Object.values(cluster.workers)) each.kill()
      })
    } else http.createServer((request, response) => response.end('w')).listen(8080, '127.0.0.1')
  `, withoutLoopback({ complains: /bind EACCES/ })),
  node('an HTTP server on 127.0.0.1, ::1 and localhost, and fetch', lines`
    import http from 'node:http'
    import { once } from 'node:events'
    for (const host of ['127.0.0.1', '::1', 'localhost', '0.0.0.0', '::']) {
      const server = http.createServer((request, response) => response.end(request.url)).listen(0, host)
      await once(server, 'listening')
      const name = host === 'localhost' ? host : host === '127.0.0.1' || host === '0.0.0.0' ? '127.0.0.1' : '[::1]'
      const text = await (await fetch('http://' + name + ':' + server.address().port + '/path')).text()
      if (text !== '/path') throw new Error(host + text)
      server.closeAllConnections(); server.close()
    }
    console.log('ok')
  `, withoutLoopback({ exits: 1, complains: /listen EACCES/ })),
  node('a port below 1024, of its own loopback', lines`
    import net from 'node:net'
    import { once } from 'node:events'
    const server = net.createServer().listen(80)
    await once(server, 'listening')
    server.close()
    console.log('ok')
  `, { unless: place => / \/proc\/sys ro/.test(place.host('cat', '/proc/self/mountinfo')) ? 'this machine mounts /proc/sys read-only, so the launcher cannot open them' : undefined, ...withoutLoopback({ exits: 1, complains: /listen EACCES/ }), bwrap: { why: 'nobody inside may open them', exits: 1, prints: '', complains: /listen EACCES/ } }),
  node('a unix socket in the workspace and an abstract one', lines`
    import net from 'node:net'
    import { once } from 'node:events'
    for (const path of ['./own.sock', '\0own', '/tmp/own-' + process.pid + '.sock']) {
      const server = net.createServer(socket => socket.end('hello')).listen(path)
      await once(server, 'listening')
      let text = ''
      for await (const chunk of net.connect(path)) text += chunk
      if (text !== 'hello') throw new Error(path)
      server.close()
    }
    console.log('ok')
  `),
  node('UDP on the loopback', lines`
    import dgram from 'node:dgram'
    const server = dgram.createSocket('udp4', (text, from) => server.send(text, from.port, from.address))
    server.bind(0, '127.0.0.1', () => {
      const client = dgram.createSocket('udp4', text => { console.log(String(text)); client.close(); server.close() })
      client.send('ok', server.address().port, '127.0.0.1')
    })
  `, withoutLoopback({ run: ['node', '-e', 'require("dgram").createSocket("udp4").on("error", ({ code }) => { console.log(code); process.exit(1) }).bind(0, "127.0.0.1")'], exits: 1, prints: 'EACCES\n' })),
  node('fs.watch and fs.watchFile', lines`
    import fs from 'node:fs'
    fs.writeFileSync('watched', '')
    await new Promise(resolve => { const watcher = fs.watch('watched', () => { watcher.close(); resolve() }); fs.appendFileSync('watched', 'x') })
    const watcher = fs.watch('.', { recursive: true })
    const seen = new Promise(resolve => watcher.on('change', (kind, name) => { if (String(name).endsWith('deep')) { watcher.close(); resolve() } }))
    fs.mkdirSync('a/b', { recursive: true })
    const again = setInterval(() => fs.writeFileSync('a/b/deep', String(Math.random())), 20)
    await seen
    clearInterval(again)
    console.log('ok')
  `),
  node('WebAssembly, and just-in-time code', lines`
    const bytes = Uint8Array.of(0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11)
    const { instance } = await WebAssembly.instantiate(bytes)
    let sum = 0
    for (let i = 0; i < 3e6; i++) sum = instance.exports.add(sum, i) | 0
    console.log(instance.exports.add(40, 2) === 42 ? 'ok' : 'wrong')
  `),
  node('os.cpus, memory, hostname, network interfaces, user and uptime', lines`
    import os from 'node:os'
    const facts = [os.cpus().length > 0, os.cpus()[0].model !== '', os.totalmem() > 0, os.hostname() !== '', os.uptime() > 0, os.loadavg().length === 3, os.availableParallelism() > 0]
    facts.push(os.networkInterfaces().lo?.some(({ address }) => address === '127.0.0.1'), process.getuid() === Number(process.argv[2] ?? process.getuid()), process.memoryUsage().rss > 0)
    console.log(facts.every(Boolean) ? 'ok' : facts)
  `),
  node('crypto: random bytes, keys, scrypt, and TLS with a certificate of its own', lines`
    import crypto from 'node:crypto'
    import tls from 'node:tls'
    import fs from 'node:fs'
    import { execFileSync } from 'node:child_process'
    if (crypto.randomBytes(32).equals(crypto.randomBytes(32))) throw 1
    crypto.generateKeyPairSync('ed25519'); crypto.scryptSync('a', 'b', 32)
    execFileSync('openssl', 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout private.pem -out public.pem -days 1 -subj /CN=localhost'.split(' '), { stdio: 'ignore' })
    const server = tls.createServer({ key: fs.readFileSync('private.pem'), cert: fs.readFileSync('public.pem') }, socket => socket.end('ok\n')).listen(0, '127.0.0.1', () => {
      tls.connect({ port: server.address().port, host: '127.0.0.1', ca: fs.readFileSync('public.pem'), servername: 'localhost' }).on('close', () => server.close()).pipe(process.stdout)
    })
  `, { needs: ['node', 'openssl'], ...withoutLoopback({ exits: 1, complains: /listen EACCES/ }) }),
  node('dns.lookup of localhost, and a name that nobody answers fails at once', lines`
    import dns from 'node:dns/promises'
    const { address } = await dns.lookup('localhost')
    const failed = await dns.lookup('name.example.org').then(() => 'found', error => error.code)
    console.log(['127.0.0.1', '::1'].includes(address) && ['EAI_AGAIN', 'ENOTFOUND'].includes(failed) ? 'ok' : [address, failed])
  `, { tolerates: new RegExp(`^(?:${LOOKUP})$`) }),
  node('child processes by the hundred', lines`
    import { execFile } from 'node:child_process'
    import { promisify } from 'node:util'
    const run = promisify(execFile)
    const texts = await Promise.all(Array.from({ length: 100 }, (_, i) => run('echo', [String(i)])))
    console.log(texts.every(({ stdout }, i) => stdout === i + '\n') ? 'ok' : 'wrong')
  `),
  node('files: streams, cp, rename, links, temporary folders, permissions', lines`
    import fs from 'node:fs'
    import os from 'node:os'
    import path from 'node:path'
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'w-'))
    fs.writeFileSync(folder + '/a', 'text'); fs.cpSync(folder, 'copy', { recursive: true }); fs.symlinkSync('a', 'copy/link'); fs.linkSync('copy/a', 'copy/hard')
    fs.chmodSync('copy/a', 0o600); fs.utimesSync('copy/a', 1, 2); fs.renameSync('copy', 'moved'); fs.rmSync(folder, { recursive: true })
    await new Promise(resolve => fs.createReadStream('moved/link').pipe(fs.createWriteStream('stream')).on('close', resolve))
    fs.mkdirSync('sub'); fs.renameSync('stream', 'sub/stream'); fs.renameSync('sub', 'moved/sub')
    console.log(fs.readFileSync('moved/sub/stream', 'utf8') === 'text' && fs.statSync('moved/hard').nlink === 2 && (fs.statSync('moved/a').mode & 0o777) === 0o600 ? 'ok' : 'wrong')
  `, { seen: place => expect(place.read('moved/a')).toBe('text') }),
  {
    name: 'node --test, --watch-free, with coverage and an inspector port', needs: ['node'],
    given: place => place.write('a.test.mjs', 'import test from "node:test"; test("works", () => {})'),
    run: 'node --test --test-reporter=tap a.test.mjs | grep -c "^ok 1 - works"; node --inspect=127.0.0.1:0 -e 0', prints: '1\n', complains: /^Debugger listening on ws:\/\/127\.0\.0\.1:.*\n(?:.*\n)*$/,
    ...withoutLoopback({ prints: '1\n', complains: /^Starting inspector on 127\.0\.0\.1:0 failed: permission denied\n$/ }),
  },
  {
    name: 'npm init, npm pkg, npm ls', tolerates: NPM_AT_HOME, needs: ['npm'],
    run: 'npm init -y >/dev/null; npm pkg set description=tiny; npm ls; npm pkg get description', prints: /^workspace@1\.0\.0 .*\n└── \(empty\)\n\n"tiny"\n$/,
    seen: place => expect(JSON.parse(place.read('package.json'))).toMatchObject({ name: 'workspace', description: 'tiny' }),
  },
  {
    name: 'npm run, and npm test with node:test', tolerates: NPM_AT_HOME, needs: ['npm', 'node'],
    given: place => {
      place.write('package.json', JSON.stringify(PACKAGE))
      place.write('a.test.js', 'import test from "node:test"; import assert from "node:assert"; test("adds", () => assert.equal(1 + 1, 2))')
    },
    run: 'npm run --silent hello; npm test 2>&1 | grep -E "^(# pass|ℹ pass) "', prints: /^hello from hello\n(?:#|ℹ) pass 1\n$/,
  },
  {
    name: 'npm test that fails has its exit code', tolerates: NPM_AT_HOME, needs: ['npm'],
    given: place => place.write('package.json', JSON.stringify({ ...PACKAGE, scripts: { test: 'exit 3' } })), run: ['npm', 'test', '--silent'], exits: 3,
  },
  {
    name: 'npx of a local program', tolerates: NPM_AT_HOME, needs: ['npx'],
    given: place => {
      place.write('package.json', JSON.stringify(PACKAGE))
      place.write('node_modules/.bin/own-tool', '#!/usr/bin/env node\nconsole.log("local", process.argv[2])\n', 0o755)
    },
    run: ['npx', '--no-install', 'own-tool', 'word'], prints: 'local word\n',
  },
  {
    name: 'npm install of a folder and of a packed file without the network, into the workspace', needs: ['npm'],
    given: place => {
      place.write('package.json', JSON.stringify(PACKAGE))
      for (const name of ['linked', 'packed']) place.write(`${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.cjs' }))
      for (const name of ['linked', 'packed']) place.write(`${name}/index.cjs`, `module.exports = '${name}'`)
    },
    env: { npm_config_audit: 'false', npm_config_fund: 'false', npm_config_update_notifier: 'false' },
    run: lines`
      npm pack --silent ./packed
      npm install --silent --offline ./linked ./packed-1.0.0.tgz
      node -p 'require("linked") + require("packed")'
    `,
    prints: 'packed-1.0.0.tgz\nlinkedpacked\n',
    seen: place => expect(place.read('node_modules/packed/index.cjs')).toContain('packed'),
  },
  {
    name: 'tsc of a read-only node_modules', tolerates: /^system-call fanotify_init$/, needs: ['node', 'node_modules/typescript/bin/tsc'],
    given: place => {
      place.write('a.ts', 'export const answer: number = 42\n')
      place.write('package.json', '{"type":"module"}')
    },
    run: `node "$REPOSITORY/node_modules/typescript/bin/tsc" --outDir out --module nodenext --target es2022 a.ts`,
    seen: place => expect(place.read('out/a.js')).toContain('export const answer = 42'),
  },
  {
    name: 'esbuild of a read-only node_modules, which starts its own service', needs: ['node', 'node_modules/esbuild/lib/main.js'],
    given: place => place.write('a.ts', 'console.log(42 as number)\n'),
    run: `node -e 'require(process.argv[1]).build({ entryPoints: ["a.ts"], outfile: "a.js" }).then(() => console.log("ok"))' "$REPOSITORY/node_modules/esbuild"`, prints: 'ok\n',
    seen: place => expect(place.read('a.js')).toBe('console.log(42);\n'),
  },
  {
    name: 'biome of a read-only node_modules', tolerates: /^create .*\/\.cache$/, needs: ['node', 'node_modules/@biomejs/biome/bin/biome'],
    given: place => place.write('a.js', 'if (x == NaN) {\n}\n'),
    run: `node "$REPOSITORY/node_modules/@biomejs/biome/bin/biome" lint a.js 2>&1 | grep -c useIsNan`, prints: /^[1-9]/,
  },
  {
    name: 'bun: a server, fetch and a child process', needs: ['bun'],
    given: place => place.write('a.ts', 'const s = Bun.serve({ port: 0, fetch: () => new Response("ok") }); console.log(await (await fetch(s.url)).text()); await Bun.spawn(["true"]).exited; s.stop(true)'),
    run: ['bun', 'a.ts'], prints: 'ok\n', ...withoutLoopback({ exits: 1, complains: /Failed to start server/ }),
  },
]
