// The grammar of the command line: which words are options, which the command, and what is an error.
import { describe, expect, test } from 'vitest'
import { parseArguments } from '../../../src/cli/arguments.js'
import { longName, type OptionRow, OPTIONS, type Verb } from '../../../src/cli/options.js'

test.each([
  { name: 'a command after -- runs',                      argv: ['--', 'git', 'status'],                     verb: 'run',     options: {}, words: ['git', 'status'] },
  { name: 'run is the verb that may be left out',         argv: ['run', '--', 'ls'],                         verb: 'run',     options: {}, words: ['ls'] },
  { name: 'options of the command are its own',           argv: ['--', 'ls', '--json', '-s', 'x'],           verb: 'run',     options: {}, words: ['ls', '--json', '-s', 'x'] },
  { name: 'a second -- belongs to the command',           argv: ['--', 'npm', 'run', 'x', '--', '-v'],       verb: 'run',     options: {}, words: ['npm', 'run', 'x', '--', '-v'] },
  { name: 'a value in the next word',                     argv: ['--sandbox', 'read-only', '--', 'x'],       verb: 'run',     options: { sandbox: 'read-only' }, words: ['x'] },
  { name: 'a value after =',                              argv: ['--sandbox=read-only', '--', 'x'],          verb: 'run',     options: { sandbox: 'read-only' }, words: ['x'] },
  { name: 'a value that holds =',                         argv: ['--env=A=b=c', '--', 'x'],                  verb: 'run',     options: { env: ['A=b=c'] }, words: ['x'] },
  { name: 'an empty value after =',                       argv: ['--env=A=', '--', 'x'],                     verb: 'run',     options: { env: ['A='] }, words: ['x'] },
  { name: 'a short option with a space',                  argv: ['-s', 'read-only', '--', 'x'],              verb: 'run',     options: { sandbox: 'read-only' }, words: ['x'] },
  { name: 'a short option joined to its value',           argv: ['-C/tmp', '--', 'x'],                       verb: 'run',     options: { cd: '/tmp' }, words: ['x'] },
  { name: 'a short option with =, as the reference',      argv: ['-c=sandbox_mode=x', '--', 'x'],            verb: 'run',     options: { config: ['sandbox_mode=x'] }, words: ['x'] },
  { name: 'a repeated option keeps all, in order',        argv: ['--write', 'a', '--write=b', '--', 'x'],    verb: 'run',     options: { write: ['a', 'b'] }, words: ['x'] },
  { name: 'an alias is the same option',                  argv: ['--add-dir', 'a', '--write', 'b', '--', 'x'], verb: 'run',   options: { write: ['a', 'b'] }, words: ['x'] },
  { name: 'a switch',                                     argv: ['--json', '--quiet', '--', 'x'],            verb: 'run',     options: { json: true, quiet: true }, words: ['x'] },
  { name: 'a lone - is a value',                          argv: ['--read', '-', '--', 'x'],                  verb: 'run',     options: { read: ['-'] }, words: ['x'] },
  { name: 'a value that begins with - after =',           argv: ['--protect=-x', '--', 'x'],                 verb: 'run',     options: { protect: ['-x'] }, words: ['x'] },
  { name: 'the same single value twice is no conflict',   argv: ['-s', 'read-only', '-s', 'read-only', '--', 'x'], verb: 'run', options: { sandbox: 'read-only' }, words: ['x'] },
  { name: 'sandbox: a system word',                       argv: ['sandbox', 'linux', '--', 'ls'],            verb: 'sandbox', options: {}, words: ['ls'], system: 'linux' },
  { name: 'sandbox: the first other word is the command', argv: ['sandbox', 'linux', '--full-auto', 'ls', '-l', '--', 'x'], verb: 'sandbox', options: { fullAuto: true }, words: ['ls', '-l', '--', 'x'], system: 'linux' },
  { name: 'sandbox: no system word is needed',            argv: ['sandbox', '-c', 'a=b', 'ls'],              verb: 'sandbox', options: { config: ['a=b'] }, words: ['ls'] },
  { name: 'sandbox: after -- a system word is a command', argv: ['sandbox', '--', 'linux'],                  verb: 'sandbox', options: {}, words: ['linux'] },
  { name: 'sandbox: only the first is a system word',     argv: ['sandbox', 'linux', 'macos'],               verb: 'sandbox', options: {}, words: ['macos'], system: 'linux' },
  { name: 'explain: --write is a switch',                 argv: ['explain', '--write', '/x'],                verb: 'explain', options: { asWrite: true }, words: ['/x'] },
  { name: 'explain: options may follow',                  argv: ['explain', '/x', '--add-dir', '/y'],        verb: 'explain', options: { write: ['/y'] }, words: ['/x'] },
  { name: 'doctor takes --json',                          argv: ['doctor', '--json'],                        verb: 'doctor',  options: { json: true }, words: [] },
  { name: 'help is a word too',                           argv: ['help'],                                    verb: 'run',     options: { help: true }, words: [] },
  { name: 'and so is the help of a verb',                 argv: ['help', 'explain'],                         verb: 'explain', options: { help: true }, words: [] },
])('$name', ({ argv, verb, options, words, system }) => {
  const { verbWasGiven: _, ...parsed } = parseArguments(argv)
  expect(parsed).toEqual({ verb, options, words, system })
})

test.each([
  { name: 'no words at all',                        argv: [],                                    says: ['a command is missing', 'nothing to run', '--help'] },
  { name: 'a first word that is no verb',           argv: ['git', 'status'],                     says: ['"git"', '`codex-sandbox -- git status`'] },
  { name: 'with its arguments, as a shell takes them', argv: ['git', 'commit', '-m', 'it\'s', '--', '$x'], says: ['`codex-sandbox -- git commit -m \'it\'\\\'\'s\' -- \'$x\'`'] },
  { name: 'a very long one is cut',                 argv: ['git', 'x'.repeat(500)],              says: ['xxx…`'] },
  { name: 'exec, the verb of other programs',      argv: ['exec', 'git', 'status'],             says: ['Did you mean `codex-sandbox run -- git status`?'] },
  { name: 'exec with options',                     argv: ['exec', '-s', 'read-only', '--', 'ls'], says: ['Did you mean `codex-sandbox run -s read-only -- ls`?'] },
  { name: 'exec alone',                            argv: ['exec'],                              says: ['Did you mean `codex-sandbox run`?'] },
  { name: 'debug, as the reference once had it',   argv: ['debug', 'landlock', 'ls', '-l'],     says: ['Did you mean `codex-sandbox sandbox landlock ls -l`?'] },
  { name: 'debug without a system',                argv: ['debug', 'ls'],                       says: ['Did you mean `codex-sandbox sandbox -- ls`?'] },
  { name: 'a misspelt verb',                        argv: ['docter'],                            says: ['codex-sandbox doctor'] },
  { name: 'an unknown option proposes the nearest', argv: ['--wirte', 'x', '--', 'ls'],          says: ['"--wirte"', 'Did you mean --write?'] },
  { name: 'an unknown short option',                argv: ['-z', '--', 'ls'],                    says: ['"-z"', 'no such option'] },
  { name: 'an option of another verb',              argv: ['--escape', '--', 'ls'],              says: ['"--escape"', 'belongs to doctor'] },
  { name: 'an option of another verb under run',    argv: ['run', '--full-auto', '--', 'ls'],    says: ['belongs to sandbox'] },
  { name: 'a value is missing before --',           argv: ['--timeout', '--', 'ls'],             says: ['--timeout', '30s'] },
  { name: 'a value is missing at the end',          argv: ['--timeout'],                         says: ['--timeout', 'needs a value'] },
  { name: 'an option in a value\'s place',          argv: ['--write', '--json', '--', 'ls'],     says: ['--write=--json'] },
  { name: 'an empty value, as of a variable that is not set', argv: ['--write', '', '--', 'ls'],  says: ['--write ""', 'it is empty', '--write DIR'] },
  { name: 'an empty value after =',                 argv: ['--cd=', '--', 'ls'],                 says: ['--cd ""', 'it is empty'] },
  { name: 'help on what is no verb',                argv: ['help', 'git'],                       says: ['help "git"', 'there are only run'] },
  { name: 'an unknown letter proposes no name',     argv: ['-x', '--', 'ls'],                    says: ['"-x"', 'there is no such option. See'] },
  { name: 'a switch with a value',                  argv: ['--json=yes', '--', 'ls'],            says: ['takes no value'] },
  { name: 'a single value twice',                   argv: ['-s', 'read-only', '-s', 'workspace-write', '--', 'ls'], says: ['already given as "read-only"'] },
  { name: 'a word before -- under run',             argv: ['run', 'ls'],                         says: ['`codex-sandbox run -- ls`'] },
  { name: 'and between options and the command',    argv: ['run', '--write', 'a b', 'git', 'status'], says: ['`codex-sandbox run --write \'a b\' -- git status`'] },
  { name: 'a word for doctor',                      argv: ['doctor', 'ls'],                      says: ['doctor takes no words'] },
  { name: 'a newline in a word cannot forge a line', argv: ['x\ny'],                             says: ['"x\\ny"'] },
])('is an error: $name', ({ argv, says }) => {
  const message = messageOf(() => parseArguments(argv))
  for (const words of says) expect(message).toContain(words)
  expect(message).not.toContain('\n')
})

describe('the table of options', () => {
  test.each(['run', 'sandbox', 'explain', 'doctor'] as const)('no name means two things under %s', verb => {
    const names = rowsOf(verb).flatMap(row => [`--${longName(row)}`, ...(row.alias === undefined ? [] : [`--${row.alias}`]), ...(row.short === undefined ? [] : [`-${row.short}`])])
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
  })
  test.each(['run', 'sandbox', 'explain', 'doctor'] as const)('each option is taken by %s under each of its names', verb => {
    const command = verb === 'run' || verb === 'sandbox' ? ['--', 'x'] : verb === 'explain' ? ['/x'] : []
    const taken = rowsOf(verb).flatMap(row => [`--${longName(row)}`, ...(row.alias === undefined ? [] : [`--${row.alias}`]), ...(row.short === undefined ? [] : [`-${row.short}`])].map(name => {
      const words = row.value === undefined ? [name] : [name, 'v']
      const value = (parseArguments([verb, ...words, ...command]).options as Record<string, unknown>)[row.key]
      return [name, value]
    }))
    expect(taken).toEqual(rowsOf(verb).flatMap(row => [`--${longName(row)}`, ...(row.alias === undefined ? [] : [`--${row.alias}`]), ...(row.short === undefined ? [] : [`-${row.short}`])].map(name => [name, row.value === undefined ? true : row.repeat === undefined ? 'v' : ['v']])))
  })
})

const rowsOf = (verb: Verb): readonly OptionRow[] => OPTIONS.filter(row => (row.for as readonly Verb[]).includes(verb))

function messageOf(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof Error) return error.message
  }
  throw new Error('nothing was thrown')
}
