// Runs a command and collects what it writes.
import { type CommandContext, type CommandOutput, CommandRun, type CommandUse } from './command-run.js'
import { KeptOutput, type StreamName } from './kept-output.js'
import { checkArguments, checkExecOptions, type ExecOptions, type OutputListener } from './options.js'
import { OutputDelivery } from './output-delivery.js'
import type { Encoding, ExecResult, OutputOf } from './result.js'
import { feedStdin, type StdinFeed } from './stdin.js'

/** @throws SandboxError for what is wrong with the command itself */
export function execCommand<E extends Encoding>(context: CommandContext, argv: readonly string[], options: ExecOptions<E>): Promise<ExecResult<E>> {
  checkArguments(argv)
  checkExecOptions(options)
  return new Collector<E>(context, argv, options).result
}

class Collector<E extends Encoding> implements CommandUse<E> {
  readonly #run: CommandRun<E>
  readonly #kept: KeptOutput
  readonly #encoding: Encoding
  readonly #delivery: OutputDelivery | undefined
  readonly #stdin: StdinFeed | undefined
  #collected: CommandOutput<Encoding> | undefined

  constructor(context: CommandContext, argv: readonly string[], { stdin, onOutput, ...options }: ExecOptions<E>) {
    this.#kept = new KeptOutput(options.output)
    this.#encoding = options.output?.encoding ?? 'text'
    const run = new CommandRun<E>(context, argv, options, { stdin: stdin === undefined ? 'empty' : 'pipe' }, this)
    this.#run = run
    if (onOutput !== undefined) this.#delivery = deliverTo(onOutput, run)
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

  onOver(): Promise<void> | undefined {
    this.#stdin?.stop()
    return this.#delivery?.whenIdle()
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

const deliverTo = (listener: OutputListener, run: CommandRun): OutputDelivery => new OutputDelivery(listener, {
  consumed: (stream, bytes) => run.running?.consumed(stream, bytes),
  failed: error => run.abandon(error),
})
