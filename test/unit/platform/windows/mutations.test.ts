// Every entry of every golden plan counts: dropped, turned round, narrowed, widened, handed on less or more, or given to somebody else, the
// lists no longer mean the same on some host. What may change unnoticed is named below, with the reason.
import { describe, expect, test } from 'vitest'
import type { WindowsPlan } from '../../../../src/platform/launch-plan.js'
import { FILE_RIGHTS } from '../../../../src/platform/windows/access-rights.js'
import { grantedAccess } from '../../../../src/platform/windows/access-check.js'
import { newObject } from '../../../../src/platform/windows/inheritance.js'
import { type Ace, parseAceText, printAce } from '../../../../src/platform/windows/sddl.js'
import { plainToken } from '../../../../src/platform/windows/token.js'
import { SIDS } from '../../../../src/platform/windows/sid.js'
import type { HostSnapshot, WindowsFacts } from '../../../../src/policy/host-snapshot.js'
import { parentOf } from '../../../../src/policy/path-syntax.js'
import { ME } from '../../../support/windows-host.js'
import { WindowsModel } from '../../../support/windows-model.js'
import { compileWindowsCase, WINDOWS_CASES } from '../../../support/windows-policies.js'

interface Mutation {
  readonly what: string
  readonly path: string
  readonly ace: Ace
  readonly access: WindowsPlan['access']
}

/** Ways in which each single entry may be wrong. */
function mutationsOf({ access, token }: WindowsPlan): Mutation[] {
  return access.flatMap(edit => edit.add.flatMap((text, index) => {
    const ace = parseAceText(text, 'add')
    const to = (what: string, ...changed: readonly Ace[]): Mutation => ({
      what: `${what}: ${text} at ${edit.path}`, path: edit.path, ace,
      access: access.map(each => each === edit ? { ...each, add: each.add.flatMap((other, at) => at === index ? changed.map(printAce) : [other]) } : each),
    })
    const bits = Object.values(FILE_RIGHTS).filter(bit => (ace.mask & bit) !== 0)
    const isHandedOn = ace.flags.length > 0
    return [
      to('dropped'),
      to('turned round', { ...ace, type: ace.type === 'A' ? 'D' : 'A' }),
      ...bits.length < 2 ? [] : bits.map(bit => to(`without 0x${bit.toString(16)}`, { ...ace, mask: ace.mask & ~bit })),
      ...(isHandedOn ? [to('for this folder only', { ...ace, flags: [] }), to('not for files', { ...ace, flags: ace.flags.filter(flag => flag !== 'object-inherit') }), to('not for folders', { ...ace, flags: ace.flags.filter(flag => flag !== 'container-inherit') }), to('not further than the child', { ...ace, flags: [...ace.flags, 'no-propagate'] })] : []),
      ...(ace.flags.includes('inherit-only') ? [to('for this folder too', { ...ace, flags: ace.flags.filter(flag => flag !== 'inherit-only') })] : []),
      ...(edit.kind === 'directory' && !isHandedOn ? [to('handed on', { ...ace, flags: ['object-inherit', 'container-inherit'] })] : []),
      to('for somebody else', { ...ace, sid: 'S-1-5-21-3-3-3-3' }),
      ...(ace.type === 'A' && token.account !== ace.sid ? [to('for everybody', { ...ace, sid: SIDS.everyone })] : []),
    ]
  }))
}

/** All rights to all that is there, and to what would be made in each folder. */
function verdicts(host: HostSnapshot, plan: WindowsPlan): string {
  const model = new WindowsModel(host, plan)
  const defaultDacl = { isProtected: false, control: [], aces: [] }
  const made = { owner: plan.token.account, group: plan.token.account, defaultDacl }
  // Somebody else with an account, and another sandbox of the same accounts.
  const others = [plainToken('S-1-5-21-11-22-33-1002', []), { ...model.token, restricting: ['S-1-5-21-5-5-5-5', SIDS.everyone] }]
  return model.paths().map(path => {
    const descriptor = model.descriptor(path)
    if (descriptor === undefined) throw new Error(path)
    const later = model.isFolder(path) ? (['file', 'directory'] as const).flatMap(kind => {
      const child = newObject(descriptor, kind, made)
      return [child, ...(kind === 'directory' ? [newObject(child, 'file', made), newObject(child, 'directory', made)] : [])].map(each => grantedAccess(model.token, each))
    }) : []
    return [grantedAccess(model.token, descriptor), ...later, ...others.map(other => grantedAccess(other, descriptor))].join(',')
  }).join(';')
}

/** The same machine, on which every folder that the plan touches, and what holds it, has one and the same list of its own. */
function withLists(host: HostSnapshot, plan: WindowsPlan, list: string): HostSnapshot {
  const facts = host.windows as WindowsFacts
  const touched = new Set(plan.access.flatMap(({ path }) => [path, parentOf('windows', path)]).map(path => path.toLowerCase()))
  return { ...host, windows: { ...facts, descriptor: path => {
    const text = facts.descriptor(path)
    return text !== undefined && touched.has(path.toLowerCase()) ? list : text
  } } }
}

/** What nobody notices, with the reason. */
const UNNOTICED: readonly { readonly why: string; readonly is: (mutation: Mutation, plan: WindowsPlan) => boolean }[] = [
  {
    why: 'reading is the account\'s own under a write-restricted token: what the capability is allowed to read says nothing',
    is: ({ what, ace }, { capabilities }) => ace.type === 'A' && capabilities.some(({ sid }) => sid === ace.sid) && /^without 0x(?:1|8|20|80|20000|100000):/.test(what),
  },
  {
    why: 'a folder\'s own entry to read it stands beside the root\'s, or beside that of the folder that holds it',
    is: ({ what, path, ace }, { access }) => /^(?:dropped|without|for somebody else|for this folder only|not for|not further)/.test(what) && ace.type === 'A' && access.some(other => other.path !== path && path.toLowerCase().startsWith(`${other.path.toLowerCase()}\\`) && other.add.some(text => { const { type, sid, flags, mask } = parseAceText(text, 'add'); return type === 'A' && sid === ace.sid && flags.includes('container-inherit') && (bitOf(what, ace) & ~mask) === 0 })),
  },
  {
    why: 'a placeholder has no entries but ours, and the root denies these to all in it',
    is: ({ what, path, ace }, { placeholders }) => placeholders.some(each => each.path === path) && ace.type === 'D' && /^without 0x(?:40|40000|80000):/.test(what),
  },
]

/** What would be missing. */
const bitOf = (what: string, { mask }: Ace): number => Number(/^without (0x[0-9a-f]+):/.exec(what)?.[1] ?? mask)

/** Together they have every kind of entry; the others take a minute more: WINDOWS_MUTATIONS=all. */
const CASES = process.env['WINDOWS_MUTATIONS'] === 'all' ? WINDOWS_CASES : WINDOWS_CASES.filter(({ name }) => ['elevated-rules-in-rules', 'elevated-messy-host', 'unelevated-workspace-write'].includes(name))

describe('each entry', { timeout: 900_000 }, () => {
  test.each(CASES)('$name', each => {
    const { plan, host } = compileWindowsCase(each)
    const hosts = [host, withLists(host, plan, `O:${ME}D:AI(A;OICI;FA;;;WD)`), withLists(host, plan, `O:${ME}D:P(A;OICI;0x1200a9;;;WD)`), withLists(host, plan, `O:${ME}D:P(A;OICI;FA;;;${ME})`)]
    const originals = hosts.map(on => verdicts(on, plan))
    const mutations = mutationsOf(plan)
    const unnoticed = mutations.filter(({ access }) => hosts.every((on, index) => verdicts(on, { ...plan, access }) === originals[index]))
    expect(unnoticed.filter(mutation => !UNNOTICED.some(({ is }) => is(mutation, plan))).map(({ what }) => what)).toEqual([])
    expect(unnoticed.length / mutations.length).toBeLessThan(0.5)
  })
})
