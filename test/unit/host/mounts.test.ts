import { expect, test } from 'vitest'
import { parseMountInfo, readMounts } from '../../../src/host/mounts.js'

test('device, root and place of each mount, in their order', () => {
  const text = '22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n40 22 254:0 /home/a\\040b /mnt/x\\134y\\012z rw - ext4 /dev/vda rw\n'
  expect(parseMountInfo(text)).toEqual([{ device: '254:0', root: '/', point: '/' }, { device: '254:0', root: '/home/a b', point: '/mnt/x\\y\nz' }])
})
test('this machine has a root', () => {
  expect(readMounts().map(({ point }) => point)).toContain('/')
})
test('no list: no mounts', () => {
  expect(readMounts('/proc/self/no-such-list')).toEqual([])
})
