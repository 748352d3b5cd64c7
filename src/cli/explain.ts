// `explain`: whether one access is allowed, and if not, why and how to allow it. Starts nothing.
import { resolve } from 'node:path'
import { SandboxError } from '../errors.js'
import { explainAccess } from '../exec/decide-access.js'
import { hostCompletion, resolvePolicy, snapshotFor } from '../exec/prepare.js'
import { currentFolder } from '../host/snapshot.js'
import type { Access } from '../policy/decision.js'
import { describePreset, isDomainPreset } from '../policy/domain-presets.js'
import type { Arguments } from './arguments.js'
import { policyFromOptions } from './policy-options.js'
import { print } from './print.js'

const EXIT = { allowed: 0, denied: 1 } as const

export async function explain({ verb, options, words }: Arguments): Promise<number> {
  const [word, ...others] = words
  if (word === '') throw new SandboxError('option_invalid', { field: 'explain', value: word }, { detail: 'it is empty', remedy: 'Write it like `codex-sandbox explain --write /etc/hosts`.' })
  if (word === undefined || others.length > 0) {
    throw new SandboxError('option_invalid', { field: 'explain', value: word ?? '' }, { detail: word === undefined ? 'it needs a PATH, HOST:PORT or @NAME' : 'it takes one PATH, HOST:PORT or @NAME', remedy: 'Write it like `codex-sandbox explain --write /etc/hosts`.' })
  }
  if (isDomainPreset(word)) {
    await print(process.stdout, `${describePreset(word, 'explain')}\n`)
    return EXIT.allowed
  }
  const cwd = currentFolder()
  const host = snapshotFor({}, await hostCompletion())
  const policy = resolvePolicy({ policy: await policyFromOptions(verb, options, { cwd }), cwd: options.cd === undefined ? cwd : resolve(cwd, options.cd), allowBroadRoots: true }, host)
  const access = parseAccess(word, { write: options.asWrite === true, cwd, exists: path => host.files.entry(path) !== undefined })
  const { decision, text } = explainAccess(policy, host, access)
  const isHost = access.kind === 'read' && /^[a-z\d-]+(?:\.[a-z\d-]+)+$/i.test(word) && host.files.entry(access.path) === undefined
  const hint = isHost ? `\n  (no file of that name is there; a host is written with its port, ${word}:443)` : ''
  const flags = decision.verdict === 'deny' && decision.remedy.flags.length > 0 ? `\n  ${decision.remedy.flags.join(' ')}` : ''
  await print(process.stdout, `${text}${flags}${hint}\n`)
  return decision.verdict === 'allow' ? EXIT.allowed : EXIT.denied
}

/** What has no slash and ends in a port is a host; `./name:80` is a file. */
export function parseAccess(word: string, { write, cwd, exists }: { write: boolean; cwd: string; exists: (path: string) => boolean }): Access {
  const target = /^(?<host>\[[^\]/]+\]|[^:/[\]]+):(?<port>\d{1,5})$/.exec(word)?.groups as { host: string; port: string } | undefined
  if (target !== undefined && !write) {
    const port = Number(target.port)
    if (target.host.includes('*')) throw new SandboxError('option_invalid', { field: 'explain', value: word }, { detail: 'it is a pattern, and a connection is to one host', remedy: 'Write it like example.org:443.' })
    if (port === 0 || port > 65535) throw new SandboxError('option_invalid', { field: 'explain', value: word }, { detail: 'a port is from 1 to 65535', remedy: 'Write it like example.org:443.' })
    return { kind: 'connect', host: target.host.replace(/^\[|\]$/g, ''), port }
  }
  const path = resolve(cwd, word)
  // A URL or an address without a port would be taken for a file, and "allowed" for an answer about the network.
  if (!exists(path) && /^[a-z][a-z0-9+.-]*:\/\/|^\d{1,3}(?:\.\d{1,3}){3}(?:\/|$)/i.test(word)) {
    throw new SandboxError('option_invalid', { field: 'explain', value: word }, { detail: 'it looks like a network address and has no HOST:PORT', remedy: 'Write it like example.org:443; a file of that name like ./NAME.' })
  }
  return { kind: !write ? 'read' : exists(path) ? 'write' : 'create', path }
}
