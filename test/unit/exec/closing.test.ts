// Which of a sandbox's things go while its launcher does, and which wait for it.
import { expect, test, vi } from 'vitest'
import type { CommandContext } from '../../../src/exec/command-run.js'
import { Confinements, type MakeContext } from '../../../src/exec/confinements.js'

/** Of one launcher, which is gone when `end` is called. */
function confine() {
  const events: string[] = []
  let end = (): void => {}
  const gone = new Promise<void>(resolve => { end = () => { events.push('gone'); resolve() } })
  const launcher = { close: () => { events.push('asked to go'); return gone } }
  let context: CommandContext | undefined
  const makeContext: MakeContext = confined => context = confined as CommandContext
  const confinements = new Confinements({ launcher, plan: {}, policy: {} } as unknown as CommandContext, undefined, () => { throw new Error('nobody looks at the host') }, makeContext)
  return { confinements, events, end, running: context!.running }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

test('without a command: told while the launcher goes', async () => {
  const { confinements, events, end } = confine()
  const closed = confinements.close(0, () => events.push('no command is left'))
  await turn()
  expect(events).toEqual(['asked to go', 'no command is left'])
  end()
  await closed
  expect(events).toEqual(['asked to go', 'no command is left', 'gone'])
})

test('with one that ends when it is asked to: the same, after its end', async () => {
  const { confinements, events, end, running } = confine()
  const command = { cancel: () => { events.push('cancelled'); setImmediate(() => { events.push('ended'); running.delete(command) }) } }
  running.add(command)
  const closed = confinements.close(10_000, () => events.push('no command is left'))
  await vi.waitFor(() => expect(events).toEqual(['cancelled', 'ended', 'asked to go', 'no command is left']))
  end()
  await closed
})

test('with one that outlasts its time: not told, since it may still read and write', async () => {
  const { confinements, events, end, running } = confine()
  running.add({ cancel: () => {} })
  const closed = confinements.close(1, () => events.push('no command is left'))
  await vi.waitFor(() => expect(events).toEqual(['asked to go']))
  end()
  await closed
  expect(events).toEqual(['asked to go', 'gone'])
})

test('what fails meanwhile is told when the launcher is gone', async () => {
  const { confinements, events, end } = confine()
  let settled = false
  const closed = confinements.close(0, () => { throw new Error('EROFS') })
  closed.catch(() => {}).finally(() => { settled = true })
  await turn()
  expect({ settled, events }).toEqual({ settled: false, events: ['asked to go'] })
  end()
  await expect(closed).rejects.toThrow('EROFS')
})
