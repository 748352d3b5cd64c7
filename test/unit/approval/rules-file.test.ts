// Rules files: every row of the reference's answers to `execpolicy check`, as codex-cli 0.169.0 gave them.
import { describe, expect, test } from 'vitest'
import { matchRules, mergeRules, strictest } from '../../../src/approval/command-rules.js'
import { RulesError } from '../../../src/approval/rules-error.js'
import { parseRules } from '../../../src/approval/rules-file.js'

const read = (text: string, name = 'default.rules') => parseRules(text, { name, source: 'user', home: '/home/user' })

function check(texts: string | readonly string[], command: string, options: { resolveHostExecutables?: boolean; cwd?: string } = {}): string {
  const matches = matchRules(mergeRules(...[texts].flat().map(text => read(text))), command.split(' '), options)
  const shown = matches.map(({ rule, matchedPrefix, resolvedProgram }) => `${matchedPrefix.join(' ')}: ${rule.decision}${resolvedProgram === undefined ? '' : ` as ${resolvedProgram}`}`)
  return [...shown, `= ${strictest(matches.map(({ rule }) => rule.decision)) ?? 'none'}`].join(', ')
}

const HOST_GIT = 'host_executable(name="git", paths=["/usr/bin/git"])\nprefix_rule(pattern=["git", "status"])'
const resolve = { resolveHostExecutables: true }

test.each<{ name: string; rules: string | readonly string[]; command: string; options?: typeof resolve & { cwd?: string }; answer: string }>([
  { name: 'the first words match',                             rules: 'prefix_rule(pattern=["git", "commit"], decision="prompt")',           command: 'git commit -m x',    answer: 'git commit: prompt, = prompt' },
  { name: 'one word less does not',                            rules: 'prefix_rule(pattern=["git", "commit"], decision="prompt")',           command: 'git',                answer: '= none' },
  { name: 'words match whole',                                 rules: 'prefix_rule(pattern=["git"])',                                        command: 'gitk',               answer: '= none' },
  { name: 'letter case counts',                                rules: 'prefix_rule(pattern=["git"])',                                        command: 'GIT',                answer: '= none' },
  { name: 'a decision that is not said is allow',              rules: 'prefix_rule(pattern=["ls"])',                                         command: 'ls',                 answer: 'ls: allow, = allow' },
  { name: 'parameters by place',                               rules: 'prefix_rule(["ls"], "forbidden")',                                    command: 'ls',                 answer: 'ls: forbidden, = forbidden' },
  { name: 'alternatives of a word',                            rules: 'prefix_rule(["git", ["commit", "push"]])',                            command: 'git push',           answer: 'git push: allow, = allow' },
  { name: 'alternatives of the first word',                    rules: 'prefix_rule([["git", "hg"], ["commit", "push"]])',                    command: 'hg push',            answer: 'hg push: allow, = allow' },
  { name: 'an alternative that is there twice matches once',   rules: 'prefix_rule(["q", ["a", "a"]])',                                      command: 'q a',                answer: 'q a: allow, = allow' },
  { name: 'all that match, in order; the strictest decides',   rules: 'prefix_rule(["git", "push"], "prompt")\nprefix_rule(["git"])',        command: 'git push',           answer: 'git push: prompt, git: allow, = prompt' },
  { name: 'forbidden is stricter than prompt',                 rules: 'prefix_rule(["rm"], "prompt")\nprefix_rule(["rm", "-rf"], "forbidden")', command: 'rm -rf x',        answer: 'rm: prompt, rm -rf: forbidden, = forbidden' },
  { name: 'a rule that stands twice matches twice',            rules: 'prefix_rule(["q"])\nprefix_rule(["q"])',                              command: 'q',                  answer: 'q: allow, q: allow, = allow' },
  { name: 'no match, no decision',                             rules: 'prefix_rule(["git"])',                                                command: 'ls',                 answer: '= none' },
  { name: 'an empty file',                                     rules: '',                                                                    command: 'ls',                 answer: '= none' },
  { name: 'several files merge',                               rules: ['prefix_rule(["ls"])', 'prefix_rule(["ls"], "forbidden")'],           command: 'ls',                 answer: 'ls: allow, ls: forbidden, = forbidden' },
  { name: 'rules in a loop',                                   rules: 'for a in ["x", "y"]:\n  prefix_rule([a])',                            command: 'y',                  answer: 'y: allow, = allow' },
  { name: 'rules by a function of the file',                   rules: 'def deny(*words, **more):\n  prefix_rule(list(words), "forbidden", **more)\ndeny("x", "y", justification="no")', command: 'x y', answer: 'x y: forbidden, = forbidden' },
  { name: 'rules with f-strings',                              rules: 'name = "tool"\nprefix_rule([f"{name}-{1 + 1}"])',                     command: 'tool-2',             answer: 'tool-2: allow, = allow' },
  { name: 'network rules meet no command',                     rules: 'network_rule(host="a.com", protocol="https", decision="allow")',      command: 'a.com',              answer: '= none' },
  { name: 'a path is not its base name',                       rules: HOST_GIT, command: '/usr/bin/git status',                                                             answer: '= none' },
  { name: 'unless resolved, for the paths that are listed',    rules: HOST_GIT, command: '/usr/bin/git status', options: resolve,                                           answer: 'git status: allow as /usr/bin/git, = allow' },
  { name: 'and for no others',                                 rules: HOST_GIT, command: '/opt/git status', options: resolve,                                               answer: '= none' },
  { name: 'an empty list lists none',                          rules: 'host_executable("git", [])\nprefix_rule(["git"])', command: '/bin/git', options: resolve,            answer: '= none' },
  { name: 'without a list every path is taken',                rules: 'prefix_rule(["git"])', command: '/bin/git', options: resolve,                                        answer: 'git: allow as /bin/git, = allow' },
  { name: 'a relative path, below the folder',                 rules: 'prefix_rule(["git"])', command: './git', options: { ...resolve, cwd: '/w' },                          answer: 'git: allow as /w/git, = allow' },
  { name: 'the last list of a name counts',                    rules: `${HOST_GIT}\nhost_executable(name="git", paths=["/bin/git"])`, command: '/usr/bin/git status', options: resolve, answer: '= none' },
  { name: 'paths are compared without .. and //',              rules: 'host_executable("git", ["/usr/bin/../bin/git"])\nprefix_rule(["git"])', command: '/usr//bin/git', options: resolve, answer: 'git: allow as /usr/bin/git, = allow' },
  { name: '~ is the home folder',                              rules: 'host_executable("git", ["~/bin/git"])\nprefix_rule(["git"])', command: '/home/user/bin/git', options: resolve, answer: 'git: allow as /home/user/bin/git, = allow' },
  { name: 'an exact first word is tried first',                rules: 'prefix_rule(["git"])\nprefix_rule(["/bin/git"], "prompt")', command: '/bin/git status', options: resolve, answer: '/bin/git: prompt, = prompt' },
])('$name', ({ rules, command, options, answer }) => {
  expect(check(rules, command, options)).toBe(answer)
})

describe('examples', () => {
  test.each<[rules: string]>([
    ['prefix_rule(["ls"], match=["ls -l", ["ls"]], not_match=["cat", ["ls2"]])'],
    ['prefix_rule(["git", "commit"], match=["git commit -m \'two words\'"])'],
    ['prefix_rule(["a b"], match=["\\"a b\\" c", "a\\\\ b"])'],
    ['prefix_rule(["a"], not_match=["b"])\nprefix_rule(["b"])'],
    [`${HOST_GIT}\nprefix_rule(["git", "log"], match=["/usr/bin/git log"], not_match=["/opt/git log"])`],
    ['prefix_rule(["git"], match=["/usr/bin/git"])\nhost_executable("git", ["/usr/bin/git"])'],
  ])('that are true are nothing more: %s', rules => {
    expect(() => read(rules)).not.toThrow()
  })
})

describe('is refused, with its place', () => {
  test.each<[rules: string, at: string, says: string]>([
    ['prefix_rule(pattern=[])',                                         '1:1', 'the pattern is empty'],
    ['prefix_rule(pattern="ls")',                                       '1:1', '`pattern` of prefix_rule is a list, not a string'],
    ['prefix_rule(pattern=("ls",))',                                    '1:1', 'is a list, not a tuple'],
    ['prefix_rule(["ls", []])',                                         '1:1', 'a list of alternatives is empty'],
    ['prefix_rule(["ls", 3])',                                          '1:1', 'not a int'],
    ['prefix_rule([["ls", 3]])',                                        '1:1', 'an alternative is a string'],
    ['\n\nprefix_rule(["ls"], decision="no")',                          '3:1', '"no" is no decision: use allow, prompt, forbidden'],
    ['prefix_rule(["ls"], decision="Prompt")',                          '1:1', '"Prompt" is no decision'],
    ['prefix_rule(["ls"], decision=None)',                              '1:1', 'is a string, not a NoneType'],
    ['prefix_rule(["ls"], decison="forbidden")',                        '1:1', 'no parameter `decison`: there are pattern, decision'],
    ['prefix_rule(["ls"], justification=" ")',                          '1:1', 'the justification is empty'],
    ['prefix_rule(["ls"], pattern=["ls"])',                             '1:1', 'given twice'],
    ['prefix_rule()',                                                   '1:1', 'needs `pattern`'],
    ['prefix_rule(["ls"], match="ls")',                                 '1:1', '`match` of prefix_rule is a list'],
    ['prefix_rule(["ls"], match=[3])',                                  '1:1', 'an example of match is a string'],
    ['prefix_rule(["ls"], match=[[]])',                                 '1:1', 'an example of match is empty'],
    ['prefix_rule(["ls"], match=[""])',                                 '1:1', 'an example of match is empty'],
    ['prefix_rule(["ls"], match=["ls \\"x"])',                          '1:1', 'is a quote open?'],
    ['prefix_rule(["ls"], match=["cat"])',                              '1:1', 'does not match its example ["cat"]'],
    ['prefix_rule(["b"])\nprefix_rule(["a"], match=["b"])',             '2:1', 'does not match its example ["b"]'],
    ['prefix_rule(["ls"], not_match=["ls -l"])',                        '1:1', 'matches ["ls","-l"], which not_match says it must not'],
    ['for x in ["a", "b"]:\n  prefix_rule([x], match=["a"])',           '2:3', 'does not match its example ["a"]'],
    ['network_rule(host="*.a.com", protocol="https", decision="allow")', '1:1', '"*.a.com" is a pattern'],
    ['network_rule(host="", protocol="https", decision="deny")',        '1:1', 'the host is empty'],
    ['network_rule(host="https://a.com", protocol="https", decision="deny")', '1:1', 'is no'],
    ['network_rule(host="a.com/x", protocol="https", decision="deny")', '1:1', 'without a scheme or a path'],
    ['network_rule(host="a.com", protocol="ftp", decision="allow")',    '1:1', '"ftp" is no protocol'],
    ['network_rule(host="a.com", protocol="https", decision="no")',     '1:1', '"no" is no decision: use allow, prompt, deny'],
    ['network_rule(host="a.com", protocol="toString", decision="allow")', '1:1', 'is no protocol'],
    ['network_rule(host="a.com", protocol="https")',                    '1:1', 'needs `decision`'],
    ['network_rule(host="a.com", protocol="https", decision="deny", justification="")', '1:1', 'the justification is empty'],
    ['host_executable(name="git", paths=["usr/bin/git"])',              '1:1', 'is not absolute'],
    ['host_executable(name="git", paths=["/usr/bin/hg"])',              '1:1', 'does not end in "git"'],
    ['host_executable(name="a/git", paths=[])',                         '1:1', 'is no bare name'],
    ['host_executable(name="", paths=[])',                              '1:1', 'is no bare name'],
    ['host_executable(name="git", paths=[3])',                          '1:1', 'paths are strings'],
    ['prefix_rule = 3\nprefix_rule(1)',                                 '2:1', 'a int is no function'],
    ['load("x", "y")',                                                  '1:1', '`load` is not available'],
    ['x = \n',                                                          '1:5', 'unexpected the end of the line'],
  ])('%s', (rules, at, says) => {
    let error: unknown
    try {
      read(rules)
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(RulesError)
    expect((error as RulesError).message).toContain(`(default.rules:${at})`)
    expect((error as RulesError).message).toContain(says)
  })
})

test('network rules are for one host in its normal form, and spell protocols as the wire does', () => {
  const { networks } = read(`
network_rule(host="A.Example.com.", protocol="https_connect", decision="deny", justification="no")
network_rule(host="[::1]:8080", protocol="socks5_tcp", decision="allow")
network_rule(host="10.0.0.1", protocol="http", decision="prompt")
network_rule(host="b.com:443", protocol="socks5_udp", decision="allow")`)
  expect(networks).toEqual([
    { host: 'a.example.com', protocol: 'https', decision: 'forbidden', justification: 'no', source: 'user', place: 'default.rules:2' },
    { host: '::1', protocol: 'socks5Tcp', decision: 'allow', source: 'user', place: 'default.rules:3' },
    { host: '10.0.0.1', protocol: 'http', decision: 'prompt', source: 'user', place: 'default.rules:4' },
    { host: 'b.com', protocol: 'socks5Udp', decision: 'allow', source: 'user', place: 'default.rules:5' },
  ])
})
