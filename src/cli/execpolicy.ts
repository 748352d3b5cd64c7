// `execpolicy check`: which rules of the given files a command meets, as JSON in the form of the reference. Runs nothing.
import { resolve } from 'node:path'
import { matchRules, mergeRules, strictest } from '../approval/command-rules.js'
import { readRulesText } from '../approval/load-rules.js'
import { RulesError } from '../approval/rules-error.js'
import { parseRules } from '../approval/rules-file.js'
import { SandboxError } from '../errors.js'
import { currentFolder, userHome } from '../host/snapshot.js'
import type { Arguments } from './arguments.js'
import { print } from './print.js'

/** Whether it matches or not is in the answer; a file that is wrong is another matter than a wrong usage (125). */
const EXIT = { answered: 0, fileWrong: 1 } as const

/** @returns the exit code */
export async function execpolicy({ options, words: [subcommand, ...command] }: Arguments): Promise<number> {
  if (subcommand !== 'check') throw new SandboxError('option_invalid', { field: 'execpolicy', value: subcommand ?? '' }, { detail: 'there is only check', remedy: 'Write it like `codex-sandbox execpolicy check --rules FILE -- COMMAND`.' })
  if (options.rules === undefined) throw new SandboxError('option_missing', { field: '--rules', value: undefined }, { remedy: 'Write --rules FILE; it may be given several times.' })
  if (command.length === 0) throw new SandboxError('option_missing', { field: 'a command', value: undefined }, { detail: 'nothing to check', remedy: 'Give one after --: `codex-sandbox execpolicy check --rules FILE -- COMMAND`.' })
  const cwd = currentFolder()
  try {
    const rules = mergeRules(...options.rules.map(file => parseRules(readRulesText(resolve(cwd, file), file), { name: file, source: 'user', home: userHome() })))
    const matches = matchRules(rules, command, { resolveHostExecutables: options.resolveHostExecutables === true, cwd })
    const answer = {
      matchedRules: matches.map(({ rule, matchedPrefix, resolvedProgram }) => ({ prefixRuleMatch: { matchedPrefix, decision: rule.decision, resolvedProgram, justification: rule.justification } })),
      decision: strictest(matches.map(({ rule }) => rule.decision)),
    }
    await print(process.stdout, `${JSON.stringify(answer, undefined, options.pretty === true ? 2 : undefined)}\n`)
    return EXIT.answered
  } catch (error) {
    if (!(error instanceof RulesError)) throw error
    await print(process.stderr, `codex-sandbox: ${error.message}\n${error.excerpt === undefined ? '' : `${error.excerpt.replace(/^/gm, '    ')}\n`}`)
    return EXIT.fileWrong
  }
}
