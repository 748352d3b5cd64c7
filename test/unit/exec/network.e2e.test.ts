// A proxied network from the caller's side: approvals, rules that change, lists of single commands, unix sockets, ports of this machine.
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { createServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { ApprovalRequest, OnApproval } from '../../../src/approval/approval-request.js'
import type { Denial } from '../../../src/exec/denial.js'
import { formatDenials } from '../../../src/exec/format-denials.js'
import type { SandboxOptions } from '../../../src/exec/options.js'
import { type Sandbox, startSandbox } from '../../../src/exec/sandbox.js'
import { makeWorkspace } from '../../native/workspace.js'
import { ALL_RUNGS, BWRAP_IF_THERE, NAMESPACES, prepareOn, type RungVariant, SUPERVISED } from '../../support/rungs.js'
import { makeFolder } from '../../workloads/network/folder.js'

let server: HttpServer
let port = 0
const asked: string[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.headers.host?.replace(/:\d+$/, '')}${request.url}`)
    response.end('hello\n')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
afterAll(() => new Promise(resolve => {
  server.closeAllConnections()
  server.close(resolve)
}))

/** Every name is 127.0.0.1, which a rule permits: only names tell hosts apart. */
async function start(variant: RungVariant, options: SandboxOptions = {}): Promise<Sandbox> {
  const { path } = makeWorkspace()
  const policy = { network: { allowedDomains: ['a.test', 'b.test', '127.0.0.1'] } }
  const sandbox = await startSandbox(await prepareOn(variant, { policy, cwd: path, ...options }), {}, { resolve: async () => [{ address: '127.0.0.1', family: 4 }] })
  onTestFinished(() => sandbox.close())
  return sandbox
}

const curl = (host: string, path = '/', on = port): string[] => ['curl', '-sS', '--max-time', '20', `http://${host}:${on}${path}`]
const HELLO = { exitCode: 0, stdout: 'hello\n' }
const refused = (host: string): object => ({ stdout: expect.stringContaining(`Network access to "${host}:${port}" was refused`) })
const hosts = ({ denials }: { readonly denials: readonly Denial[] }) => denials.map(({ host }) => host)

describe.each([NAMESPACES, SUPERVISED, ...BWRAP_IF_THERE])('$name', variant => {
  test('what no rule names is a denial in the result and an event, with the change that would allow it', async () => {
    const sandbox = await start(variant)
    const heard: Denial[] = []
    const result = await sandbox.exec(curl('c.test'), { onDenial: denial => heard.push(denial) })
    expect(result).toMatchObject(refused('c.test'))
    expect(result.denials).toEqual(heard)
    expect(result.denials).toEqual([{
      kind: 'network', operation: 'connect', host: 'c.test', port, protocol: 'http', method: 'GET', certainty: 'refused',
      message: `Network access to "c.test:${port}" was refused: no rule allows it. To allow: add "c.test:${port}" to network.allowedDomains.`,
      remedy: {
        text: `add "c.test:${port}" to network.allowedDomains`, flags: ['--allow-domain', `c.test:${port}`], changes: [{ operation: 'add', field: 'network.allowedDomains', value: `c.test:${port}` }],
        additionalPermissions: { network: { allowedDomains: [`c.test:${port}`] } },
      },
    }])
    expect(formatDenials(result, { for: 'human' })).toContain(`(--allow-domain c.test:${port})`)
    expect(await sandbox.exec(curl('a.test'))).toMatchObject({ ...HELLO, denials: [] })
    expect(await sandbox.exec(curl('c.test'), { additionalPermissions: result.denials[0]!.remedy.additionalPermissions! })).toMatchObject(HELLO)
    expect(await sandbox.exec(curl('c.test'))).toMatchObject(refused('c.test'))
    await sandbox.grant(result.denials[0]!.remedy.additionalPermissions!)
    expect(await sandbox.exec(curl('c.test'))).toMatchObject(HELLO)
  })

  test('of commands that run at once each hears of its own', async () => {
    const sandbox = await start(variant)
    const names = ['c', 'd', 'e', 'f'].map(name => `${name}.test`)
    const results = await Promise.all(names.map(name => sandbox.shell(`sleep 0.2; curl -sS http://${name}:${port}/; sleep 0.2`)))
    expect(results.map(hosts)).toEqual(names.map(name => [name]))
  })

  test('rules that change hold from the next connection on, and what stands goes on', async () => {
    const sandbox = await start(variant)
    await sandbox.updateNetwork({ allowedDomains: ['c.test', '127.0.0.1'] })
    expect([await sandbox.exec(curl('c.test')), await sandbox.exec(curl('a.test'))]).toMatchObject([HELLO, refused('a.test')])
    await sandbox.updateNetwork({ deniedDomains: ['c.test'] })
    expect(await sandbox.exec(curl('c.test'))).toMatchObject(refused('c.test'))
    expect(sandbox.policy.networkRules).toMatchObject({ allowedDomains: ['c.test', '127.0.0.1'], deniedDomains: ['c.test'] })
    await expect(sandbox.updateNetwork({ allowedDomains: ['a b'] })).rejects.toMatchObject({ code: 'policy_invalid_value', field: 'network.allowedDomains[0]' })
    await expect(sandbox.updateNetwork({ allowLocalPorts: [1] } as object)).rejects.toMatchObject({ code: 'option_invalid', field: 'network.allowLocalPorts' })
    expect(await sandbox.exec(curl('c.test'))).toMatchObject(refused('c.test'))
    await sandbox.updateNetwork({ deniedDomains: [] })
    expect(await sandbox.exec(curl('c.test'))).toMatchObject(HELLO)
  })

  test('lists of one command only narrow, and the others stay as they were', async () => {
    const sandbox = await start(variant)
    const [onlyB, notA, wider, nothing, plain] = await Promise.all([
      sandbox.shell(`curl -sS http://a.test:${port}/; curl -sS http://b.test:${port}/`, { network: { allowedDomains: ['b.test'] } }),
      sandbox.shell(`curl -sS http://a.test:${port}/; curl -sS http://b.test:${port}/`, { network: { deniedDomains: ['a.test'] } }),
      sandbox.exec(curl('c.test'), { network: { allowedDomains: ['c.test', '*'] } }),
      sandbox.exec(curl('a.test'), { network: { allowedDomains: [] } }),
      sandbox.exec(curl('a.test')),
    ])
    expect([onlyB.stdout, hosts(onlyB)]).toEqual([expect.stringMatching(/refused[^]*hello\n$/), ['a.test']])
    expect([notA.stdout, hosts(notA)]).toEqual([expect.stringMatching(/refused[^]*hello\n$/), ['a.test']])
    expect([wider, nothing, plain]).toMatchObject([refused('c.test'), refused('a.test'), HELLO])
    expect(await sandbox.exec(['curl', '-sS', '-X', 'POST', `http://a.test:${port}/`], { network: { mode: 'limited' } })).toMatchObject(refused('a.test'))
    expect(() => sandbox.spawn(['true'], { network: { allowedDomains: ['a b'] } })).toThrowError(/network\.allowedDomains\[0\]/)
    // What narrows them follows the sandbox's own rules.
    await sandbox.updateNetwork({ deniedDomains: ['b.test'] })
    expect(await sandbox.exec(curl('b.test'), { network: { allowedDomains: ['b.test'] } })).toMatchObject(refused('b.test'))
  })

  test('a port of this machine is reached inside on the same port, and no other one', async () => {
    const other = await listen()
    const sandbox = await start(variant, { policy: { network: { allowLocalPorts: [port] } } })
    expect(await sandbox.exec(curl('127.0.0.1'))).toMatchObject(HELLO)
    const denied = await sandbox.exec(curl('127.0.0.1', '/', other))
    expect(denied).toMatchObject({ exitCode: 7, stdout: '' })
    if (variant.rung === 'supervised') expect(denied.denials).toMatchObject([{ kind: 'network', port: other, remedy: { flags: ['--allow-local-port', String(other)] } }])
    expect(await sandbox.exec(['sh', '-c', 'echo "$HTTP_PROXY$CODEX_SANDBOX_NETWORK_DISABLED"'])).toMatchObject({ stdout: '1\n' })
  })

  test('nobody is asked about what is denied, or lies at an address that is not public', async () => {
    let questions = 0
    const sandbox = await start(variant, {
      policy: { network: { allowedDomains: ['a.test'], deniedDomains: ['no.test'] } },
      onApproval: () => {
        questions++
        return 'accept'
      },
    })
    expect(await sandbox.exec(curl('no.test'))).toMatchObject(refused('no.test'))
    expect(await sandbox.exec(['curl', '-sS', '--noproxy', '*', ...curl('10.1.2.3').slice(2)])).toMatchObject({ stdout: '' })
    expect(await sandbox.exec(curl('10.1.2.3'))).toMatchObject(refused('10.1.2.3'))
    // Allowed by its name, but it leads to the loopback, for which there is no rule.
    expect((await sandbox.exec(curl('a.test'))).denials).toMatchObject([{ host: 'a.test', remedy: { flags: ['--allow-domain', `127.0.0.1:${port}`] } }])
    expect(questions).toBe(0)
  })
})

describe('who is asked about a host', () => {
  const answering = (answer: (request: ApprovalRequest, signal: AbortSignal) => unknown): OnApproval => (request, { signal }) => answer(request, signal) as ReturnType<OnApproval>
  const hostOf = (request: ApprovalRequest): string => request.kind === 'network' ? `${request.networkApprovalContext.protocol} ${request.networkApprovalContext.host}:${request.port}` : request.kind

  test('hears of the host, the protocol, the port and the command', async () => {
    const seen: ApprovalRequest[] = []
    const sandbox = await start(NAMESPACES, { onApproval: answering(request => { seen.push(request); return 'accept' }) })
    expect(await sandbox.exec(curl('c.test'))).toMatchObject(HELLO)
    expect(seen).toEqual([{
      kind: 'network', approvalId: expect.any(String), reason: `Network access to "c.test:${port}", which no rule names.`, networkApprovalContext: { host: 'c.test', protocol: 'http' }, port,
      command: curl('c.test'), cwd: sandbox.plan.cwd.path,
      proposedNetworkPolicyAmendments: [{ host: 'c.test', action: 'allow' }, { host: 'c.test', action: 'deny' }],
      availableDecisions: [
        'accept', 'acceptForSession', { applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'c.test', action: 'allow' } } },
        { applyNetworkPolicyAmendment: { network_policy_amendment: { host: 'c.test', action: 'deny' } } }, 'decline', 'cancel',
      ],
    }])
  })

  test('is told that an answer which was not offered is none; a decline is one', async () => {
    for (const [answer, sentence] of [['yes', 'got no valid answer'], [undefined, 'got no valid answer'], ['decline', 'declined']] as const) {
      const sandbox = await start(NAMESPACES, { onApproval: answering(() => answer) })
      const result = await sandbox.exec(curl('c.test'))
      expect(result).toMatchObject(refused('c.test'))
      expect(result.denials[0]!.message).toContain(sentence)
    }
  })

  test('is asked once for what is wanted at the same time, of whatever command, and again for another port', async () => {
    const seen: string[] = []
    let answer!: (decision: string) => void
    const decision = new Promise<string>(resolve => { answer = resolve })
    const sandbox = await start(NAMESPACES, { onApproval: answering(request => { seen.push(hostOf(request)); return decision }) })
    const running = [
      sandbox.exec(curl('c.test', '/1')), sandbox.exec(curl('c.test', '/2')),
      // In a confinement of its own.
      sandbox.exec(curl('c.test', '/3'), { network: { deniedDomains: ['x.test'] } }),
      sandbox.exec(['curl', '-sS', `http://c.test:${port + 1}/`]),
    ]
    await expect.poll(() => seen.length).toBe(2)
    await new Promise(resolve => setTimeout(resolve, 200))
    answer('accept')
    const results = await Promise.all(running)
    expect(results.slice(0, 3)).toMatchObject([HELLO, HELLO, HELLO])
    expect(seen.sort()).toEqual([`http c.test:${port}`, `http c.test:${port + 1}`].sort())
  })

  test.each([
    { name: 'accept holds once',                      answers: ['accept', 'decline'], questions: 2, outcome: ['hello', 'refused'] },
    { name: 'acceptForSession holds for what follows', answers: ['acceptForSession'], questions: 1, outcome: ['hello', 'hello'] },
    { name: 'decline',                                answers: ['decline', 'decline'], questions: 2, outcome: ['refused', 'refused'] },
    { name: 'cancel',                                 answers: ['cancel', 'accept'], questions: 2, outcome: ['refused', 'hello'] },
    { name: 'an amendment that allows',               answers: [amendment('c.test', 'allow')], questions: 1, outcome: ['hello', 'hello'] },
    { name: 'an amendment that denies',               answers: [amendment('c.test', 'deny')], questions: 1, outcome: ['refused', 'refused'] },
    { name: 'an amendment for another host',          answers: [amendment('*', 'allow'), amendment('d.test', 'allow')], questions: 2, outcome: ['refused', 'refused'] },
    { name: 'true, a number, nothing',                answers: [true, 1], questions: 2, outcome: ['refused', 'refused'] },
    { name: 'a throw',                                answers: [new Error('x'), undefined], questions: 2, outcome: ['refused', 'refused'] },
  ])('$name', async ({ answers, questions, outcome }) => {
    let count = 0
    const sandbox = await start(NAMESPACES, { onApproval: answering(() => {
      const answer = answers[count++]
      if (answer instanceof Error) throw answer
      return answer
    }) })
    const results = [await sandbox.exec(curl('c.test')), await sandbox.exec(curl('c.test'))]
    expect(results.map(({ stdout }) => stdout.includes('hello') ? 'hello' : 'refused')).toEqual(outcome)
    expect(count).toBe(questions)
  })

  test('has so much time, and then it is denied', async () => {
    let withdrawn = false
    const sandbox = await start(NAMESPACES, {
      approvalTimeoutMs: 300,
      onApproval: answering((_, signal) => new Promise(() => signal.addEventListener('abort', () => { withdrawn = true }))),
    })
    const result = await sandbox.exec(curl('c.test'))
    expect([result.stdout, withdrawn]).toEqual([expect.stringContaining('nobody answered in time'), true])
  })

  test('costs the command no time; what it takes itself counts', async () => {
    const sandbox = await start(NAMESPACES, { onApproval: answering(() => new Promise(resolve => setTimeout(() => resolve('acceptForSession'), 1_500))) })
    expect(await sandbox.exec(curl('c.test'), { timeoutMs: 1_000, idleTimeoutMs: 1_000 })).toMatchObject({ ...HELLO, timedOut: false })
    expect(await sandbox.shell(`curl -sS http://c.test:${port}/; sleep 20`, { timeoutMs: 1_000 })).toMatchObject({ timedOut: true, stdout: 'hello\n' })
  })

  test('is not asked any more when the sandbox closes', async () => {
    let withdrawn = false
    let isAsked!: () => void
    const asked = new Promise<void>(resolve => { isAsked = resolve })
    const sandbox = await start(NAMESPACES, { onApproval: answering((_, signal) => new Promise(() => {
      signal.addEventListener('abort', () => { withdrawn = true })
      isAsked()
    })) })
    const result = sandbox.exec(curl('c.test'))
    await asked
    await sandbox.close()
    expect([(await result).cancelled, withdrawn]).toEqual([true, true])
  })
})

describe('lists of one command under an open network', () => {
  test('lead it through a proxy', async () => {
    const sandbox = await start(NAMESPACES, { policy: { network: 'open' } })
    const narrow = await sandbox.shell(`curl -sS http://a.test:${port}/; curl -sS http://c.test:${port}/; curl -sS --noproxy '*' --max-time 5 http://127.0.0.1:${port}/`, { network: { allowedDomains: ['a.test', '127.0.0.1'] } })
    expect([narrow.stdout, hosts(narrow)]).toEqual([expect.stringMatching(/^hello\nNetwork access to "c\.test:\d+" was refused[^\n]*\n?$/), ['c.test']])
    expect(await sandbox.exec(['curl', '-sS', `http://127.0.0.1:${port}/`])).toMatchObject(HELLO)
  })
  test('mean nothing while it is off', async () => {
    const sandbox = await start(NAMESPACES, { policy: 'workspace-write' })
    expect(await sandbox.exec(['sh', '-c', 'echo "[$HTTP_PROXY]"'], { network: { allowedDomains: ['a.test'] } })).toMatchObject({ stdout: '[]\n' })
    await expect(sandbox.updateNetwork({ allowedDomains: ['a.test'] })).rejects.toMatchObject({ code: 'option_invalid', field: 'updateNetwork' })
  })
  test('are refused where nothing is enforced', async () => {
    const sandbox = await start({ name: 'unconfined' }, { policy: 'danger-full-access' })
    await expect(sandbox.exec(['true'], { network: { allowedDomains: [] } })).rejects.toMatchObject({ code: 'rule_not_enforceable', field: 'network' })
  })
})

describe.each([...ALL_RUNGS, ...BWRAP_IF_THERE])('unix sockets of this machine: $name', variant => {
  const folder = makeFolder()
  const at = (name: string): string => join(folder.path, name)
  const servers: Server[] = []
  beforeAll(async () => {
    for (const name of ['run', 'run/pool', 'work']) mkdirSync(at(name))
    for (const name of ['run/db.sock', 'run/other.sock', 'run/pool/one.sock', 'run/pool/docker.sock', 'run/docker.sock', 'work/own.sock', 'work/other.sock']) {
      const unix = createTcpServer(socket => socket.end(`${name}\n`))
      await new Promise<void>(resolve => unix.listen(at(name), resolve))
      servers.push(unix)
    }
    symlinkSync(at('run/db.sock'), at('run/by-link.sock'))
  })
  afterAll(() => {
    for (const each of servers) each.close()
    folder.remove()
  })
  const open = async (network: object): Promise<Sandbox> => {
    const sandbox = await startSandbox(await prepareOn(variant, { policy: { network }, cwd: at('work') }))
    onTestFinished(() => sandbox.close())
    return sandbox
  }
  const script = `import socket, sys
for path in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
        print(s.recv(100).decode().strip())
    except OSError as error:
        print(error.strerror)
`
  const say = async (sandbox: Sandbox, ...names: string[]) => (await sandbox.exec(['python3', '-c', script, ...names.map(at)])).stdout.trim().split('\n')
  const NO = 'Permission denied'
  const hasPython = spawnSync('python3', ['--version']).status === 0

  test('those that are named, through whatever link, and no others', async ({ skip }) => {
    if (!hasPython) skip('python3 is not installed')
    const sandbox = await open({ allowUnixSockets: [at('run/by-link.sock'), at('run/pool')] })
    symlinkSync(at('run/other.sock'), at('work/to-other'))
    symlinkSync(at('run/db.sock'), at('work/to-db'))
    expect(await say(sandbox, 'run/db.sock', 'run/by-link.sock', 'work/to-db', 'run/pool/one.sock', 'run/other.sock', 'work/to-other', 'run/pool/docker.sock', 'run/docker.sock'))
      .toEqual(['run/db.sock', 'run/db.sock', 'run/db.sock', 'run/pool/one.sock', NO, NO, NO, NO])
    const denied = await sandbox.exec(['python3', '-c', script, at('run/other.sock')])
    expect(denied.denials).toMatchObject([{ kind: 'unix-socket', path: at('run/other.sock'), remedy: { flags: ['--allow-unix-socket', at('run/other.sock')] } }])
  })
  test('in a writable root the one that was there at the start, whatever is put in its place', async ({ skip }) => {
    if (!hasPython) skip('python3 is not installed')
    const sandbox = await open({ allowUnixSockets: [at('work/own.sock')] })
    expect(await say(sandbox, 'work/own.sock', 'work/other.sock')).toEqual(['work/own.sock', NO])
    const swapped = await sandbox.exec(['sh', '-c', `mv own.sock kept.sock && mv other.sock own.sock && python3 -c "$0" own.sock kept.sock; mv own.sock other.sock; mv kept.sock own.sock`, script])
    expect(swapped.stdout.trim().split('\n')).toEqual([NO, 'work/own.sock'])
  })
  test('all of them by one word, docker\'s by its own', async ({ skip }) => {
    if (!hasPython) skip('python3 is not installed')
    expect(await say(await open({ dangerouslyAllowAllUnixSockets: true }), 'run/other.sock', 'run/docker.sock')).toEqual(['run/other.sock', NO])
    const docker = await open({ allowUnixSockets: [at('run/docker.sock')], dangerouslyAllowDockerSocket: true })
    expect(await say(docker, 'run/docker.sock', 'run/other.sock')).toEqual(['run/docker.sock', NO])
  })
  test('with none of it, nothing', async ({ skip }) => {
    if (!hasPython) skip('python3 is not installed')
    expect(await say(await open({ allowedDomains: [] }), 'run/db.sock', 'work/own.sock', 'run/docker.sock')).toEqual([NO, NO, NO])
  })
})

test('a port for the proxy that somebody has is refused by its name', async () => {
  const taken = await listen()
  await expect(start(SUPERVISED, { policy: { network: { allowedDomains: ['a.test'], httpPort: taken } } })).rejects.toMatchObject({ code: 'port_taken', field: 'network.httpPort' })
  // In a namespace nobody else has it.
  const sandbox = await start(NAMESPACES, { policy: { network: { allowedDomains: ['a.test', '127.0.0.1'], httpPort: taken, socksPort: 1080 } } })
  expect((await sandbox.shell('echo "$HTTP_PROXY $CODEX_SANDBOX_SOCKS_PROXY"')).stdout).toMatch(new RegExp(`^http://\\S+@127\\.0\\.0\\.1:${taken} socks5h://\\S+@127\\.0\\.0\\.1:1080\\n$`))
  expect(await sandbox.exec(curl('a.test'))).toMatchObject(HELLO)
})

test('an idle sandbox with a proxy does not keep Node alive, and closes', () => {
  const program = `
    import { createSandbox } from ${JSON.stringify(join(process.cwd(), 'dist/index.js'))}
    const sandbox = await createSandbox({ policy: { network: { allowedDomains: ['a.test'] } } })
    const { exitCode } = await sandbox.exec(['true'])
    if (process.argv[1] === 'close') await sandbox.close()
    console.log(exitCode)`
  for (const word of ['close', 'leave']) {
    const { stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program, word], { encoding: 'utf8', timeout: 20_000, cwd: '/var/tmp' })
    expect([word, stdout, status]).toEqual([word, '0\n', 0])
  }
})

function amendment(host: string, action: 'allow' | 'deny'): object {
  return { applyNetworkPolicyAmendment: { network_policy_amendment: { host, action } } }
}

async function listen(): Promise<number> {
  const tcp = createTcpServer(socket => socket.end())
  await new Promise<void>(resolve => tcp.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => { tcp.close() })
  return (tcp.address() as AddressInfo).port
}
