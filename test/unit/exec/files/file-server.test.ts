// The client of the file server against answers that ours never gives, and in every cut.
import { describe, expect, test } from 'vitest'
import { FileServer, FileServerLost } from '../../../../src/exec/files/file-server.js'
import { RunningCommands } from '../../../../src/exec/running-commands.js'
import type { CommandHandlers, Launcher, RunningCommand } from '../../../../src/platform/backend.js'
import { FILE_ANSWER, FILE_OPERATION } from '../../../../src/platform/linux/native/file-operations.generated.js'
import { fakePlan } from '../../../support/fake-launcher.js'

interface Fake { readonly server: FileServer; readonly running: RunningCommands; handlers: CommandHandlers; readonly said: string[]; input: Buffer; answer(...parts: Buffer[]): void }

function fake(): Fake {
  const said: string[] = []
  const say = (word: string) => (): void => void said.push(word)
  const command: RunningCommand = {
    consumed: () => {}, writeStdin: data => { result.input = Buffer.concat([result.input, data]); return true }, closeStdin: say('closeStdin'), signal: () => {}, kill: say('kill'), resize: () => {}, ref: say('ref'), unref: say('unref'),
  }
  const launcher = { run: (_: unknown, handlers: CommandHandlers) => { result.handlers = handlers; return command } } as unknown as Launcher
  const running = new RunningCommands()
  const result = { said, running, input: Buffer.alloc(0), answer: (...parts: Buffer[]) => { for (const part of parts) result.handlers.onOutput('stdout', part) } } as unknown as Fake & { server: FileServer }
  Object.assign(result, { server: new FileServer({ launcher, plan: fakePlan(), running }) })
  return result
}

function answer(id: number, kind: number, payload: Buffer = Buffer.alloc(0), length = payload.length + 5): Buffer {
  const header = Buffer.alloc(9)
  header.writeUInt32LE(length, 0)
  header.writeUInt32LE(id, 4)
  header[8] = kind
  return Buffer.concat([header, payload])
}
const errno = (number: number, path = ''): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(number)
  return Buffer.concat([bytes, Buffer.from(path)])
}
const ask = ({ server }: Fake): Promise<unknown> => server.request(FILE_OPERATION.READ, [Buffer.from('payload')])
const EXIT = { exitCode: 0, signal: undefined, reason: 'none', path: undefined, cpuMs: 0, maxRssBytes: 0, ended: [] } as const

test('on Windows there is none, and nothing is started', () => {
  const launcher = { run: () => { throw new Error('it was started') } } as unknown as Launcher
  const plan = { backend: 'windows-elevated' } as unknown as ReturnType<typeof fakePlan>
  expect(() => new FileServer({ launcher, plan, running: new RunningCommands() })).toThrow(expect.objectContaining({ code: 'platform_unsupported', field: 'sandbox.files' }))
})
test('a request has its length, id and operation before it, and keeps Node alive until it is answered', async () => {
  const it = fake()
  const asked = [ask(it), ask(it)]
  expect(it.input.toString('hex')).toBe(['0c0000000100000001', '0c0000000200000001'].map(header => `${header}${Buffer.from('payload').toString('hex')}`).join(''))
  it.answer(answer(1, FILE_ANSWER.DATA, Buffer.from('one')), answer(1, FILE_ANSWER.DONE, Buffer.from('d')), answer(2, FILE_ANSWER.FAILED, errno(2, '/x')))
  expect(await Promise.all(asked)).toEqual([{ ok: true, data: [Buffer.from('one')], done: Buffer.from('d') }, { ok: false, errno: 'ENOENT', path: '/x' }])
  expect(it.said).toEqual(['ref', 'unref'])
})

test('answers cut anywhere, and all in one piece, are the same', async () => {
  const whole = Buffer.concat([answer(1, FILE_ANSWER.DATA, Buffer.from('some content')), answer(1, FILE_ANSWER.DATA), answer(1, FILE_ANSWER.DONE), answer(2, FILE_ANSWER.DONE, Buffer.from('xy'))])
  for (let cut = 0; cut <= whole.length; cut++) {
    const it = fake()
    const asked = [ask(it), ask(it)]
    it.answer(whole.subarray(0, cut), whole.subarray(cut))
    expect(await Promise.all(asked)).toMatchObject([{ ok: true, data: [Buffer.from('some content'), Buffer.alloc(0)] }, { ok: true, done: Buffer.from('xy') }])
  }
})

describe('what is no answer ends the server, and the requests are lost:', () => {
  test.each<{ name: string; bytes: Buffer }>([
    { name: 'another id',               bytes: answer(7, FILE_ANSWER.DONE) },
    { name: 'an unknown kind',          bytes: answer(1, 99) },
    { name: 'a failure without errno',  bytes: answer(1, FILE_ANSWER.FAILED, Buffer.from('x')) },
    { name: 'a length below a header',  bytes: answer(1, FILE_ANSWER.DONE, Buffer.alloc(0), 4) },
    { name: 'a length without end',     bytes: answer(1, FILE_ANSWER.DATA, Buffer.alloc(0), 0xffff_ffff) },
    { name: 'more than any answer has', bytes: answer(1, FILE_ANSWER.DATA, Buffer.alloc(0), 1 << 20) },
  ])('$name', async ({ bytes }) => {
    const it = fake()
    const asked = ask(it)
    it.answer(bytes)
    expect(it.said).toContain('kill')
    expect(it.server.serves({} as Launcher)).toBe(false)
    it.handlers.onExit(EXIT)
    await expect(asked).rejects.toBeInstanceOf(FileServerLost)
    expect(it.running.isEmpty).toBe(true)
  })

  test('an answer that nobody asked for', () => {
    const it = fake()
    it.answer(answer(1, FILE_ANSWER.DONE))
    expect(it.said).toEqual(['kill'])
  })
})

test('it is idle, and ends; what is written to stderr means nothing', async () => {
  const it = fake()
  const asked = ask(it)
  it.handlers.onOutput('stderr', Buffer.from('noise'))
  it.answer(answer(1, FILE_ANSWER.DONE))
  await asked
  it.server.cancel()
  expect(it.said).toEqual(['ref', 'unref', 'kill'])
})

test('a sandbox that closes lets what was asked for be answered', async () => {
  const it = fake()
  const asked = ask(it)
  it.server.cancel()
  expect(it.said).toEqual(['ref'])
  it.answer(answer(1, FILE_ANSWER.DONE))
  expect(await asked).toMatchObject({ ok: true })
  expect(it.said).toEqual(['ref', 'unref', 'kill'])
})

test.each<{ step: string; error: object }>([
  { step: 'sandbox_closed', error: { code: 'sandbox_closed' } },
  { step: 'launcher_lost',  error: { code: 'launcher_lost' } },
  { step: 'open_helper',    error: { code: 'set_up_failed', step: 'open_helper', errno: 'EIO' } },
])('it cannot be started: $step', async ({ step, error }) => {
  const it = fake()
  const asked = ask(it)
  it.handlers.onFailed({ step, errno: 'EIO', path: undefined })
  await expect(asked).rejects.toMatchObject(error)
})
