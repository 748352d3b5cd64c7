// The command line's entry: one verb, its outcome as an exit code. Each verb is loaded only when it is used.
import { SandboxError } from '../errors.js'
import { type Arguments, parseArguments } from './arguments.js'
import { errorRecord } from './error-record.js'
import type { Options } from './options.js'

/** The sandbox could not be made, or the usage is wrong: what env(1), timeout(1) and their kin use as well. */
const EXIT_NO_SANDBOX = 125

const words = process.argv.slice(2)
// A mistake of ours in a callback: told like any other, and the terminal is given back on the way out.
process.once('uncaughtException', error => exitAfter(tell(error, words)))
exitAfter(runCommandLine(words))

/** Everything printed has arrived by then; standard input that nobody reads any more must not keep us alive. */
function exitAfter(code: Promise<number>): void {
  code.then(number => process.exit(number), () => process.exit(EXIT_NO_SANDBOX))
}

async function runCommandLine(words: readonly string[]): Promise<number> {
  let given: Arguments | undefined
  try {
    given = parseArguments(words)
    if (words.some(word => word.includes('\ufffd'))) (await import('./readable-words.js')).refuseUnreadableWords(words)
    return await runVerb(given)
  } catch (error) {
    return tell(error, words, given?.options)
  }
}

async function runVerb(given: Arguments): Promise<number> {
  const { verb, options } = given
  if (options.help === true) return print((await import('./help.js')).formatHelp(given.verbWasGiven ? verb : undefined))
  if (options.version === true) return print(`codex-sandbox ${(await import('../host/package-version.js')).packageVersion()}\n`)
  switch (verb) {
    case 'run':
    case 'sandbox': return (await import('./run.js')).run(given)
    case 'explain': return (await import('./explain.js')).explain(given)
    case 'learn':   return (await import('./learn.js')).learn(given)
    case 'execpolicy': return (await import('./execpolicy.js')).execpolicy(given)
    case 'debug-config': return (await import('./debug-config.js')).debugConfig(given)
    case 'doctor':  return (await import('./doctor.js')).doctor(given)
    case 'setup':   return (await import('./setup.js')).setup(given)
    case 'app-server': return (await import('./app-server.js')).appServer(given)
    case 'windows': return (await import('./windows.js')).windows(given)
    case 'sessions': return (await import('./sessions.js')).listSessions(given)
    default:        return verb satisfies never
  }
}

async function print(text: string): Promise<number> {
  await (await import('./print.js')).print(process.stdout, text)
  return 0
}

/** What the user can mend is one line; anything else is a mistake of ours and says so. */
async function tell(error: unknown, words: readonly string[], options?: Options): Promise<number> {
  const [{ print }, { messageInFlags }] = await Promise.all([import('./print.js'), import('./in-flags.js')])
  // Asked of the words, since the failure may be that they could not be understood.
  const own = words.includes('--') ? words.slice(0, words.indexOf('--')) : words
  const verbose = own.includes('--verbose') || own.includes('-v')
  if (error instanceof SandboxError) {
    // Where standard output is what failed, standard error still tells.
    if (own.includes('--json')) await print(process.stdout, errorRecord(error)).catch(() => {})
    await print(process.stderr, `codex-sandbox: ${messageInFlags(error, options)}\n${verbose && error.cause instanceof Error ? `${error.cause.stack}\n` : ''}`)
    return EXIT_NO_SANDBOX
  }
  const message = error instanceof Error ? error.message : String(error)
  const stack = error instanceof Error && verbose ? `${error.stack}\n` : ''
  await print(process.stderr, `codex-sandbox: ${message} (this is a bug in codex-sandbox; --verbose shows where)\n${stack}`)
  return EXIT_NO_SANDBOX
}
