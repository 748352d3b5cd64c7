// Profiles that another project makes for macOS, whole: sandbox-runtime, a development dependency, whose generator runs anywhere.
import { expect, test } from 'vitest'
import { evaluate, type Reading } from '../../../../../src/platform/macos/sbpl/evaluate.js'
import { type Profile, parseProfile } from '../../../../../src/platform/macos/sbpl/profile.js'
import type { Request } from '../../../../../src/platform/macos/sbpl/request.js'

const GENERATOR = new URL('../../../../../node_modules/@anthropic-ai/sandbox-runtime/dist/sandbox/macos-sandbox-utils.js', import.meta.url)
const { wrapCommandWithSandboxMacOS } = await import(GENERATOR.href) as { wrapCommandWithSandboxMacOS: (options: Readonly<Record<string, unknown>>) => string }

const OPTIONS = {
  command: 'true', binShell: '/bin/sh', needsNetworkRestriction: true, httpProxyPort: 3128, socksProxyPort: 1080,
  readConfig: { denyOnly: ['/Users/me/.ssh', '/Users/me/**/*.pem'], allowWithinDeny: ['/Users/me/.ssh/known_hosts'] },
  writeConfig: { allowOnly: ['/Users/me/work'], denyWithinAllow: ['/Users/me/work/secret "1"', '/Users/me/work/**/.env'] },
}

/** The profile in the shell command that the generator gives. */
function generate(more: Readonly<Record<string, unknown>>): Profile {
  const command = wrapCommandWithSandboxMacOS({ ...OPTIONS, ...more })
  const [, quoted] = /sandbox-exec -p '((?:[^']|'"'"'|'\\'')*)'/.exec(command) ?? []
  if (quoted === undefined) throw new Error(`no profile in ${command.slice(0, 200)}`)
  return parseProfile(quoted.replaceAll(/'"'"'|'\\''/g, "'"))
}

test.each([
  { name: 'the narrow one',  more: {} },
  { name: 'one with sockets by path and a service', more: { allowUnixSockets: ['/tmp/s'], allowMachLookup: ['com.example.*'] } },
  { name: 'one with all that can be allowed', more: { allowLocalBinding: true, allowAllUnixSockets: true, allowPty: true, allowAppleEvents: true, enableWeakerNetworkIsolation: true, allowGitConfig: true } },
])('$name is understood whole, and means what its authors say', ({ more }) => {
  const profile = generate(more)
  const verdict = (request: Request, reading?: Reading) => evaluate(profile, request, reading).verdict
  expect(profile.rules.length).toBeGreaterThan(30)
  expect(verdict({ operation: 'file-read-data', path: '/Users/me/.ssh/id_rsa' })).toBe('deny')
  expect(verdict({ operation: 'file-read-data', path: '/Users/me/.ssh/known_hosts' })).toBe('allow')
  expect(verdict({ operation: 'file-read-data', path: '/Users/me/a/b/key.pem' })).toBe('deny')
  expect(verdict({ operation: 'file-read-data', path: '/Users/me/notes' })).toBe('allow')
  expect(verdict({ operation: 'file-write-data', path: '/Users/me/work/a' })).toBe('allow')
  expect(verdict({ operation: 'file-write-data', path: '/Users/me/notes' })).toBe('deny')
  expect(verdict({ operation: 'file-write-data', path: '/Users/me/work/secret "1"' })).toBe('deny')
  expect(verdict({ operation: 'file-write-create', path: '/Users/me/work/a/.env' })).toBe('deny')
  // They allow unlinking again by its own name, since their deny of it would win over any allow of file-write*.
  expect(verdict({ operation: 'file-write-unlink', path: '/Users/me/work/a' })).toBe('allow')
  expect(verdict({ operation: 'file-write-unlink', path: '/Users/me/work/secret "1"' })).toBe('deny')
  expect(verdict({ operation: 'network-outbound', remote: { protocol: 'tcp', host: '127.0.0.1', port: 3128 } })).toBe('allow')
  expect(verdict({ operation: 'network-outbound', remote: { protocol: 'tcp', host: '192.0.2.1', port: 443 } })).toBe('deny')
})
