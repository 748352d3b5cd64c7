// `codex-sandbox setup linux`: installs the launcher where only root can change it, with an AppArmor profile that lets it use user
// namespaces, or takes both away again. Each step leaves the machine as it was or as it shall be; running it again goes on from there.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { SandboxError } from '../../../errors.js'
import { packageVersion } from '../../../host/package-version.js'
import { INSTALL_FOLDER, installedLauncherPath, LAUNCHER_PROGRAM, restrictsNamespaces, RESTRICTION } from '../native/installed-launcher.js'
import { LAUNCHER_PROFILE, PROFILE_FOLDER, PROFILE_MARK, PROFILE_NAME } from './apparmor-profile.js'
import { HeldFolder } from './held-folder.js'

const LAUNCHER_MODE = 0o755
const PROFILE_MODE = 0o644
const PARSERS = ['/usr/sbin/apparmor_parser', '/sbin/apparmor_parser', '/usr/bin/apparmor_parser']
/** It compiles for a second or two. */
const PARSER_TIMEOUT_MS = 120_000
const VERSION = /^\d+\.\d+\.\d+(?:-[\w.-]+)?$/

export interface ParserOutcome {
  readonly status: number | null
  readonly stderr: string
}

/** The machine. What differs from `thisMachine` is a test's. */
export interface SetUpMachine {
  /** Stands before every path. */
  readonly root: string
  /** Whose everything has to be. */
  readonly owner: number
  /** Who runs this. */
  readonly uid: number
  readonly version: string
  /** Undefined: AppArmor's tools are not installed. */
  readonly runParser: ((words: readonly string[], input: string) => ParserOutcome) | undefined
}

export interface SetUpOptions {
  /** The package's own launcher, which has been checked. */
  readonly launcher: string
  /** How this program is called, for what has to be called again as root. */
  readonly command: string
  /** Take everything away. Default: false. */
  readonly uninstall?: boolean
  /** Also where it is not needed. Default: false. */
  readonly force?: boolean
}

export interface SetUpChange {
  readonly did: 'made' | 'replaced' | 'removed' | 'loaded' | 'unloaded'
  readonly path: string
}

export interface SetUpReport {
  /** `unchanged`: it was there already, and was loaded again. `removed`: nothing of it is left but what `left` names. */
  readonly result: 'installed' | 'unchanged' | 'removed' | 'not-needed'
  /** Why, where nothing was done. */
  readonly reason?: string
  readonly version: string
  readonly launcher: string
  readonly profile: string
  readonly changes: readonly SetUpChange[]
  /** Lies in our places and is not ours. */
  readonly left: readonly string[]
}

function thisMachine(): SetUpMachine {
  const parser = PARSERS.find(path => existsSync(path))
  return {
    root: '', owner: 0, uid: process.geteuid?.() ?? -1, version: packageVersion(),
    // An environment of its own: sudo may keep variables of the user's.
    runParser: parser === undefined ? undefined : (words, input) => {
      const { status, stderr, error } = spawnSync(parser, words, { input, encoding: 'utf8', timeout: PARSER_TIMEOUT_MS, killSignal: 'SIGKILL', cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' } })
      return { status: error === undefined ? status : null, stderr: error === undefined ? stderr : `${stderr}${error.message}` }
    },
  }
}

/**
 * Installs or uninstalls.
 *
 * @throws SandboxError `root_required`; `installation_failed` with the step, the errno and the path. Then nothing is half done
 */
export function setUpLinux(options: SetUpOptions, machine: SetUpMachine = thisMachine()): SetUpReport {
  if (options.uninstall !== true) return install(options, machine)
  needRoot(options, machine)
  return uninstall(machine)
}

function needRoot({ command }: SetUpOptions, { uid, owner }: SetUpMachine): void {
  if (uid !== owner) throw new SandboxError('root_required', { field: 'setup linux', value: undefined }, { remedy: `Run it as root: sudo ${command}.` })
}

function install(options: SetUpOptions, machine: SetUpMachine): SetUpReport {
  const { launcher, force = false } = options
  const restricts = restrictsNamespaces(machine)
  if (restricts !== true && !force) {
    const reason = restricts === undefined ? `this kernel does not restrict user namespaces by AppArmor (there is no ${RESTRICTION})` : `AppArmor does not restrict user namespaces here (${RESTRICTION} is 0)`
    return { ...reportOn(machine), result: 'not-needed', reason: `${reason}: commands can be confined without it` }
  }
  needRoot(options, machine)
  const parse = needParser(machine)
  // Before anything is changed.
  refuseFailed('check_profile', parse(['--skip-kernel-load', '--skip-cache'], LAUNCHER_PROFILE))
  const changes: SetUpChange[] = []
  const left: string[] = []
  const program = readFileSync(launcher)
  inFolder(machine, [`${INSTALL_FOLDER}/${machine.version}`, PROFILE_FOLDER], changes, (own, profiles) => {
    changes.push(...[...own.removeUnfinished(), ...profiles.removeUnfinished()].map(path => ({ did: 'removed', path }) as const))
    changes.push(...put(own, LAUNCHER_PROGRAM, program, LAUNCHER_MODE, () => true))
    changes.push(...put(profiles, PROFILE_NAME, Buffer.from(LAUNCHER_PROFILE), PROFILE_MODE, isOurs))
    left.push(...own.names().filter(name => name !== LAUNCHER_PROGRAM).map(name => `${own.path}/${name}`))
  })
  const isNew = changes.length > 0
  refuseFailed('load_profile', parse(['--replace', '--skip-cache'], LAUNCHER_PROFILE), machine)
  const profile = `${machine.root}${PROFILE_FOLDER}/${PROFILE_NAME}`
  changes.push({ did: 'loaded', path: profile })
  // Holes of older ones are closed by this one; who uses an older package sets it up again, or is confined without namespaces.
  removeVersions(machine, version => isOlder(version, machine.version), changes, left)
  return { ...reportOn(machine), result: isNew ? 'installed' : 'unchanged', changes, left }
}

function uninstall(machine: SetUpMachine): SetUpReport {
  const changes: SetUpChange[] = []
  const left: string[] = []
  const profiles = heldFolder(machine, PROFILE_FOLDER)
  try {
    if (profiles?.entry(PROFILE_NAME) !== undefined) {
      const text = profiles.read(PROFILE_NAME).toString()
      const path = `${profiles.path}/${PROFILE_NAME}`
      if (!isOurs(text)) throw foreignProfile(path)
      // First: a profile that is loaded without a file would be found by nobody.
      const outcome = needParser(machine)(['--remove', '--skip-cache'], text)
      if (!/Profile doesn't exist/.test(outcome.stderr)) {
        refuseFailed('unload_profile', outcome)
        changes.push({ did: 'unloaded', path })
      }
      profiles.remove(PROFILE_NAME)
      changes.push({ did: 'removed', path })
    }
    changes.push(...(profiles?.removeUnfinished() ?? []).map(path => ({ did: 'removed', path }) as const))
    profiles?.sync()
  } finally {
    profiles?.close()
  }
  removeVersions(machine, () => true, changes, left)
  const places = INSTALL_FOLDER.lastIndexOf('/')
  const parent = heldFolder(machine, INSTALL_FOLDER.slice(0, places))
  const name = INSTALL_FOLDER.slice(places + 1)
  if (parent?.entry(name) !== undefined && left.length === 0) {
    parent.removeFolder(name)
    parent.sync()
    changes.push({ did: 'removed', path: `${parent.path}/${name}` })
  }
  parent?.close()
  return { ...reportOn(machine), result: 'removed', changes, left }
}

function reportOn({ root, version }: SetUpMachine): Omit<SetUpReport, 'result'> {
  return { version, launcher: `${root}${installedLauncherPath(version)}`, profile: `${root}${PROFILE_FOLDER}/${PROFILE_NAME}`, changes: [], left: [] }
}

/** Makes a file what it shall be; nothing where it is. @param replaces  whether a file with this content may be replaced */
function put(folder: HeldFolder, name: string, bytes: Uint8Array, mode: number, replaces: (text: string) => boolean): SetUpChange[] {
  const path = `${folder.path}/${name}`
  const entry = folder.entry(name)
  if (entry !== undefined) {
    const found = folder.read(name)
    if (found.equals(bytes) && (entry.mode & 0o7777) === mode) return []
    if (!replaces(found.toString())) throw foreignProfile(path)
  }
  folder.write(name, bytes, mode)
  return [{ did: entry === undefined ? 'made' : 'replaced', path }]
}

const isOurs = (profile: string): boolean => profile.startsWith(PROFILE_MARK)

const foreignProfile = (path: string): SandboxError => new SandboxError('installation_failed', { step: 'replace', errno: 'EEXIST', path }, {
  detail: 'a profile of that name is there, and it is not one of this program', remedy: 'Look at who put it there; move it away, and run it again.',
})

/** Both folders held, and made where they are missing; whoever made them, they are root's alone. */
function inFolder(machine: SetUpMachine, paths: readonly [string, string], changes: SetUpChange[], act: (...folders: [HeldFolder, HeldFolder]) => void): void {
  const held: HeldFolder[] = []
  try {
    for (const path of paths) {
      let at = HeldFolder.open(machine.root === '' ? '/' : machine.root, machine.owner)
      held.push(at)
      for (const name of path.split('/').filter(part => part !== '')) {
        const { folder, isNew } = at.madeFolder(name)
        if (isNew) changes.push({ did: 'made', path: folder.path })
        held.push(folder)
        at = folder
      }
    }
    const [first, second] = paths.map(path => held.find(folder => folder.path === `${machine.root}${path}`))
    act(first as HeldFolder, second as HeldFolder)
  } finally {
    for (const folder of held) folder.close()
  }
}

/** An existing folder; undefined where it is missing. */
function heldFolder(machine: SetUpMachine, path: string): HeldFolder | undefined {
  let at: HeldFolder | undefined = HeldFolder.open(machine.root === '' ? '/' : machine.root, machine.owner)
  for (const name of path.split('/').filter(part => part !== '')) {
    const next: HeldFolder | undefined = at.folder(name)
    at.close()
    if (next === undefined) return undefined
    at = next
  }
  return at
}

/** Launchers of versions, with their folders where nothing else is in them. */
function removeVersions(machine: SetUpMachine, goes: (version: string) => boolean, changes: SetUpChange[], left: string[]): void {
  const all = heldFolder(machine, INSTALL_FOLDER)
  try {
    for (const name of all?.names() ?? []) {
      if (VERSION.test(name) && !goes(name)) continue
      const folder = VERSION.test(name) && all?.entry(name)?.isDirectory() === true ? all.folder(name) : undefined
      if (folder === undefined) {
        left.push(`${all?.path}/${name}`)
        continue
      }
      changes.push(...folder.removeUnfinished().map(path => ({ did: 'removed', path }) as const))
      if (folder.entry(LAUNCHER_PROGRAM)?.isFile() === true) {
        folder.remove(LAUNCHER_PROGRAM)
        changes.push({ did: 'removed', path: `${folder.path}/${LAUNCHER_PROGRAM}` })
      }
      const others = folder.names()
      folder.close()
      left.push(...others.map(other => `${all?.path}/${name}/${other}`))
      if (others.length > 0) continue
      all?.removeFolder(name)
      changes.push({ did: 'removed', path: `${all?.path}/${name}` })
    }
    all?.sync()
  } finally {
    all?.close()
  }
}

/** By its three numbers; with the same numbers, what has a suffix comes before the version itself. */
function isOlder(version: string, than: string): boolean {
  const parts = (text: string): number[] => [...(text.split('-')[0] as string).split('.').map(Number), text.includes('-') ? 0 : 1]
  const [a, b] = [parts(version), parts(than)]
  const at = a.findIndex((part, index) => part !== b[index])
  return at !== -1 && (a[at] as number) < (b[at] as number)
}

function needParser({ runParser }: SetUpMachine): NonNullable<SetUpMachine['runParser']> {
  if (runParser !== undefined) return runParser
  throw new SandboxError('installation_failed', { step: 'find_apparmor_parser', errno: 'ENOENT', path: PARSERS[0] as string }, { remedy: 'Install AppArmor\'s tools: apt-get install apparmor.' })
}

function refuseFailed(step: string, { status, stderr }: ParserOutcome, machine?: SetUpMachine): void {
  if (status === 0) return
  const said = stderr.trim().split('\n').slice(-3).join('; ')
  throw new SandboxError('installation_failed', { step, errno: status === null ? 'killed' : `exit code ${status}`, ...(machine === undefined ? {} : { path: `${machine.root}${PROFILE_FOLDER}/${PROFILE_NAME}` }) }, {
    detail: said === '' ? 'apparmor_parser gives no reason' : `apparmor_parser says ${JSON.stringify(said)}`,
    remedy: step === 'check_profile' ? 'It takes AppArmor 4 (Ubuntu 23.10 or newer). Nothing was changed.' : 'Run it again once that is mended; or take away what was installed with --uninstall.',
  })
}
