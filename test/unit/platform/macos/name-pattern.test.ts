import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ASCII_SIGNS, LEFT_OUT, nameSpeller } from '../../../../src/platform/macos/name-pattern.js'
import { compileRegex, toBytes } from '../../../../src/platform/macos/sbpl/regex.js'
import { template } from '../../../../src/platform/macos/templates.js'
import { foldName } from '../../../../src/policy/letter-case.js'

const spell = nameSpeller()
const ANY_LEFT_OUT = `(${[...LEFT_OUT].join('|')})*`

function matches(name: string, spelling: string): boolean {
  const regex = compileRegex(`^${spell(name)}$`)
  if ('problem' in regex) throw new Error(`${regex.problem} in ${spell(name)}`)
  return regex.matches(toBytes(spelling))
}

test.each([
  ['.git', '\\.[gG][iI][tT]'],
  ['.codex', '\\.[cC][oO][dD][eE][xX]'],
  ['a+b (1)', '[aA]\\+[bB] \\(1\\)'],
  ['hooks', '[hH][oO][oO]([kK]|\u212a)([sS]|\u017f)'],
  ['config', '[cC][oO][nN]([fF][iI]|\ufb01)[gG]'],
  ['日本', `日${ANY_LEFT_OUT}本${ANY_LEFT_OUT}`],
  ['é', `([eE](\u0301|\u0341)${ANY_LEFT_OUT}|(\u00c9|\u00e9)${ANY_LEFT_OUT})`],
])('%s', (name, source) => {
  expect(spell(name)).toBe(source)
})

test.each([
  ['.git', ['.git', '.GIT', '.Git'], ['.gitx', 'x.git', 'git', '.gi']],
  ['.agents', ['.AGENTS', '.agent\u017f'], ['.agent']],
  ['config', ['CONFIG', 'con\ufb01g', 'ConFig'], ['con\ufb02g']],
  ['office', ['o\ufb03ce', 'of\ufb01ce', 'o\ufb00ice', 'OFFICE'], ['ofice']],
  ['straße', ['STRASSE', 'strasse', 'stra\u1e9ee', '\ufb06raße', 'ſtraße'], ['strase']],
  ['café', ['cafe\u0301', 'CAFÉ', 'CAFE\u0301', 'caf\u00e9'], ['cafe', 'cafè']],
  ['ệ', ['e\u0323\u0302', 'e\u0302\u0323', '\u1eb9\u0302', '\u00ea\u0323', 'Ệ'], ['ê', 'ẹ']],
  ['한글', ['한글'.normalize('NFD'), '한글'], ['한국']],
  ['Å', ['\u212b', 'A\u030a', 'å'], ['A']],
  ['Ω', ['\u2126', 'ω', 'Ω'], ['o']],
  ['ΣΑΣ', ['σας', 'σασ', 'ΣΑΣ'], ['σα']],
  ['café', ['cafe\u0301\u200c', 'caf\u00e9\ufeff\u200d'], ['cafe\u200c', 'caf\u00e9x']],
  ['日本', ['日\u200d本', '日本\u206f'], ['日\u00ad本x', '日']],
  ['\u{1f468}\u200d\u{1f469}', ['\u{1f468}\u200d\u{1f469}', '\u{1f468}\u{1f469}'], ['\u{1f468}']],
])('%s has these spellings', (name, spellings, others) => {
  expect(spellings.filter(each => !matches(name, each))).toEqual([])
  expect(others.filter(each => matches(name, each))).toEqual([])
})

test('the table of signs that fold to ASCII letters is that of Unicode', () => {
  const found: Record<string, string[]> = {}
  for (let code = 0x80; code <= 0x10ffff; code++) {
    if (code === 0xd800) code = 0xe000
    const char = String.fromCodePoint(code)
    const folded = foldName(char)
    if (/^[\x20-\x7e]+$/.test(folded)) found[folded] = [...found[folded] ?? [], char]
  }
  expect(Object.fromEntries(Object.entries(found).sort())).toEqual(Object.fromEntries(Object.entries(ASCII_SIGNS).sort()))
})

const letter = fc.constantFrom(...'aefgikls .-+$é\u00e5\u1ec7\u00dfßσδЖñ日한ﬁ\u0301'.split(''), '\ufb03', '\u212a')
const name = fc.string({ unit: letter, minLength: 1, maxLength: 8 })
const RESPELLINGS: readonly ((text: string) => string)[] = [
  text => text.toUpperCase(), text => text.toLowerCase(), text => text.normalize('NFC'), text => text.normalize('NFD'),
  text => text.replaceAll('fi', '\ufb01'), text => text.replaceAll('k', '\u212a'), text => text.replaceAll('s', '\u017f'), text => text.replaceAll('ss', 'ß'),
  text => [...text].map((char, index) => index % 2 === 0 ? char.toUpperCase() : char).join(''),
]

test('every spelling of a name matches', () => {
  fc.assert(fc.property(name, fc.array(fc.constantFrom(...RESPELLINGS), { maxLength: 4 }), (text, steps) => {
    const respelled = steps.reduce((each, step) => step(each), text)
    fc.pre(foldName(respelled) === foldName(text))
    expect([text, respelled, matches(text, respelled)]).toEqual([text, respelled, true])
  }), { numRuns: 3000 })
})

test('another name does not', () => {
  fc.assert(fc.property(name, name, (one, other) => {
    if (foldName(one) !== foldName(other) && matches(one, other)) expect([one, other, foldName(one)]).toEqual([one, other, foldName(other)])
  }), { numRuns: 3000 })
})

test('what HFS+ leaves out gets no name past its rule: it matches, or cannot be made', () => {
  const [rule] = template('last').filter(line => line.startsWith('(deny file-write-create'))
  const source = /#"(.*)"/.exec(rule ?? '')?.[1] ?? ''
  const made = compileRegex(source)
  if ('problem' in made) throw new Error(made.problem)
  fc.assert(fc.property(name, fc.array(fc.constantFrom(...RESPELLINGS), { maxLength: 2 }), fc.array(fc.tuple(fc.nat(8), fc.constantFrom(...LEFT_OUT)), { minLength: 1, maxLength: 2 }), (text, steps, added) => {
    let respelled = steps.reduce((each, step) => step(each), text)
    fc.pre(foldName(respelled) === foldName(text))
    for (const [at, char] of added) respelled = [...respelled].toSpliced(at, 0, char).join('')
    expect([text, respelled, matches(text, respelled) || made.matches(toBytes(`/a/${respelled}`))]).toEqual([text, respelled, true])
  }), { numRuns: 3000 })
})

test('too many spellings are matched by more than them', () => {
  const long = 'ss'.repeat(20)
  expect([matches(long, long), matches(long, 'ß'.repeat(20)), matches(long, `${'sSß'.repeat(13)}s`), matches(long, 'x')]).toEqual([true, true, true, false])
  expect(spell(long).length).toBeLessThan(200)
})
