// Lookups: a few at a time, shared while they run, and given up on in time.
import { expect, test } from 'vitest'
import { type Address, createResolver } from '../../../src/network/resolver.js'

/** Lookups that wait until the test answers them. */
function inbox(): { asked: string[]; lookup: (name: string) => Promise<readonly Address[]>; answer(name: string, address?: string): void } {
  const asked: string[] = []
  const open = new Map<string, { resolve(found: Address[]): void; reject(error: Error): void }>()
  return {
    asked,
    lookup: name => {
      asked.push(name)
      return new Promise((resolve, reject) => { open.set(name, { resolve, reject }) })
    },
    answer(name, address) {
      if (address === undefined) open.get(name)!.reject(Object.assign(new Error('none'), { code: 'ENOTFOUND' }))
      else open.get(name)!.resolve([{ address, family: 4 }])
    },
  }
}

test('only so many run at a time; the others follow in their order, after failures too', async () => {
  const { asked, lookup, answer } = inbox()
  const resolve = createResolver({ lookup, atOnce: 2 })
  const found = ['a', 'b', 'c', 'd', 'e'].map(name => resolve(name).then(([first]) => first?.address, (error: NodeJS.ErrnoException) => error.code))
  expect(asked).toEqual(['a', 'b'])
  answer('b')
  await expect.poll(() => asked).toEqual(['a', 'b', 'c'])
  answer('a', '1.1.1.1')
  await expect.poll(() => asked).toEqual(['a', 'b', 'c', 'd'])
  answer('c', '3.3.3.3')
  answer('d', '4.4.4.4')
  await expect.poll(() => asked).toEqual(['a', 'b', 'c', 'd', 'e'])
  answer('e', '5.5.5.5')
  expect(await Promise.all(found)).toEqual(['1.1.1.1', 'ENOTFOUND', '3.3.3.3', '4.4.4.4', '5.5.5.5'])
})

test('the same name is looked up once at a time, and anew afterwards', async () => {
  const { asked, lookup, answer } = inbox()
  const resolve = createResolver({ lookup })
  const both = [resolve('a'), resolve('a')]
  answer('a', '1.1.1.1')
  expect(await Promise.all(both)).toEqual([[{ address: '1.1.1.1', family: 4 }], [{ address: '1.1.1.1', family: 4 }]])
  const later = resolve('a')
  answer('a', '2.2.2.2')
  expect(await later).toEqual([{ address: '2.2.2.2', family: 4 }])
  expect(asked).toEqual(['a', 'a'])
})

test('a caller does not wait for ever, nor does its lookup free its place before it is over', async () => {
  const { asked, lookup, answer } = inbox()
  const resolve = createResolver({ lookup, atOnce: 1, timeoutMs: 20 })
  const code = (error: NodeJS.ErrnoException): string | undefined => error.code
  expect(await resolve('a').catch(code)).toBe('ETIMEDOUT')
  expect(await resolve('b').catch(code)).toBe('ETIMEDOUT')
  expect(asked).toEqual(['a'])
  answer('a', '1.1.1.1')
  await expect.poll(() => asked).toEqual(['a', 'b'])
  answer('b', '2.2.2.2')
})

test('more names than anybody needs are refused at once', async () => {
  const { lookup } = inbox()
  const resolve = createResolver({ lookup, atOnce: 1, timeoutMs: 1_000_000 })
  for (let index = 0; index < 1001; index++) void resolve(`h${index}`)
  await expect(resolve('one-more')).rejects.toMatchObject({ code: 'EAGAIN' })
})

test('the host\'s own resolver knows the loopback', async () => {
  expect(await createResolver()('localhost')).toEqual(expect.arrayContaining([expect.objectContaining({ address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/) as string })]))
  await expect(createResolver()('does-not-exist.invalid')).rejects.toMatchObject({ code: expect.any(String) as string })
})
