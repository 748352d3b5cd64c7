// What runs unasked: a table of commands with the verdict under each approval policy, and what rules, permissions and settings change.
import { describe, expect, test } from 'vitest'
import { type ApprovalPolicy, assess, type Assessment, type AssessOptions } from '../../../src/approval/assess.js'
import { type CommandRules, mergeRules, NO_RULES } from '../../../src/approval/command-rules.js'
import { parseRules } from '../../../src/approval/rules-file.js'

const POLICIES = {
  'untrusted':   'untrusted',
  'on-failure':  'on-failure',
  'on-request':  'on-request',
  'never':       'never',
  'asks both':   { granular: { sandbox_approval: true, rules: true, mcp_elicitations: false } },
  'rules only':  { granular: { sandbox_approval: false, rules: true, mcp_elicitations: true } },
  'no rules':    { reject: { sandbox_approval: false, rules: true, mcp_elicitations: false } },
  'rejects all': { reject: { sandbox_approval: true, rules: true, mcp_elicitations: true } },
} as const satisfies Record<string, ApprovalPolicy>
type PolicyName = keyof typeof POLICIES

/** The kinds of commands, and what becomes of each: r runs in the sandbox, a is asked, f is forbidden. In the order of POLICIES. */
const KINDS = {
  safe:      'r r r r r r r r',
  other:     'a r r r r r r r',
  dangerous: 'a a a f a f a f',
  prompt:    'a a a f a a f f',
  forbidden: 'f f f f f f f f',
  allowed:   'r r r r r r r r',
  // More than is read: what is forbidden may stand in it.
  unread:    'a a a f a f a f',
  // A rule asks, and what is dangerous asks too.
  both:      'a a a f a f f f',
} as const
type Kind = keyof typeof KINDS

const RULES = parseRules(`
prefix_rule(["npm", "test"])
prefix_rule(["make"])
prefix_rule(["python3", "manage.py"])
prefix_rule(["rm", "-rf", "build"])
prefix_rule(["terraform"], "prompt", justification="it costs money")
prefix_rule(["git", ["push", "fetch"]], "prompt")
prefix_rule(["git", "push", "--force"], "forbidden", justification="history is shared")
prefix_rule(["shutdown"], "forbidden")
prefix_rule(["cat", "/etc/shadow"], "forbidden")
prefix_rule(["ls", "-la", "/root"], "prompt")
host_executable("make", ["/usr/bin/make"])
`, { name: 'default.rules', source: 'user' })

/** A string is a script for `bash -lc`; a list is the vector itself. */
const COMMANDS: readonly (readonly [kind: Kind, command: string | readonly string[]])[] = [
  // Known to be harmless, by name.
  ['safe', ['ls']], ['safe', ['ls', '-la', '/']], ['safe', ['cat', 'a.txt', 'b.txt']], ['safe', ['pwd']], ['safe', ['echo', 'a', ';', 'rm', '-rf', '/']], ['safe', ['wc', '-l', 'x']],
  ['safe', ['head', '-n', '5', 'x']], ['safe', ['tail', '-n', '5', 'x']], ['safe', ['grep', '-rn', 'TODO', '.']], ['safe', ['cut', '-d:', '-f1', '/etc/passwd']], ['safe', ['expr', '1', '+', '1']],
  ['safe', ['true']], ['safe', ['false']], ['safe', ['id']], ['safe', ['whoami']], ['safe', ['which', 'node']], ['safe', ['uname', '-a']], ['safe', ['stat', 'x']], ['safe', ['seq', '3']],
  ['safe', ['nl', 'x']], ['safe', ['paste', 'a', 'b']], ['safe', ['rev', 'x']], ['safe', ['tr', 'a', 'b']], ['safe', ['tac', 'x']], ['safe', ['numfmt', '--to=iec', '1024']], ['safe', ['cd', '/tmp']],
  ['safe', ['/bin/ls']], ['safe', ['/usr/bin/cat', 'x']], ['safe', ['uniq']], ['safe', ['uniq', '-c', 'in']],
  // The same names lead elsewhere.
  ['other', ['./ls']], ['other', ['/work/bin/ls']], ['other', ['bin/cat', 'x']], ['other', ['/tmp/cat']], ['other', ['LS']], ['other', ['uniq', 'in', 'out']], ['other', ['uniq', '-c', 'in', 'out']], ['other', ['uniq', '+in', 'out']], ['other', ['uniq', '--', '-in', 'out']], ['safe', ['uniq', '--', '-in']],
  // Harmless with some arguments only.
  ['safe', ['base64', 'x']], ['safe', ['base64', '-d', 'x']], ['other', ['base64', '-o', 'out', 'x']], ['other', ['base64', '-do', 'out']], ['other', ['base64', '-oout']], ['other', ['base64', '--output', 'out']],
  ['other', ['base64', '--output=out']], ['other', ['base64', '--out=x']],
  ['safe', ['find', '.', '-name', '*.ts']], ['safe', ['find', '.', '-type', 'f', '-newer', 'x']], ['other', ['find', '.', '-delete']], ['other', ['find', '.', '-exec', 'ls', '{}', ';']],
  ['other', ['find', '.', '-execdir', 'ls', ';']], ['other', ['find', '.', '-ok', 'ls', ';']], ['other', ['find', '.', '-okdir', 'ls', ';']], ['other', ['find', '.', '-fprint', 'x']],
  ['other', ['find', '.', '-fprint0', 'x']], ['other', ['find', '.', '-fprintf', 'x', '%p']], ['other', ['find', '.', '-fls', 'x']],
  ['safe', ['rg', 'TODO']], ['safe', ['rg', '-n', '-g', '*.ts', 'x']], ['other', ['rg', '--pre', 'sh', 'x']], ['other', ['rg', '--pre=sh', 'x']], ['other', ['rg', '-z', 'x']], ['other', ['rg', '-nz', 'x']],
  ['other', ['rg', '--search-zip', 'x']], ['other', ['rg', '--hostname-bin=x', 'y']],
  ['safe', ['sed', '-n', '5p', 'x']], ['safe', ['sed', '-n', '1,200p', 'x']], ['safe', ['sed', '-n', '5p']], ['other', ['sed', '-n', '5,9p;w out', 'x']], ['other', ['sed', '-i', 's/a/b/', 'x']],
  ['other', ['sed', '-n', '$p', 'x']], ['other', ['sed', '-n', '5p', 'x', 'y']], ['other', ['sed', '5p', 'x']], ['other', ['sed', '-n', '5p', '-i']], ['other', ['sed', '-n', '1e reboot', 'x']],
  ['safe', ['git', 'status']], ['safe', ['git', 'log', '--oneline', '-n', '5']], ['safe', ['git', 'diff', 'HEAD~1']], ['safe', ['git', 'show', 'HEAD']], ['safe', ['git', 'branch']], ['safe', ['git', 'branch', '-a']],
  ['safe', ['git', 'branch', '--show-current']], ['safe', ['git', '--no-pager', 'log']], ['other', ['git', 'branch', '-D', 'main']], ['other', ['git', 'branch', 'new']], ['other', ['git', 'branch', '--list', 'x']],
  ['other', ['git', '-c', 'core.pager=sh', 'log']], ['other', ['git', '-C', '/x', 'status']], ['other', ['git', '--git-dir=/x', 'status']], ['other', ['git', '--exec-path=/x', 'status']], ['other', ['git', '-p', 'log']],
  ['other', ['git', '--paginate', 'log']], ['other', ['git', 'diff', '--output=x']], ['other', ['git', 'diff', '--outp=x']], ['other', ['git', 'diff', '--output', 'x']], ['other', ['git', 'log', '--ext-diff']],
  ['other', ['git', 'show', '--textconv']], ['other', ['git', 'log', '--ext-di']], ['other', ['git', 'commit', '-m', 'x']], ['other', ['git', 'checkout', '.']], ['other', ['git']], ['other', ['git', 'statusx']],
  // Nothing is known of these.
  ['other', ['npm', 'install']], ['other', ['node', 'x.js']], ['other', ['python3', '-c', 'print(1)']], ['other', ['cargo', 'build']], ['other', ['curl', 'https://example.com']], ['other', ['touch', 'x']], ['other', ['mv', 'a', 'b']],
  ['other', ['tee', 'x']], ['other', ['awk', '{print}']], ['other', ['chmod', '+x', 'x']], ['other', ['rm', 'x']], ['other', ['rm', '-r', 'x']], ['other', ['rm', '--', '-f']], ['other', ['rm', '-i', 'x']], ['other', ['env']], ['other', ['toString']],
  ['other', ['sudo', 'ls']], ['other', ['xargs', 'ls']], ['other', ['constructor', 'x']], ['other', ['']],
  // What does not come back.
  ['dangerous', ['rm', '-f', 'x']], ['dangerous', ['rm', '-rf', '/']], ['dangerous', ['rm', '-fr', 'x']], ['dangerous', ['rm', '-vrf', 'x']], ['dangerous', ['rm', '--force', 'x']], ['dangerous', ['rm', '--fo', 'x']],
  ['dangerous', ['rm', 'x', '-f']], ['dangerous', ['/bin/rm', '-rf', 'x']], ['dangerous', ['./rm', '-f', 'x']], ['dangerous', ['sudo', 'rm', '-rf', '/']], ['dangerous', ['sudo', '-u', 'root', 'rm', '-rf', '/']],
  ['dangerous', ['sudo', '-n', 'A=1', 'rm', '-f', 'x']], ['dangerous', ['sudo', '--unknown', 'x', 'rm', '-f', 'y']], ['dangerous', ['env', 'A=1', 'rm', '-f', 'x']], ['dangerous', ['env', '-i', 'rm', '-f', 'x']],
  ['dangerous', ['env', 'rm', '-f', 'x', '-S']], ['dangerous', ['env', '-S', 'rm\\_-f']],  ['dangerous', ['env', '-Srm -f x']], ['dangerous', ['env', '--split-string=rm -f x']], ['dangerous', ['env', '-vS', 'rm -f x']], ['dangerous', ['env', '-ivSrm', '-f', 'x']], ['dangerous', ['env', '--split', 'rm -f x']], ['dangerous', ['env', '-u', 'A', '-S', 'A=1 rm', '-f', 'x']],
  ['dangerous', ['su', '-c', 'rm -f x']], ['dangerous', ['su', 'root', '-c', 'rm -f x']], ['dangerous', ['su', 'root', '--command=rm -f x']], ['dangerous', ['runuser', '-u', 'x', '--', 'rm', '-f', 'x']], ['dangerous', ['flock', 'lock', 'rm', '-f', 'x']], ['dangerous', ['flock', 'lock', '-c', 'rm -f x']],
  ['dangerous', ['watch', 'rm -f x']], ['dangerous', ['script', '-qc', 'rm -f x', 'log']], ['dangerous', ['unshare', '-r', 'rm', '-f', 'x']], ['dangerous', ['taskset', '1', 'rm', '-f', 'x']], ['dangerous', ['strace', '-f', '-o', 'log', 'rm', '-f', 'x']], ['dangerous', ['parallel', 'rm', '-f', ':::', 'x']], ['dangerous', 'rm -{r,f} x'], ['dangerous', 'rm -$O x'],
  ['dangerous', ['env', '-S', 'rm -f x']], ['dangerous', ['nohup', 'nice', '-n', '5', 'rm', '-f', 'x']], ['dangerous', ['timeout', '5', 'rm', '-f', 'x']], ['dangerous', ['timeout', '-k', '1', '5', 'rm', '-f', 'x']],
  ['dangerous', ['xargs', '-n', '1', 'rm', '-f']], ['dangerous', ['xargs', '-0', 'rm', '-rf']], ['dangerous', ['find', '.', '-exec', 'rm', '-f', '{}', '+']], ['dangerous', ['busybox', 'rm', '-rf', 'x']],
  ['dangerous', ['bash', '-c', 'bash -c "rm -rf x"']], ['dangerous', ['sudo', 'bash', '-c', 'rm -f x']], ['dangerous', ['dash', '-c', 'rm -rf x']], ['dangerous', ['bash', '-ec', 'rm -rf x']], ['dangerous', ['bash', '-o', 'pipefail', '-c', 'rm -f x']], ['dangerous', ['bash', '-c', '--', 'rm -f x']], ['dangerous', ['bash', '--rcfile', 'x', '-c', 'rm -f x']], ['dangerous', ['bash', '-c', '-e', 'rm -f x']], ['dangerous', ['bash', '-c', '-o', 'pipefail', 'rm -f x']],
  ['dangerous', ['zsh', '-c', 'nocorrect rm -f x']], ['dangerous', ['zsh', '-c', 'noglob rm -f *']], ['dangerous', ['zsh', '-c', 'repeat 3 rm -f x']], ['dangerous', ['zsh', '-c', '- rm -f x']], ['dangerous', ['xargs', '--unknown', 'x', 'rm', '-f']],
  ['dangerous', 'rm -rf x'], ['dangerous', 'ls && rm -rf x'], ['dangerous', 'ls | xargs rm -f'], ['dangerous', 'echo $(rm -f x)'], ['dangerous', 'echo `rm -f x`'], ['dangerous', '(rm -f x)'], ['dangerous', '{ rm -f x; }'],
  ['dangerous', 'if true; then rm -f x; fi'], ['dangerous', 'for i in a b; do rm -f $i; done'], ['dangerous', 'f() { rm -rf x; }; f'], ['dangerous', 'rm -rf *'], ['dangerous', 'rm -rf "$HOME"'], ['dangerous', 'rm -rf x &'],
  ['dangerous', '! rm -f x'], ['dangerous', 'A=1 rm -f x'], ['dangerous', 'rm -f x > log'], ['dangerous', 'cat <(rm -f x)'], ['dangerous', '"rm" \'-f\' x'], ['dangerous', 'r\\m -f x'], ['dangerous', 'r"m" -\'f\' x'], ['dangerous', '$\'rm\' -f x'],
  ['dangerous', 'eval "rm -rf x"'], ['dangerous', 'command rm -f x'], ['dangerous', 'exec rm -f x'], ['dangerous', 'case x in x) rm -f y;; esac'], ['dangerous', 'echo "${a:-$(rm -f x)}"'], ['dangerous', 'cat <<EOF\n$(rm -f x)\nEOF'],
  // Scripts of plain commands are what their commands are.
  ['safe', 'ls'], ['safe', 'ls -la && pwd'], ['safe', 'cat x | grep y | wc -l'], ['safe', 'cd sub; ls'], ['safe', 'true || false'], ['safe', 'ls\npwd\n'], ['safe', '  ls ;'], ['safe', 'grep "a b" x'], ['safe', 'cat *.ts'],
  ['safe', 'cat ~/x'], ['safe', 'grep -n "foo|bar" src/*.ts'], ['safe', 'echo \'$(rm -rf x)\''], ['safe', 'git status && git diff'], ['safe', 'find src/* -name x'], ['safe', 'sed -n 1,5p src/*.ts'], ['safe', 'echo a\\;b'],
  ['other', 'find * -name x'], ['other', 'find . -name *'], ['other', 'base64 *'], ['other', 'rg x *'], ['other', 'git log *'], ['other', 'uniq *'],
  ['other', 'ls && npm install'], ['other', 'npm install | cat'], ['other', 'ls; touch x'],
  // And anything else is not plain, whatever it says.
  ['other', 'ls > x'], ['other', 'ls 2>&1'], ['other', 'cat < x'], ['other', 'ls &'], ['other', 'ls & pwd'], ['other', '! ls'], ['other', 'time ls'], ['other', 'ls $HOME'], ['other', 'echo "$HOME"'], ['other', 'echo $(pwd)'],
  ['other', 'echo `pwd`'], ['other', 'echo $((1 + 1))'], ['other', '(ls)'], ['other', '{ ls; }'], ['other', 'if true; then ls; fi'], ['other', 'A=1 ls'], ['other', 'A=1'], ['other', 'ls |& cat'], ['other', 'cat <(ls)'], ['other', 'echo {a,b}'],
  ['other', 'echo {1..3}'], ['other', 'ls # all'], ['other', '# ls'], ['other', ''], ['other', 'ls &&'], ['other', '&& ls'], ['other', 'ls ;; pwd'], ['other', '"ls'], ['other', 'l? -a'], ['other', '~/ls'], ['other', '$x'], ['other', 'echo $\'a\''],
  ['other', 'echo $"a"'], ['other', 'echo a$\\\nHOME'], ['other', 'echo a$'], ['other', 'ec\\\nho a'], ['safe', 'echo \\$a \'$\' "\\$"'], ['other', '[[ a ]]'], ['other', '(( 1 ))'], ['other', 'f() { ls; }'], ['other', 'coproc ls'], ['other', 'select x in a; do ls; done'], ['other', 'cat <<EOF\nx\nEOF'], ['other', 'cat <<< x'], ['other', 'echo @(a|b)'],
  ['unread', `ls ${'x'.repeat(20_000)}`], ['unread', `ls; ${'ls;'.repeat(600)} ls`], ['unread', ['xargs', '--unknown', ...Array<string>(60).fill('x')]], ['unread', `echo ${'$('.repeat(250)}`], ['unread', ['eval', 'x'.repeat(20_000)]],
  ['unread', ['sudo', 'sudo', 'sudo', 'sudo', 'sudo', 'sudo', 'sudo', 'sudo', 'ls']], ['other', `echo ${'$('.repeat(150)}`],
  // Shells that are not read, or not so.
  ['safe', ['bash', '-c', 'ls']], ['safe', ['sh', '-c', 'ls && pwd']], ['safe', ['/bin/bash', '-lc', 'ls']], ['safe', ['zsh', '-lc', 'ls -la | grep x']], ['other', ['zsh', '-c', 'ls *']], ['other', ['zsh', '-c', 'ls =x']], ['other', ['zsh', '-c', 'ls *(e:x:)']],
  ['other', ['./bash', '-c', 'ls']], ['other', ['/work/bash', '-lc', 'ls']], ['other', ['bash', '-lc', 'ls', 'arg0']], ['other', ['bash', '-xc', 'ls']], ['other', ['bash', 'script.sh']], ['other', ['bash']], ['other', ['bash', '-i', '-c', 'ls']],
  ['other', ['bash', '--rcfile', 'x', '-c', 'ls']], ['other', ['fish', '-c', 'ls']], ['other', ['dash', '-c', 'ls']], ['other', ['bash', '-c']], ['other', ['sudo', 'bash', '-c', 'ls']],
  // The user's rules.
  ['allowed', ['npm', 'test']], ['allowed', ['npm', 'test', '--', '-x']], ['other', ['npm']], ['other', ['npm', 'run', 'test']], ['other', ['./npm', 'test']], ['other', ['/opt/npm', 'test']], ['allowed', 'npm test'], ['allowed', 'ls && npm test | cat'],
  ['allowed', 'npm test *.ts'], ['other', 'npm t*'], ['other', 'npm test > log'], ['other', 'npm test && npm install'], ['other', 'npm $x'], ['allowed', 'python3 manage.py <<EOF\nx\nEOF'], ['other', 'python3 manage.py <<EOF\n$(x)\nEOF'], ['allowed', ['make', 'all']],
  ['allowed', ['/usr/bin/make', 'all']], ['other', ['/opt/make', 'all']], ['allowed', ['rm', '-rf', 'build']], ['dangerous', ['rm', '-rf', 'dist']], ['allowed', 'rm -rf build && make'], ['dangerous', 'rm -rf build && rm -rf dist'],
  ['dangerous', ['sudo', 'rm', '-rf', 'dist']], ['dangerous', 'npm test && rm -rf $x'],
  ['prompt', ['terraform', 'apply']], ['prompt', 'terraform plan'], ['prompt', ['git', 'push']], ['prompt', ['git', 'fetch', 'origin']], ['prompt', ['/usr/bin/git', 'push']], ['prompt', ['./git', 'push']], ['prompt', 'ls && git push'], ['prompt', 'git push > log'],
  ['prompt', 'echo $(git push)'], ['prompt', ['sudo', 'git', 'push']], ['prompt', ['env', 'X=1', 'git', 'push']], ['prompt', ['ls', '-la', '/root']], ['prompt', 'npm test && git push'], ['prompt', 'if true; then terraform apply; fi'], ['prompt', 'bash -c "git push"'],
  ['both', 'git push && rm -rf x'], ['both', ['sudo', '-x', 'git', 'push', 'rm', '-f']],
  ['forbidden', ['git', 'push', '--force']], ['forbidden', 'git push --force origin'], ['forbidden', 'ls; (git push --force)'], ['forbidden', ['shutdown']], ['forbidden', ['/sbin/shutdown', 'now']], ['forbidden', ['sudo', 'shutdown', '-h', 'now']],
  ['forbidden', 'sleep 5 & shutdown'], ['forbidden', ['cat', '/etc/shadow']], ['forbidden', 'cat /etc/shadow | head'], ['forbidden', 'cat "/etc/shadow"'], ['forbidden', 'cat /etc/\'shadow\''], ['forbidden', ['bash', '-c', 'sh -c "shutdown"']], ['forbidden', ['xargs', 'shutdown']],
  ['forbidden', 'shutdown &&'],
]

const verdict = (result: Assessment): string => 'run' in result ? 'r' : 'ask' in result ? 'a' : 'f'
const vectorOf = (command: string | readonly string[]): readonly string[] => typeof command === 'string' ? ['bash', '-lc', command] : command

describe.each(Object.keys(POLICIES) as PolicyName[])('under %s', policy => {
  const expected = (kind: Kind): string => KINDS[kind].split(' ')[Object.keys(POLICIES).indexOf(policy)] as string

  test.each(COMMANDS.map(([kind, command]) => ({ kind, command, shown: JSON.stringify(command).slice(0, 70) })))('$shown is $kind', ({ kind, command }) => {
    expect(verdict(assess(vectorOf(command), { approvalPolicy: POLICIES[policy], sandboxMode: 'workspace-write', rules: RULES }))).toBe(expected(kind))
  })
})
test('the table is as long as it should be', () => {
  expect(new Set(COMMANDS.map(([, command]) => JSON.stringify(command))).size).toBe(COMMANDS.length)
  expect(COMMANDS.length).toBeGreaterThan(300)
})

const base = { approvalPolicy: 'on-request', sandboxMode: 'workspace-write' } as const
const userRules = (text: string): CommandRules => parseRules(text, { name: 'default.rules', source: 'user' })
const projectRules = (text: string): CommandRules => parseRules(text, { name: '.codex/rules/x.rules', source: 'project' })

describe('reasons', () => {
  test.each<{ command: readonly string[]; options?: Partial<AssessOptions>; result: Assessment }>([
    { command: ['terraform', 'apply'], result: { ask: 'a rule wants `terraform apply` to be asked about: it costs money (default.rules:6)' } },
    { command: ['git', 'push', '--force'], result: { forbidden: '`git push --force` is forbidden by a rule: history is shared (default.rules:8)' } },
    { command: ['terraform', 'apply'], options: { approvalPolicy: 'never' }, result: { forbidden: 'a rule wants `terraform apply` to be asked about: it costs money (default.rules:6), and the approval policy is never: nobody is asked' } },
    { command: ['rm', '-rf', 'x'], options: { approvalPolicy: POLICIES['rules only'] }, result: { forbidden: '`rm -rf x` could destroy what does not come back, and the approval policy asks nobody about sandbox_approval' } },
    { command: ['npm', 'install'], options: { approvalPolicy: 'untrusted' }, result: { ask: '`npm install` is not known to be harmless', amendment: ['npm', 'install'] } },
    { command: ['bash', '-lc', 'ls > x'], options: { approvalPolicy: 'untrusted' }, result: { ask: '`bash -lc "ls > x"` is more than plain commands, so nothing is known of what it runs' } },
    { command: ['touch', 'a\nb\u202e'], options: { approvalPolicy: 'untrusted' }, result: { ask: '`touch "a\\nb."` is not known to be harmless' } },
  ])('$command', ({ command, options, result }) => {
    expect(assess(command, { ...base, rules: RULES, ...options })).toEqual(result)
  })
})

describe('rules of several sources', () => {
  test.each<{ name: string; rules: CommandRules; requirements?: CommandRules; command: readonly string[]; verdict: string }>([
    { name: 'the strictest of all wins over an allow',           rules: mergeRules(userRules('prefix_rule(["x"])'), projectRules('prefix_rule(["x"], "prompt")')), command: ['x'], verdict: 'a' },
    { name: 'requirements win over an allow',                    rules: userRules('prefix_rule(["x"])'), requirements: userRules('prefix_rule(["x"], "forbidden")'), command: ['x'], verdict: 'f' },
    { name: 'requirements win over what is known to be harmless', rules: NO_RULES, requirements: userRules('prefix_rule(["ls"], "forbidden")'), command: ['ls'], verdict: 'f' },
    { name: 'a longer allow does not lift a shorter prompt',     rules: userRules('prefix_rule(["x"], "prompt")\nprefix_rule(["x", "y"])'), command: ['x', 'y'], verdict: 'a' },
    { name: 'an allow of a project allows nothing',              rules: projectRules('prefix_rule(["rm"])'), command: ['rm', '-f', 'x'], verdict: 'a' },
    { name: 'an exact allow does not lift a rule for the base name', rules: userRules('prefix_rule(["/bin/x"])\nprefix_rule(["x"], "forbidden")'), command: ['/bin/x'], verdict: 'f' },
    { name: 'rules for segments, not for the shell around them', rules: userRules('prefix_rule(["bash"], "prompt")'), command: ['bash', '-lc', 'ls'], verdict: 'r' },
    { name: 'a rule for the shell meets a script that is not plain', rules: userRules('prefix_rule(["bash"], "prompt")'), command: ['bash', '-lc', 'ls > x'], verdict: 'a' },
    { name: 'a whole script can be allowed word by word',        rules: userRules('prefix_rule(["bash", "-lc", "make > log"])'), command: ['bash', '-lc', 'make > log'], verdict: 'r' },
  ])('$name', ({ rules, requirements, command, verdict: expected }) => {
    expect(verdict(assess(command, { ...base, rules, ...(requirements === undefined ? {} : { requirements }) }))).toBe(expected)
  })

  test('while a rules file is broken nothing runs unasked, and under never nothing runs', () => {
    const rules = { ...userRules('prefix_rule(["ls"])'), broken: ['the rules file is not understood (default.rules:2:1): …'] }
    expect(assess(['ls'], { ...base, rules })).toEqual({ ask: 'command rules cannot be relied on: the rules file is not understood (default.rules:2:1): …' })
    expect(verdict(assess(['ls'], { ...base, rules, approvalPolicy: 'never' }))).toBe('f')
    expect(verdict(assess(['ls'], { ...base, rules: { ...rules, broken: [] } }))).toBe('r')
    // A sentence of its own there, and a part of one here.
    expect(assess(['ls'], { ...base, rules: { ...rules, broken: ['a.rules is wrong. Correct it.'] } })).toEqual({ ask: 'command rules cannot be relied on: a.rules is wrong. Correct it' })
  })
})

describe('more than the sandbox', () => {
  const more = { fileSystem: { write: ['/srv'] } }
  test.each<{ name: string; command?: readonly string[]; options: Partial<AssessOptions>; verdict: string }>([
    { name: 'to run without it is asked',                        options: { sandboxPermissions: 'require_escalated' }, verdict: 'a' },
    { name: 'also for what is known to be harmless',             command: ['ls'], options: { sandboxPermissions: 'require_escalated' }, verdict: 'a' },
    { name: 'also for what a rule allows',                       command: ['npm', 'test'], options: { sandboxPermissions: 'require_escalated' }, verdict: 'a' },
    { name: 'under untrusted too',                               options: { sandboxPermissions: 'require_escalated', approvalPolicy: 'untrusted' }, verdict: 'a' },
    { name: 'under never it is refused',                         options: { sandboxPermissions: 'require_escalated', approvalPolicy: 'never' }, verdict: 'f' },
    { name: 'where such questions are rejected too',             options: { sandboxPermissions: 'require_escalated', approvalPolicy: POLICIES['rules only'] }, verdict: 'f' },
    { name: 'under rules that deny reading it is refused',       options: { sandboxPermissions: 'require_escalated', deniesReading: true }, verdict: 'f' },
    { name: 'where there is no sandbox it asks for nothing',     options: { sandboxPermissions: 'require_escalated', sandboxMode: 'danger-full-access' }, verdict: 'r' },
    { name: 'more permissions are asked about',                  options: { sandboxPermissions: 'with_additional_permissions', additionalPermissions: more }, verdict: 'a' },
    { name: 'also where reading is denied: it stays inside',     options: { sandboxPermissions: 'with_additional_permissions', additionalPermissions: more, deniesReading: true }, verdict: 'a' },
    { name: 'under never they are refused',                      options: { sandboxPermissions: 'with_additional_permissions', additionalPermissions: more, approvalPolicy: 'never' }, verdict: 'f' },
    { name: 'no permissions are none',                           options: { sandboxPermissions: 'with_additional_permissions', additionalPermissions: {} }, verdict: 'r' },
    { name: 'the default asks for nothing',                      options: { sandboxPermissions: 'use_default' }, verdict: 'r' },
    { name: 'danger under never, where there is no sandbox by choice, runs', command: ['rm', '-rf', 'x'], options: { approvalPolicy: 'never', sandboxMode: 'danger-full-access' }, verdict: 'r' },
    { name: 'and is asked about where somebody may be asked',    command: ['rm', '-rf', 'x'], options: { sandboxMode: 'danger-full-access' }, verdict: 'a' },
  ])('$name', ({ command = ['cargo', 'build'], options, verdict: expected }) => {
    expect(verdict(assess(command, { ...base, rules: RULES, ...options }))).toBe(expected)
  })

  test('permissions that no asking goes with are an error', () => {
    expect(() => assess(['ls'], { ...base, additionalPermissions: more })).toThrow('additionalPermissions')
    expect(() => assess(['ls'], { ...base, sandboxPermissions: 'all' as 'use_default' })).toThrow('sandboxPermissions "all"')
  })
})

describe('login shells', () => {
  test.each<[refused: boolean, command: readonly string[]]>([
    [true, ['bash', '-lc', 'ls']], [true, ['bash', '-l', '-c', 'ls']], [true, ['/bin/zsh', '--login', '-c', 'ls']], [true, ['-bash', '-c', 'ls']], [true, ['sudo', 'bash', '-lc', 'ls']], [true, ['bash', '-c', 'bash -lc ls']],
    [false, ['bash', '-c', 'ls']], [false, ['bash', '-c', 'ls -l']], [false, ['ls', '-l']], [false, ['bash', 'x.sh', '-l']],
  ])('refused: %s %j', (refused, command) => {
    expect('forbidden' in assess(command, { ...base, allowLoginShell: false })).toBe(refused)
    expect('forbidden' in assess(command, base)).toBe(false)
  })
})

describe('amendments', () => {
  const amendmentOf = (command: string | readonly string[], options: Partial<AssessOptions> = {}): readonly string[] | undefined => {
    const result = assess(vectorOf(command), { ...base, approvalPolicy: 'untrusted', rules: RULES, ...options })
    return 'ask' in result ? result.amendment : undefined
  }
  test.each<{ name: string; command: string | readonly string[]; options?: Partial<AssessOptions>; amendment: readonly string[] | undefined }>([
    { name: 'the whole command',                              command: ['cargo', 'build', '--release'],              amendment: ['cargo', 'build', '--release'] },
    { name: 'of a script, the one that is asked about',       command: 'cd sub && cargo build | cat',                amendment: ['cargo', 'build'] },
    { name: 'not where two would have to be allowed',         command: 'cargo build && cargo test',                  amendment: undefined },
    { name: 'the prefix that the asker suggests',             command: ['cargo', 'build', 'x'], options: { prefixRule: ['cargo', 'build'] }, amendment: ['cargo', 'build'] },
    { name: 'not one that is no beginning of it',             command: ['cargo', 'build'], options: { prefixRule: ['rm'] }, amendment: ['cargo', 'build'] },
    { name: 'not one that is too wide',                       command: ['python3', 'x.py'], options: { prefixRule: ['python3'] }, amendment: ['python3', 'x.py'] },
    { name: 'a program that is an interpreter alone',         command: ['python3'],                                  amendment: undefined },
    { name: 'its text on the command line is a program of its own', command: ['python3', '-c', 'print(1)'],          amendment: ['python3', '-c', 'print(1)'] },
    { name: 'not what a pattern stands in',                   command: 'cargo build *.rs',                           amendment: undefined },
    { name: 'not what is more than plain commands',           command: 'cargo build > log',                          amendment: undefined },
    { name: 'not where a rule asks',                          command: ['terraform', 'apply'],                       amendment: undefined },
    { name: 'dangerous commands, whole',                      command: ['rm', '-rf', 'dist'], options: { approvalPolicy: 'on-request' }, amendment: ['rm', '-rf', 'dist'] },
    { name: 'not for what cannot be had by a rule',           command: ['cargo', 'build'], options: { sandboxPermissions: 'require_escalated' }, amendment: undefined },
    { name: 'not with words that cannot be read in a line',   command: ['cargo', 'a\nb'],                            amendment: undefined },
    { name: 'not while rules are broken',                     command: ['cargo', 'build'], options: { rules: { ...RULES, broken: ['x'] } }, amendment: undefined },
  ])('$name', ({ command, options, amendment }) => {
    expect(amendmentOf(command, options)).toEqual(amendment)
  })

  test.each<[readonly string[]]>([
    [['python']], [['python3']], [['python3.12']], [['/usr/bin/python3']], [['python3', '-']], [['python3', '-c']], [['py', '-c']], [['pypy3']], [['git']], [['bash']], [['sh', '-c']], [['zsh', '-lc']], [['/bin/bash', '-lc']], [['pwsh']],
    [['powershell', '-Command']], [['env']], [['sudo']], [['node']], [['node', '-e']], [['perl', '-e']], [['ruby', '-e']], [['lua']], [['php', '-r']], [['osascript']], [['xargs']], [['npx']],
  ])('%j is never proposed', prefix => {
    const result = assess([...prefix], { ...base, approvalPolicy: 'untrusted' })
    expect('ask' in result ? result.amendment : 'not asked').toBeUndefined()
  })
})

describe('Windows', () => {
  const windows = { ...base, platform: 'windows' } as const
  test.each<[verdict: string, command: readonly string[]]>([
    ['a', ['powershell', '-Command', 'Remove-Item -Recurse -Force x']], ['a', ['pwsh.exe', '-c', 'ls; rm x -fo']], ['a', ['cmd', '/c', 'del /f x']], ['a', ['cmd.exe', '/C', 'rd /s /q x']], ['a', ['powershell', 'Start-Process https://example.com']],
    ['a', ['explorer.exe', 'https://example.com']], ['a', ['RM.EXE', '-rf', 'x']], ['r', ['powershell', '-Command', 'Get-ChildItem']], ['r', ['powershell', '-Command', 'Remove-Item x']], ['r', ['cmd', '/c', 'dir /s']], ['r', ['explorer.exe', '.']],
  ])('%s %j', (expected, command) => {
    expect(verdict(assess(command, windows))).toBe(expected)
  })
  test('read-only, which Windows does not hold, runs nothing unasked but what is harmless', () => {
    expect(verdict(assess(['cargo', 'build'], { ...windows, sandboxMode: 'read-only' }))).toBe('a')
    expect(verdict(assess(['ls'], { ...windows, sandboxMode: 'read-only' }))).toBe('r')
  })
})

test('on other systems than Linux two names mean nothing', () => {
  expect(verdict(assess(['tac', 'x'], { ...base, approvalPolicy: 'untrusted', platform: 'macos' }))).toBe('a')
  expect(verdict(assess(['cat', 'x'], { ...base, approvalPolicy: 'untrusted', platform: 'macos' }))).toBe('r')
})

test.each([[[]], ['ls' as unknown as string[]], [[3 as unknown as string]]])('%j is no command', command => {
  expect(() => assess(command, base)).toThrow('command')
})
test('an approval policy that there is none of', () => {
  expect(() => assess(['ls'], { ...base, approvalPolicy: 'always' as 'never' })).toThrow('approvalPolicy "always"')
})

// What an asker can send is judged in a bounded number of steps; a mistake here shows as a test that does not end.
test.each<[name: string, command: readonly string[]]>([
  ['quotes', ['bash', '-lc', '"'.repeat(16_000)]], ['pipes', ['bash', '-lc', 'a|'.repeat(8000)]], ['here-documents', ['bash', '-lc', 'a <<x '.repeat(2500)]], ['substitutions', ['bash', '-lc', `${'$('.repeat(199)}${')'.repeat(199)}`]],
  ['a million substitutions', ['bash', '-lc', '$('.repeat(1_000_000)]], ['patterns', ['bash', '-lc', '*?['.repeat(5000)]], ['words behind a wrapper', ['xargs', '--unknown', ...Array<string>(100_000).fill('x')]], ['eval', ['bash', '-c', 'eval '.repeat(3000)]],
  ['find', ['find', ...Array<string>(50_000).fill('-exec')]], ['scripts', ['bash', '-c', ...Array<string>(30_000).fill('ls; ls')]], ['if', ['bash', '-lc', 'if a; then '.repeat(1400)]], ['shells', ['bash', '-c', 'bash -c "bash -c \\"bash -c x\\""; '.repeat(400)]],
])('ends: %s', (_, command) => {
  expect(['run', 'ask']).toContain(Object.keys(assess(command, base))[0])
})
