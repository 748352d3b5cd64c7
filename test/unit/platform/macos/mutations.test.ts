// Every rule of every golden profile counts: dropped, turned round, moved, narrowed or widened, the profile no longer means the
// same, and somebody notices. What may change unnoticed is named below, with the reason.
import { describe, expect, test } from 'vitest'
import { compileProfile } from '../../../../src/platform/macos/compile.js'
import { evaluate, type Reading } from '../../../../src/platform/macos/sbpl/evaluate.js'
import { parseForms } from '../../../../src/platform/macos/sbpl/parse.js'
import { printExpression, printProfile } from '../../../../src/platform/macos/sbpl/print.js'
import { parseProfile, type Profile } from '../../../../src/platform/macos/sbpl/profile.js'
import { compileRegex, toBytes } from '../../../../src/platform/macos/sbpl/regex.js'
import type { Request, VnodeType } from '../../../../src/platform/macos/sbpl/request.js'
import type { Expression, Form } from '../../../../src/platform/macos/sbpl/syntax.js'
import { template, type TemplateName } from '../../../../src/platform/macos/templates.js'
import { TEMPLATES } from '../../../../src/platform/macos/templates.generated.js'
import { SandboxError } from '../../../../src/errors.js'
import type { HostSnapshot } from '../../../../src/policy/host-snapshot.js'
import { foldName } from '../../../../src/policy/letter-case.js'
import { SEATBELT_NEEDS } from '../../../support/seatbelt-needs.js'
import { resolveCase, SEATBELT_CASES, type SeatbeltCase } from '../../../support/seatbelt-policies.js'

type List = Extract<Expression, { kind: 'list' }>
interface Mutation { readonly what: string; readonly forms: readonly Form[]; readonly parameters: Readonly<Record<string, string>>; readonly form: Form; readonly filter?: Expression }

const READINGS: readonly Reading[] = ['kernel', 'sourceOrder']
const FILE_OPERATIONS = ['file-read-data', 'file-read-metadata', 'file-clone', 'file-map-executable', 'process-exec*', 'file-write-data', 'file-write-create', 'file-write-unlink', 'file-link']

/** One golden profile, and who looks at its changes. */
function judge(each: SeatbeltCase) {
  const { policy, host } = resolveCase(each)
  const { profile, parameters } = compileProfile(policy, each.endpoints)
  const forms = parseForms(profile.join('\n'))
  const probes = probesOn(host, Object.values(parameters), each)
  const before = verdicts(parseProfile(profile.join('\n'), { params: parameters }), probes)
  /** Whether anybody sees the difference. */
  const isNoticed = ({ forms: changed, parameters: values }: Pick<Mutation, 'forms' | 'parameters'>): boolean => {
    let parsed: Profile
    try {
      parsed = parseProfile(printProfile(changed), { params: values })
    } catch (error) {
      if (error instanceof SandboxError) return true
      throw error
    }
    return READINGS.some(reading => probes.some((request, index) => (evaluate(parsed, request, reading).verdict === 'allow') !== before[index]))
  }
  return { forms, parameters, probes, isNoticed }
}

describe.each(SEATBELT_CASES)('$name', { timeout: 600_000 }, each => {
  const { forms, parameters, probes, isNoticed } = judge(each)
  const own = new Set(ownForms(forms))

  test('each rule of the policy, and each part of it', () => {
    const mutations = forms.flatMap((form, index) => own.has(form) ? mutationsOf(forms, index, parameters) : [])
    const unnoticed = mutations.filter(mutation => !isNoticed(mutation) && !isCovered(mutation, parameters)).map(({ what }) => what)
    expect(unnoticed.filter(what => !(KNOWN[each.name] ?? []).some(known => known.test(what)))).toEqual([])
    expect(mutations.length).toBeGreaterThan(2)
  })

  test('the order of neighbours that say opposite things of one path', () => {
    const unnoticed: string[] = []
    forms.forEach((form, index) => {
      const next = forms[index + 1]
      if (next === undefined || !own.has(form) || !own.has(next) || actionOf(form) === actionOf(next)) return
      const swapped = [...forms.slice(0, index), next, form, ...forms.slice(index + 2)]
      if (!isNoticed({ forms: swapped, parameters }) && meet(form, next, parameters, probes)) unnoticed.push(`${printExpression(form.expression)} before ${printExpression(next.expression)}`)
    })
    expect(unnoticed).toEqual([])
  })
})

/** What may change in one profile, and why. */
const KNOWN: Readonly<Record<string, readonly RegExp[]>> = {
  // The folders above a match that is there are on the way of the glob too, which keeps every folder there.
  globs: [/\(deny file-write-unlink \(literal \(param "KEPT_0"\)\) \(literal \(param "KEPT_1"\)\)\)$/],
  // The root folder with all below it is everything.
  'whole-disk': [/^for everything in \(allow file-write\* file-link \(subpath \(param "WRITABLE_0"\)\)\)$/],
}

/** Profiles in which the templates are mutated: together they have all of them, and what each rule is for shows in one of them. */
const TEMPLATE_CASES = ['restricted-reads-bare', 'library-defaults', 'network-open', 'network-proxied', 'network-loopback', 'whole-disk', 'restricted-reads']

/** What nobody notices, since another rule says the same. */
const SAID_TWICE: readonly RegExp[] = [
  // In a rule with (subpath path) beside it.
  /^without \(literal path\)/,
  // The kernel asks the rules on network-inbound where none on network-bind matches; both are written, in case it ever does not.
  /^(dropped: )?.*\(allow network-bind \(local ip "\*:\*"\)\)$/,
]

describe('templates', { timeout: 900_000 }, () => {
  const judges = TEMPLATE_CASES.map(name => SEATBELT_CASES.find(each => each.name === name) as SeatbeltCase).map(each => judge(each))
  test.each(Object.keys(TEMPLATES) as TemplateName[])('each rule of %s, in one profile or another', name => {
    const fixed = parseForms(template(name).join('\n')).filter(isRule).map(({ expression }) => printExpression(expression))
    const unnoticed = fixed.flatMap(text => {
      const noticed = new Map<string, boolean>()
      for (const { forms, parameters, isNoticed } of judges) {
        const index = forms.findIndex(({ expression }) => printExpression(expression) === text)
        if (index === -1) continue
        for (const mutation of mutationsOf(forms, index, parameters)) if (noticed.get(mutation.what) !== true) noticed.set(mutation.what, isNoticed(mutation))
      }
      expect(noticed.size).toBeGreaterThan(0)
      return [...noticed].filter(([what, seen]) => !seen && !SAID_TWICE.some(known => known.test(what))).map(([what]) => what)
    })
    expect(unnoticed).toEqual([])
  })
})

/** A closed path is said twice on a disk that ignores letter case: by itself, and by the expression beside it; a match of a glob a third time. */
function isCovered({ form, filter }: Mutation, parameters: Readonly<Record<string, string>>): boolean {
  if (filter === undefined || actionOf(form) !== 'deny') return false
  const path = parameterOf(filter, parameters)
  const others = itemsOf(form).filter(item => item !== filter)
  if (path !== undefined) return others.some(item => matches(item, path) && matches(item, `${path}/x`) && matches(item, `/System/Volumes/Data${path}`))
  // The expression of a path that a glob matches in every spelling.
  const source = sourceOf(filter)
  const beside = itemsOf(form)[itemsOf(form).indexOf(filter) - 1]
  const named = beside === undefined ? undefined : parameterOf(beside, parameters)
  return source !== undefined && named !== undefined && others.some(item => item !== beside && matches(item, named) && matches(item, named.toUpperCase().replace(/^\/USERS\/ME\/WORK/, '/Users/me/work')))
}

const parameterOf = (filter: Expression, parameters: Readonly<Record<string, string>>): string | undefined => {
  const name = /^\(at-and-below \(param "(\w+)"\)\)$/.exec(printExpression(filter))?.[1]
  return name === undefined ? undefined : parameters[name]
}

const sourceOf = (filter: Expression): string | undefined => {
  if (filter.kind !== 'list' || filter.items[0]?.kind !== 'symbol' || filter.items[0].name !== 'regex') return undefined
  const [, text] = filter.items
  return text?.kind === 'regex' ? text.source : text?.kind === 'string' ? text.value : undefined
}

function matches(filter: Expression, path: string): boolean {
  const source = sourceOf(filter)
  if (source === undefined) return false
  const regex = compileRegex(source)
  return !('problem' in regex) && regex.matches(toBytes(path))
}

/** Both match one probe by themselves: then their order says which of them holds. */
function meet(one: Form, other: Form, parameters: Readonly<Record<string, string>>, probes: readonly Request[]): boolean {
  const [define] = parseForms(template('base').join('\n')).filter(({ expression }) => printExpression(expression).startsWith('(define'))
  const alone = (form: Form) => parseProfile(`(version 1) (deny default) ${define === undefined ? '' : printExpression(define.expression)} ${printExpression(form.expression)}`, { params: parameters })
  const [first, second] = [alone(one), alone(other)]
  const isOwn = (parsed: Profile, request: Request) => {
    const { rule } = evaluate(parsed, request)
    return rule !== 'default' && rule.operations.length > 0 && !rule.operations.includes('default')
  }
  return probes.some(request => isOwn(first, request) && isOwn(second, request))
}

function mutationsOf(forms: readonly Form[], index: number, parameters: Readonly<Record<string, string>>): Mutation[] {
  const form = forms[index] as Form
  const list = form.expression as List
  const text = printExpression(list).replaceAll(/\s+/g, ' ')
  const head = list.items.findIndex(({ kind }, at) => at > 0 && kind !== 'symbol')
  const [operations, filters] = head === -1 ? [list.items.slice(1), []] : [list.items.slice(1, head), list.items.slice(head)]
  const to = (what: string, items: readonly Expression[], filter?: Expression): Mutation => ({
    what: `${what} in ${text}`, form, parameters, ...(filter === undefined ? {} : { filter }), forms: forms.map((each, at) => at === index ? { expression: { kind: 'list', items } } : each),
  })
  const action = list.items[0] as Expression
  const turned: Expression = { kind: 'symbol', name: actionOf(form) === 'allow' ? 'deny' : 'allow' }
  return [
    { what: `dropped: ${text}`, form, parameters, forms: forms.filter((_, at) => at !== index) },
    to('turned round', [turned, ...operations, ...filters]),
    ...(operations.length < 2 ? [] : operations.map(operation => to(`without ${printExpression(operation)}`, [action, ...operations.filter(each => each !== operation), ...filters]))),
    ...(filters.length === 0 ? [] : [to('for everything', [action, ...operations])]),
    ...(filters.length < 2 ? [] : filters.map(filter => to(`without ${printExpression(filter)}`, [action, ...operations, ...filters.filter(each => each !== filter)], filter))),
    ...filters.flatMap(filter => widened(filter).map(wide => to(`${printExpression(wide)} for ${printExpression(filter)}`, [action, ...operations, ...filters.map(each => each === filter ? wide : each)]))),
  ]
}

/** The same filter with one part gone. */
function widened(filter: Expression): Expression[] {
  if (filter.kind !== 'list') return []
  const [head, ...rest] = filter.items
  if (head?.kind !== 'symbol' || head.name !== 'require-all') return []
  return rest.map(each => ({ kind: 'list', items: [head, ...rest.filter(other => other !== each)] }))
}

const actionOf = ({ expression }: Form): string => expression.kind === 'list' && expression.items[0]?.kind === 'symbol' ? expression.items[0].name : ''
const itemsOf = ({ expression }: Form): readonly Expression[] => expression.kind === 'list' ? expression.items : []
const isRule = (form: Form): boolean => (actionOf(form) === 'allow' || actionOf(form) === 'deny') && printExpression(form.expression) !== '(deny default)'

/** The forms that are of no template. */
function ownForms(forms: readonly Form[]): Form[] {
  const fixed = new Map<string, number>()
  for (const name of Object.keys(TEMPLATES) as TemplateName[]) for (const { expression } of parseForms(template(name).join('\n'))) fixed.set(printExpression(expression), 1)
  return forms.filter(({ expression }) => !fixed.has(printExpression(expression)))
}

const verdicts = (profile: Profile, probes: readonly Request[]): boolean[] => probes.map(request => {
  const [first, second] = READINGS.map(reading => evaluate(profile, request, reading).verdict)
  if (first !== second) throw new Error(`the readings differ: ${JSON.stringify(request)}`)
  return first === 'allow'
})

/** Paths of the host and beside them, each with every operation on files; and what the templates are asked for. */
function probesOn(host: HostSnapshot, named: readonly string[], { endpoints }: SeatbeltCase): Request[] {
  const paths = new Map<string, VnodeType>()
  const add = (path: string) => {
    const kind = host.files.entry(path)?.kind
    paths.set(path, kind === 'directory' ? 'DIRECTORY' : kind === 'symlink' ? 'SYMLINK' : 'REGULAR-FILE')
  }
  const walk = (at: string, depth: number): void => {
    add(at)
    for (const child of depth === 0 ? [] : host.files.children(at) ?? []) walk(`${at === '/' ? '' : at}/${child}`, depth - 1)
  }
  for (const [start, depth] of [['/Users/me/work', 5], ['/Users/me/other', 2], ['/Users', 2], ['/private/tmp', 3], ['/', 2], ['/opt', 3], ['/usr/local', 2], ['/System/Volumes', 3], ['/Library', 2]] as const) walk(start, depth)
  for (const path of named) for (const near of [path, `${path}/x`, `${path}2`, `/System/Volumes/Data${path}`, `/System/Volumes/Data${path}/x`, path.slice(0, path.lastIndexOf('/')) || '/', ...[(text: string) => text.toUpperCase(), foldName, (text: string) => `${text}\u200d`].map(respell => `${path.slice(0, path.lastIndexOf('/') + 1)}${respell(path.slice(path.lastIndexOf('/') + 1))}`)]) add(near)
  for (const path of ['/Users/me/work/new', '/Users/me/work/new.KEY', '/Users/me/work/src/x.key', '/Users/me/work/a/er/b.TXT', '/Users/them/a/.env', '/Users/them/.ENV', '/Users/me/work/a/.env', '/Users/me/work/deep/er/deep/x', '/Users/me/work/deep/er/x/deep', '/Users/me/work/deep/er/Deep', '/Users/me/work/deep/er/open.txt/deep', '/Users/me/work/x/deep', '/Users/me/work/x/er', '/etc', '/tmp', '/var', '/dev/disk0']) add(path)
  paths.set('/Users/me/work/moved', 'DIRECTORY')
  paths.set('/Users/me/work/moved/ER', 'DIRECTORY')
  const files = [...paths].filter(([path]) => path.startsWith('/')).flatMap(([path, vnodeType]) => FILE_OPERATIONS.map((operation): Request => ({ operation, path, vnodeType })))
  const sockets = ['/private/var/run/docker.sock', '/private/var/run/mDNSResponder', '/private/tmp/x.sock', ...endpoints?.unixSockets ?? []].flatMap(path => ['network-outbound', 'network-bind'].map((operation): Request => ({ operation, path, vnodeType: 'SOCKET', socketDomain: 1 })))
  const ports = [...endpoints?.proxyPorts ?? [], 53, 3000, 443].flatMap(port => (['127.0.0.1', '1.1.1.1', '::1'] as const).flatMap(address => (['tcp', 'udp'] as const).flatMap((protocol): Request[] => [
    { operation: 'network-outbound', remote: { protocol, host: address, port }, socketDomain: 2 }, { operation: 'network-bind', local: { protocol, host: address, port }, socketDomain: 2 }, { operation: 'network-inbound', local: { protocol, host: address, port }, socketDomain: 2 },
  ])))
  const devices = ['/dev/cu.usbserial', '/dev/cu.other', '/dev/tty'].flatMap(path => ['file-read-data', 'file-write-data', 'file-ioctl'].map((operation): Request => ({ operation, path, vnodeType: 'CHARACTER-DEVICE' })))
  return [...files, ...sockets, ...ports, ...devices, { operation: 'system-socket', socketDomain: 1 }, ...SEATBELT_NEEDS.flatMap(({ allowed, denied }) => [...allowed, ...denied])]
}
