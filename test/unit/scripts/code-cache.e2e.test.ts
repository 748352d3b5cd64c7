// A command cannot write the code cache of the command line, though the package lies in a writable root.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../../..')

test('a command cannot write it, nor make that of another Node', () => {
  const folder = realpathSync(mkdtempSync('/var/tmp/code-cache-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const name of ['package.json', 'dist/cli.cjs', 'dist/cli', 'dist/launcher']) cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  const parts = join(folder, 'dist/cli')
  const cache = join(parts, readdirSync(parts).find(name => name.includes(`.${process.version}-`) && name.endsWith('.code-cache')) as string)
  const before = readFileSync(cache)
  const script = 'for name; do echo x > "$name"; done; rm -f "$1"; mv dist/cli moved; echo ran > ran'
  const other = cache.replace(process.version, 'v99.0.0')
  const { status } = spawnSync(process.execPath, [join(folder, 'dist/cli.cjs'), 'run', '--', 'sh', '-c', script, 'sh', cache, other], { cwd: folder, encoding: 'utf8' })
  expect({ status, ran: readFileSync(join(folder, 'ran'), 'utf8'), same: readFileSync(cache).equals(before), made: existsSync(other) }).toEqual({ status: 0, ran: 'ran\n', same: true, made: false })
})
