// Commands have one user and one group: by the sandbox's own uid map, by a container's that maps no more, or as they have no capability.
// What needs others is refused, and told with the reason and what to do instead; what needs none works. See test/workloads for more.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatDenials } from '../../../src/exec/format-denials.js'
import type { ExecResult } from '../../../src/exec/result.js'

const CLI = fileURLToPath(new URL('../../../dist/cli.cjs', import.meta.url))
const uid = process.getuid?.() ?? -1
const gid = process.getgid?.() ?? -1
const OTHER = uid + 4321

let base: string
let work: string
beforeAll(() => {
  base = realpathSync(mkdtempSync('/var/tmp/one-user-'))
  work = join(base, 'work')
  mkdirSync(work)
  writeFileSync(join(work, 'file'), 'text')
  execFileSync('tar', ['-C', work, '-cf', join(work, 'a.tar'), `--owner=${OTHER}`, `--group=${OTHER}`, '--numeric-owner', 'file'])
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

/** One uid and one gid mapped, root inside, as `unshare --map-root-user` makes it and rootless containers without subordinate ids are. */
const IN_CONTAINER = ['unshare', '--user', '--map-root-user']
const noContainer = spawnSync(IN_CONTAINER[0]!, [...IN_CONTAINER.slice(1), 'true']).status === 0 ? undefined : 'no user namespace can be made here'

function run(rung: string, script: string, container: readonly string[]): ExecResult {
  const words = [...container, process.execPath, CLI, '--rung', rung, '--json', '--', 'sh', '-c', script]
  const { stdout, stderr } = spawnSync(words[0]!, words.slice(1), { cwd: work, encoding: 'utf8', env: { ...process.env, HOME: base, CODEX_HOME: join(base, 'none'), GIT_CONFIG_GLOBAL: '/dev/null' }, timeout: 60_000 })
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout) as ExecResult
}

/** Who is mapped: what the launcher says of another one. */
const PLACES = [
  { name: 'namespaces',                                  rung: 'namespaces', container: [] as readonly string[], ownUid: uid, mapped: ', not mapped', because: /uid map of the sandbox has one user and one group/ },
  { name: 'supervised',                                  rung: 'supervised', container: [] as readonly string[], ownUid: uid, mapped: '', because: /no capability/ },
  { name: 'namespaces in a container with one uid mapped', rung: 'namespaces', container: IN_CONTAINER, ownUid: 0, mapped: ', not mapped', because: /uid map of the sandbox has one user and one group/ },
  { name: 'supervised in a container with one uid mapped', rung: 'supervised', container: IN_CONTAINER, ownUid: 0, mapped: ', not mapped', because: /uid map of the sandbox has one user and one group/ },
] as const

describe.each(PLACES.map((place, index) => ({ ...place, withNpm: index === 0 || index === PLACES.length - 1 })))('$name', ({ rung, container, ownUid, mapped, because, withNpm }) => {
  const left = container.length > 0 ? noContainer : undefined

  test.skipIf(left !== undefined)(`chown to another user${left === undefined ? '' : ` (${left})`}: the file stays whose it is, and the denial says why and what to do`, () => {
    const result = run(rung, `chown ${OTHER} file; id -u`, container)
    expect([result.stdout, result.stderr]).toEqual([`${ownUid}\n`, expect.stringMatching(/Operation not permitted/)])
    expect(statSync(join(work, 'file')).uid).toBe(uid)
    expect(result.denials).toMatchObject([{ kind: 'system-call', operation: 'system-call', call: `fchownat(user ${OTHER}${mapped})`, certainty: 'refused', message: expect.stringMatching(because), remedy: { text: expect.stringContaining('--no-same-owner') } }])
    for (const reader of ['model', 'human'] as const) expect(formatDenials(result, { for: reader })).toMatch(/fchownat[\s\S]*--no-same-owner/)
  })

  test.skipIf(left !== undefined)('apt-get: what it does first is told, with what to do instead', context => {
    if (!existsSync('/usr/bin/python3')) context.skip('python3 is not installed')
    const script = `python3 -c 'import os
try: os.setgroups([${OTHER}])
except PermissionError: print("no groups")
try: os.seteuid(${OTHER})
except PermissionError: print("no user")'`
    const result = run(rung, script, container)
    expect(result.stdout).toBe('no groups\nno user\n')
    expect(result.denials.map(({ call }) => call)).toEqual(['setgroups', expect.stringMatching(/^set(?:res|re)uid\(user \d+(?:, not mapped)?\)$/)])
    for (const denial of result.denials) expect(denial.remedy.text).toContain('apt-get')
  })

  test.skipIf(left !== undefined)('what needs no other works: tar xf of others\' files, own chown, own ids', () => {
    const result = run(rung, `rm file; tar xf a.tar; cat file; chown ${ownUid}:${container.length > 0 ? 0 : gid} file; cp -p file copy; rm copy`, container)
    expect(result).toMatchObject({ exitCode: 0, stdout: 'text', stderr: '', denials: [] })
    expect(statSync(join(work, 'file')).uid).toBe(uid)
  })

  const noCheckout = uid === 0 ? left : 'only root can give a checkout to another user'
  test.skipIf(noCheckout !== undefined)(`git status${withNpm ? ' and npm ci' : ''} in another user's checkout${noCheckout === undefined ? '' : ` (${noCheckout})`}`, () => {
    const checkout = join(work, 'checkout')
    rmSync(checkout, { recursive: true, force: true })
    mkdirSync(join(checkout, 'part'), { recursive: true })
    writeFileSync(join(checkout, 'part/package.json'), JSON.stringify({ name: 'part', version: '1.0.0', scripts: { postinstall: 'id -u > made-by-script' } }))
    writeFileSync(join(checkout, 'package.json'), JSON.stringify({ name: 'whole', version: '1.0.0', dependencies: { part: 'file:part' } }))
    execFileSync('sh', ['-c', `${withNpm ? 'npm install --package-lock-only --silent --offline && ' : ''}git init -q && git add . && git -c user.name=A -c user.email=a@example.org commit -qm first`], { cwd: checkout, env: { ...process.env, HOME: base } })
    // No capability is left to root inside: it may write as its group.
    execFileSync('chown', ['-R', `${OTHER}:${gid}`, checkout])
    execFileSync('chmod', ['-R', 'g+rwX', checkout])
    const words = [...container, process.execPath, CLI, '--rung', rung, '--json', '-C', checkout, '--', 'sh', '-ec', `git status --short; git log --format=%s; ${withNpm ? 'npm ci --silent --offline; cat node_modules/part/made-by-script' : 'id -u'}`]
    const { stdout, stderr } = spawnSync(words[0]!, words.slice(1), { cwd: work, encoding: 'utf8', env: { ...process.env, HOME: base, CODEX_HOME: join(base, 'none'), GIT_CONFIG_GLOBAL: '/dev/null' }, timeout: 60_000 })
    if (stdout === '') throw new Error(stderr)
    const result = JSON.parse(stdout) as ExecResult
    expect([result.exitCode, result.stdout, result.stderr]).toEqual([0, `first\n${ownUid}\n`, ''])
    if (withNpm) expect(statSync(join(checkout, 'node_modules')).uid).toBe(uid)
  })
})
