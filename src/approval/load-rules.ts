// The rules that hold on this machine: the user's files, those of trusted projects, and what requirements add. Reads files, changes none.
import { closeSync, constants, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import path from 'node:path'
import { userHome } from '../host/snapshot.js'
import { type CommandRules, mergeRules, NO_RULES, type PrefixRule, type RuleSource } from './command-rules.js'
import { RulesError } from './rules-error.js'
import { parseRules } from './rules-file.js'

export interface LoadRulesOptions {
  /** Absolute: its `rules/*.rules` are the user's. */
  readonly codexHome: string
  /** Folders of projects that the user trusts, each absolute: their `.codex/rules/*.rules` may only be stricter. Default: none. */
  readonly trustedFolders?: readonly string[]
}

/** A rule of requirements, as TOML has it: `[rules] prefix_rules`. */
export interface RequiredRule {
  readonly pattern: readonly ({ readonly token: string } | { readonly anyOf: readonly string[] })[]
  readonly decision: 'prompt' | 'forbidden'
  readonly justification?: string
}

/** Where amendments go. */
export const userRulesFile = (codexHome: string): string => path.join(codexHome, 'rules', 'default.rules')

/** As the kernel follows at most. */
const MOST_LINKS = 40

/** CODEX_HOME, and where its rules lie if they are reached by links, with each link on the way: whoever may write one of these approves himself. */
export function placesOfRules(codexHome: string): string[] {
  const folder = path.join(codexHome, 'rules')
  return [codexHome, ...[folder, ...rulesFilesOf(folder)].flatMap(linksFrom)]
}

/** What `link` leads to, step by step; nothing where it is no link. */
function linksFrom(link: string): string[] {
  const places: string[] = []
  try {
    let place = link
    while (places.length < MOST_LINKS) {
      place = path.resolve(path.dirname(place), readlinkSync(place))
      places.push(place)
    }
  } catch {
    // No link, or nothing there: this is the end.
  }
  return places
}

/** None where the folder cannot be read: that it cannot is told when the rules are. */
function rulesFilesOf(folder: string): string[] {
  try {
    return readdirSync(folder).filter(isRulesFile).map(name => path.join(folder, name))
  } catch {
    return []
  }
}

const isRulesFile = (name: string): boolean => name.endsWith('.rules')

/**
 * Reads all of them. A file that cannot be read or understood gives no rules and stands in `broken`: then nothing runs unasked, since what
 * it forbids is not known. Never throws for what is in a file.
 */
export function loadRules({ codexHome, trustedFolders = [] }: LoadRulesOptions): CommandRules {
  return mergeRules(...trustedFolders.map(folder => readFolder(path.join(folder, '.codex', 'rules'), 'project')), readFolder(path.join(codexHome, 'rules'), 'user'))
}

/** @param place  how they are named where one of them decides */
export function requiredRules(rules: readonly RequiredRule[], place: string): CommandRules {
  const prefixes = rules.map(({ pattern, decision, justification }): PrefixRule => ({
    pattern: pattern.map(word => 'token' in word ? [word.token] : word.anyOf), decision, source: 'requirements', place, ...(justification === undefined ? {} : { justification }),
  }))
  return { ...NO_RULES, prefixes }
}

function readFolder(folder: string, source: RuleSource): CommandRules {
  try {
    const names = readdirSync(folder).filter(isRulesFile).sort()
    return mergeRules(...names.map(name => readFile(path.join(folder, name), source)))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return NO_RULES
    return { ...NO_RULES, broken: [new RulesError(folder, `it cannot be read (${code ?? String(error)})`).message] }
  }
}

function readFile(file: string, source: RuleSource): CommandRules {
  try {
    const rules = parseRules(readRulesText(file), { name: file, source, home: userHome() })
    return source === 'user' ? rules : onlyStricter(rules, file)
  } catch (error) {
    if (!(error instanceof RulesError)) throw error
    return { ...NO_RULES, broken: [error.message] }
  }
}

/** What a project's file says to widen is dropped and named: whoever writes the project would be asking himself. */
function onlyStricter(rules: CommandRules, file: string): CommandRules {
  const dropped = [
    ...[...rules.prefixes, ...rules.networks].filter(({ decision }) => decision === 'allow').map(({ place }) => `${place}: a project's rules may only prompt or forbid`),
    ...[...rules.executables.keys()].map(name => `${file}: host_executable of ${JSON.stringify(name)} counts in the user's rules only`),
  ]
  return {
    ...rules, executables: new Map(), ignored: dropped,
    prefixes: rules.prefixes.filter(({ decision }) => decision !== 'allow'), networks: rules.networks.filter(({ decision }) => decision !== 'allow'),
  }
}

const LARGEST_FILE = 4 << 20

/** @throws RulesError for what is no file, cannot be read or is not UTF-8: a byte that is replaced could be the one that matters */
export function readRulesText(file: string, name = file): string {
  let descriptor: number | undefined
  try {
    // A FIFO would keep us waiting for whoever writes to it.
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    const stat = fstatSync(descriptor)
    if (stat.isDirectory()) throw new RulesError(name, 'it cannot be read (EISDIR)')
    if (!stat.isFile() || stat.size > LARGEST_FILE) throw new RulesError(name, stat.isFile() ? `it has more than ${LARGEST_FILE} bytes` : 'it is not a regular file')
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(descriptor))
  } catch (error) {
    if (error instanceof RulesError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new RulesError(name, code === 'ERR_ENCODING_INVALID_ENCODED_DATA' ? 'it is not UTF-8' : `it cannot be read (${code ?? String(error)})`, undefined, error)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}
