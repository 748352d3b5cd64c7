// Where there is one loopback for all, a port is its own or none: nothing is led through.
import { expect, test } from 'vitest'
import type { CommandContext } from '../../../src/exec/command-run.js'
import { exposePort } from '../../../src/exec/expose.js'
import { failureOf } from '../../support/failure-of.js'

const contexts = (network: 'off' | 'open') => () => [{ plan: { backend: 'windows-elevated' }, policy: { network } } as unknown as CommandContext]

test('on Windows an open network has the port already', async () => {
  expect(await exposePort(3000, {}, contexts('open'))).toMatchObject({ port: 3000, hostPort: 3000 })
  expect(await failureOf(() => exposePort(3000, { hostPort: 3001 }, contexts('open')))).toMatchObject({ code: 'option_invalid', field: 'hostPort', message: expect.stringContaining('on Windows') })
})
test('and a closed one has none', async () => {
  expect(await failureOf(() => exposePort(3000, {}, contexts('off')))).toMatchObject({ code: 'rule_not_enforceable', field: 'port' })
})
