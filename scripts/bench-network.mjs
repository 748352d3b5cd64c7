// `npm run bench:network [-- --write] [-- --rounds N]`: what the proxy costs, against the same client and server without it, in the same
// run. Client, proxy and server are processes of their own. Contenders take turns in every round; read the ratios. --write puts the
// table into docs/bench.md.
import { fork, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer } from 'node:net'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { checkNode, main, ROOT, say, SetUpError } from './setup.mjs'

const SELF = fileURLToPath(import.meta.url)
const PAGE = 'docs/bench.md'
const MARKS = ['<!-- written by npm run bench:network: begin -->', '<!-- written by npm run bench:network: end -->']
const PROXY_BUNDLE = join(ROOT, 'build/bench-proxy.mjs')
const DOMAINS_BUNDLE = join(ROOT, 'build/bench-domains.mjs')
const MIB = 1024 * 1024
/** What is downloaded, by one or all together. */
const TOTAL_MIB = 128
const RULES = 10_000
const IDLE_TUNNELS = 5_000
/** Stands for the proxy that the environment names, with its password. */
const FROM_ENVIRONMENT = 'environment'

const { values: options } = parseArgs({ options: { write: { type: 'boolean' }, rounds: { type: 'string', default: '7' }, role: { type: 'string' }, job: { type: 'string' } } })
const ROUNDS = Number(options.rounds)

/** For srt; gone afterwards. */
const scratch = options.role === undefined ? realpathSync(mkdtempSync(join(tmpdir(), 'codex-sandbox-bench-'))) : undefined
if (scratch !== undefined) process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))

const ROLES = { server: serve, proxy: serveProxy, client: () => work(JSON.parse(options.job)) }
if (options.role !== undefined) await ROLES[options.role]()
else await main(bench)

async function bench() {
  checkNode()
  if (!Number.isInteger(ROUNDS) || ROUNDS < 3) throw new SetUpError('--rounds takes a whole number, 3 or more.')
  mkdirSync(join(ROOT, 'build'), { recursive: true })
  for (const [entry, outfile] of [['src/network/proxy.ts', PROXY_BUNDLE], ['src/policy/domains.ts', DOMAINS_BUNDLE]]) {
    await (await import('esbuild')).build({ entryPoints: [join(ROOT, entry)], bundle: true, platform: 'node', format: 'esm', outfile, logLevel: 'warning' })
  }
  const server = await startRole('server')
  const proxy = await startRole('proxy')
  const srt = await openSrt(server).catch(error => ({ skipped: error.message.trim().split('\n')[0] }))
  const ways = { direct: job => runClient({ ...job, ...server.ports }), proxy: job => runClient({ ...job, ...server.ports, via: proxy.ports.proxy }), ...srt.run === undefined ? {} : { srt: job => srt.run({ ...job, ...server.ports, via: FROM_ENVIRONMENT }) } }

  say(`one tunnel, ${ROUNDS} rounds…`)
  const one = await interleave(ways, { job: 'download', tunnels: 1, bytes: TOTAL_MIB * MIB })
  say('32 tunnels…')
  const many = await interleave(ways, { job: 'download', tunnels: 32, bytes: TOTAL_MIB / 32 * MIB })
  say('small requests…')
  const small = await interleave(ways, { job: 'requests', count: 500 })
  say('opening tunnels…')
  const opening = await interleave(ways, { job: 'open', count: 200 })
  say(`${RULES} rules…`)
  const deciding = await decide()
  say(`${IDLE_TUNNELS} idle tunnels…`)
  const memory = await idleTunnels(server)
  // Of the proxy's own process: what it costs is told apart from what client and server take of the same cores.
  const cpu = await cpuPerGiB(server, proxy)
  for (const each of [server, proxy]) each.child.disconnect()
  await srt.close?.()

  const rate = ms => `${Math.round(TOTAL_MIB / ms * 1000)} MiB/s`
  const rows = [
    row(`one CONNECT tunnel, ${TOTAL_MIB} MiB`, rate(one.direct), rate(one.proxy), one.direct / one.proxy, 'x', '≥ 0.3x', value => value >= 0.3, one.srt && `${rate(one.srt)}, ${(one.direct / one.srt).toFixed(2)}x`),
    row(`32 tunnels, ${TOTAL_MIB / 32} MiB each, in sum, against one tunnel`, rate(one.proxy), rate(many.proxy), one.proxy / many.proxy, 'x', '≥ 0.9x', value => value >= 0.9, many.srt && rate(many.srt)),
    row('the same without a proxy', rate(one.direct), rate(many.direct), one.direct / many.direct, 'x'),
    row("processor time of the proxy for 1 GiB, by 32 tunnels against by one", `${cpu.one.toFixed(0)} ms`, `${cpu.many.toFixed(0)} ms`, cpu.one / cpu.many, 'x'),
    row('a small HTTP request on a connection that stays', `${small.direct.toFixed(3)} ms`, `${small.proxy.toFixed(3)} ms`, small.proxy - small.direct, ' ms more', '≤ 0.5 ms more', value => value <= 0.5, small.srt && `${small.srt.toFixed(3)} ms`),
    row('a new connection, CONNECT and one byte there and back', `${opening.direct.toFixed(3)} ms`, `${opening.proxy.toFixed(3)} ms`, opening.proxy - opening.direct, ' ms more', '', undefined, opening.srt && `${opening.srt.toFixed(3)} ms`),
    row(`one decision with ${RULES.toLocaleString('en')} rules, the slowest of ${deciding.kinds} kinds`, '', `${deciding.slowest.toFixed(2)} µs`, deciding.slowest, ' µs', '≤ 5 µs', value => value <= 5),
    row(`${IDLE_TUNNELS.toLocaleString('en')} idle tunnels, resident memory of the proxy`, `${memory.before.toFixed(0)} MiB without`, `${memory.after.toFixed(0)} MiB`, memory.after - memory.before, ' MiB', '≤ 150 MiB', value => value <= 150),
  ]
  const facts = `Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.version}; load ${loadavg()[0].toFixed(1)} at the end. Medians of ${ROUNDS} interleaved rounds.`
  const page = [facts, srt.version === undefined ? `@anthropic-ai/sandbox-runtime: not run (${srt.skipped}).` : `@anthropic-ai/sandbox-runtime ${srt.version}: its client runs in its sandbox, behind socat and its proxy.`, '',
    '| case | without | ours | result | bar | met | sandbox-runtime |', '|---|---:|---:|---:|---|---|---:|', ...rows].join('\n')
  console.log(`\n${page}`)
  if (options.write) writePage(page)
}

function row(name, without, ours, value, unit, bar = '', meets = undefined, srt = '') {
  return `| ${name} | ${without} | ${ours} | ${value.toFixed(2)}${unit} | ${bar} | ${meets === undefined ? '' : meets(value) ? 'yes' : '**no**'} | ${srt ?? ''} |`
}

function writePage(table) {
  const path = join(ROOT, PAGE)
  const text = readFileSync(path, 'utf8')
  const [begin, end] = MARKS.map(mark => text.indexOf(mark))
  if (begin === -1 || end < begin) throw new SetUpError(`${PAGE} has lost the marks between which the network table stands.`)
  writeFileSync(path, `${text.slice(0, begin + MARKS[0].length)}\n${table}\n${text.slice(end)}`)
}

/* Roles */

/** Sends as many bytes as it is asked for; echoes what begins with `e`; serves small HTTP. */
async function serve() {
  const chunk = Buffer.alloc(256 * 1024)
  const tcp = createServer({ noDelay: true }, socket => {
    socket.on('error', () => {}).on('data', data => {
      const asked = /^(\d+)\n$/.exec(data.toString('latin1'))
      if (asked === null) return void socket.write(data)
      let left = Number(asked[1])
      const more = () => {
        while (left > 0) {
          left -= chunk.length
          if (!socket.write(chunk)) return void socket.once('drain', more)
        }
      }
      more()
    })
  })
  const http = createHttpServer((_, response) => response.end('hello'))
  http.keepAliveTimeout = 60_000
  process.send({ server: await listen(tcp), http: await listen(http) })
  await new Promise(resolve => process.once('disconnect', resolve))
  process.exit()
}

async function serveProxy() {
  const { createProxy } = await import(pathToFileURL(PROXY_BUNDLE))
  const { compileDomains } = await import(pathToFileURL(DOMAINS_BUNDLE))
  const rules = compileDomains({ mode: 'full', allowedDomains: [...manyRules(), 'localhost'], deniedDomains: [] })
  const proxy = createProxy({ rules: () => rules, maxConnections: 2 * IDLE_TUNNELS })
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, socket => proxy.accept(socket))
  process.send({ proxy: await listen(server) })
  process.on('message', () => {
    globalThis.gc?.()
    const { user, system } = process.cpuUsage()
    process.send({ rss: process.memoryUsage.rss() / MIB, cpuMs: (user + system) / 1000, ...proxy.stats })
  })
  await new Promise(resolve => process.once('disconnect', resolve))
  process.exit()
}

/** One job of a client; prints its milliseconds, of one where there are many. */
async function work({ job, server, http, via: asked, tunnels, bytes, count }) {
  const named = asked === FROM_ENVIRONMENT ? new URL(process.env.HTTP_PROXY) : undefined
  const via = named === undefined ? asked : Number(named.port)
  const password = named?.password ? `Proxy-Authorization: Basic ${Buffer.from(`${decodeURIComponent(named.username)}:${decodeURIComponent(named.password)}`).toString('base64')}\r\n` : ''
  const open = () => openTunnel(server, via, password)
  const jobs = {
    async download() {
      const sockets = await Promise.all(Array.from({ length: tunnels }, open))
      const start = performance.now()
      await Promise.all(sockets.map(socket => new Promise((resolve, reject) => {
        let left = bytes
        socket.on('error', reject).on('data', data => {
          left -= data.length
          if (left === 0) resolve()
        })
        socket.write(`${bytes}\n`)
      })))
      return performance.now() - start
    },
    async requests() {
      const socket = await new Promise(resolve => { const made = connect({ host: '127.0.0.1', port: via ?? http, noDelay: true }, () => resolve(made)) })
      const request = `GET ${via === undefined ? '' : `http://localhost:${http}`}/ HTTP/1.1\r\nHost: localhost:${http}\r\n${password}\r\n`
      return medianOf(count, () => ask(socket, request, 'hello'))
    },
    open: () => medianOf(count, async () => {
      const socket = await open()
      await ask(socket, 'e', 'e')
      socket.destroy()
    }),
    async hold() {
      const sockets = []
      while (sockets.length < tunnels) sockets.push(...await Promise.all(Array.from({ length: 100 }, open)))
      // Each has carried something: no tunnel is younger than its first byte.
      await Promise.all(sockets.map(socket => ask(socket, 'e', 'e')))
      console.log('0')
      await new Promise(resolve => process.stdin.resume().once('end', resolve))
      process.exit()
    },
  }
  console.log(await jobs[job]())
  process.exit()
}

function openTunnel(port, via, password) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: via ?? port, noDelay: true }, () => {
      if (via === undefined) return resolve(socket)
      socket.write(`CONNECT localhost:${port} HTTP/1.1\r\nHost: localhost:${port}\r\n${password}\r\n`)
      socket.once('data', data => / 200 /.test(data.toString('latin1')) ? resolve(socket) : reject(new Error(data.toString('latin1'))))
    })
    socket.once('error', reject)
  })
}

/** Resolves once the answer ends with `end`. */
function ask(socket, text, end) {
  return new Promise(resolve => {
    let answer = ''
    const onData = data => {
      answer += data.toString('latin1')
      if (!answer.endsWith(end)) return
      socket.off('data', onData)
      resolve()
    }
    socket.on('data', onData)
    socket.write(text)
  })
}

/* Measuring */

async function startRole(role) {
  const child = fork(SELF, ['--role', role], { execArgv: ['--expose-gc'] })
  return { child, ports: await answerOf(child) }
}

function answerOf(child) {
  return new Promise((resolve, reject) => {
    child.once('message', resolve)
    child.once('exit', code => reject(new Error(`a process of the bench ended with ${code}`)))
  })
}

function runClient(job) {
  return numberFrom(spawn(process.execPath, clientWords(job), { stdio: ['ignore', 'pipe', 'inherit'] }))
}
function clientWords(job) {
  return [SELF, '--role', 'client', '--job', JSON.stringify(job)]
}

function numberFrom(child) {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', data => { text += data })
    child.on('error', reject).on('close', code => code === 0 ? resolve(Number(text)) : reject(new Error(`a client ended with ${code}`)))
  })
}

async function interleave(ways, job) {
  const names = Object.keys(ways)
  const times = Object.fromEntries(names.map(name => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (let index = 0; index < names.length; index++) {
      const name = names[(index + round) % names.length]
      times[name].push(await ways[name](job))
    }
  }
  return Object.fromEntries(names.map(name => [name, median(times[name])]))
}

async function medianOf(count, run) {
  const times = []
  for (let index = 0; index < count; index++) {
    const start = performance.now()
    await run()
    times.push(performance.now() - start)
  }
  return median(times)
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1]
}

/** A third each of exact names, wildcards and addresses. */
function manyRules() {
  return Array.from({ length: RULES }, (_, index) => [`host-${index}.example.com`, `*.zone-${index}.example.org:443`, `${20 + index % 100}.${index >> 8 & 255}.${index & 255}.0/24`][index % 3])
}

/** Microseconds of one decision, of the slowest kind of host. */
async function decide() {
  const { compileDomains, decideName } = await import(pathToFileURL(DOMAINS_BUNDLE))
  const rules = compileDomains({ mode: 'full', allowedDomains: manyRules(), deniedDomains: manyRules().map(rule => `${rule.startsWith('*') ? '*.bad-' : rule.startsWith('host') ? 'bad-' : ''}${rule.replace('*.', '').replace(/^[0-9]+\./, '9.')}`) })
  const kinds = ['host-9000.example.com', 'a.b.c.zone-9001.example.org', 'nobody.example.net', 'a.b.c.d.e.f.g.h.i.j.k.l.example.net', '120.35.40.7', '8.8.8.8', '10.0.0.1', '2001:4860:4860::8888']
  const count = 20_000
  const times = kinds.map(host => {
    const request = { host, port: 443, protocol: 'https' }
    const rounds = Array.from({ length: 7 }, () => {
      // Of the processor's time: it computes and waits for nobody.
      const before = process.cpuUsage()
      for (let index = 0; index < count; index++) decideName(rules, request)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / count
    })
    return median(rounds)
  })
  return { kinds: kinds.length, slowest: Math.max(...times) }
}

async function cpuPerGiB(server, proxy) {
  const sums = { one: [], many: [] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, tunnels] of [['one', 1], ['many', 32]]) {
      const before = await measure(proxy)
      await runClient({ job: 'download', tunnels, bytes: TOTAL_MIB / tunnels * MIB, ...server.ports, via: proxy.ports.proxy })
      sums[name].push(((await measure(proxy)).cpuMs - before.cpuMs) * 1024 / TOTAL_MIB)
    }
  }
  return { one: median(sums.one), many: median(sums.many) }
}

function measure(proxy) {
  proxy.child.send('measure')
  return answerOf(proxy.child)
}

async function idleTunnels(server) {
  const proxy = await startRole('proxy')
  const before = await measure(proxy)
  const client = spawn(process.execPath, clientWords({ job: 'hold', tunnels: IDLE_TUNNELS, ...server.ports, via: proxy.ports.proxy }), { stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise((resolve, reject) => {
    client.stdout.once('data', resolve)
    client.once('exit', code => reject(new Error(`the client with idle tunnels ended with ${code}`)))
  })
  const after = await measure(proxy)
  if (after.tunnels !== IDLE_TUNNELS) throw new Error(`${after.tunnels} tunnels stand instead of ${IDLE_TUNNELS}`)
  client.removeAllListeners('exit').stdin.end()
  await new Promise(resolve => client.once('exit', resolve))
  proxy.child.disconnect()
  return { before: before.rss, after: after.rss }
}

/** Clients in srt's sandbox reach its proxy through socat, a unix socket and Node. */
async function openSrt(server) {
  const { SandboxManager } = await import('@anthropic-ai/sandbox-runtime')
  const { errors = [] } = SandboxManager.checkDependencies()
  if (errors.length > 0) throw new Error(errors.join('; '))
  // It leaves files in the current folder while it runs.
  process.chdir(scratch)
  await SandboxManager.initialize({ network: { allowedDomains: ['localhost'], deniedDomains: [] }, filesystem: { denyRead: [], allowWrite: ['/tmp'], denyWrite: [] } })
  const { version } = JSON.parse(readFileSync(join(ROOT, 'node_modules/@anthropic-ai/sandbox-runtime/package.json'), 'utf8'))
  const quote = word => `'${word.replaceAll("'", "'\\''")}'`
  const run = async job => numberFrom(spawn('/bin/sh', ['-c', await SandboxManager.wrapWithSandbox([process.execPath, ...clientWords(job)].map(quote).join(' '))], { stdio: ['ignore', 'pipe', 'inherit'] }))
  const close = () => SandboxManager.reset()
  try {
    await run({ job: 'open', count: 1, ...server.ports, via: FROM_ENVIRONMENT })
  } catch (error) {
    await close()
    throw error
  }
  return { version, run, close }
}

function listen(server) {
  return new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
}
