// The templates, rule by rule: what tools need is open, and its neighbours are not.
import { describe, expect, test } from 'vitest'
import { compileProfile } from '../../../../src/platform/macos/compile.js'
import { TEMPLATES } from '../../../../src/platform/macos/templates.generated.js'
import { SEATBELT_NEEDS } from '../../../support/seatbelt-needs.js'
import { SEATBELT_CASES, resolveCase } from '../../../support/seatbelt-policies.js'
import { SeatbeltModel } from '../../../support/seatbelt-model.js'

/** Each template in a profile that has it. */
const CASES = { base: 'workspace-write', devices: 'workspace-write', 'platform-defaults': 'workspace-write', 'network-open': 'network-open', 'network-proxied': 'network-loopback', last: 'workspace-write' } as const

function modelOf(name: string): SeatbeltModel {
  const found = SEATBELT_CASES.find(each => each.name === name)
  if (found === undefined) throw new Error(`no case ${name}`)
  const { policy, host } = resolveCase(found)
  return new SeatbeltModel(compileProfile(policy, found.endpoints), host)
}

describe.each(SEATBELT_NEEDS)('$template: $tool', ({ template, allowed, denied }) => {
  // The terminal of the process itself is denied by that case.
  const model = modelOf(CASES[template])
  test.each([...allowed.map(request => ({ request, verdict: true })), ...denied.map(request => ({ request, verdict: false }))])('$request: $verdict', ({ request, verdict }) => {
    expect(model.asks(request)).toBe(verdict)
  })
})

test('every template has its needs', () => {
  expect(new Set(SEATBELT_NEEDS.map(({ template }) => template))).toEqual(new Set(Object.keys(TEMPLATES)))
})
