// Lines as `log stream --style ndjson` of several versions of macOS prints them, with our tag below the message, and lines that
// others write or that make no sense.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { AccessReport } from '../../../../src/platform/backend.js'
import { DenialLog, newTag, readRecord, reportOf } from '../../../../src/platform/macos/denial-log.js'
import { logStandIn } from '../../../support/stand-ins.js'

const TAG = 'codex-sandbox-0123456789abcdef01234567'

/** macOS 11 and 12: few keys, slashes escaped. */
const bigSur = (message: string) => JSON.stringify({
  traceID: 46485872644, eventMessage: message, eventType: 'logEvent', source: null, formatString: '%s\n', activityIdentifier: 0, subsystem: '', category: '', threadID: 6241, senderImageUUID: 'A0B1',
  backtrace: { frames: [{ imageOffset: 1, imageUUID: 'A0B1' }] }, bootUUID: '', processImagePath: '/kernel', timestamp: '2021-05-14 10:01:22.000000+0200', senderImagePath: '/System/Library/Extensions/Sandbox.kext/Contents/MacOS/Sandbox',
  machTimestamp: 1, messageType: 'Error', processImageUUID: 'C2D3', processID: 0, senderProgramCounter: 95292, parentActivityIdentifier: 0, timezoneName: '',
}).replaceAll('/', '\\/')
/** macOS 13 and 14. */
const sonoma = (message: string) => JSON.stringify({
  timezoneName: '', messageType: 'Error', eventType: 'logEvent', source: null, formatString: '%s', userID: 0, activityIdentifier: 0, subsystem: '', category: '', threadID: 998, senderImageUUID: 'A0', backtrace: { frames: [] },
  bootUUID: 'B', processImagePath: '/kernel', senderImagePath: '/System/Library/Extensions/Sandbox.kext/Contents/MacOS/Sandbox', timestamp: '2024-02-01 12:00:00.1+0100', machTimestamp: 2, eventMessage: message, processImageUUID: 'D', traceID: 5, processID: 0, senderProgramCounter: 7, parentActivityIdentifier: 0,
})
/** What sandboxd reports itself, since macOS 12. */
const reporting = (message: string) => JSON.stringify({ eventMessage: message, subsystem: 'com.apple.sandbox.reporting', category: 'violation', processImagePath: '/usr/libexec/sandboxd', processID: 141, messageType: 'Error', eventType: 'logEvent' })

describe('records', () => {
  test.each([
    { name: 'a file, macOS 11', line: bigSur(`Sandbox: touch(4711) deny(1) file-write-create /Users/me/x y\n${TAG}`), record: { program: 'touch', pid: 4711, operation: 'file-write-create', target: '/Users/me/x y' } },
    { name: 'a file, macOS 14', line: sonoma(`Sandbox: node(99) deny(1) file-read-data /Users/me/.ssh/id_ed25519\n${TAG}`), record: { program: 'node', pid: 99, operation: 'file-read-data', target: '/Users/me/.ssh/id_ed25519' } },
    { name: 'sandboxd\'s own', line: reporting(`Sandbox: git(12) deny(1) mach-lookup com.apple.SecurityServer\n${TAG}\n`), record: { program: 'git', pid: 12, operation: 'mach-lookup', target: 'com.apple.SecurityServer' } },
    { name: 'a repeated one', line: reporting(`1 duplicate report for Sandbox: sh(7) deny(1) process-exec* /usr/bin/sudo\n${TAG}`), record: { program: 'sh', pid: 7, operation: 'process-exec*', target: '/usr/bin/sudo' } },
    { name: 'System Policy', line: sonoma(`System Policy: ls(5) deny(1) file-read-data /Users/me/Documents\n${TAG}`), record: { program: 'ls', pid: 5, operation: 'file-read-data', target: '/Users/me/Documents' } },
    { name: 'without a number of denials', line: sonoma(`Sandbox: curl(5) deny network-outbound 93.184.216.34:443\n${TAG}`), record: { program: 'curl', pid: 5, operation: 'network-outbound', target: '93.184.216.34:443' } },
    { name: 'without a target', line: sonoma(`Sandbox: id(5) deny(1) system-socket\n${TAG}`), record: { program: 'id', pid: 5, operation: 'system-socket', target: '' } },
    { name: 'a program with parentheses', line: sonoma(`Sandbox: My App (2)(5) deny(1) lsopen\n${TAG}`), record: { program: 'My App (2)', pid: 5, operation: 'lsopen', target: '' } },
    { name: 'a line between', line: sonoma(`Sandbox: sh(5) deny(1) signal others\nsomething\n  ${TAG}  `), record: { program: 'sh', pid: 5, operation: 'signal', target: 'others' } },
  ])('$name', ({ line, record }) => {
    expect(readRecord(line)).toEqual({ ...record, tag: TAG })
  })

  test.each([
    { name: 'the first line of the stream', line: 'Filtering the log data using "process == 0"' },
    { name: 'no JSON', line: '{"eventMessage": "Sandbox: x(1) deny(1) file-read-data /x' },
    { name: 'an empty line', line: '' },
    { name: 'JSON that is no object', line: '[1, 2]' },
    { name: 'null', line: 'null' },
    { name: 'no message', line: '{"processID": 0}' },
    { name: 'a message that is no text', line: '{"eventMessage": 3}' },
    { name: 'of another sandbox', line: sonoma('Sandbox: mds(88) deny(1) file-read-data /private/var/x') },
    { name: 'a tag of somebody else', line: sonoma('Sandbox: x(1) deny(1) file-read-data /x\nCMD64_x_END_1_SBX') },
    { name: 'our tag in the target only', line: sonoma(`Sandbox: x(1) deny(1) file-write-create /tmp/${TAG}`) },
    { name: 'something that was allowed', line: sonoma(`Sandbox: x(1) allow file-read-data /x\n${TAG}`) },
    { name: 'no pid', line: sonoma(`Sandbox: x deny(1) file-read-data /x\n${TAG}`) },
    { name: 'a very long line', line: sonoma(`Sandbox: x(1) deny(1) file-read-data /${'x'.repeat(70_000)}\n${TAG}`) },
  ])('none of ours: $name', ({ line }) => {
    expect(readRecord(line)).toBeUndefined()
  })
})

test.each([
  ['file-write-create', '/w/x', 'create', '/w/x'],
  ['file-write-unlink', '/w/x', 'remove', '/w/x'],
  ['file-write-data', '/w/x', 'write', '/w/x'],
  ['file-write-mode', '/w/x', 'write', '/w/x'],
  ['file-link', '/w/x', 'create', '/w/x'],
  ['file-read-metadata', '/w/x', 'read', '/w/x'],
  ['file-clone', '/w/x', 'read', '/w/x'],
  ['process-exec*', '/w/x', 'execute', '/w/x'],
  ['process-exec-interpreter', '/w/x', 'execute', '/w/x'],
  ['network-outbound', '/private/var/run/docker.sock', 'unix-connect', '/private/var/run/docker.sock'],
  ['network-outbound', '1.2.3.4:443', 'connect', '1.2.3.4:443'],
  ['network-outbound', 'remote:1.2.3.4:443', 'connect', '1.2.3.4:443'],
  ['network-outbound', '[2001:db8::1]:80', 'connect', '[2001:db8::1]:80'],
  ['network-bind', 'local:*:8080', 'connect', '*:8080'],
  ['mach-lookup', 'com.apple.SecurityServer', 'system-call', 'mach-lookup com.apple.SecurityServer'],
  ['sysctl-read', 'kern.procargs2', 'system-call', 'sysctl-read kern.procargs2'],
  ['system-socket', '', 'system-call', 'system-socket'],
])('%s of "%s" is %s', (operation, target, expected, path) => {
  expect(reportOf({ tag: TAG, program: 'p', pid: 1, operation, target })).toEqual({ operation: expected, path, refused: true, modeRefuses: false, pid: 1, program: 'p' })
})

test('tags are of one command each', () => {
  expect(new Set(Array.from({ length: 100 }, newTag)).size).toBe(100)
  expect(newTag()).toMatch(/^codex-sandbox-[0-9a-f]{24}$/)
})

describe('the stream', () => {
  /** A log that prints what is written to the file beside it. */
  const start = async (script = 'echo "Filtering the log data"; touch "$0.lines"; tail -n +1 -f "$0.lines"') => {
    const standIn = logStandIn(script)
    const log = new DenialLog(standIn.path)
    onTestFinished(() => log.close())
    await log.ready
    const { appendFileSync } = await import('node:fs')
    return { log, standIn, write: (text: string) => appendFileSync(`${standIn.path}.lines`, text) }
  }
  const until = async (condition: () => boolean) => {
    for (let waited = 0; !condition() && waited < 10_000; waited += 20) await sleep(20)
    expect(condition()).toBe(true)
  }

  test('each command gets its own denials, each once, whatever the records are cut into', async () => {
    const { log, standIn, write } = await start()
    expect(standIn.words()).toEqual(['stream', '--style', 'ndjson', '--predicate', expect.stringContaining('senderImagePath CONTAINS "/Sandbox"')])
    const [one, other]: [AccessReport[], AccessReport[]] = [[], []]
    const [first, second] = [log.follow(report => one.push(report)), log.follow(report => other.push(report))]
    const line = sonoma(`Sandbox: touch(1) deny(1) file-write-create /etc/x\n${first.tag}`)
    write(`nonsense\n${line.slice(0, 40)}`)
    await sleep(50)
    write(`${line.slice(40)}\n${line}\n${sonoma(`Sandbox: cat(2) deny(1) file-read-data /etc/y\n${second.tag}`)}\n${sonoma(`Sandbox: x(3) deny(1) file-read-data /z\n${newTag()}`)}\n`)
    await until(() => other.length === 1)
    expect([one.map(({ path }) => path), other.map(({ path }) => path)]).toEqual([['/etc/x'], ['/etc/y']])
  })

  test('what comes shortly after a command\'s end is still its own; later is nobody\'s', async () => {
    const { log, write } = await start()
    const seen: AccessReport[] = []
    const { tag, end } = log.follow(report => seen.push(report))
    const over = end()
    write(`${sonoma(`Sandbox: a(1) deny(1) file-read-data /late\n${tag}`)}\n`)
    await over
    write(`${sonoma(`Sandbox: a(1) deny(1) file-read-data /later\n${tag}`)}\n`)
    await sleep(100)
    expect(seen.map(({ path }) => path)).toEqual(['/late'])
  })

  test('a flood is bounded, and so is a line without an end', async () => {
    const { log, write } = await start()
    const seen: AccessReport[] = []
    const { tag } = log.follow(report => seen.push(report))
    write('x'.repeat(300_000))
    write(`\n${Array.from({ length: 1500 }, (_, index) => sonoma(`Sandbox: a(1) deny(1) file-read-data /f${index}\n${tag}`)).join('\n')}\n`)
    await until(() => seen.length >= 1000)
    await sleep(50)
    expect(seen).toHaveLength(1000)
  })

  test('a log that does not start, or ends, holds nothing up', async () => {
    const missing = new DenialLog('/no/such/log')
    await missing.ready
    await missing.close()
    const { log } = await start('exit 1')
    const { end } = log.follow(() => {})
    await end()
    await log.close()
  })
})
