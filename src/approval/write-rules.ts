// Amendments: a rule that somebody approved is added to the user's file, once, whole or not at all, whoever else writes there.
import { randomUUID } from 'node:crypto'
import { closeSync, fchmodSync, fsyncSync, linkSync, openSync, readFileSync, realpathSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { SandboxError } from '../errors.js'
import { makeOwnFolder } from '../host/own-folder.js'
import { unlessMissing } from '../host/unless.js'
import { prefixRuleLine, quoted } from './amendment.js'
import type { NetworkPolicyAmendment, NetworkProtocol } from './approval-request.js'
import { readRulesText } from './load-rules.js'
import { parseRules } from './rules-file.js'

/** How long another writer is waited for. */
const LOCK_WAIT_MS = 10_000
const LOCK_RETRY_MS = 20

/**
 * Adds `prefix_rule(pattern=[…], decision="allow")` to `file`, which is made where it is missing.
 *
 * @param file  absolute; a link to a file is followed
 * @returns     false where the file has that line already
 * @throws RulesError where the file is wrong as it is: nothing is added to what is not understood
 * @throws SandboxError `set_up_failed` where it cannot be written, or another writer does not end
 */
export const appendPrefixRule = (file: string, prefix: readonly string[]): Promise<boolean> => appendLine(file, prefixRuleLine(prefix))

const RULE_PROTOCOLS: Readonly<Record<NetworkProtocol, string>> = { http: 'http', https: 'https', socks5Tcp: 'socks5_tcp', socks5Udp: 'socks5_udp' }

/** The same for a host: `network_rule(…)`. */
export const appendNetworkRule = (file: string, { host, action }: NetworkPolicyAmendment, protocol: NetworkProtocol): Promise<boolean> =>
  appendLine(file, `network_rule(host=${quoted(host)}, protocol="${RULE_PROTOCOLS[protocol]}", decision="${action}")`)

async function appendLine(file: string, line: string): Promise<boolean> {
  try {
    makeOwnFolder(path.dirname(file))
    const real = realFile(file)
    return await locked(`${real}.lock`, () => append(real, line))
  } catch (error) {
    if (error instanceof SandboxError) throw error
    throw new SandboxError('set_up_failed', { step: 'append_rule', errno: (error as NodeJS.ErrnoException).code ?? 'EIO', path: file }, { cause: error, remedy: 'Make the rules file writable, or add the rule by hand.' })
  }
}

function append(file: string, line: string): boolean {
  const old = existing(file)
  if (old.split('\n').includes(line)) return false
  const text = `${old}${old === '' || old.endsWith('\n') ? '' : '\n'}${line}\n`
  // The whole file has to be understood, before and after.
  parseRules(old, { name: file, source: 'user' })
  parseRules(text, { name: file, source: 'user' })
  const draft = `${file}.${randomUUID()}.tmp`
  try {
    const descriptor = openSync(draft, 'wx', 0o600)
    try {
      if (old !== '') fchmodSync(descriptor, statSync(file).mode & 0o777)
      writeFileSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(draft, file)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
  return true
}

function existing(file: string): string {
  try {
    statSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
  return readRulesText(file)
}

/** A rules file may be a link into a folder of somebody's settings: that file is replaced, not the link. */
function realFile(file: string): string {
  try {
    return realpathSync(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path.join(realpathSync(path.dirname(file)), path.basename(file))
    throw error
  }
}

/**
 * One writer at a time, over processes. The lock is a file with its holder's process; that of a process which is gone is taken away.
 * It appears whole (linked from a draft), so that nobody reads one without a holder.
 */
async function locked<T>(lock: string, work: () => T): Promise<T> {
  const mine = `${process.pid} ${randomUUID()}`
  const draft = `${lock}.${randomUUID()}`
  writeFileSync(draft, mine, { flag: 'wx', mode: 0o600 })
  try {
    for (const start = Date.now(); !tryLink(draft, lock);) {
      removeStale(lock)
      if (Date.now() - start > LOCK_WAIT_MS) throw new SandboxError('set_up_failed', { step: 'lock_rules', errno: 'EBUSY', path: lock }, { remedy: 'Another process writes there. If there is none, remove that file.' })
      await wait(LOCK_RETRY_MS)
    }
    try {
      return work()
    } finally {
      if (holderOf(lock) === mine) unlinkSync(lock)
    }
  } finally {
    rmSync(draft, { force: true })
  }
}

function tryLink(draft: string, lock: string): boolean {
  try {
    linkSync(draft, lock)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

const holderOf = (lock: string): string | undefined => unlessMissing(() => readFileSync(lock, 'utf8'))

/** Moved aside first and looked at there: another one may have come into its place meanwhile, and is put back. */
function removeStale(lock: string): void {
  const holder = holderOf(lock)
  if (holder === undefined || isAlive(Number(/^\d+/.exec(holder)?.[0] ?? Number.NaN))) return
  const aside = `${lock}.${randomUUID()}`
  try {
    renameSync(lock, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if (holderOf(aside) !== holder) tryLink(aside, lock)
  rmSync(aside, { force: true })
}

/** A process of another user counts too: it may be one of another folder's owner. */
function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
