// Runs a command and collects what it writes.
import { type CommandContext, type CommandOutput, CommandRun, type CommandUse, type RunWiring } from './command-run.js'
import { KeptOutput, type StreamName } from './kept-output.js'
import { checkArguments, checkExecOptions } from './check-options.js'
import type { ExecOptions, OutputListener } from './options.js'
import { OutputDelivery, type OutputReceiver } from './output-delivery.js'
import { OutputFile } from './output-file.js'
import type { Encoding, ExecResult, OutputOf } from './result.js'
import { feedStdin, type StdinFeed } from './stdin.js'
import { TextPieces } from './text-pieces.js'

/**
 * @param more  for commands without stdin only
 * @throws      SandboxError for what is wrong with the command itself
 */
export function execCommand<E extends Encoding>(context: CommandContext, argv: readonly string[], options: ExecOptions<E>, more?: Pick<RunWiring, 'env' | 'otherwise'>): Promise<ExecResult<E>> {
  checkArguments(argv)
  checkExecOptions(options)
  return new Collector<E>(context, argv, options, more).result
}

class Collector<E extends Encoding> implements CommandUse<E> {
  readonly #run: CommandRun<E>
  readonly #kept: KeptOutput
  readonly #encoding: Encoding
  readonly #delivery: OutputDelivery | undefined
  readonly #stdin: StdinFeed | undefined
  #collected: CommandOutput<Encoding> | undefined

  constructor(context: CommandContext, argv: readonly string[], { stdin, onOutput, ...options }: ExecOptions<E>, more: Pick<RunWiring, 'env' | 'otherwise'> | undefined) {
    this.#kept = new KeptOutput(options.output)
    this.#encoding = options.output?.encoding ?? 'text'
    const file = options.output?.file === undefined ? undefined : new OutputFile(context.policy, context.plan.cwd.path, options.output.file)
    if (onOutput !== undefined || file !== undefined) {
      this.#delivery = new OutputDelivery(receiverOf(onOutput as OutputListener<Encoding> | undefined, this.#encoding, file), {
        consumed: (stream, bytes) => this.#run.running?.consumed(stream, bytes),
        failed: error => {
          file?.close()
          this.#run.abandon(error)
        },
      })
    }
    let run: CommandRun<E>
    try {
      run = new CommandRun<E>(context, argv, options, { stdin: stdin === undefined ? 'empty' : 'pipe', ...more }, this)
    } catch (error) {
      file?.close()
      throw error
    }
    this.#run = run
    if (stdin !== undefined && run.running !== undefined) this.#stdin = feedStdin(stdin, run.running, error => run.abandon(error))
  }

  get result(): Promise<ExecResult<E>> {
    return this.#run.result
  }

  onOutput(stream: StreamName, chunk: Buffer): void {
    this.#kept.add(stream, chunk)
    if (this.#delivery === undefined) this.#run.running?.consumed(stream, chunk.length)
    else this.#delivery.add(stream, chunk)
  }

  onStdinDrained(): void { this.#stdin?.drained() }
  onKill(): void { this.#delivery?.stopWaiting() }
  isWaiting(): boolean { return this.#delivery?.isWaiting === true }

  onOver(): Promise<void> | undefined {
    this.#stdin?.stop()
    return this.#delivery?.finish()
  }

  collect(): CommandOutput<E> {
    this.#collected ??= this.#encoding === 'text' ? this.#kept.text() : this.#kept.bytes()
    return this.#collected as CommandOutput<E>
  }

  errorText(): string {
    const { stderr } = this.collect() as { stderr: OutputOf<Encoding> }
    return typeof stderr === 'string' ? stderr : stderr.toString('utf8')
  }
}

/** The file has each piece before the listener gets it. */
function receiverOf(listener: OutputListener<Encoding> | undefined, encoding: Encoding, file: OutputFile | undefined): OutputReceiver {
  const tell = listener === undefined ? undefined : encoding === 'bytes' ? tellBytes(listener) : tellText(listener)
  if (file === undefined) return tell as OutputReceiver
  let open = 2
  return async (chunk, stream) => {
    if (chunk !== undefined) await file.add(chunk)
    else if (--open === 0) file.close()
    await tell?.(chunk, stream)
  }
}

const tellBytes = (listener: OutputListener<'bytes'>): OutputReceiver => (chunk, stream) => chunk === undefined ? undefined : listener(chunk, stream)

function tellText(listener: OutputListener<'text'>): OutputReceiver {
  const pieces = new TextPieces()
  return (chunk, stream) => {
    const text = chunk === undefined ? pieces.end(stream) : pieces.add(stream, chunk)
    return text === '' ? undefined : listener(text, stream)
  }
}
