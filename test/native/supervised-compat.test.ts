// Programs that change files work on the supervised rung as elsewhere; and one that waits holds up no other.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { makeOrdinaryUser } from '../support/ordinary-user.js'
import { COMPAT_ROWS, type CompatOutcome, type CompatPlace, runRow, startCompat } from '../support/supervised-compat.js'

beforeEach(context => { if (process.platform !== 'linux') context.skip('the launcher is for Linux') })

describe('as this user', { timeout: 60_000 }, () => {
  let place: CompatPlace
  beforeAll(async () => { if (process.platform === 'linux') place = await startCompat() })
  afterAll(() => place?.close())

  test.for(COMPAT_ROWS)('$name', async (row, { skip }) => {
    const { skipped, stdout, stderr } = await runRow(place, row)
    if (skipped !== undefined) skip(skipped)
    expect(stdout, stderr).toBe(row.prints)
  })

  test('what was refused was not done', () => {
    expect(readFileSync(join(place.outside, 'f'), 'utf8')).toBe('outside')
    expect(existsSync(join(place.outside, 'new'))).toBe(false)
    expect(existsSync(join(place.work, '.git/new'))).toBe(false)
  })

  test.skipIf(process.getuid?.() !== 0)(`a /proc that is mounted in the workspace is not opened with the launcher's eyes${process.getuid?.() === 0 ? '' : ' (only root can mount one)'}`, async ({ skip }) => {
    const folder = join(place.work, 'proc')
    mkdirSync(folder)
    if (spawnSync('mount', ['-t', 'proc', 'proc', folder]).status !== 0) skip('no /proc can be mounted here')
    try {
      const { stdout } = await place.sandbox.exec(['sh', '-c', 'for f in self/mem self/oom_score_adj thread-self/mem self/comm; do (: >> proc/$f) 2>/dev/null && echo "opened $f"; chmod 666 proc/$f 2>/dev/null && echo "changed $f"; done; cat proc/self/comm'])
      expect(stdout).toBe('cat\n')
    } finally {
      spawnSync('umount', [folder])
    }
  })

  test('100 writers that nobody reads hold up neither files nor FIFOs of the next command, and end when they are killed', async () => {
    const abort = new AbortController()
    const waiting = place.sandbox.exec(['sh', '-c', 'mkfifo many; i=0; while [ $i -lt 100 ]; do echo x > many & i=$((i+1)); done; touch all-wait; wait'], { signal: abort.signal, killGraceMs: 0 })
    while (!existsSync(join(place.work, 'all-wait'))) await pause(50)
    const beside = await place.sandbox.exec(['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do echo $i > beside; done; mkfifo q; cat q & echo through > q; wait; cat beside'])
    expect(beside.stdout).toBe('through\n9\n')
    abort.abort()
    expect((await waiting).cancelled).toBe(true)
    expect((await place.sandbox.exec(['sh', '-c', 'mkfifo r; (sleep 0.1; cat r) & echo again > r; wait'])).stdout).toBe('again\n')
  })

  test('a lease that another command holds keeps its opener waiting, and nobody else', async () => {
    const holder = 'import fcntl, os, signal, time\nfd = os.open("leased", os.O_CREAT | os.O_RDWR)\nsignal.signal(signal.SIGIO, lambda *_: None)\nfcntl.fcntl(fd, 1024, fcntl.F_WRLCK)\nopen("is-leased", "w").close()\nwhile not os.path.exists("let-go"): time.sleep(0.02)\nfcntl.fcntl(fd, 1024, fcntl.F_UNLCK)\n'
    const holding = place.sandbox.exec(['python3', '-c', holder])
    while (!existsSync(join(place.work, 'is-leased'))) await pause(20)
    const opening = place.sandbox.exec(['sh', '-c', 'echo opened > leased; cat leased'])
    await pause(200)
    expect((await place.sandbox.exec(['sh', '-c', 'echo beside > other; cat other; touch let-go'])).stdout).toBe('beside\n')
    expect((await opening).stdout).toBe('opened\n')
    expect((await holding).exitCode).toBe(0)
  })
})

describe.skipIf(process.getuid?.() !== 0)(`as an ordinary user${process.getuid?.() === 0 ? '' : ' (only root can make one; the other run is one)'}`, { timeout: 120_000 }, () => {
  const outcomes = new Map<string, CompatOutcome>()
  beforeAll(async () => {
    const user = makeOrdinaryUser()
    try {
      const child = await user.run('test/native/run-supervised-compat.ts')
      let printed = ''
      child.stdout?.on('data', (data: Buffer) => { printed += data })
      expect(await new Promise(resolve => child.on('close', resolve))).toBe(0)
      for (const line of printed.split('\n').slice(0, -1)) {
        const outcome = JSON.parse(line) as CompatOutcome
        outcomes.set(outcome.name, outcome)
      }
    } finally {
      user.remove()
    }
  }, 120_000)

  test.for(COMPAT_ROWS)('$name', ({ name, prints }, { skip }) => {
    const outcome = outcomes.get(name)
    if (outcome?.skipped !== undefined) skip(outcome.skipped)
    expect(outcome?.stdout, outcome?.stderr).toBe(prints)
  })
})
