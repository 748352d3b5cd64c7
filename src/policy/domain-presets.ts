// Names for the hosts of well-known registries, for lists of domains: `@npm`. What a name stands for changes with its version only.
import { SandboxError } from '../errors.js'
import { nearestName } from './nearest-name.js'

export interface DomainPreset {
  /** Counted up whenever the hosts change, and said in CHANGELOG.md. */
  readonly version: number
  readonly help: string
  readonly hosts: readonly string[]
  /** What a reader should know before allowing it. */
  readonly note?: string
}

/** One row a preset. Ports are named: a registry's host needs no other. */
export const DOMAIN_PRESETS = {
  npm: {
    version: 1, help: 'packages of npm, yarn and pnpm',
    hosts: ['registry.npmjs.org:443', 'registry.yarnpkg.com:443'],
    note: 'install scripts that fetch programs from elsewhere (node-gyp: nodejs.org) need their hosts by name',
  },
  pypi: {
    version: 1, help: 'packages of pip, uv and poetry',
    hosts: ['pypi.org:443', 'files.pythonhosted.org:443'],
  },
  crates: {
    version: 1, help: 'packages of cargo',
    hosts: ['index.crates.io:443', 'static.crates.io:443', 'crates.io:443'],
  },
  go: {
    version: 1, help: 'modules of Go, and their checksums',
    hosts: ['proxy.golang.org:443', 'sum.golang.org:443'],
    note: 'large modules may be redirected to storage.googleapis.com, where anybody\'s data lies: allow it by name if you have to',
  },
  debian: {
    version: 1, help: 'packages of Debian',
    hosts: ['deb.debian.org:80', 'deb.debian.org:443', 'security.debian.org:80', 'security.debian.org:443'],
  },
  github: {
    version: 1, help: 'git over https and ssh, the API, archives and releases',
    hosts: [
      'github.com:443', 'github.com:22', 'ssh.github.com:443', 'api.github.com:443', 'codeload.github.com:443', 'raw.githubusercontent.com:443',
      'objects.githubusercontent.com:443', 'release-assets.githubusercontent.com:443',
    ],
    note: 'anybody may publish there: with a token that a command can read, data can leave',
  },
} as const satisfies Record<string, DomainPreset>

export type DomainPresetName = keyof typeof DOMAIN_PRESETS

export const isDomainPreset = (word: string): boolean => word.startsWith('@')

/** The row behind `@name`. @throws SandboxError `policy_invalid_value` with the nearest known name */
function domainPreset(word: string, field: string): DomainPreset {
  const name = word.slice(1)
  if (Object.hasOwn(DOMAIN_PRESETS, name)) return DOMAIN_PRESETS[name as DomainPresetName]
  const known = Object.keys(DOMAIN_PRESETS)
  const near = nearestName(name, known)
  throw new SandboxError('policy_invalid_value', { field, value: word }, {
    detail: `the presets are ${known.map(each => `@${each}`).join(', ')}`, remedy: near === undefined ? 'Name one of them, or the hosts themselves.' : `Did you mean "@${near}"?`,
  })
}

/** Patterns, with each preset replaced by its hosts; each pattern once. */
export const expandDomains = (patterns: readonly string[], field: string): string[] =>
  [...new Set(patterns.flatMap((pattern, index) => isDomainPreset(pattern) ? domainPreset(pattern, `${field}[${index}]`).hosts : [pattern]))]

/** A preset as `explain @npm` prints it. */
export function describePreset(word: string, field: string): string {
  const { version, help, hosts, note } = domainPreset(word, field)
  return [`${word} (version ${version}): ${help}`, ...hosts.map(host => `  ${host}`), ...(note === undefined ? [] : [`${note}.`])].join('\n')
}
