import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { CODEX_SECRETS, SECRET_PLACES } from '../../src/policy/secrets.js'

test('docs/threat-model.md names every place of keys, and every name in one that stays readable', () => {
  const section = readFileSync('docs/threat-model.md', 'utf8').split('## Places of keys and tokens')[1] ?? ''
  const told = [...section.matchAll(/`([^`]+)`/g)].map(([, name]) => name)
  const places = SECRET_PLACES.flatMap(({ path, open = [] }) => [path.startsWith('/') ? path : `~/${path}`, ...open])
  expect(told.filter(name => name !== 'denySecrets').sort()).toEqual([...places, ...CODEX_SECRETS].sort())
})
