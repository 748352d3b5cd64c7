// Every key of the settings of @anthropic-ai/sandbox-runtime: what it may hold, and what becomes of it here. The table is complete for the
// version that package.json names: a test compares it with the schema of that package.
import { SandboxError } from '../errors.js'
import { nearestName } from '../policy/nearest-name.js'
import { isRecord } from '../policy/record.js'

/** What is said of a key that no rule of a policy stands for. */
export interface SrtNote {
  /** `network.allowedDomains`, `credentials.files[0]`. */
  readonly key: string
  /**
   * `same`: held in another way. `stricter`: something that it allowed is not allowed here. `weaker`: only after a word that the
   * text names; without it no sandbox is made. `unused`: it concerns a tool, a message or a system that has no part here.
   */
  readonly effect: 'same' | 'stricter' | 'weaker' | 'unused'
  readonly text: string
}

type Type = 'boolean' | 'count' | 'text' | 'texts' | 'object' | 'any'

export interface SrtKey {
  readonly key: string
  readonly type: Type
  /** The schema there has no default for it. */
  readonly required?: true
  /** Said where the value asks for something: neither false nor empty. Without one, rules are made of the value. */
  readonly note?: Omit<SrtNote, 'key'>
  /** What a false asks for. */
  readonly noteOfFalse?: Omit<SrtNote, 'key'>
}

const off = (text: string): Omit<SrtNote, 'key'> => ({ effect: 'stricter', text: `${text}, which is not done here: the network is off` })
const macOnly = (text: string): Omit<SrtNote, 'key'> => ({ effect: 'stricter', text: `${text}: only macOS has it, and no back end for macOS is built yet` })
const helper = (text: string): Omit<SrtNote, 'key'> => ({ effect: 'unused', text: `${text} is not used here` })

/** They take the decision from the lists of domains. */
export const SRT_PROXY_KEYS = ['httpProxyPort', 'socksProxyPort', 'mitmProxy', 'filterRequest', 'tlsTerminate', 'parentProxy'] as const

export const SRT_KEYS: readonly SrtKey[] = [
  { key: 'network.allowedDomains',           type: 'texts', required: true, note: { effect: 'stricter', text: 'a name that leads to an address which is not public is refused, unless a rule names that address too' } },
  { key: 'network.deniedDomains',            type: 'texts', required: true },
  { key: 'network.deniedDomainReasons',      type: 'object', note: { effect: 'unused', text: 'denials have words of their own' } },
  { key: 'network.strictAllowlist',          type: 'boolean' },
  { key: 'network.deniedResolvedAddresses',  type: 'texts' },
  { key: 'network.allowUnixSockets',         type: 'texts', note: { effect: 'stricter', text: 'sockets made outside the sandbox are not reachable; those that commands make are' } },
  { key: 'network.allowAllUnixSockets',      type: 'boolean', note: { effect: 'stricter', text: 'sockets made outside the sandbox are not reachable; those that commands make are' } },
  {
    key: 'network.allowLocalBinding', type: 'boolean', note: { effect: 'same', text: 'the sandbox has a loopback of its own, on which commands can listen and connect' },
    noteOfFalse: { effect: 'same', text: 'commands can listen, but only on a loopback of the sandbox\'s own, where nobody outside reaches them' },
  },
  { key: 'network.allowMachLookup',          type: 'texts', note: macOnly('looking up Mach services') },
  { key: 'network.httpProxyPort',            type: 'count', note: off('it asks a proxy of your own about everything') },
  { key: 'network.socksProxyPort',           type: 'count', note: off('it asks a proxy of your own about everything') },
  { key: 'network.mitmProxy',                type: 'object', note: off('it reads what is encrypted') },
  { key: 'network.filterRequest',            type: 'any', note: off('it judges requests one by one') },
  { key: 'network.tlsTerminate',             type: 'object', note: off('it reads what is encrypted') },
  { key: 'network.parentProxy',              type: 'object', note: off('it goes through a proxy of your own; for the one that HTTP_PROXY names there is network.allowUpstreamProxy') },
  { key: 'filesystem.disabled',              type: 'boolean' },
  { key: 'filesystem.denyRead',              type: 'texts', required: true },
  { key: 'filesystem.allowRead',             type: 'texts' },
  { key: 'filesystem.allowWrite',            type: 'texts', required: true },
  { key: 'filesystem.denyWrite',             type: 'texts', required: true },
  { key: 'filesystem.allowGitConfig',        type: 'boolean', note: { effect: 'stricter', text: 'git\'s config stays read-only, since git on the host runs programs that it names; to open it all the same, add the path of .git/config to write' } },
  { key: 'credentials.files',                type: 'any' },
  { key: 'credentials.envVars',              type: 'any' },
  { key: 'credentials.allowPlaintextInject', type: 'boolean', note: { effect: 'unused', text: 'nothing is masked here, so nothing is put in for it' } },
  { key: 'credentials.awsPairs',             type: 'any', note: { effect: 'unused', text: 'nothing is masked here, so nothing is signed again' } },
  { key: 'credentials.sigv4',                type: 'object', note: { effect: 'unused', text: 'nothing is masked here, so nothing is signed again' } },
  { key: 'ignoreViolations',                 type: 'object', note: { effect: 'unused', text: 'every denial is reported: leave out of `result.denials` what you do not want to see' } },
  { key: 'enableWeakerNestedSandbox',        type: 'boolean', note: { effect: 'stricter', text: 'nothing gets weaker by itself: where a host lacks a layer, the error names the degradation that would have to be allowed' } },
  { key: 'enableWeakerNetworkIsolation',     type: 'boolean', note: macOnly('asking trustd') },
  { key: 'allowAppleEvents',                 type: 'boolean', note: macOnly('sending Apple Events') },
  { key: 'ripgrep',                          type: 'object', note: helper('ripgrep') },
  { key: 'mandatoryDenySearchDepth',         type: 'count' },
  { key: 'allowPty',                         type: 'boolean', note: { effect: 'same', text: 'commands can make terminals of their own' } },
  { key: 'seccomp',                          type: 'object', note: helper('apply-seccomp') },
  { key: 'bwrapPath',                        type: 'text', note: helper('bubblewrap') },
  { key: 'socatPath',                        type: 'text', note: helper('socat') },
  { key: 'javaAgentJarPath',                 type: 'text', note: helper('the agent for JVMs') },
  { key: 'windows',                          type: 'object', note: { effect: 'unused', text: 'no back end for Windows is built yet' } },
  { key: 'git.safeDirectories',              type: 'texts' },
]

/** Of one credential. All but the first two say how it is masked, which is not done here. */
export const SRT_FILE_KEYS = ['path', 'mode', 'extract', 'onExtractNoMatch', 'decode', 'maskClaims', 'maskDuplicates', 'injectHosts'] as const
export const SRT_VARIABLE_KEYS = ['name', 'mode', 'extract', 'onExtractNoMatch', 'decode', 'maskClaims', 'injectHosts'] as const

export interface SrtCredential {
  /** The path or the variable's name. */
  readonly name: string
  readonly mode: 'deny' | 'mask'
}

/** Settings whose keys and types were checked. */
export interface SrtSettings {
  value(key: string): unknown
  texts(key: string): readonly string[]
  readonly files: readonly SrtCredential[]
  readonly variables: readonly SrtCredential[]
  readonly notes: readonly SrtNote[]
}

/** @throws SandboxError `policy_unknown_key`, `policy_invalid_value`; `field` is the key in full */
export function readSrtSettings(input: unknown): SrtSettings {
  if (!isRecord(input)) throw invalid('settings', input, 'an object')
  refuseUnknown(input, '', [...new Set(SRT_KEYS.map(({ key }) => key.split('.')[0] as string))])
  const values = new Map<string, unknown>()
  for (const section of new Set(SRT_KEYS.filter(({ key }) => key.includes('.')).map(({ key }) => key.split('.')[0] as string))) {
    const given = input[section]
    if (given === undefined) continue
    if (!isRecord(given)) throw invalid(section, given, 'an object')
    refuseUnknown(given, `${section}.`, SRT_KEYS.filter(({ key }) => key.startsWith(`${section}.`)).map(({ key }) => key.slice(section.length + 1)))
    for (const [name, value] of Object.entries(given)) values.set(`${section}.${name}`, value)
  }
  for (const { key } of SRT_KEYS) if (!key.includes('.')) values.set(key, input[key])
  for (const row of SRT_KEYS) checkType(row, values.get(row.key))
  return {
    value: key => values.get(key),
    texts: key => (values.get(key) ?? []) as readonly string[],
    files: credentials(values.get('credentials.files'), 'credentials.files', 'path', SRT_FILE_KEYS),
    variables: credentials(values.get('credentials.envVars'), 'credentials.envVars', 'name', SRT_VARIABLE_KEYS),
    notes: SRT_KEYS.flatMap(row => noteOf(row, values.get(row.key))),
  }
}

function noteOf({ key, note, noteOfFalse }: SrtKey, value: unknown): SrtNote[] {
  if (value === undefined) return []
  if (value === false) return noteOfFalse === undefined ? [] : [{ key, ...noteOfFalse }]
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0 && !TELLS_BY_BEING_THERE.includes(key)
  return note === undefined || isEmpty ? [] : [{ key, ...note }]
}

/** `tlsTerminate: {}` asks for a CA that is made for the session. */
const TELLS_BY_BEING_THERE: readonly string[] = ['network.tlsTerminate']

const TYPES: Readonly<Record<Type, { readonly words: string; readonly holds: (value: unknown) => boolean }>> = {
  boolean: { words: 'true or false', holds: value => typeof value === 'boolean' },
  count:   { words: 'a whole number above 0', holds: value => Number.isSafeInteger(value) && (value as number) > 0 },
  text:    { words: 'a text that is not empty', holds: value => typeof value === 'string' && value !== '' },
  texts:   { words: 'a list of texts that are not empty', holds: value => Array.isArray(value) && value.every(each => typeof each === 'string' && each !== '') },
  object:  { words: 'an object', holds: value => isRecord(value) },
  any:     { words: 'anything', holds: () => true },
}

function checkType({ key, type, required }: SrtKey, value: unknown): void {
  if (value === undefined && required !== true) return
  const { words, holds } = TYPES[type]
  if (!holds(value)) throw invalid(key, value, words)
}

function credentials(value: unknown, key: string, naming: 'path' | 'name', known: readonly string[]): SrtCredential[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw invalid(key, value, 'a list')
  return value.map((each: unknown, index) => {
    const field = `${key}[${index}]`
    if (!isRecord(each)) throw invalid(field, each, 'an object')
    refuseUnknown(each, `${field}.`, known)
    const { [naming]: name, mode } = each
    if (typeof name !== 'string' || name === '') throw invalid(`${field}.${naming}`, name, 'a text that is not empty')
    if (mode !== 'deny' && mode !== 'mask') throw invalid(`${field}.mode`, mode, 'deny or mask')
    return { name, mode }
  })
}

/** There it would be dropped without a word; a restriction that is misspelt must not be. */
function refuseUnknown(given: Readonly<Record<string, unknown>>, prefix: string, known: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue
    const near = nearestName(name, known)
    throw new SandboxError('policy_unknown_key', { field: prefix + name, value: undefined }, { remedy: near === undefined ? `Known here: ${known.join(', ')}.` : `Did you mean ${JSON.stringify(near)}?` })
  }
}

const invalid = (field: string, value: unknown, words: string): SandboxError =>
  new SandboxError('policy_invalid_value', { field, value: value ?? null }, { detail: `it must be ${words}`, remedy: 'See the README of @anthropic-ai/sandbox-runtime.' })
