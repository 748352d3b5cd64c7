// Which bwrap has which known hole, and which plans that concerns.
import { describe, expect, test } from 'vitest'
import type { MountStep } from '../../../../../src/platform/launch-plan.js'
import { compareVersions, HOLES, holesOf } from '../../../../../src/platform/linux/bwrap/holes.js'

const identity = { device: '1', inode: '1' }
const root = (path: string): MountStep => ({ step: 'bind_writable', path, identity })
const held = (path: string): MountStep => ({ step: 'bind_read_only', path, identity })
const NEAR = [root('/w'), held('/w/src/.git')]
const names = (program: { version: string; package?: string }, mounts: readonly MountStep[]): string[] => holesOf(program, mounts).map(({ hole }) => hole.name)

describe('CVE-2026-87766', () => {
  test.each([
    { version: '0.8.0',                                   has: true },
    { version: '0.11.2',                                  has: true },
    { version: '0.12.0',                                  has: false },
    { version: '0.12.1',                                  has: false },
    { version: '1.0',                                     has: false },
    { version: '0.9.0', package: '0.9.0-1ubuntu0.1',      has: true },
    { version: '0.9.0', package: '0.9.0-1ubuntu0.2',      has: false },
    { version: '0.9.0', package: '0.9.0-1ubuntu0.10',     has: false },
    { version: '0.9.0', package: '0.9.0-1build1',         has: true },
    { version: '0.8.0', package: '0.8.0-2+deb12u1',       has: true },
    { version: '0.9.0', package: '0.9.0-1ubuntu0.2.evil', has: false },
  ])('bwrap $version, package $package: $has', ({ has, ...program }) => {
    expect(names(program, NEAR)).toEqual(has ? ['CVE-2026-87766'] : [])
  })

  test.each([
    { name: 'what is held directly in a root',                      mounts: [root('/w'), held('/w/.git')],                               concerns: false },
    { name: 'what is held in a folder of a root',                   mounts: NEAR,                                                        concerns: true },
    { name: 'a root in another root',                               mounts: [root('/tmp'), root('/tmp/w')],                              concerns: false },
    { name: 'what is held in a root in another root',               mounts: [root('/tmp'), root('/tmp/w'), held('/tmp/w/.git')],         concerns: true },
    { name: 'what is held in a folder of what a mask opens',        mounts: [{ step: 'mask', path: '/h', identity, kind: 'directory', openings: [{ path: '/h/w', identity, effect: 'write' }] } as MountStep, held('/h/w/src/.git')], concerns: true },
    { name: 'what is hidden outside of every root',                 mounts: [root('/w'), held('/etc/a/b')],                              concerns: false },
    { name: 'a name that begins like a root',                       mounts: [root('/w'), held('/ww/a/b')],                               concerns: false },
    { name: 'a path that is only watched: nothing is mounted there', mounts: [root('/w'), { step: 'watch', path: '/w/a/b', effect: 'deny' } as MountStep], concerns: false },
  ])('$name: $concerns', ({ mounts, concerns }) => {
    expect(names({ version: '0.8.0' }, mounts)).toEqual(concerns ? ['CVE-2026-87766'] : [])
  })
})

test.each([['0.9', '0.10', -1], ['0.12.0', '0.12', 0], ['1.0', '0.99', 1], ['0.9.0-1ubuntu0.2', '0.9.0-1ubuntu0.10', -1]] as const)('%s and %s: %i', (a, b, sign) => {
  expect(Math.sign(compareVersions(a, b))).toBe(sign)
})
test('each hole stands once', () => {
  expect(new Set(HOLES.map(({ name }) => name)).size).toBe(HOLES.length)
})
