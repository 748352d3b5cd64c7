// macOS managed preferences: TOML as base64 in keys of one domain, read through `defaults`.
import { execFile } from 'node:child_process'
import { SandboxError } from '../errors.js'
import type { PlatformName } from '../policy/host-snapshot.js'
import { MOST_BYTES } from './toml-text.js'

export const PREFERENCE_DOMAIN = 'com.openai.codex'
export type PreferenceKey = 'config_toml_base64' | 'requirements_toml_base64'

/** The text of a key; undefined where nobody manages it. Whatever else it meets rejects: what it forbids would be lost. */
export type ManagedPreferences = (key: PreferenceKey) => Promise<string | undefined>

/** What a program printed, and how it ended. */
export interface DefaultsResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}
/** Runs `defaults` with these arguments. */
export type DefaultsRunner = (argv: readonly string[]) => Promise<DefaultsResult>

/** By its one path: what PATH leads to may be anybody's. */
const DEFAULTS = '/usr/bin/defaults'

/** Undefined where there are none on this platform. */
export function managedPreferences(platform: PlatformName, run: DefaultsRunner = runDefaults): ManagedPreferences | undefined {
  if (platform !== 'macos') return undefined
  return async key => {
    const { exitCode, stdout, stderr } = await run(['read', PREFERENCE_DOMAIN, key])
    if (exitCode === 0) return stdout.trim()
    // The domain, or the key in it: its words have been these since Mac OS X 10.0.
    if (/does not exist/.test(stderr)) return undefined
    throw new SandboxError('config_unreadable', { field: `${PREFERENCE_DOMAIN}:${key}`, value: undefined }, { detail: `defaults ended with ${exitCode}: ${JSON.stringify(stderr.trim().slice(0, 300))}`, remedy: 'Run `defaults read com.openai.codex` to see why.' })
  }
}

const runDefaults: DefaultsRunner = argv => new Promise((done, fail) => {
  // Its words are matched above.
  execFile(DEFAULTS, argv, { encoding: 'utf8', maxBuffer: 2 * MOST_BYTES, timeout: 10_000, env: { LANG: 'C' } }, (error, stdout, stderr) => {
    const exitCode = error === null ? 0 : error.code
    if (typeof exitCode === 'number') done({ exitCode, stdout, stderr })
    else fail(new SandboxError('config_unreadable', { field: PREFERENCE_DOMAIN, value: undefined }, { detail: `${DEFAULTS} did not answer (${error?.signal ?? exitCode})`, cause: error }))
  })
})

/** @throws SandboxError `config_unreadable` */
export function decodePreference(key: PreferenceKey, base64: string): string {
  const compact = base64.replaceAll(/\s+/g, '')
  const refuse = (detail: string, cause?: unknown): SandboxError => new SandboxError('config_unreadable', { field: `${PREFERENCE_DOMAIN}:${key}`, value: undefined }, { detail, remedy: 'Store the TOML as base64 of its UTF-8 text.', cause })
  // Buffer.from takes anything, and leaves out what it does not know.
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) throw refuse('it is not base64')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(compact, 'base64'))
  } catch (error) {
    throw refuse('it is not UTF-8', error)
  }
}
