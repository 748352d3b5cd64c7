// One row of the table against the real kernel, in a scene of its own: what came of it, seen from outside.
import { readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { SandboxError } from '../../src/errors.js'
import type { DegradationName } from '../../src/platform/launch-plan.js'
import { presetPolicy } from '../../src/policy/presets.js'
import { type RungVariant, startParsedOn } from '../support/rungs.js'
import { ATTEMPTS, exists, makeScene } from './attempts.js'
import type { Group, Row } from './table.js'

export interface RowOutcome {
  /** `refused`: no sandbox starts with this policy here. */
  readonly verdict: Row['verdict'] | 'refused'
  /** Paths that are not as before, beside the one that an allowed access was about. */
  readonly changed: readonly string[]
  /** The field of the policy, or the layer, for which it was refused. */
  readonly field?: string
}

/** @param allow  degradations beside those that the group itself allows */
export async function tryRow(group: Group, row: Row, variant: RungVariant, allow: readonly DegradationName[] = []): Promise<RowOutcome> {
  const base = makeScene(group)
  try {
    const before = look(base)
    const outcome = await attempt(group, row, variant, base, allow)
    const after = look(base)
    const own = outcome.verdict === 'allow' ? realOf(base, pathOf(row, base)) : undefined
    const changed = [...new Set([...before.keys(), ...after.keys()])].filter(path => path !== own && before.get(path) !== after.get(path)).sort()
    return { ...outcome, changed }
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

/** A rule of the policy, or a layer that every policy needs. */
const REFUSALS: readonly string[] = ['rule_not_enforceable', 'layer_missing']

async function attempt(group: Group, row: Row, variant: RungVariant, base: string, allow: readonly DegradationName[]): Promise<Omit<RowOutcome, 'changed'>> {
  const changes = group.policy(each => join(base, each))
  const starting = startParsedOn(variant, {
    policy: { ...presetPolicy(changes.mode ?? 'workspace-write', 'reference'), ...changes }, cwd: join(base, 'work'), allowDegraded: [...group.allowDegraded ?? [], ...allow],
  })
  const sandbox = await starting.catch((error: unknown) => {
    if (!(error instanceof SandboxError) || !REFUSALS.includes(error.code)) throw error
    return error
  })
  if (sandbox instanceof SandboxError) return { verdict: 'refused', field: sandbox.field ?? '' }
  try {
    return { verdict: await ATTEMPTS[row.access]({ base, path: pathOf(row, base), sandbox }) ? 'allow' : 'deny' }
  } finally {
    await sandbox.close()
  }
}

/** What the table says of a row: as it is, where no namespaces can be made, or inside bwrap. */
export function expectedOf({ refusedSupervised, refusedBwrap }: Group, { verdict }: Row, way: 'namespaces' | 'supervised' | 'bwrap'): RowOutcome {
  const field = { namespaces: undefined, supervised: refusedSupervised, bwrap: refusedBwrap }[way]
  return field === undefined ? { verdict, changed: [] } : { verdict: 'refused', field, changed: [] }
}

const pathOf = ({ path }: Row, base: string): string => path.startsWith('/') ? path : join(base, path)

/** Everything below a folder: each path with its kind and content. Sockets come and go with their servers. No link is followed: `recursive` of Node 22 does. */
function look(folder: string, found = new Map<string, string>()): Map<string, string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isSymbolicLink()) found.set(path, `link ${readlinkSync(path)}`)
    else if (entry.isFile()) found.set(path, `file ${readFileSync(path, 'utf8')}`)
    else if (entry.isDirectory()) look(path, found.set(path, 'directory'))
  }
  return found
}

const realOf = (base: string, path: string): string => exists(dirname(path)) ? join(realpathSync(dirname(path)), path.slice(dirname(path).length)) : join(base, path)
