// Which sandbox a command gets: one that is kept, as long as the host is as it was when it was made.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { presetPolicy } from '../../../src/policy/presets.js'
import { markedPaths, takeMark } from '../../../src/service/host-mark.js'
import { KEEP_LIMITS, type KeepLimits, type Recipe, WarmSandboxes } from '../../../src/service/warm-sandboxes.js'

class Fake {
  pid: number | undefined = undefined
  closed = 0
  async close(): Promise<void> {
    this.closed++
  }
}

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync('/var/tmp/cs-warm-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
})

function make(limits?: KeepLimits) {
  const pool = new WarmSandboxes<Fake>(limits)
  const made: Fake[] = []
  const variables: NodeJS.ProcessEnv = { HOME: folder, TMPDIR: join(folder, 'tmp') }
  const recipe = (key = 'k', changes: Partial<Recipe<Fake>> = {}): Recipe<Fake> => ({
    key, marked: markedPaths({ ...presetPolicy('workspace-write', 'reference'), writableRoots: [join(folder, 'root')] }, folder, variables),
    make: async () => {
      const sandbox = new Fake()
      made.push(sandbox)
      return sandbox
    },
    ...changes,
  })
  /** Uses one and gives it back. */
  const use = async (owner: object, wanted = recipe()): Promise<Fake> => {
    const lease = await pool.borrow(owner, wanted)
    lease.release()
    return lease.sandbox
  }
  return { pool, made, variables, recipe, use }
}
const [a, b] = [{}, {}]

test('the second command of a policy gets the sandbox of the first, also at the same time', async () => {
  const { pool, made, use, recipe } = make()
  await Promise.all([use(a), use(a)])
  const [one, two] = [await pool.borrow(a, recipe()), await pool.borrow(a, recipe())]
  expect([made.length, one.sandbox === two.sandbox]).toEqual([1, true])
})
test('another policy and another client have their own', async () => {
  const { made, use, recipe } = make()
  await use(a)
  await use(a, recipe('other'))
  await use(b)
  expect(made).toHaveLength(3)
})
test('a policy with globs is not kept', async () => {
  const { made, use, recipe } = make()
  await use(a, recipe('k', { marked: undefined }))
  await use(a, recipe('k', { marked: undefined }))
  expect(made.map(({ closed }) => closed)).toEqual([1, 1])
})

const CHANGES: readonly { name: string; change: (folder: string, variables: NodeJS.ProcessEnv) => void }[] = [
  { name: 'a root is replaced by another folder',     change: folder => { renameSync(join(folder, 'root'), join(folder, 'old')); mkdirSync(join(folder, 'root')) } },
  { name: 'a root is gone',                           change: folder => renameSync(join(folder, 'root'), join(folder, 'old')) },
  { name: 'a root becomes a link',                    change: folder => { renameSync(join(folder, 'root'), join(folder, 'old')); symlinkSync('/etc', join(folder, 'root')) } },
  { name: 'a repository appears',                     change: folder => { mkdirSync(join(folder, 'root/.git')); writeFileSync(join(folder, 'root/.git/config'), '') } },
  { name: 'a .git becomes a pointer',                 change: folder => writeFileSync(join(folder, 'root/.git'), 'gitdir: /elsewhere\n') },
  { name: 'a .codex becomes a link',                  change: folder => symlinkSync('/elsewhere', join(folder, 'root/.codex')) },
  { name: 'TMPDIR is another one',                    change: (folder, variables) => { variables['TMPDIR'] = join(folder, 'root') } },
  { name: 'TMPDIR is made anew',                      change: folder => { renameSync(join(folder, 'tmp'), join(folder, 'tmp2')); mkdirSync(join(folder, 'tmp')) } },
]
test.each(CHANGES)('$name: a new one is made, and the old one is closed', async ({ change }) => {
  const { made, variables, use } = make()
  mkdirSync(join(folder, 'root'))
  mkdirSync(join(folder, 'tmp'))
  await use(a)
  change(folder, variables)
  await use(a)
  expect(made.map(({ closed }) => closed)).toEqual([1, 0])
})
test('a pointer of a linked worktree that leads elsewhere: a new one is made', async () => {
  const { made, use } = make()
  mkdirSync(join(folder, 'root'))
  mkdirSync(join(folder, 'repository'))
  writeFileSync(join(folder, 'root/.git'), 'gitdir: ../repository\n')
  await use(a)
  writeFileSync(join(folder, 'repository/commondir'), '../other\n')
  await use(a)
  expect(made).toHaveLength(2)
})
test('what commands do in a root, and a placeholder, change nothing', async () => {
  const { made, use } = make()
  mkdirSync(join(folder, 'root'))
  await use(a)
  writeFileSync(join(folder, 'root/file'), 'x')
  mkdirSync(join(folder, 'root/.git'))
  await use(a)
  rmSync(join(folder, 'root/.git'), { recursive: true })
  await use(a)
  expect(made).toHaveLength(1)
})
test('a change while it is made is found at the next use', async () => {
  const { made, use, recipe } = make()
  mkdirSync(join(folder, 'root'))
  const wanted = recipe()
  await use(a, { ...wanted, make: async () => {
    writeFileSync(join(folder, 'root/.git'), 'gitdir: /elsewhere\n')
    return wanted.make()
  } })
  await use(a)
  expect(made.map(({ closed }) => closed)).toEqual([1, 0])
})

test('one in use is closed only when it is given back', async () => {
  const { pool, made, recipe } = make()
  mkdirSync(join(folder, 'root'))
  const lease = await pool.borrow(a, recipe())
  renameSync(join(folder, 'root'), join(folder, 'old'))
  await pool.borrow(a, recipe())
  expect(made.map(({ closed }) => closed)).toEqual([0, 0])
  lease.release()
  lease.release()
  await vi.waitFor(() => expect(made.map(({ closed }) => closed)).toEqual([1, 0]))
})
test('one whose process is gone, and one that is given back as broken, are not used again', async () => {
  const { pool, made, use, recipe } = make()
  const first = await use(a)
  // Above the largest that there can be.
  first.pid = 2 ** 22 + 1
  const lease = await pool.borrow(a, recipe())
  lease.release(true)
  await use(a)
  expect(made.map(({ closed }) => closed)).toEqual([1, 1, 0])
})
test('one that cannot be made is tried again the next time', async () => {
  const { made, pool, use, recipe } = make()
  await expect(pool.borrow(a, recipe('k', { make: async () => { throw new Error('no') } }))).rejects.toThrow('no')
  await use(a)
  expect(made).toHaveLength(1)
})
test('the least recently used of a client goes first, and of all clients', async () => {
  const { made, use, recipe } = make({ ...KEEP_LIMITS, mostIdleEach: 2, mostIdle: 3 })
  const [one, two] = [await use(a, recipe('1')), await use(a, recipe('2'))]
  await use(a, recipe('1'))
  await use(a, recipe('3'))
  expect([one.closed, two.closed]).toEqual([0, 1])
  await use(b, recipe('1'))
  await use(b, recipe('2'))
  await vi.waitFor(() => expect(made.map(({ closed }) => closed)).toEqual([1, 1, 0, 0, 0]))
})
test('an idle one goes after its time; forget and close end what is idle', async () => {
  vi.useFakeTimers()
  onTestFinished(() => { vi.useRealTimers() })
  const { pool, made, use, recipe } = make({ ...KEEP_LIMITS, idleMs: 1000 })
  await use(a)
  await vi.advanceTimersByTimeAsync(1000)
  expect(made[0]?.closed).toBe(1)
  await use(a)
  pool.forget(a)
  await vi.advanceTimersByTimeAsync(0)
  expect(made[1]?.closed).toBe(1)
  const lease = await pool.borrow(b, recipe())
  await pool.close()
  expect(made[2]?.closed).toBe(0)
  lease.release()
  await vi.advanceTimersByTimeAsync(0)
  expect(made[2]?.closed).toBe(1)
})
test('what is made for an owner who has gone meanwhile is closed when it is given back', async () => {
  const { pool, made, recipe } = make()
  const owner = {}
  const coming = pool.borrow(owner, recipe())
  pool.forget(owner)
  const lease = await coming
  const later = await pool.borrow(owner, recipe('other'))
  lease.release()
  later.release()
  await vi.waitFor(() => expect(made.map(({ closed }) => closed)).toEqual([1, 1]))
})
test('a FIFO at a protected name holds nobody up', () => {
  const { variables } = make()
  const paths = markedPaths(presetPolicy('workspace-write', 'reference'), folder, variables)
  expect(spawnSync('mkfifo', [join(folder, '.git')]).status).toBe(0)
  expect(takeMark(paths)).toContain('fifo')
})
