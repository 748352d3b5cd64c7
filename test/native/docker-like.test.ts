// The container that other tests run in is what it says: no namespaces, no mounts, Docker's capabilities, a masked /proc; and it works.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ContainerOptions, runInContainer, whyNoContainer } from '../support/docker-like.js'
import { unknownCalls } from '../support/docker-profile.js'

const LAUNCHER = fileURLToPath(new URL(`../../dist/launcher/linux-${process.arch}/codex-sandbox-launcher`, import.meta.url))
const reason = whyNoContainer()

test('the assembler knows every call that the profile names', () => {
  expect(unknownCalls()).toEqual([])
})

describe.skipIf(reason !== undefined)(`a container as Docker makes it${reason === undefined ? '' : ` (${reason})`}`, () => {
  const sh = (script: string, options: ContainerOptions = {}): string => runInContainer(['sh', '-c', script], options).stdout.trim()

  test.each([
    { name: 'root has Docker\'s capabilities', uid: 0, capabilities: '00000000a80425fb' },
    { name: 'a user has none', uid: 54_321, capabilities: '0000000000000000' },
  ])('$name', ({ uid, capabilities }) => {
    expect(sh('id -u; grep -E "^(CapEff|Seccomp|NoNewPrivs):" /proc/self/status | cut -f2', { uid })).toBe(`${uid}\n${capabilities}\n0\n2`)
  })

  test.each([
    { name: 'user namespaces are refused, and work outside of the profile', script: 'unshare -U true && echo made', unconfined: 'made' },
    { name: 'what lies in /proc/sys is read-only, with or without the profile', script: 'cat /proc/sys/kernel/hostname > /proc/sys/kernel/hostname && echo written', unconfined: '' },
    { name: 'processes of the host are not seen', script: `test -e /proc/${process.pid}/status && echo seen`, unconfined: '' },
  ])('$name', ({ script, unconfined }) => {
    expect([sh(script), sh(script, { seccomp: 'unconfined' })]).toEqual(['', unconfined])
  })

  test('exit codes, signals and descriptors arrive', () => {
    const outcomes = ['echo out; echo err >&2; exit 7', 'kill -9 $$'].map(script => runInContainer(['sh', '-c', script]))
    expect(outcomes).toMatchObject([{ status: 7, stdout: 'out\n', stderr: 'err\n' }, { status: 137 }])
  })

  test('the launcher finds Landlock and user notification, and no namespaces', () => {
    const facts = (options: ContainerOptions): object => Object.fromEntries(runInContainer([LAUNCHER, '--probe'], options).stdout.split('\n').map(line => line.split(' ')))
    const outside = Object.fromEntries(execFileSync(LAUNCHER, ['--probe'], { encoding: 'utf8' }).split('\n').map(line => line.split(' ')))
    expect(facts({})).toMatchObject({ landlock_abi: outside['landlock_abi'], seccomp: '0', user_notification: '0', clone: '-1' })
    expect(facts({ seccomp: 'unconfined' })).toMatchObject({ clone: '0', mount_tmpfs: '0', mount_proc: '-1' })
  })

  test('files are the host\'s', () => {
    const folder = mkdtempSync('/var/tmp/docker-like-')
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    chmodSync(folder, 0o777)
    sh('echo text > file', { uid: 54_321, cwd: folder })
    expect(readFileSync(join(folder, 'file'), 'utf8')).toBe('text\n')
  })
})
