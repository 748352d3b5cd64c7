// The table against the real kernel: each access is tried in a sandbox, and judged by what it left or reached outside.
import { readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { presetPolicy } from '../../src/policy/presets.js'
import { ATTEMPTS, exists, makeScene } from './attempts.js'
import { startParsedOn, TABLE_RUNGS } from '../support/rungs.js'
import { type Group, TABLE } from './table.js'

describe.each(TABLE_RUNGS.flatMap(variant => TABLE.map(group => ({ variant, group }))))('$variant.name: $group.name', ({ variant, group }) => {
  test.each(group.rows)('$verdict $access $path: $why', async row => {
    const base = sceneOf(group)
    const path = row.path.startsWith('/') ? row.path : join(base, row.path)
    const changes = group.policy(each => join(base, each))
    const sandbox = await startParsedOn(variant, {
      policy: { ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, cwd: join(base, 'work'), allowDegraded: group.allowDegraded ?? [],
    })
    onTestFinished(() => sandbox.close())
    const before = look(base)
    expect(await ATTEMPTS[row.access]({ base, path, sandbox }) ? 'allow' : 'deny').toBe(row.verdict)
    await sandbox.close()
    const after = look(base)
    // A refused access leaves everything as it was; an allowed one changes nothing beside what it was about.
    const own = row.verdict === 'deny' ? undefined : realOf(base, path)
    expect(without(after, own)).toEqual(without(before, own))
  })
})

function sceneOf(group: Group): string {
  const base = makeScene(group)
  onTestFinished(() => rmSync(base, { recursive: true, force: true }))
  return base
}

/** Everything below a folder: each path with its kind and content. Sockets come and go with their servers. */
function look(folder: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isSymbolicLink()) found.set(path, `link ${readlinkSync(path)}`)
    else if (entry.isFile()) found.set(path, `file ${readFileSync(path, 'utf8')}`)
    else if (entry.isDirectory()) found.set(path, 'directory')
  }
  return found
}

const without = (seen: ReadonlyMap<string, string>, path: string | undefined): [string, string][] => [...seen].filter(([at]) => at !== path).sort(([a], [b]) => a < b ? -1 : 1)

const realOf = (base: string, path: string): string => exists(dirname(path)) ? join(realpathSync(dirname(path)), path.slice(dirname(path).length)) : join(base, path)
