// Amendments: appended once and whole, next to other writers, never to a file that is not understood.
import { fork, spawnSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { assess } from '../../../src/approval/assess.js'
import { loadRules, userRulesFile } from '../../../src/approval/load-rules.js'
import { appendNetworkRule, appendPrefixRule } from '../../../src/approval/write-rules.js'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'amend-'))
  file = userRulesFile(folder)
})
afterEach(() => rmSync(folder, { recursive: true }))
const text = (): string => readFileSync(file, 'utf8')

test('the file is made, for its owner alone, with the line that the reference writes', async () => {
  expect(await appendPrefixRule(file, ['npm', 'run', 'a "b" \\ é'])).toBe(true)
  expect(text()).toBe('prefix_rule(pattern=["npm", "run", "a \\"b\\" \\\\ é"], decision="allow")\n')
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(readdirSync(path.dirname(file))).toEqual(['default.rules'])
})
test('and holds from then on', async () => {
  const given = () => ({ approvalPolicy: 'untrusted', sandboxMode: 'workspace-write', rules: loadRules({ codexHome: folder }) }) as const
  expect(assess(['npm', 'ci'], given())).toHaveProperty('ask')
  await appendPrefixRule(file, ['npm', 'ci'])
  expect(assess(['npm', 'ci'], given())).toEqual({ run: 'sandboxed' })
})
test('twice is once', async () => {
  expect([await appendPrefixRule(file, ['a']), await appendPrefixRule(file, ['a']), await appendPrefixRule(file, ['b'])]).toEqual([true, false, true])
  expect(text()).toBe('prefix_rule(pattern=["a"], decision="allow")\nprefix_rule(pattern=["b"], decision="allow")\n')
})
test('what stands there stays, mode included, and a last line without an end gets one', async () => {
  mkdirSync(path.dirname(file))
  writeFileSync(file, '# mine\nx = 1')
  chmodSync(file, 0o644)
  await appendPrefixRule(file, ['a'])
  expect(text()).toBe('# mine\nx = 1\nprefix_rule(pattern=["a"], decision="allow")\n')
  expect(statSync(file).mode & 0o777).toBe(0o644)
})
test('hosts the same way', async () => {
  await appendNetworkRule(file, { host: 'example.com', action: 'deny' }, 'https')
  await appendNetworkRule(file, { host: 'example.com', action: 'allow' }, 'socks5Tcp')
  expect(text()).toBe('network_rule(host="example.com", protocol="https", decision="deny")\nnetwork_rule(host="example.com", protocol="socks5_tcp", decision="allow")\n')
  expect(loadRules({ codexHome: folder }).networks.map(({ host, protocol, decision }) => [host, protocol, decision])).toEqual([['example.com', 'https', 'forbidden'], ['example.com', 'socks5Tcp', 'allow']])
})
test('a file that is a link stays one; the file behind it is amended', async () => {
  mkdirSync(path.dirname(file))
  writeFileSync(path.join(folder, 'dotfile'), '# mine\n')
  symlinkSync('../dotfile', file)
  await appendPrefixRule(file, ['a'])
  expect(lstatSync(file).isSymbolicLink()).toBe(true)
  expect(readFileSync(path.join(folder, 'dotfile'), 'utf8')).toBe('# mine\nprefix_rule(pattern=["a"], decision="allow")\n')
})
test('nothing is added to a file that is wrong, nor where its last line goes on', async () => {
  mkdirSync(path.dirname(file))
  for (const wrong of ['prefix_rule(', 'def f():', 'x = 1 \\']) {
    writeFileSync(file, wrong)
    await expect(appendPrefixRule(file, ['a'])).rejects.toMatchObject({ code: 'rules_invalid' })
    expect(text()).toBe(wrong)
  }
  expect(readdirSync(path.dirname(file))).toEqual(['default.rules'])
})
test('where it cannot be written nothing is left behind, and the error says so', async () => {
  writeFileSync(path.join(folder, 'rules'), 'a file in the folder\'s place')
  await expect(appendPrefixRule(file, ['a'])).rejects.toMatchObject({ code: 'set_up_failed', step: 'append_rule' })
  expect(readdirSync(folder)).toEqual(['rules'])
})
test('the lock of a process that is gone is taken away', async () => {
  mkdirSync(path.dirname(file))
  writeFileSync(`${file}.lock`, `${spawnSync('true').pid} x`)
  expect(await appendPrefixRule(file, ['a'])).toBe(true)
  expect(readdirSync(path.dirname(file))).toEqual(['default.rules'])
})
test('the lock of one that lives is waited for', async () => {
  mkdirSync(path.dirname(file))
  writeFileSync(`${file}.lock`, `${process.pid} x`)
  let done = false
  const appended = appendPrefixRule(file, ['a']).then(() => { done = true })
  await new Promise(next => setTimeout(next, 200))
  expect(done).toBe(false)
  rmSync(`${file}.lock`)
  await appended
  expect(text()).toContain('"a"')
})
test('many writers in many processes lose nothing and write nothing twice', async () => {
  const script = path.join(folder, 'writer.mjs')
  const { build } = await import('esbuild')
  await build({ entryPoints: ['src/approval/write-rules.ts'], bundle: true, platform: 'node', format: 'esm', outfile: path.join(folder, 'write-rules.mjs'), logLevel: 'error' })
  writeFileSync(script, `import { appendPrefixRule } from './write-rules.mjs'
const [file, me] = process.argv.slice(2)
for (let i = 0; i < 8; i++) {
  await appendPrefixRule(file, ['own', me, String(i)])
  await appendPrefixRule(file, ['shared', String(i)])
}`)
  const codes = await Promise.all(['a', 'b', 'c', 'd'].map(me => new Promise(done => fork(script, [file, me], { stdio: 'inherit' }).once('exit', done))))
  expect(codes).toEqual([0, 0, 0, 0])
  const lines = text().trimEnd().split('\n')
  expect(new Set(lines).size).toBe(lines.length)
  expect(lines).toHaveLength(4 * 8 + 8)
  expect(readdirSync(path.dirname(file))).toEqual(['default.rules'])
})
