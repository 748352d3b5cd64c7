// The help, printed from the tables of options.ts.
import { GROUPS, type OptionGroup, type OptionRow, OPTIONS, spell, type Verb, VERBS } from './options.js'

/** The help of the program, or of one verb; every line fits 100 columns. */
export function formatHelp(verb?: Verb): string {
  return verb === undefined ? programHelp() : verbHelp(verb)
}

function programHelp(): string {
  const usages = Object.entries(VERBS).map(([name, row]) => [`codex-sandbox ${row.usage}`, name === 'run' ? 'run a command in a sandbox of this folder' : row.help] as const)
  return [
    'codex-sandbox runs a command under a policy that the operating system enforces.',
    'By default: it may read everything but keys and tokens, write in this folder and /tmp, and use no network.',
    '',
    ...usages.flatMap(([usage, help]) => [`  ${usage}`, `      ${help}`]),
    '  codex-sandbox [options] -- COMMAND…',
    '      the same as run',
    '',
    ...optionSections('run'),
    EXIT_CODES,
    'More on one verb: codex-sandbox VERB --help',
    '',
  ].join('\n')
}

function verbHelp(verb: Verb): string {
  return [`codex-sandbox ${VERBS[verb].usage}`, `    ${VERBS[verb].help}`, '', ...optionSections(verb), ...(verb === 'run' || verb === 'sandbox' ? [EXIT_CODES, ''] : [])].join('\n')
}

const EXIT_CODES = 'Exit code: the command\'s own; 124 timed out, 125 no sandbox or wrong usage, 126 not executable,\n  127 not found, 128+n ended by signal n. For explain: 0 allowed, 1 denied.'

function optionSections(verb: Verb): string[] {
  const rows: readonly OptionRow[] = OPTIONS.filter(row => (row.for as readonly Verb[]).includes(verb))
  const width = Math.max(...rows.map(row => spell(row).length))
  return (Object.keys(GROUPS) as OptionGroup[]).flatMap(group => {
    const lines = rows.filter(row => row.group === group).map(row => `  ${spell(row).padEnd(width)}  ${row.help}`)
    return lines.length === 0 ? [] : [`${GROUPS[group]}:`, ...lines, '']
  })
}
