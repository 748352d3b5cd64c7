// Programs of Windows, started from inside a sandbox in WSL 2, would run outside of it: on a machine made alike, they ask nobody.
// And a machine that says it is WSL 1 is refused.
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExecResult } from '../../src/exec/result.js'

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const CLI = file('../../dist/cli.cjs')
const recorded = (name: string): { version?: string; release?: string } => JSON.parse(readFileSync(file(`../unit/host/wsl-machines/${name}.json`), 'utf8'))

const noNamespaces = spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'mount', '-t', 'binfmt_misc', 'binfmt_misc', '/proc/sys/fs/binfmt_misc']).status === 0
  ? undefined : 'no binfmt_misc of its own can be mounted in a user namespace here (Linux 6.7)'

let base: string
let workspace: string
beforeAll(() => {
  base = realpathSync(mkdtempSync('/var/tmp/wsl-'))
  workspace = join(base, 'workspace')
  mkdirSync(workspace)
  writeFileSync(join(workspace, 'program.exe'), 'MZ a program of Windows\n', { mode: 0o755 })
})
afterAll(() => rmSync(base, { recursive: true, force: true }))

interface Outcome { readonly code: number; readonly text: string; readonly errors: string; readonly requests: number }

describe.skipIf(noNamespaces !== undefined)(`WSL 2${noNamespaces === undefined ? '' : ` (${noNamespaces})`}`, () => {
  let seen: { bare: Outcome; inside: Record<string, Outcome> }
  beforeAll(() => {
    const init = join(base, 'init')
    execFileSync('gcc', ['-O1', '-Wall', '-Werror', '-static', '-o', init, file('programs/wsl-init.c')])
    const text = execFileSync('unshare', ['--user', '--map-root-user', '--mount', process.execPath, file('../support/wsl-machine.mjs'), CLI, init, workspace, 'namespaces', 'supervised'], {
      encoding: 'utf8', env: { ...process.env, HOME: base, CODEX_HOME: join(base, 'none') }, timeout: 60_000,
    })
    seen = JSON.parse(text)
  })

  test('without a sandbox the kernel starts it, and the host is asked: by the socket twice, and a socket of the virtual machine is made', () => {
    expect(seen.bare).toEqual({ code: 0, text: expect.stringMatching(/^started for \S*program\.exe\n\/run\/WSL\/1_interop: connected\n\/run\/WSL\/1_interop: connected\nvsock: made\n$/), errors: '', requests: 2 })
  })
  test.each(['namespaces', 'supervised'])('inside, on the rung %s, it starts and reaches nobody, and that is told', rung => {
    const { text, requests } = seen.inside[rung]!
    const result = JSON.parse(text) as ExecResult
    expect(requests).toBe(0)
    expect(result.stdout).toMatch(/^started for \S*program\.exe\n(?:\/run\/WSL\/1_interop: (?:Permission denied|No such file or directory)\n)+vsock: Address family not supported by protocol\n$/)
    expect(result.denials.map(({ kind, path, call }) => [kind, path ?? call])).toEqual([['unix-socket', '/run/WSL/1_interop'], ['system-call', 'socket(AF_VSOCK, SOCK_STREAM)']])
  })
})

describe('what the machine says it is', () => {
  /** With these texts in the place of its own. */
  const cli = (name: string, words: readonly string[]): { status: number | null; stdout: string; stderr: string } => {
    const { version, release } = recorded(name)
    const places = [['version', version], ['sys/kernel/osrelease', release]].filter((each): each is [string, string] => each[1] !== undefined)
    const mounts = places.map(([place, text], index) => {
      writeFileSync(join(base, `${name}-${index}`), text)
      return `mount --bind '${join(base, `${name}-${index}`)}' /proc/${place}`
    })
    return spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-ec', `${mounts.join('; ')}; exec "$@"`, 'sh', process.execPath, CLI, ...words], {
      cwd: workspace, encoding: 'utf8', env: { ...process.env, HOME: base, CODEX_HOME: join(base, 'none') }, timeout: 60_000,
    })
  }

  test.skipIf(noNamespaces !== undefined).each(['wsl1-windows-10-1607', 'wsl1-windows-10-2004'])('%s: refused before anything runs, with the way to WSL 2', name => {
    expect(cli(name, ['--', 'touch', 'ran'])).toMatchObject({ status: 125, stdout: '', stderr: expect.stringMatching(/^codex-sandbox: platform "WSL 1" is not supported: WSL 1 has no Linux kernel.*wsl --set-version DISTRIBUTION 2/) })
    expect(spawnSync('test', ['-e', join(workspace, 'ran')]).status).toBe(1)
    expect(cli(name, ['doctor']).stdout).toMatch(/, WSL 1\n[\s\S]*missing {2}platform/)
    expect(cli(name, ['-s', 'danger-full-access', '--', 'echo', 'bare'])).toMatchObject({ status: 0, stdout: 'bare\n' })
  })
  test.skipIf(noNamespaces !== undefined)('WSL 2: as any Linux', () => {
    expect(cli('wsl2-5.15', ['--', 'echo', 'ran'])).toMatchObject({ status: 0, stdout: 'ran\n' })
    expect(cli('wsl2-5.15', ['doctor']).stdout).toContain(', WSL 2\n')
  })
})
