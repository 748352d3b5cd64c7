// Starts a command as a session: in the background from its first moment on.
import { type CommandContext, type CommandOutput, CommandRun, type CommandUse } from './command-run.js'
import { KeptOutput, type StreamName } from './kept-output.js'
import { checkArguments, checkSessionOptions, terminalSize } from './check-options.js'
import type { SessionOptions } from './options.js'
import type { Session } from './session.js'

/** Of stderr, or of a terminal's output: where denials are read from. */
const DENIAL_TEXT_BYTES = 64 << 10

/**
 * Resolves when the command runs, or has ended already.
 *
 * @throws SandboxError for what is wrong with the command itself, and where the sandbox failed to start it
 */
export async function startSession(context: CommandContext, argv: readonly string[], sessionOptions: SessionOptions): Promise<Session> {
  checkArguments(argv)
  checkSessionOptions(sessionOptions)
  const { tty, stdin = 'pipe', ...options } = sessionOptions
  const terminal = terminalSize(tty)
  const use = new SessionUse(terminal !== undefined)
  const run = new CommandRun<'text'>(context, argv, options, { stdin: stdin === 'pipe' ? 'pipe' : 'empty', ...(terminal === undefined ? {} : { terminal }), background: true }, use)
  const session = run.session as Session
  if (stdin === 'empty') session.withoutInput()
  await session.holding(async () => { await Promise.race([use.started, run.result]) })
  return session
}

class SessionUse implements CommandUse<'text'> {
  readonly started: Promise<void>
  readonly #terminal: boolean
  readonly #denialText = new KeptOutput({ maxBytes: DENIAL_TEXT_BYTES, keep: 'tail' })
  #tellStarted!: () => void

  constructor(terminal: boolean) {
    this.#terminal = terminal
    this.started = new Promise(resolve => { this.#tellStarted = resolve })
  }

  onStarted(): void {
    this.#tellStarted()
  }

  onOutput(stream: StreamName, chunk: Buffer): void {
    if (this.#terminal || stream === 'stderr') this.#denialText.add(stream, chunk)
  }

  collect(): CommandOutput<'text'> {
    return { stdout: '', stderr: '', output: '', dropped: { stdout: 0, stderr: 0 } }
  }

  errorText(): string {
    return this.#denialText.text().output
  }
}
