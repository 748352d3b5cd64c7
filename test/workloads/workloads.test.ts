// The table, in sandboxes of the built package, as this user and as another; what was done is looked at from outside.
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { reportLeftOut, shareOf } from '../support/container-share.js'
import { BWRAP, isSupervised, onBackend, TABLE_RUNGS } from '../support/rungs.js'
import { WORKLOADS } from './table.js'
import { type Outcome, otherUser, REPOSITORY, thisUser, type User, whyNoOtherUser } from './users.js'
import type { Place, Workload } from './workload.js'

const noOtherUser = whyNoOtherUser()

describe.each(TABLE_RUNGS.flatMap(variant => [
  { name: process.getuid?.() === 0 ? 'as root' : 'as this user', start: thisUser, absent: undefined, rows: WORKLOADS },
  { name: 'as another user', start: otherUser, absent: noOtherUser, rows: shareOf(WORKLOADS) },
].map(row => ({ ...row, on: variant.name, variant }))))('$on, $name', ({ start, absent, rows, variant }) => {
  let user: User | undefined
  beforeAll(async () => { if (absent === undefined) user = await start() })
  afterAll(() => user?.remove())

  test.for(rows)('$name', async (row, { skip }) => {
    const workload = isSupervised(variant) ? { ...row, ...row.supervised } : variant === BWRAP ? { ...row, ...(row.bwrap === 'as supervised' ? row.supervised : row.bwrap) } : row
    if (user === undefined) return skip(absent)
    if (workload.on !== undefined && workload.on !== (isSupervised(variant) ? 'supervised' : 'namespaces')) return skip(`only with ${workload.on}`)
    const missing = workload.needs.find(program => !isThere(user as User, program))
    if (missing !== undefined) return skip(`${missing} is not there for this user`)
    const place = makePlace(user)
    const reason = workload.unless?.(place)
    if (reason !== undefined) return skip(reason)
    workload.given?.(place)
    giveTo(user, place)

    const { run, policy = 'workspace-write', env, stdin, terminal } = workload
    const wanted = typeof policy === 'function' ? policy(place) : policy
    const running = user.run({
      cwd: place.path(), policy: wanted, rung: variant.rung, other: onBackend(variant.backend), stdin, terminal, env: { REPOSITORY, ...env }, argv: typeof run === 'string' ? ['sh', '-euc', run] : run,
    })
    // Links have to stand in .git then, which bwrap cannot hold.
    if (variant === BWRAP && typeof wanted === 'object' && 'git' in wanted && wanted.git === 'commits') return expect(running).rejects.toMatchObject({ code: 'rule_not_enforceable', message: expect.stringContaining('bwrap cannot hold a symbolic link') })
    const outcome = await running
    expect(summaryOf(outcome, workload)).toEqual(expectedOf(workload))
    if (workload.denied === true) expect(outcome.denials).not.toEqual([])
    workload.seen?.(place)
    expect(readdirSync(place.path()).filter(name => ['.codex', '.agents'].includes(name)), 'left by the sandbox').toEqual([])
  })
  if (rows !== WORKLOADS) reportLeftOut(WORKLOADS)
})

/** Strings are compared as wholes where the row has a string, and shown where it has an expression that does not fit. */
function summaryOf({ exitCode, signal, stdout, stderr, leaves, denials, bytes, sha256 }: Outcome, { prints = '', complains = /^$/, leaves: expected, denied, tolerates }: Workload): object {
  return {
    exitCode, signal, leaves: expected === undefined ? [] : leaves,
    stdout: typeof prints === 'object' && 'sha256' in prints ? { bytes, sha256 } : typeof prints === 'string' || !prints.test(stdout) ? stdout : prints,
    stderr: complains.test(stderr) ? complains : stderr,
    denials: denied === true ? [] : denials.filter(each => !tolerates?.test(each)),
  }
}

const expectedOf = ({ prints = '', complains = /^$/, exits = 0, leaves = [] }: Workload): object => ({ exitCode: exits, signal: null, leaves, stdout: prints, stderr: complains, denials: [] })

function isThere({ uid, environment }: User, program: string): boolean {
  const command = program.includes('/') ? ['test', '-r', join(program.startsWith('/') ? '/' : REPOSITORY, program)] : ['sh', '-c', 'command -v "$1"', 'sh', program]
  return spawnSync(command[0]!, command.slice(1), { ...identity(uid), env: environment, cwd: '/' }).status === 0
}

const identity = (uid: number): { uid?: number; gid?: number } => uid === process.getuid?.() ? {} : { uid, gid: uid }

function makePlace({ uid, folder, environment }: User): Place {
  const outside = mkdtempSync(join(folder, 'row-'))
  onTestFinished(() => rmSync(outside, { recursive: true, force: true }))
  const workspace = join(outside, 'workspace')
  mkdirSync(workspace)
  const path = (name = ''): string => join(workspace, name)
  const place: Place = {
    path, uid,
    beside: name => join(outside, name),
    read: name => readFileSync(path(name), 'utf8'),
    exists: name => lstatSync(path(name), { throwIfNoEntry: false }) !== undefined,
    write: (name, content, mode = 0o644) => {
      mkdirSync(dirname(path(name)), { recursive: true })
      writeFileSync(path(name), content)
      chmodSync(path(name), mode)
    },
    host: (program, ...args) => {
      giveTo({ uid }, place)
      return execFileSync(program, args, { ...identity(uid), cwd: workspace, env: environment, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
    },
  }
  return place
}

function giveTo({ uid }: Pick<User, 'uid'>, place: Place): void {
  if (uid !== process.getuid?.()) execFileSync('chown', ['-hR', `${uid}:${uid}`, place.beside('')])
}
