// Configuration that `denySecrets` hides because it may hold tokens, and without which its tool fails: a copy of the lines that are
// public stands in for it. It is written outside, in a folder that commands only read.
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, normalize } from 'node:path/posix'
import { textIfReadable } from '../host/unless.js'
import { isPermitted } from '../policy/decide-path.js'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import type { ResolvedPolicy } from '../policy/resolved-policy.js'
import type { CacheFolders } from './caches.js'
import type { Variables } from './environment.js'

interface StandIn {
  /** Leads the tool to another file than the one in the home folder. */
  readonly variable: string
  /** In the home folder, unless the variable says otherwise already: npm sets its own for what it runs. */
  readonly path: string
  /** Of the copy. */
  readonly name: string
  /** The lines of it that hold no secret. What is not known is left out. */
  readonly publicLines: (text: string) => string
}

/** Keys of npm that name no secret; a registry may be that of a scope. Addresses are looked at apart, as they may hold a password. */
const NPM_KEYS: ReadonlySet<string> = new Set(`
  registry access audit audit-level bin-links before cafile call color engine-strict fetch-retries fetch-retry-factor fetch-retry-maxtimeout
  fetch-retry-mintimeout fetch-timeout foreground-scripts fund heading if-present ignore-scripts include include-workspace-root
  init-author-name init-license init-module init-type init-version install-links install-strategy legacy-peer-deps lockfile-version loglevel
  logs-max long maxsockets message node-options noproxy offline omit optional package-lock prefer-dedupe prefer-offline prefer-online
  production progress save save-bundle save-dev save-exact save-optional save-peer save-prefix script-shell sign-git-commit sign-git-tag
  strict-peer-deps strict-ssl tag tag-version-prefix timing unicode update-notifier workspaces workspaces-update
`.trim().split(/\s+/))
const PIP_KEYS: ReadonlySet<string> = new Set(`
  index-url extra-index-url find-links no-index pre prefer-binary only-binary no-binary require-virtualenv break-system-packages
  disable-pip-version-check timeout default-timeout retries trusted-host cert user no-cache-dir no-color progress-bar quiet verbose no-input
  use-pep517 no-build-isolation no-warn-script-location format constraint
`.trim().split(/\s+/))
/** `https://user:password@host/`, and what npm puts in place of variables. */
const MAY_HOLD_SECRET = /\/\/[^/\s]*@|\$\{/

/** `key = value` lines by their keys, and sections. `indented`: whether such a line goes on with the value before it, or has a key of its own. */
function linesWithKeys(isAmong: (key: string) => boolean, indented: 'goes on' | 'has a key'): (text: string) => string {
  return text => {
    let keeps = false
    const kept = text.split(/\r?\n/).filter(line => {
      if (/^\s*\[[^\]]*\]\s*$/.test(line)) {
        keeps = false
        return true
      }
      if (indented === 'goes on' && /^\s+\S/.test(line)) return keeps && !MAY_HOLD_SECRET.test(line)
      const key = /^\s*([^=\s#;][^=]*?)(?:\[\])?\s*=/.exec(line)?.[1]
      keeps = key !== undefined && isAmong(key.trim()) && !MAY_HOLD_SECRET.test(line)
      return keeps
    })
    return kept.map(line => `${line}\n`).join('')
  }
}

export const STAND_INS: readonly StandIn[] = [
  { variable: 'npm_config_userconfig', path: '.npmrc',                name: 'npmrc',    publicLines: linesWithKeys(key => NPM_KEYS.has(key) || /^@[\w.~-]+:registry$/.test(key), 'has a key') },
  { variable: 'PIP_CONFIG_FILE',       path: '.config/pip/pip.conf',  name: 'pip.conf', publicLines: linesWithKeys(key => PIP_KEYS.has(key), 'goes on') },
  // Holds an access key for each source that needs one, and hardly anything else.
  { variable: 'BUNDLE_USER_CONFIG',    path: '.bundle/config',        name: 'bundle',   publicLines: () => '---\n' },
]

/** Those whose file is there and would be hidden. Before the policy is resolved: that the folder is wanted. */
export const wantedStandIns = (hidesSecrets: boolean, { home, files }: HostSnapshot): readonly StandIn[] =>
  hidesSecrets && home !== undefined ? STAND_INS.filter(({ path }) => files.entry(join(home, path)) !== undefined) : []

/** Writes the copies that are needed, and gives the variables that lead to them. What may be read is left alone. */
export function standInVariables(folders: CacheFolders | undefined, policy: ResolvedPolicy, host: HostSnapshot, inherited: Variables): Record<string, string> {
  const settings = folders?.settings
  const { home, files } = host
  if (settings === undefined || home === undefined) return {}
  return Object.fromEntries(STAND_INS.flatMap(({ variable, path, name, publicLines }) => {
    const original = inheritedValue(inherited, variable) ?? join(home, path)
    if (!original.startsWith('/') || files.entry(original) === undefined || isPermitted(policy, { kind: 'read', path: normalize(original) })) return []
    const copy = join(settings, name)
    writeCopy(copy, publicLines(readText(original)))
    return [[variable, copy]]
  }))
}

/** npm takes its variables in any letter case. */
export const inheritedValue = (variables: Variables, name: string): string | undefined =>
  name.startsWith('npm_') ? Object.entries(variables).find(([each]) => each.toLowerCase() === name)?.[1] : variables[name]

/** What this user may not read has no public part. */
const readText = (path: string): string => textIfReadable(path) ?? ''

/** Other sandboxes of the workspace may be reading the old one. */
function writeCopy(path: string, text: string): void {
  if (readText(path) === text && text !== '') return
  const written = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`
  try {
    writeFileSync(written, text, { mode: 0o600, flag: 'wx' })
    renameSync(written, path)
  } catch (error) {
    rmSync(written, { force: true })
    throw error
  }
}
