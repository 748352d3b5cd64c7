// Words that are not UTF-8: Node decodes the command line before anybody sees it, and what it cannot decode comes as another word.
import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { SandboxError } from '../errors.js'
import { unlessMissing } from '../host/unless.js'

/** @throws SandboxError `argument_invalid`: another word than the one that was given would be taken, such as another file to remove */
export function refuseUnreadableWords(words: readonly string[]): void {
  const at = unreadableWord(commandLine(), words.length)
  if (at !== undefined) throw new SandboxError('argument_invalid', { field: 'argument', value: words[at] }, { detail: 'it is not UTF-8, and another one would take its place', remedy: 'Name the file inside: sh -c \'… NAME*\'; or rename it.' })
}

/** Which of the last `count` words of a command line, each ended by NUL, is not UTF-8. */
export function unreadableWord(line: Buffer | undefined, count: number): number | undefined {
  if (line === undefined || isUtf8(line)) return undefined
  const words: Buffer[] = []
  for (let from = 0, end = line.indexOf(0); end !== -1; from = end + 1, end = line.indexOf(0, from)) words.push(line.subarray(from, end))
  const at = words.slice(-count).findIndex(word => !isUtf8(word))
  return at === -1 ? undefined : at
}

/** As the kernel has it; only Linux tells. */
const commandLine = (): Buffer | undefined => unlessMissing(() => readFileSync('/proc/self/cmdline'))
