// Questions about hosts that no rule names: who is asked, how often, and what counts as yes.
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import type { Server } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Approval, createApprovals } from '../../../src/network/approvals.js'
import type { HostRequest } from '../../../src/policy/domains.js'
import { collect, listen, openWorld, PUBLIC, type World, type WorldOptions } from './proxy-world.js'

const request = (host: string, port = 443, protocol: HostRequest['protocol'] = 'https'): HostRequest => ({ host, port, protocol })
const never = (): AbortSignal => new AbortController().signal
interface Question { readonly request: HostRequest; readonly signal: AbortSignal; answer(value: unknown): void; fail(): void }

/** Questions wait until the test answers them. */
function inbox(): { questions: Question[]; ask: (request: HostRequest, options: { signal: AbortSignal }) => Promise<unknown> } {
  const questions: Question[] = []
  return { questions, ask: (asked, { signal }) => new Promise((resolve, reject) => { questions.push({ request: asked, signal, answer: resolve, fail: () => reject(new Error('no')) }) }) }
}
const amendment = (host: string, action: string): unknown => ({ applyNetworkPolicyAmendment: { network_policy_amendment: { host, action } } })

describe('one question', () => {
  test.each<{ name: string; answer: unknown; approval: Approval }>([
    { name: 'accept', answer: 'accept', approval: 'accepted' },
    { name: 'accept for the session', answer: 'acceptForSession', approval: 'accepted' },
    { name: 'an amendment that allows the host', answer: amendment('app.test', 'allow'), approval: 'accepted' },
    { name: 'an amendment in another spelling', answer: amendment('APP.test.', 'allow'), approval: 'accepted' },
    { name: 'an amendment that denies the host', answer: amendment('app.test', 'deny'), approval: 'denied' },
    { name: 'decline', answer: 'decline', approval: 'declined' },
    { name: 'cancel', answer: 'cancel', approval: 'declined' },
    { name: 'an amendment for another host', answer: amendment('other.test', 'allow'), approval: 'failed' },
    { name: 'an amendment with another action', answer: amendment('app.test', 'Allow'), approval: 'failed' },
    { name: 'an amendment without its inside', answer: { applyNetworkPolicyAmendment: {} }, approval: 'failed' },
    { name: 'an amendment of nothing', answer: { applyNetworkPolicyAmendment: null }, approval: 'failed' },
    { name: 'true', answer: true, approval: 'failed' },
    { name: 'nothing', answer: undefined, approval: 'failed' },
    { name: 'null', answer: null, approval: 'failed' },
    { name: 'yes', answer: 'yes', approval: 'failed' },
    { name: 'Accept', answer: 'Accept', approval: 'failed' },
    { name: 'an object that looks like accept', answer: { toString: () => 'accept' }, approval: 'failed' },
    { name: 'an object with a decision', answer: { decision: 'accept' }, approval: 'failed' },
    { name: 'a list', answer: ['accept'], approval: 'failed' },
  ])('$name: $approval', async ({ answer, approval }) => {
    const approvals = createApprovals({ ask: () => Promise.resolve(answer) })
    expect(await approvals.decide(request('app.test'), undefined, never())).toBe(approval)
  })

  test('a callback that throws, rejects, or answers too late is no answer', async () => {
    expect(await createApprovals({ ask: () => { throw new Error('at once') } }).decide(request('app.test'), undefined, never())).toBe('failed')
    expect(await createApprovals({ ask: () => Promise.reject(new Error('later')) }).decide(request('app.test'), undefined, never())).toBe('failed')
    const { questions, ask } = inbox()
    const late = createApprovals({ ask, timeoutMs: 20 })
    expect(await late.decide(request('app.test'), undefined, never())).toBe('timed-out')
    expect(questions[0]!.signal.aborted).toBe(true)
    questions[0]!.answer('acceptForSession')
    const again = late.decide(request('app.test'), undefined, never())
    expect(await again).toBe('timed-out')
    expect(questions).toHaveLength(2)
  })

  test('an answer does not abort its own question', async () => {
    const { questions, ask } = inbox()
    const approvals = createApprovals({ ask })
    const waiting = approvals.decide(request('app.test'), undefined, never())
    await expect.poll(() => questions.length).toBe(1)
    questions[0]!.answer('accept')
    await waiting
    expect(questions[0]!.signal.aborted).toBe(false)
  })
})

describe('several at once', () => {
  test('the same host, protocol and port share one question and its answer; another of the three asks again', async () => {
    const { questions, ask } = inbox()
    const approvals = createApprovals({ ask })
    const same = Array.from({ length: 20 }, () => approvals.decide(request('app.test'), undefined, never()))
    const others = [request('app.test', 444), request('app.test', 443, 'socks5Tcp'), request('b.test')].map(each => approvals.decide(each, undefined, never()))
    await expect.poll(() => questions.length).toBe(4)
    questions[0]!.answer('accept')
    for (const question of questions.slice(1)) question.answer('decline')
    expect(new Set(await Promise.all(same))).toEqual(new Set(['accepted']))
    expect(await Promise.all(others)).toEqual(['declined', 'declined', 'declined'])
    expect(questions.map(question => question.request)).toEqual([request('app.test'), request('app.test', 444), request('app.test', 443, 'socks5Tcp'), request('b.test')])
  })

  test('what is asked afterwards is asked anew, unless the answer was for the session or an amendment', async () => {
    const answers: unknown[] = ['accept', 'decline', 'acceptForSession']
    let asked = 0
    const approvals = createApprovals({ ask: () => Promise.resolve(answers[asked++]) })
    const decide = (host: string, port?: number): Promise<Approval> => approvals.decide(request(host, port), undefined, never())
    expect([await decide('app.test'), await decide('app.test'), await decide('app.test'), await decide('app.test'), asked]).toEqual(['accepted', 'declined', 'accepted', 'accepted', 3])
    // For the session means this port.
    answers.push('decline', amendment('b.test', 'allow'), amendment('c.test', 'deny'))
    expect([await decide('app.test', 444), asked]).toEqual(['declined', 4])
    // An amendment means the host.
    expect([await decide('b.test'), await decide('b.test', 80), await decide('c.test'), await decide('c.test', 80), asked]).toEqual(['accepted', 'accepted', 'denied', 'denied', 6])
  })

  test('who goes away stops waiting; the question is withdrawn with the last', async () => {
    const { questions, ask } = inbox()
    const prompts: string[] = []
    const approvals = createApprovals({ ask, onPrompt: (open, source) => prompts.push(`${source as string} ${open}`) })
    const [one, two] = [new AbortController(), new AbortController()]
    const first = approvals.decide(request('app.test'), 'a', one.signal)
    const second = approvals.decide(request('app.test'), 'b', two.signal)
    await expect.poll(() => questions.length).toBe(1)
    one.abort()
    expect(await first).toBe('aborted')
    expect(questions[0]!.signal.aborted).toBe(false)
    two.abort()
    expect(await second).toBe('aborted')
    expect(questions[0]!.signal.aborted).toBe(true)
    expect(prompts).toEqual(['a true', 'b true', 'a false', 'b false'])
    // An answer that comes now is nobody's, and keeps nothing.
    questions[0]!.answer('acceptForSession')
    void approvals.decide(request('app.test'), 'c', never())
    await expect.poll(() => questions.length).toBe(2)
    approvals.close()
  })

  test('closing denies who waits and who comes', async () => {
    const { questions, ask } = inbox()
    const approvals = createApprovals({ ask })
    const waiting = approvals.decide(request('app.test'), undefined, never())
    await expect.poll(() => questions.length).toBe(1)
    approvals.close()
    expect([await waiting, await approvals.decide(request('app.test'), undefined, never()), questions[0]!.signal.aborted]).toEqual(['aborted', 'aborted', true])
  })

  test('a program cannot open questions without end', async () => {
    const { questions, ask } = inbox()
    const approvals = createApprovals({ ask })
    const all = Array.from({ length: 200 }, (_, index) => approvals.decide(request(`h${index}.test`), undefined, never()))
    const refused = await Promise.all(all.slice(64))
    expect(new Set(refused)).toEqual(new Set(['failed']))
    await expect.poll(() => questions.length).toBe(64)
    for (const question of questions) question.answer('accept')
    expect(new Set(await Promise.all(all.slice(0, 64)))).toEqual(new Set(['accepted']))
    const next = approvals.decide(request('late.test'), undefined, never())
    await expect.poll(() => questions.length).toBe(65)
    questions[64]!.answer('accept')
    expect(await next).toBe('accepted')
  })

  test('a listener that throws changes nothing', async () => {
    const approvals = createApprovals({ ask: () => Promise.resolve('accept'), onPrompt: () => { throw new Error('the caller\'s own') } })
    expect(await approvals.decide(request('app.test'), undefined, never())).toBe('accepted')
  })
})

describe('through the proxy', () => {
  let world: World
  let origin: HttpServer
  let originPort: number
  let box: ReturnType<typeof inbox>
  beforeAll(async () => {
    origin = createHttpServer((_, response) => response.end('ok'))
    originPort = await listen(origin as unknown as Server)
  })
  afterAll(() => { origin.closeAllConnections(); origin.close() })
  beforeEach(() => { box = inbox() })
  afterEach(() => world.close())
  const start = async (options: WorldOptions = {}): Promise<void> => {
    world = await openWorld({ ask: box.ask, names: { 'app.test': [PUBLIC], 'inner.test': ['10.0.0.1'] }, servers: { [`${PUBLIC}:80`]: originPort }, ...options })
  }
  const get = (host = 'app.test'): string => `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`

  test('nothing is resolved or dialled before the answer', async () => {
    await start()
    const answer = world.talk(get('APP.test.'))
    await expect.poll(() => box.questions.length).toBe(1)
    expect({ looked: world.looked, dialled: world.dialled, prompts: world.prompts }).toEqual({ looked: [], dialled: [], prompts: ['open'] })
    expect(box.questions[0]!.request).toEqual({ host: 'app.test', port: 80, protocol: 'http' })
    box.questions[0]!.answer('accept')
    expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(world.prompts).toEqual(['open', 'closed'])
  })

  test('ten connections are one question', async () => {
    await start()
    const answers = Array.from({ length: 10 }, () => world.talk(get()))
    await expect.poll(() => world.prompts.length).toBe(10)
    box.questions[0]!.answer('accept')
    for (const text of await Promise.all(answers)) expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(box.questions).toHaveLength(1)
  })

  test.each([
    { name: 'decline', answer: 'decline', because: 'declined' },
    { name: 'nonsense', answer: 'ok', because: 'unanswered' },
    { name: 'an amendment that denies', answer: amendment('app.test', 'deny'), because: 'declined' },
  ])('$name is a 403 and a denial', async ({ answer, because }) => {
    await start()
    const text = world.talk(get())
    await expect.poll(() => box.questions.length).toBe(1)
    box.questions[0]!.answer(answer)
    expect(await text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\nx-proxy-error: blocked-by-policy\r\n/)
    expect(world.denials.map(denial => denial.because)).toEqual([because])
    expect(world.looked).toEqual([])
  })

  test('no answer in time is a 403 and a denial', async () => {
    await start({ askTimeoutMs: 20 })
    expect(await world.talk(get())).toContain('nobody answered in time')
    expect(world.denials.map(denial => denial.because)).toEqual(['timed-out'])
  })

  test('denied hosts and local addresses are never asked about, nor is anything under an empty allow list', async () => {
    await start({ rules: { deniedDomains: ['app.test', '1.1.1.1'] } })
    for (const host of ['app.test', '1.1.1.1', '10.0.0.1', '127.0.0.1', 'localhost', '169.254.169.254', '0x7f.1']) expect(await world.talk(get(host))).toMatch(/^HTTP\/1\.1 403 /)
    world.rules = { allowedDomains: [] }
    expect(await world.talk(get())).toContain('blocked-by-allowlist')
    expect(box.questions).toEqual([])
  })

  test('an accepted name that leads to a private address is refused all the same', async () => {
    await start()
    const text = world.talk(get('inner.test'))
    await expect.poll(() => box.questions.length).toBe(1)
    box.questions[0]!.answer('acceptForSession')
    expect(await text).toContain('blocked-by-local-address')
    expect(world.dialled).toEqual([])
  })

  test('a rule that came meanwhile beats the answer', async () => {
    await start()
    const text = world.talk(get())
    await expect.poll(() => box.questions.length).toBe(1)
    world.rules = { deniedDomains: ['app.test'] }
    box.questions[0]!.answer('accept')
    expect(await text).toContain('blocked-by-denylist')
    world.rules = { allowedDomains: [] }
    expect(world.looked).toEqual([])
  })

  test('an accepted host does not open what the mode refuses, and the mode is not asked about', async () => {
    await start({ rules: { mode: 'limited' } })
    expect(await world.talk(get().replace('GET', 'POST'))).toContain('blocked-by-allowlist')
    expect(box.questions).toEqual([])
  })

  test.each([
    { name: 'ends', leave: (socket: { end(): void }) => socket.end() },
    { name: 'is reset', leave: (socket: { resetAndDestroy(): void }) => socket.resetAndDestroy() },
  ])('a client that $name withdraws its question', async ({ leave }) => {
    await start()
    const socket = await world.connect()
    void collect(socket)
    socket.write('CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n')
    await expect.poll(() => box.questions.length).toBe(1)
    leave(socket as never)
    await expect.poll(() => box.questions[0]!.signal.aborted).toBe(true)
    await expect.poll(() => world.prompts).toEqual(['open', 'closed'])
    box.questions[0]!.answer('acceptForSession')
    await expect.poll(() => world.proxy.stats.connections).toBe(0)
    expect(world.dialled).toEqual([])
  })
})
