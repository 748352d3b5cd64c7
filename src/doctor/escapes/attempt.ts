// The shape of an escape attempt, and the words that the tables of attempts are written in.
import { execFile } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import type { DegradationName } from '../../platform/launch-plan.js'
import type { SandboxPolicy } from '../../policy/sandbox-policy.js'

/**
 * One try to get out. What it must not do is looked at from outside, after its sandbox was closed.
 * Each is chosen so that a success does no harm to the machine: only the scene's own files, servers and processes are aimed at.
 */
export interface EscapeAttempt {
  readonly name: string
  /** The published failure that it stands for (a row of the survey and its reference), or the hole that our design closes. */
  readonly failure: string
  /** What this machine must have for the attempt to mean anything. */
  readonly needs?: readonly Need[]
  /** Added to workspace-write without /tmp and $TMPDIR. */
  readonly policy?: (scene: Scene) => Partial<SandboxPolicy>
  /** What the policy may be degraded by, where it would be refused otherwise. */
  readonly allowDegraded?: readonly DegradationName[]
  /** On the host, before the sandbox exists. */
  readonly prepare?: (scene: Scene) => unknown
  readonly attack: Act
  /** Paths relative to the workspace that must not change, beside all of `outside`. */
  readonly unchanged?: readonly string[]
  /** On the host, afterwards: what shows that it got out. Asked beside "outside unchanged" and "nothing leaked". */
  readonly evidence?: (scene: Scene) => string | undefined | Promise<string | undefined>
  /** What must work under the same policy, so that a sandbox in which all fails is noticed. It makes `$W/can`. */
  readonly can?: { readonly name: string; readonly act: Act }
  /** What takes the place of the above on the supervised rung, which has no namespaces. Never asks for less than that rung promises. */
  readonly supervised?: SupervisedForm
  /** What takes its place inside bwrap, where commands share a PID namespace and a /proc. */
  readonly bwrap?: 'as supervised' | SupervisedForm
}

export interface SupervisedForm extends Partial<Pick<EscapeAttempt, 'attack' | 'evidence' | 'can'>> {
  /** In which way that rung differs. */
  readonly why: string
}

export type Need = 'python3' | 'git' | 'root' | 'x64' | 'macos'

/** Something done with the scene's sandbox. Its exit code says nothing: only effects count. */
export type Act = (scene: Scene) => Promise<void>

/**
 * Where an attempt plays: folders made for it alone. Commands know them as $W (workspace), $O (outside) and $LEAK:
 * what an attack could read or do it writes there, and the file must not exist afterwards.
 */
export interface Scene {
  /** Short and like no other. */
  readonly id: string
  readonly workspace: string
  /** Beside the workspace, readable, in no writable root. */
  readonly outside: string
  readonly leak: string
  /** Where prepare, attack and evidence of one attempt leave notes for each other. */
  readonly notes: Map<string, string>
  /** Runs a command in the scene's sandbox to its end; what it printed. */
  run(argv: readonly string[]): Promise<string>
  /** The same on a terminal made inside. */
  runOnTerminal(argv: readonly string[]): Promise<string>
  /** Another sandbox of the same workspace, with its own policy. */
  another(policy: Partial<SandboxPolicy>): Promise<{ run(argv: readonly string[]): Promise<string>; close(): Promise<void> }>
  /** Done when the scene ends, last first. */
  defer(undo: () => void | Promise<void>): void
}

/** Runs a shell script inside. */
export const sh = (script: string): Act => async scene => { await scene.run(['sh', '-c', script]) }

/** Runs a Python script inside; `leak(text)` notes a success, `syscall(number, …)` returns its result or -1. */
export const python = (script: string): Act => async scene => { refuseMistake(await scene.run([pythonPath(), '-c', PYTHON_WORDS + script])) }

/** Runs a Node script inside. */
export const node = (script: string): Act => async scene => { await scene.run([process.execPath, '-e', script]) }

/** The same on a terminal of the command's own. */
export const pythonOnTerminal = (script: string): Act => async scene => { refuseMistake(await scene.runOnTerminal([pythonPath(), '-c', PYTHON_WORDS + script])) }

/** What a refused call raises is an OSError. Any of these is the script's own: it has not tried what it should, and nothing held it. */
const MISTAKE = /^(?:NameError|UnboundLocalError|ValueError|TypeError|SyntaxError|IndentationError|IndexError|KeyError|AttributeError|OverflowError|StopIteration|ctypes\.ArgumentError|struct\.error)\b.*$/m

function refuseMistake(output: string): void {
  const mistake = output.includes('Traceback (most recent call last)') || output.includes('SyntaxError') ? MISTAKE.exec(output) : null
  if (mistake !== null) throw new Error(`its script is wrong: ${mistake[0].trim()}`)
}

const PYTHON_WORDS = `
import ctypes, errno, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
W, O = os.environ['W'], os.environ['O']
def leak(text):
    with open(os.environ['LEAK'], 'a') as file: file.write(str(text) + '\\n')
def syscall(number, *arguments):
    return libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
`

/** Files of a repository that git accepts, without needing git to make them. */
export function repository(scene: Scene): void {
  for (const folder of ['', '/hooks', '/objects', '/refs/heads', '/info']) mkdirSync(`${scene.workspace}/.git${folder}`, { recursive: true })
  writeFileSync(`${scene.workspace}/.git/HEAD`, 'ref: refs/heads/main\n')
  writeFileSync(`${scene.workspace}/.git/config`, '[core]\n\trepositoryformatversion = 0\n\tbare = false\n')
}

/** A file outside, with content that shows when it is leaked. */
export const SECRET = 'escape-attempt-secret'
export function secretOutside(scene: Scene): void {
  writeFileSync(`${scene.outside}/secret`, `${SECRET}\n`)
}

/** `.git` exists and must stay as it is: the commonest frame. */
export const IN_REPOSITORY = { prepare: repository, unchanged: ['.git'] } as const

/** A file of the workspace that a later step of the host would run, marked by what it leaves outside. */
export function plantedScript(scene: Scene): string {
  const script = `${scene.workspace}/evil.sh`
  writeFileSync(script, `#!/bin/sh\necho ran >> '${scene.outside}/evil-ran'\nexit 0\n`)
  chmodSync(script, 0o755)
  return script
}

export const listing = (folder: string): string[] => existsSync(folder) ? readdirSync(folder) : []
export const textOf = (path: string): string => statSync(path, { throwIfNoEntry: false })?.isDirectory() === false ? readFileSync(path, 'utf8') : ''
export const pause = (ms: number): Promise<void> => new Promise(done => { setTimeout(done, ms) })

/** Where programs are looked for; the system's own come first, since shims in front of them do more than they seem. */
const PROGRAM_FOLDERS = ['/usr/bin', '/bin', '/usr/local/bin']

/** An absolute path of a program on this machine, or undefined. */
export function findProgram(name: string): string | undefined {
  return [...PROGRAM_FOLDERS, ...(process.env['PATH'] ?? '').split(':')].filter(folder => folder.startsWith('/')).map(folder => `${folder}/${name}`).find(path => existsSync(path))
}

const pythonPath = (): string => findProgram('python3') ?? 'python3'

/** Runs a program on the host, in the workspace; what it printed, whatever its exit code. */
export function onHost(scene: Scene, program: string, words: readonly string[]): Promise<string> {
  return new Promise(done => {
    execFile(program, words, { cwd: scene.workspace, timeout: 10_000, env: { PATH: '/usr/bin:/bin', HOME: scene.outside } }, (_error, stdout, stderr) => done(stdout + stderr))
  })
}
