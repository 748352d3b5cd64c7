import { describe, expect, test } from 'vitest'
import { makeEnvironment } from '../../../src/exec/environment.js'
import { fillProxyPlaces, type ProxyVariableOptions, proxyVariables } from '../../../src/exec/network/proxy-environment.js'
import type { EnvironmentPolicy } from '../../../src/policy/sandbox-policy.js'

const POLICY: EnvironmentPolicy = { inherit: 'all', keep: [], exclude: [], set: {}, dropSecrets: true }
const NONE: ProxyVariableOptions = { java: false, connectHelper: undefined }
const ENDPOINT = { httpPort: 3128, socksPort: 1080, user: 'c1', password: 'x' }

const environment = (host: Record<string, string> = {}, policy: Partial<EnvironmentPolicy> = {}, options = NONE) =>
  makeEnvironment({ ...POLICY, ...policy }, host, 'proxied', undefined, proxyVariables(options))

describe('what programs see of the proxy', () => {
  test('names all of them, with the place of the listener', () => {
    const filled = Object.fromEntries(fillProxyPlaces(environment().terminalList, ENDPOINT).map(line => line.split(/=(.*)/s).slice(0, 2) as [string, string]))
    const http = 'http://c1:x@127.0.0.1:3128'
    const direct = 'localhost,127.0.0.1,::1'
    expect(filled).toEqual({
      HTTP_PROXY: http, http_proxy: http, HTTPS_PROXY: http, https_proxy: http, ALL_PROXY: http, all_proxy: http, NO_PROXY: direct, no_proxy: direct, npm_config_noproxy: direct,
      WS_PROXY: http, ws_proxy: http, WSS_PROXY: http, wss_proxy: http, npm_config_proxy: http, npm_config_https_proxy: http, YARN_HTTP_PROXY: http, YARN_HTTPS_PROXY: http, PIP_PROXY: http,
      BUNDLE_HTTP_PROXY: http, BUNDLE_HTTPS_PROXY: http, DOCKER_HTTP_PROXY: http, DOCKER_HTTPS_PROXY: http, NODE_USE_ENV_PROXY: '1', ELECTRON_GET_USE_PROXY: 'true',
      CODEX_NETWORK_PROXY_ACTIVE: '1', CODEX_SANDBOX_SOCKS_PROXY: 'socks5h://c1:x@127.0.0.1:1080',
    })
  })
  test('replaces the host\'s own, but nothing that the policy sets or excludes', () => {
    const { variables } = environment({ HTTPS_PROXY: 'http://corp:8080', no_proxy: '*' }, { set: { HTTP_PROXY: 'http://mine' }, exclude: ['ALL_PROXY'] })
    expect([variables['HTTPS_PROXY'], variables['no_proxy'], variables['HTTP_PROXY'], variables['ALL_PROXY']]).toEqual(['http://{codex-sandbox-http}', 'localhost,127.0.0.1,::1', 'http://mine', undefined])
  })
  test('leads ssh through the helper, unless git has its own command', () => {
    const options = { java: false, connectHelper: '/opt/x/launcher' }
    expect(environment({}, {}, options).variables).toMatchObject({ CODEX_SANDBOX_CONNECT: '/opt/x/launcher --connect', GIT_SSH_COMMAND: 'ssh -o \'ProxyCommand=/opt/x/launcher --connect %h %p\'' })
    expect(environment({ GIT_SSH_COMMAND: 'ssh -i k' }, {}, options).variables).toMatchObject({ CODEX_SANDBOX_CONNECT: '/opt/x/launcher --connect', GIT_SSH_COMMAND: 'ssh -i k' })
  })
  test.each(['/a b/launcher', '/a\'b', '/100%/x', '/a$b'])('but not through one at %s, which shells would read as something else', connectHelper => {
    expect(Object.keys(environment({}, {}, { java: false, connectHelper }).variables).filter(name => /SSH|CONNECT/.test(name))).toEqual([])
  })
  test('tells Java only where it is asked for', () => {
    expect(environment().variables['JAVA_TOOL_OPTIONS']).toBe(undefined)
    expect(fillProxyPlaces([`J=${environment({}, {}, { java: true, connectHelper: undefined }).variables['JAVA_TOOL_OPTIONS']}`], ENDPOINT)[0]).toContain('-Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=3128')
  })
})

test('an environment without such places is left as it is, and shared', () => {
  const env = ['A=1', 'B={x}']
  expect(fillProxyPlaces(env, ENDPOINT)).toBe(env)
})
