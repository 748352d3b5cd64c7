// Scripts: carried out by a shell of the sandbox, or without one where the script is a single plain command.
import type { CommandContext } from './command-run.js'
import { execCommand } from './exec.js'
import { takeShellChoice } from './check-options.js'
import type { ShellChoice, ShellOptions, SpawnShellOptions } from './options.js'
import { plainCommand } from './plain-command.js'
import type { Encoding, ExecResult } from './result.js'
import { type SandboxChild, spawnCommand } from './spawn.js'
import { findWorkingDirectory } from './working-directory.js'

type Variables = Readonly<Record<string, string | null | undefined>>

/** @throws SandboxError `argument_invalid`, `option_invalid`, and all that `exec` has */
export function execScript<E extends Encoding>(context: CommandContext, script: string, options: ShellOptions<E>): Promise<ExecResult<E>> {
  const { choice, rest } = takeShellChoice(script, options)
  const byShell = shellOf(context, choice, script, rest.env)
  const plain = choice.shell === undefined && choice.login !== true && rest.stdin === undefined && context.policy.platform !== 'windows' ? plainCommand(script, namesOf(context, rest.env)) : undefined
  if (plain === undefined) return execCommand<E>(context, byShell, rest as ShellOptions<E>)
  if (rest.env === undefined && rest.cwd === undefined) return execCommand<E>(context, plain, rest as ShellOptions<E>, { env: context.shells.plainEnvironment(context.plan.cwd.path), otherwise: byShell })
  const env = { PWD: findWorkingDirectory(context.plan.cwd, rest.cwd).path, ...rest.env }
  return execCommand<E>(context, plain, { ...rest, env } as ShellOptions<E>, { otherwise: byShell })
}

/** @throws SandboxError `argument_invalid`, `option_invalid`, and all that `spawn` has */
export function spawnScript<E extends Encoding>(context: CommandContext, script: string, options: SpawnShellOptions<E>): SandboxChild<E> {
  const { choice, rest } = takeShellChoice(script, options)
  return spawnCommand<E>(context, shellOf(context, choice, script, rest.env), rest as SpawnShellOptions<E>)
}

const shellOf = ({ shells }: CommandContext, choice: ShellChoice, script: string, env: Variables | undefined): string[] =>
  shells.command(choice, script, env?.['PATH'] !== undefined)

function* namesOf({ environment }: CommandContext, env: Variables | undefined): Generator<string> {
  yield* Object.keys(environment.variables)
  if (typeof env === 'object' && env !== null) yield* Object.keys(env)
}
