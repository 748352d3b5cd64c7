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
  expect(selectBackend({ platform }, mode)).toBe(backend)
})

test('an unsupported platform refuses with the reason, and its probe has the same', async () => {
  const backend = unsupportedBackend({ platform: 'windows' })
  await expect(backend.start({} as never)).rejects.toMatchObject({ code: 'platform_unsupported', field: 'platform' })
  expect(() => backend.compile({} as never, [], {} as never)).toThrow(/Windows/)
  expect(await backend.probe()).toMatchObject([{ layer: 'platform', available: false }])
})

test('WSL 2 is Linux; WSL 1 is refused with the reason and the way to the other, and needs none where nothing is confined', async () => {
  expect(selectBackend({ platform: 'linux', wsl: 2 }, 'workspace-write')).toBe('linux-native')
  expect(selectBackend({ platform: 'linux', wsl: 1 }, 'workspace-write', 'elevated', 'linux-bwrap')).toBe('unsupported')
  expect(selectBackend({ platform: 'linux', wsl: 1 }, 'danger-full-access')).toBe('unconfined')
  const backend = unsupportedBackend({ platform: 'linux', wsl: 1 })
  expect(() => backend.compile({} as never, [], {} as never)).toThrow(/"WSL 1" is not supported: WSL 1 has no Linux kernel.*wsl --set-version/)
  expect(await backend.probe()).toMatchObject([{ layer: 'platform', available: false, reason: expect.stringContaining('WSL 1'), remedy: expect.stringContaining('--set-version') }])
})
