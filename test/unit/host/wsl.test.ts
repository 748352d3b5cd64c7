// Which WSL a machine is, by what others have recorded of theirs (wsl-machines/), and of machines that are none.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { readWsl, recogniseWsl, type WslFacts, type WslVersion } from '../../../src/host/wsl.js'

const FOLDER = new URL('wsl-machines/', import.meta.url)
type Recorded = Partial<WslFacts> & { readonly source: string; readonly wsl: WslVersion }
const RECORDED = readdirSync(FOLDER).filter(name => name.endsWith('.json')).map(name => ({ name, ...JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as Recorded }))
const NONE: WslFacts = { version: undefined, release: undefined, interop: undefined }

test.each(RECORDED)('$name', ({ wsl, source, ...facts }) => {
  expect(source).toMatch(/^https:\/\/github\.com\/[\w.-]+\/[\w.-]+\/(?:issues|pull)\/\d+ \(/)
  expect(recogniseWsl({ ...NONE, ...facts })).toBe(wsl)
})
test('both versions are among the recorded', () => {
  expect([1, 2].map(version => RECORDED.filter(({ wsl }) => wsl === version).length > 2)).toEqual([true, true])
})

describe('no WSL', () => {
  test.each([
    { name: 'Debian',             version: 'Linux version 6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld 2.40) #1 SMP', release: '6.1.0-56-cloud-amd64\n' },
    { name: 'Azure',              version: 'Linux version 6.8.0-1021-azure (buildd@lcy02-amd64-101) (x86_64-linux-gnu-gcc-13) #25-Ubuntu SMP', release: '6.8.0-1021-azure\n' },
    { name: 'a kernel that somebody at Microsoft has built', version: 'Linux version 6.6.0 (me@microsoft.com) (gcc 13) #1 SMP', release: '6.6.0\n' },
    { name: 'nothing to be read', version: undefined, release: undefined },
  ])('$name', ({ version, release }) => {
    expect(recogniseWsl({ ...NONE, version, release })).toBeUndefined()
  })
  test('this machine, or what its kernel says it is', () => {
    const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8')
    expect(readWsl()).toBe(/microsoft/i.test(release) ? (/-Microsoft$/.test(release.trim()) ? 1 : 2) : undefined)
  })
})
