// The fenced blocks of a document, and what is said of each in comments right above it:
//   <!-- program: NAME -->   a block of TypeScript belongs to this program; all blocks of one program are run as one, in their order
//   <!-- needs: COMMAND… --> not run where one of these is not on the PATH
//   <!-- file: NAME -->      not run, but there for all examples of the document
//   <!-- not run: REASON --> it cannot be run here, and why
import { readFileSync } from 'node:fs'

export interface Block {
  readonly document: string
  readonly line: number
  readonly language: string
  readonly text: string
  readonly program: string | undefined
  readonly needs: readonly string[]
  readonly file: string | undefined
  readonly notRun: string | undefined
}

export function readBlocks(document: string): Block[] {
  const lines = readFileSync(document, 'utf8').split('\n')
  const blocks: Block[] = []
  for (let at = 0; at < lines.length; at++) {
    const language = /^```(.+)$/.exec(lines[at]!)?.[1]
    if (language === undefined && lines[at] !== '```') continue
    const end = lines.indexOf('```', at + 1)
    if (end === -1) throw new Error(`${document}:${at + 1}: the block is not closed`)
    const said = (word: string): string | undefined => {
      for (let above = at - 1; lines[above]?.startsWith('<!-- ') === true; above--) {
        const found = new RegExp(`^<!-- ${word}: (.*) -->$`).exec(lines[above]!)?.[1]
        if (found !== undefined) return found
      }
      return undefined
    }
    blocks.push({ document, line: at + 1, language: language ?? '', text: lines.slice(at + 1, end).join('\n'), program: said('program'), needs: said('needs')?.split(' ') ?? [], file: said('file'), notRun: said('not run') })
    at = end
  }
  return blocks
}

/** `…` stands for any text on a line, and alone on a line for any lines. */
export function matches(actual: string, expected: string): boolean {
  const pattern = expected.split('\n').map(line => line === '…' ? '(?:[^\\n]*\\n)*?' : `${line.split('…').map(escaped).join('[^\\n]*')}\\n`).join('')
  return new RegExp(`^${pattern}$`).test(actual === '' || actual.endsWith('\n') ? actual : `${actual}\n`)
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')

/** One command of a console block, and what it prints. */
export interface Step {
  readonly command: string
  readonly output: string
}

/** `$ ` begins a command; a `\` at the end of a line continues it; a `#` after two blanks is for the reader. */
export function stepsOf(text: string): Step[] {
  const steps: { command: string; output: string[] }[] = []
  let open = false
  for (const line of text.split('\n')) {
    const last = steps.at(-1)
    if (open && last !== undefined) last.command += `\n${line}`
    else if (line.startsWith('$ ')) steps.push({ command: line.slice(2).replace(/ {2,}#.*$/, ''), output: [] })
    else if (last === undefined) throw new Error(`a console block begins with a command, not with ${JSON.stringify(line)}`)
    else last.output.push(line)
    open = (open || line.startsWith('$ ')) && line.endsWith('\\')
  }
  return steps.map(({ command, output }) => ({ command, output: output.join('\n') }))
}

/** What the program should print: what stands behind `//` on the lines that print. */
export const printedBy = (program: string): string[] =>
  program.split('\n').flatMap(line => /\bconsole\.log\(.*\) +\/\/ (.*)$/.exec(line)?.[1] ?? [])
