// Whole profiles, and what a policy is refused for.
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { renderTemplates } from '../../../../scripts/emit-profiles.js'
import { printPlan } from '../../../../src/platform/launch-plan.js'
import { compileProfile, compileSeatbelt } from '../../../../src/platform/macos/compile.js'
import { evaluate } from '../../../../src/platform/macos/sbpl/evaluate.js'
import { parseForms } from '../../../../src/platform/macos/sbpl/parse.js'
import { parseProfile } from '../../../../src/platform/macos/sbpl/profile.js'
import { template, type TemplateName } from '../../../../src/platform/macos/templates.js'
import { TEMPLATES } from '../../../../src/platform/macos/templates.generated.js'
import { parsePolicy } from '../../../../src/policy/parse.js'
import { presetPolicy } from '../../../../src/policy/presets.js'
import { resolve } from '../../../../src/policy/resolve.js'
import type { SandboxPolicy } from '../../../../src/policy/sandbox-policy.js'
import { compileOptions } from '../../../support/linux-layers.js'
import { macHost, SEATBELT_THERE } from '../../../support/macos-host.js'
import { resolveCase, SEATBELT_CASES } from '../../../support/seatbelt-policies.js'

const names = Object.keys(TEMPLATES) as TemplateName[]

/** The operations that no profile may open, from the lines `stays denied:` of the base template. */
const STAYS_DENIED = TEMPLATES.base.flatMap(line => /^; stays denied: (.*)$/.exec(line)?.[1]?.split(' ') ?? [])

/** Templates by name, and the parameters below: what is left is what this policy made. */
function readable({ profile, parameters }: ReturnType<typeof compileProfile>): string {
  let text = `${profile.join('\n')}\n`
  for (const name of names) text = text.replace(`${template(name).join('\n')}\n`, `;; profiles/${name}.sbpl\n`)
  return `${text}\n${Object.entries(parameters).map(([name, value]) => `;; ${name} = ${JSON.stringify(value)}`).join('\n')}\n`
}

describe('golden profiles', () => {
  test.each(SEATBELT_CASES)('$name', async each => {
    const profile = compileProfile(resolveCase(each).policy, each.endpoints)
    await expect(readable(profile)).toMatchFileSnapshot(`../../../golden/seatbelt/${each.name}.sbpl`)
  })

  test('every golden file is of a policy', () => {
    expect(readdirSync('test/golden/seatbelt').filter(name => name.endsWith('.sbpl')).sort()).toEqual(SEATBELT_CASES.map(({ name }) => `${name}.sbpl`).sort())
  })

  test('a whole plan, with its argv', async () => {
    const { policy } = resolveCase({ name: '', policy: { mode: 'read-only', limits: { openFiles: 64 } } })
    await expect(printPlan(compileSeatbelt(policy, SEATBELT_THERE, compileOptions({ observe: 'reads' })))).toMatchFileSnapshot('../../../golden/seatbelt/read-only-plan.json')
  })
})

test('a proxied network: the proxy\'s port and the local ones, and nothing else', () => {
  const policy = resolve(parsePolicy({ network: { allowedDomains: ['example.com'], allowLocalPorts: [5432] } }), macHost())
  const plan = compileSeatbelt(policy, SEATBELT_THERE, compileOptions({ endpoints: { proxyPorts: [50_000, 5432] } }))
  expect([plan.proxyPort, plan.profile.filter(line => line.includes('localhost:')).map(line => line.trim())]).toEqual([50_000, ['(allow network-outbound (remote tcp "localhost:5432") (remote tcp "localhost:50000"))']])
  expect(() => compileSeatbelt(policy, SEATBELT_THERE, compileOptions({}))).toThrow('a port for its proxy')
})

describe('the templates', () => {
  test('the compiler carries what stands in profiles/', () => {
    expect(readFileSync('src/platform/macos/templates.generated.ts', 'utf8')).toBe(renderTemplates())
  })

  test.each(names)('%s: a comment says for every rule which tool needs it, or what it closes', name => {
    const forms = parseForms(template(name).join('\n')).filter(({ expression }) => printed(expression) !== '(version 1)' && printed(expression) !== '(deny default)')
    // One comment may stand for the rules right below it.
    expect(forms[0]?.comment).toBeDefined()
    expect(forms.filter(({ comment }) => comment === undefined).length).toBeLessThanOrEqual(3)
  })

  test('what must stay denied is listed, and each is an operation that there is', () => {
    expect(STAYS_DENIED).toEqual(expect.arrayContaining(['lsopen', 'appleevent-send', 'job-creation']))
    const profile = parseProfile('(version 1) (deny default)')
    for (const operation of STAYS_DENIED) expect(() => evaluate(profile, { operation })).not.toThrow()
  })
})

function printed(expression: ReturnType<typeof parseForms>[number]['expression']): string {
  return expression.kind === 'list' ? `(${expression.items.map(printed).join(' ')})` : expression.kind === 'symbol' ? expression.name : String('value' in expression ? expression.value : '')
}

describe('whatever the policy', () => {
  test.each(SEATBELT_CASES)('$name: what must stay denied is', each => {
    const { profile, parameters } = compileProfile(resolveCase(each).policy, each.endpoints)
    const parsed = parseProfile(profile.join('\n'), { params: parameters })
    for (const operation of STAYS_DENIED) {
      for (const reading of ['kernel', 'sourceOrder'] as const) {
        for (const path of [undefined, '/Users/me/work/x', '/private/tmp/x', '/dev/null']) {
          expect([operation, path, evaluate(parsed, { operation, ...(path === undefined ? {} : { path }) }, reading).verdict]).toEqual([operation, path, 'deny'])
        }
      }
    }
  })

  test.each(SEATBELT_CASES)('$name: it starts closed, imports nothing, and hands every path over as a parameter', each => {
    const { profile, parameters } = compileProfile(resolveCase(each).policy, each.endpoints)
    const forms = parseForms(profile.join('\n')).map(({ expression }) => printed(expression))
    expect(forms.slice(0, 2)).toEqual(['(version 1)', '(deny default)'])
    expect(forms.filter(text => /^\((?!allow |deny |version |define \(at-and-below )/.test(text))).toEqual([])
    expect(forms.filter(text => text === '(allow default)')).toEqual([])
    const generated = readable({ profile, parameters })
    expect([...generated.matchAll(/\((?:literal|subpath|prefix) (?!\(param )/g)].map(([text]) => text)).toEqual([])
  })

  test('compiling is repeatable', () => {
    for (const each of SEATBELT_CASES) expect(compileProfile(resolveCase(each).policy, each.endpoints)).toEqual(compileProfile(resolveCase(each).policy, each.endpoints))
  })
})

test('denials that are logged carry the tag, and mean the same', () => {
  for (const each of SEATBELT_CASES) {
    const { policy } = resolveCase(each)
    const [plain, tagged] = [compileProfile(policy, each.endpoints), compileProfile(policy, each.endpoints, true)]
    const parse = ({ profile, parameters }: typeof plain) => parseProfile(profile.join('\n'), { params: parameters }).rules
    expect(parse(tagged).map(({ action, operations }) => ({ action, operations }))).toEqual(parse(plain).map(({ action, operations }) => ({ action, operations })))
    for (const rule of parse(tagged)) expect(rule.modifiers.map(({ modifier }) => modifier)).toEqual(rule.action === 'deny' ? ['message'] : [])
  }
})

describe('refused', () => {
  const compile = (changes: Partial<SandboxPolicy>) => () => compileSeatbelt(resolve({ ...presetPolicy('workspace-write', 'reference'), ...changes }, macHost()), SEATBELT_THERE, compileOptions())
  test('a private /tmp: every process sees the same one', () => {
    expect(compile({ tmp: 'private' })).toThrow(expect.objectContaining({ code: 'rule_not_enforceable', field: 'tmp' }))
    expect(compile({ tmp: 'none' })).not.toThrow()
  })
  test('a rung of Linux', () => {
    expect(() => compileSeatbelt(resolve(presetPolicy('read-only', 'reference'), macHost()), SEATBELT_THERE, compileOptions({ rung: 'supervised' }))).toThrow(expect.objectContaining({ code: 'option_invalid', field: 'rung' }))
  })
  test('more rules than arguments carry', () => {
    const deny = (count: number) => Array.from({ length: count }, (_, index) => `/Users/them/${'x'.repeat(40)}${index}`)
    expect(compile({ deny: deny(4000) })).toThrow(expect.objectContaining({ code: 'policy_too_large', field: 'policy' }))
    expect(compile({ deny: deny(1000) })).not.toThrow()
  })
  test('modes that enforce nothing are not for this back end', () => {
    expect(() => compileSeatbelt(resolve(presetPolicy('danger-full-access', 'reference'), macHost()), SEATBELT_THERE, compileOptions())).toThrow('danger-full-access has nothing to enforce')
  })
})
