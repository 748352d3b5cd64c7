// What docs/hosts.md promises of Docker, in a container made alike: which way holds there, and which options give the better one.
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runInContainer, whyNoContainer } from '../support/docker-like.js'

const CLI = fileURLToPath(new URL('../../dist/cli.cjs', import.meta.url))
const USER = 54_321
const reason = whyNoContainer()

let folder: string
beforeAll(() => {
  folder = realpathSync(mkdtempSync('/var/tmp/hosts-'))
  for (const uid of [0, USER]) {
    mkdirSync(join(folder, `work-${uid}`))
    mkdirSync(join(folder, `home-${uid}`))
    for (const name of ['work', 'home']) chownSync(join(folder, `${name}-${uid}`), uid, uid)
  }
  // So that nothing but the sandbox keeps anybody from writing there.
  chmodSync(folder, 0o777)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const LAYERS = {
  supervised: ['landlock', 'seccomp', 'user-notification', 'caller-memory'],
  namespaces: ['user-namespace', 'mount-namespace', 'pid-namespace', 'network-namespace', 'proc-mount', 'landlock', 'seccomp', 'user-notification', 'caller-memory'],
} as const

test('a container can be made here', context => {
  if (reason !== undefined) context.skip(reason)
  expect(runInContainer(['true']).status).toBe(0)
})

describe.skipIf(reason !== undefined)('Docker', () => {
  test.each([
    { options: 'as it comes',                      seccomp: 'default',    systemPaths: 'default',    rung: 'supervised' },
    { options: 'seccomp=unconfined alone',         seccomp: 'unconfined', systemPaths: 'default',    rung: 'supervised' },
    { options: 'systempaths=unconfined alone',     seccomp: 'default',    systemPaths: 'unconfined', rung: 'supervised' },
    { options: 'seccomp and systempaths unconfined', seccomp: 'unconfined', systemPaths: 'unconfined', rung: 'namespaces' },
  ] as const)('$options: $rung, for root and for a user', ({ seccomp, systemPaths, rung }) => {
    for (const uid of [0, USER]) {
      const run = (words: readonly string[]) => runInContainer([process.execPath, CLI, ...words], { uid, seccomp, systemPaths, cwd: join(folder, `work-${uid}`) }, {
        PATH: process.env['PATH'], HOME: join(folder, `home-${uid}`),
      })
      const doctor = JSON.parse(run(['doctor', '--json']).stdout) as { check: { ok: boolean; enforcement: { layers: string[] } } }
      expect(doctor.check).toMatchObject({ ok: true, enforcement: { layers: LAYERS[rung] } })
      const outcome = run(['--', 'sh', '-c', 'echo in > made; cat made; echo x > ../outside'])
      expect(outcome.stdout).toBe('in\n')
      expect(existsSync(join(folder, 'outside'))).toBe(false)
      expect(runInContainer(['sh', '-c', 'echo x > ../outside'], { uid, seccomp, systemPaths, cwd: join(folder, `work-${uid}`) }).status).toBe(0)
      rmSync(join(folder, 'outside'))
    }
  })
})
