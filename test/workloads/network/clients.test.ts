// Real clients through a rule, and the same without one: on both rungs.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { type Sandbox, startSandbox } from '../../../src/exec/sandbox.js'
import { NAMESPACES, prepareOn, type RungVariant, SUPERVISED } from '../../support/rungs.js'
import { makeFolder } from './folder.js'
import { type Client, CLIENTS, JAVA } from './clients.js'
import { has, makeWorld, resolveToLoopback, type World } from './world.js'

const LACKING = ['git', 'openssl'].find(program => !has(program))
let world: World

beforeAll(async () => { if (LACKING === undefined) world = await makeWorld() })
afterAll(() => world?.close())

/** Every name below allowed.test, at the loopback that all names lead to. */
const POLICY = { network: { allowedDomains: ['*.allowed.test', '127.0.0.1'] } } as const

async function start(variant: RungVariant, options: SandboxOptions): Promise<Sandbox> {
  return startSandbox(await prepareOn(variant, options), {}, { resolve: resolveToLoopback })
}

describe.each([NAMESPACES, SUPERVISED])('on the rung $name', variant => {
  const folder = makeFolder()
  let sandbox: Sandbox
  let made = 0
  beforeAll(async () => {
    if (LACKING === undefined) sandbox = await start(variant, { policy: { ...POLICY, denySecrets: false }, cwd: folder.path })
  })
  afterAll(async () => {
    await sandbox?.close()
    folder.remove()
  })

  const run = (client: Client, host: string, by = sandbox) => {
    const cwd = join(folder.path, `${++made}`)
    mkdirSync(cwd)
    return by.exec(['sh', '-euc', client.run(world, host)], { cwd, timeoutMs: 60_000 })
  }

  test.for(CLIENTS)('$name: through a rule, and not without one', async (client, { skip }) => {
    const lacks = LACKING === undefined ? client.lacks() : `${LACKING} is not installed`
    if (lacks !== undefined) skip(lacks)
    world.hits()

    const allowed = await run(client, 'git.allowed.test')
    expect([allowed.exitCode, allowed.stdout, allowed.stderr], allowed.stderr).toEqual([0, expect.stringMatching(client.prints), expect.any(String)])
    // What npm and others ask beside it is another matter.
    expect(allowed.denials.filter(({ host }) => host?.endsWith('.test') === true)).toEqual([])
    if (client.isSeen !== false) expect(new Set(world.hits())).toEqual(new Set(['git.allowed.test']))

    const denied = await run(client, 'git.denied.test')
    expect([denied.exitCode === 0, denied.stdout]).toEqual([false, expect.not.stringMatching(client.prints)])
    expect(denied.denials.filter(({ host }) => host === 'git.denied.test').map(({ kind, certainty, remedy }) => [kind, certainty, remedy.flags[0]])).toEqual([['network', 'refused', '--allow-domain']])
    expect(world.hits()).toEqual([])
  })

  test('Node\'s own fetch: where it knows the variables; else it fails, and the denial says so', async ({ skip }) => {
    if (LACKING !== undefined) skip(`${LACKING} is not installed`)
    const script = (host: string) => `node -e 'fetch("http://${host}:${world.http}/").then(async r => { if (!r.ok) throw new Error(r.status); process.stdout.write(await r.text()) })'`
    const fetch: Client = { name: 'fetch', lacks: () => undefined, prints: /^hello from/, run: (_, host) => script(host) }
    world.hits()
    const result = await run(fetch, 'git.allowed.test')
    if (knowsVariables(process.versions.node)) {
      expect([result.exitCode, result.stdout]).toEqual([0, expect.stringMatching(fetch.prints)])
    } else {
      expect([result.exitCode === 0, world.hits()]).toEqual([false, []])
      expect(result.denials.map(({ message }) => message).join('\n')).toMatch(/EnvHttpProxyAgent/)
    }
    expect((await run(fetch, 'git.denied.test')).exitCode).not.toBe(0)
    expect(world.hits().filter(host => host === 'git.denied.test')).toEqual([])
  })
})

test('Java, where it is told of the proxy', async ({ skip }) => {
  const lacks = LACKING === undefined ? JAVA.lacks() : `${LACKING} is not installed`
  if (lacks !== undefined) skip(lacks)
  const folder = makeFolder()
  const sandbox = await start(NAMESPACES, { policy: POLICY, cwd: folder.path, javaProxy: true })
  try {
    world.hits()
    const allowed = await sandbox.exec(['sh', '-euc', JAVA.run(world, 'git.allowed.test')], { timeoutMs: 60_000 })
    expect([allowed.exitCode, allowed.stdout], allowed.stderr).toEqual([0, expect.stringMatching(JAVA.prints)])
    const denied = await sandbox.exec(['sh', '-euc', JAVA.run(world, 'git.denied.test')], { timeoutMs: 60_000 })
    expect([denied.exitCode === 0, denied.denials.map(({ host }) => host)]).toEqual([false, ['git.denied.test']])
    expect(world.hits()).toEqual(['git.allowed.test'])
  } finally {
    await sandbox.close()
    folder.remove()
  }
})

/** NODE_USE_ENV_PROXY. */
function knowsVariables(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21)
}
