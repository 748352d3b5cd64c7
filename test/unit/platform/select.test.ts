import { expect, test } from 'vitest'
import { selectBackend } from '../../../src/platform/select.js'
import { unsupportedBackend } from '../../../src/platform/unsupported.js'

test.each([
  ['linux', 'read-only', 'linux-native'],
  ['linux', 'workspace-write', 'linux-native'],
  ['linux', 'danger-full-access', 'unconfined'],
  ['linux', 'external-sandbox', 'unconfined'],
  ['macos', 'workspace-write', 'macos-seatbelt'],
  ['macos', 'external-sandbox', 'unconfined'],
  ['macos', 'danger-full-access', 'unconfined'],
  ['windows', 'read-only', 'windows-elevated'],
  ['windows', 'external-sandbox', 'unconfined'],
] as const)('%s, %s: %s', (platform, mode, backend) => {
  expect(selectBackend(platform, mode)).toBe(backend)
})

test('an unsupported platform refuses with the reason, and its probe has the same', async () => {
  const backend = unsupportedBackend('windows')
  await expect(backend.start({} as never)).rejects.toMatchObject({ code: 'platform_unsupported', field: 'platform' })
  expect(() => backend.compile({} as never, [], {} as never)).toThrow(/Windows/)
  expect(await backend.probe()).toMatchObject([{ layer: 'platform', available: false }])
})
