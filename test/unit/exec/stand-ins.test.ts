// Which lines of a hidden configuration are shown: only those that are known to hold no secret.
import { expect, test } from 'vitest'
import { STAND_INS } from '../../../src/exec/stand-ins.js'

const copy = (path: string, ...lines: string[]): string[] => STAND_INS.find(each => each.path === path)!.publicLines(lines.join('\n')).split('\n').filter(line => line !== '')

test('of ~/.npmrc', () => {
  expect(copy('.npmrc',
    'registry=https://registry.example.org/', '@mine:registry = https://npm.example.org/', 'save-exact=true', '; a comment', '# _auth=x',
    '//registry.example.org/:_authToken=secret', '//registry.example.org/:username=me', '_auth=secret', '_password=secret', 'email=me@example.org', 'key=secret', 'cert="secret"', '//r/:certfile=/x',
    'proxy=http://user:pw@proxy/', 'https-proxy=http://proxy/', 'registry=https://user:pw@registry.example.org/', '@other:registry=https://token@host/', '_authToken=${NPM_TOKEN}', 'registry=https://${TOKEN}/', 'no-such-key=1',
    'omit[]=dev', 'omit[]=optional', '  indented=secret', '  _auth=secret', '  fund=false', '[section]', 'strict-ssl=false',
  )).toEqual(['registry=https://registry.example.org/', '@mine:registry = https://npm.example.org/', 'save-exact=true', 'omit[]=dev', 'omit[]=optional', '  fund=false', '[section]', 'strict-ssl=false'])
})

test('of pip.conf, with values over several lines', () => {
  expect(copy('.config/pip/pip.conf',
    '[global]', 'index-url = https://pypi.example.org/simple', 'extra-index-url =', '    https://one.example.org/', '    https://user:pw@two.example.org/', '    https://three.example.org/',
    'client-cert = /secret.pem', '    more-of-it', 'proxy = user:pw@proxy:80', 'timeout = 10', '[install]', 'no-binary = :all:', 'global-option = x',
  )).toEqual(['[global]', 'index-url = https://pypi.example.org/simple', 'extra-index-url =', '    https://one.example.org/', '    https://three.example.org/', 'timeout = 10', '[install]', 'no-binary = :all:'])
})

test('of bundler\'s configuration nothing', () => {
  expect(copy('.bundle/config', '---', 'BUNDLE_GEMS__EXAMPLE__ORG: "user:secret"')).toEqual(['---'])
})
