// Which command may run when: by the limits of each client and of all, and one client after the other.
import { expect, test } from 'vitest'
import { ExecQueue } from '../../../src/service/exec-queue.js'
import { RpcError } from '../../../src/service/rpc-error.js'

class Owner {
  readonly begun: string[] = []
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** A queue, and in which order commands began. */
function make(limits: ConstructorParameters<typeof ExecQueue>[0]) {
  const queue = new ExecQueue<Owner>(limits)
  const begun: string[] = []
  const enter = (owner: Owner, name: string, places?: number): void => {
    const turn = queue.enter(owner, places)
    if (turn === undefined) begun.push(name)
    else void turn.then(() => begun.push(name))
  }
  return { queue, begun, enter }
}
const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
const [a, b, c] = [new Owner('a'), new Owner('b'), new Owner('c')]

test('clients take turns, however many commands one of them has waiting', async () => {
  const { queue, begun, enter } = make({ mostRunning: 1, mostRunningEach: 1, mostWaiting: 10, mostWaitingEach: 10 })
  for (const name of ['a1', 'a2', 'a3', 'a4']) enter(a, name)
  for (const name of ['b1', 'b2']) enter(b, name)
  enter(c, 'c1')
  const order = ['a1', 'a2', 'b1', 'c1', 'a3', 'b2', 'a4']
  for (const name of order) {
    await settle()
    expect(begun.at(-1)).toBe(name)
    queue.leave({ a, b, c }[name[0] as 'a' | 'b' | 'c'])
  }
  expect(begun).toEqual(order)
})
test('a client that has its share running waits, and another does not', () => {
  const { begun, enter } = make({ mostRunning: 10, mostRunningEach: 2, mostWaiting: 10, mostWaitingEach: 10 })
  for (const name of ['a1', 'a2', 'a3']) enter(a, name)
  enter(b, 'b1')
  expect(begun).toEqual(['a1', 'a2', 'b1'])
})
test.each([
  { name: 'of a client', limits: { mostRunning: 1, mostRunningEach: 1, mostWaiting: 10, mostWaitingEach: 1 } },
  { name: 'of all',      limits: { mostRunning: 1, mostRunningEach: 1, mostWaiting: 1, mostWaitingEach: 10 } },
])('what may not wait $name is refused with -32001, and nothing has changed', async ({ limits }) => {
  const { queue, begun, enter } = make(limits)
  enter(a, 'a1')
  enter(a, 'a2')
  let refusal: unknown
  try {
    void queue.enter(a)
  } catch (error) {
    refusal = error
  }
  expect(refusal).toBeInstanceOf(RpcError)
  expect(refusal).toMatchObject({ code: -32001, message: 'Server overloaded; retry later.', data: { retryAfterMs: 500 } })
  queue.leave(a)
  await settle()
  queue.leave(a)
  expect(begun).toEqual(['a1', 'a2'])
  enter(a, 'a3')
  expect(begun).toEqual(['a1', 'a2', 'a3'])
})
test('what waits of a client that is gone begins at once, so that nobody waits for it', async () => {
  const { queue, begun, enter } = make({ mostRunning: 1, mostRunningEach: 1, mostWaiting: 10, mostWaitingEach: 10 })
  for (const name of ['a1', 'a2', 'a3']) enter(a, name)
  queue.release(a)
  await settle()
  expect(begun).toEqual(['a1', 'a2', 'a3'])
  for (let left = 0; left < 3; left++) queue.leave(a)
  enter(b, 'b1')
  expect(begun).toEqual(['a1', 'a2', 'a3', 'b1'])
})

test('one may take several places, and more than there are when nothing else runs', async () => {
  const { queue, begun, enter } = make({ mostRunning: 10, mostRunningEach: 4, mostWaiting: 10, mostWaitingEach: 10 })
  enter(a, 'a1', 3)
  enter(a, 'a2', 2)
  // Behind one that waits, although there is room for it.
  enter(a, 'a3')
  enter(b, 'b1', 7)
  enter(c, 'c1')
  await settle()
  expect(begun).toEqual(['a1', 'b1'])
  queue.leave(a, 3)
  await settle()
  expect(begun).toEqual(['a1', 'b1', 'a2', 'c1'])
  queue.leave(b, 7)
  await settle()
  expect(begun).toEqual(['a1', 'b1', 'a2', 'c1', 'a3'])
  queue.leave(a, 2)
  queue.leave(a)
  queue.leave(c)
  enter(a, 'a4', 99)
  enter(b, 'b2')
  queue.leave(a, 99)
  await settle()
  expect(begun.slice(5)).toEqual(['a4', 'b2'])
})
