// What the elevated part takes: a request is judged as if a stranger had written it.
import { describe, expect, test } from 'vitest'
import { openMachineSession } from '../../../../../src/platform/windows/setup/machine-session.js'
import { newPassword } from '../../../../../src/platform/windows/setup/machine-steps.js'
import { type MachineRequest, parseMachineRequest, REQUEST_VERSION } from '../../../../../src/platform/windows/setup/machine-request.js'
import { FakeWindows } from '../../../../support/fake-windows.js'
import { ME, WIN_TREE, winHost } from '../../../../support/windows-host.js'

const CAP = 'S-1-5-21-9-9-9-9'
const REQUEST: MachineRequest = { version: REQUEST_VERSION, task: 'set-up', user: { name: 'me', sid: ME }, wantsPasswords: false, proxyPorts: [8080], close: [], sids: [CAP], strip: [] }
const closing = (...add: string[]): MachineRequest => ({ ...REQUEST, close: [{ path: 'C:\\src', kind: 'directory', add }] })

test('a request is read as it was written', () => {
  for (const request of [REQUEST, closing(`(D;OICI;0xd0156;;;${CAP})`, '(D;OICI;0x29;;;{group})'), { ...REQUEST, task: 'uninstall' as const, strip: ['C:\\src'] }]) expect(parseMachineRequest(JSON.stringify(request))).toEqual(request)
})

test.each<{ name: string; request: unknown; says: RegExp }>([
  { name: 'gives something', request: closing(`(A;OICI;FA;;;${CAP})`), says: /does not deny/ },
  { name: 'gives something to the group', request: closing('(A;OICI;FA;;;{group})'), says: /does not deny/ },
  { name: 'denies to somebody else', request: closing('(D;OICI;FA;;;BA)'), says: /not for a SID of ours/ },
  { name: 'denies to a capability that it does not name', request: closing('(D;OICI;FA;;;S-1-5-21-9-9-9-8)'), says: /not for a SID of ours/ },
  { name: 'an entry with a condition', request: closing(`(XD;OICI;FA;;;${CAP};(Member_of{SID(BA)}))`), says: /does not deny/ },
  { name: 'two entries in one', request: closing(`(D;OICI;FA;;;${CAP})(A;OICI;FA;;;WD)`), says: /not understood/ },
  { name: 'a SID of administrators', request: { ...REQUEST, sids: ['S-1-5-32-544'] }, says: /no SIDs of ours/ },
  { name: 'a relative path', request: { ...REQUEST, close: [{ path: 'src', kind: 'directory', add: [] }] }, says: /close/ },
  { name: 'a path with dots', request: { ...REQUEST, strip: ['C:\\src\\..\\Windows'] }, says: /strip/ },
  { name: 'a share', request: { ...REQUEST, strip: ['\\\\server\\share'] }, says: /strip/ },
  { name: 'a port that is none', request: { ...REQUEST, proxyPorts: [0] }, says: /proxyPorts/ },
  { name: 'no user', request: { ...REQUEST, user: { name: 'me', sid: 'me' } }, says: /user/ },
  { name: 'another version', request: { ...REQUEST, version: 99 }, says: /version 99/ },
  { name: 'another task', request: { ...REQUEST, task: 'run' }, says: /task/ },
  { name: 'nothing', request: null, says: /no object/ },
])('refused: $name', ({ request, says }) => {
  expect(() => parseMachineRequest(JSON.stringify(request))).toThrow(says)
})

describe('by the elevated part itself', () => {
  test.each(['set-up', 'uninstall'] as const)('%s: a SID that somebody has is no capability, whatever it looks like', async task => {
    const windows = new FakeWindows(winHost(WIN_TREE))
    windows.names.set(CAP, 'THEM\\administrator')
    const before = windows.picture()
    await expect(openMachineSession(windows.system(true), { ...REQUEST, task, strip: ['C:\\src'] }, {})).rejects.toMatchObject({ code: 'windows_setup_refused', message: expect.stringContaining('THEM') })
    expect(windows.picture()).toEqual(before)
  })

  test('undone, as when whoever asked for it is gone: nothing stays', async () => {
    const windows = new FakeWindows(winHost(WIN_TREE))
    const before = windows.picture()
    const session = await openMachineSession(windows.system(true), parseMachineRequest(JSON.stringify(closing(`(D;OICI;0xd0156;;;${CAP})`, '(D;OICI;0x29;;;{group})'))), {})
    expect(windows.list('C:\\src\\project\\a.c')).toContain(`(D;ID;0xd0156;;;${CAP})`)
    expect(windows.list('C:\\src\\project\\a.c')).toContain(session.result.accounts?.group.sid)
    await session.undo()
    expect(windows.picture()).toEqual(before)
  })
})

test('a password has every kind of letter, and the length that the machine wants', () => {
  for (const least of [0, 14, 60]) for (let turn = 0; turn < 50; turn++) {
    const password = newPassword(least)
    expect(password).toHaveLength(Math.max(32, least))
    for (const kind of [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/]) expect(password).toMatch(kind)
  }
  expect(new Set(Array.from({ length: 100 }, () => newPassword(0))).size).toBe(100)
})
