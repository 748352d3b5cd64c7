import { expect, test } from 'vitest'
import { collapseNeeds } from '../../../src/learn/roots.js'
import { fakeHost } from '../../support/fake-host.js'

const host = fakeHost({
  home: { user: { '.cache': { pip: { http: {} } }, '.npm': { _logs: {} }, '.cargo': { bin: {}, registry: { cache: {} } }, go: { pkg: { mod: {} } }, project: { a: '', b: '', c: '', d: '' }, x: '', y: '', z: '' } },
  opt: { a: '', b: '', c: '' }, srv: { data: { one: {}, two: {}, three: {} } },
})
const collapse = (...paths: string[]) => collapseNeeds({ platform: 'linux', home: '/home/user', files: host.files }, paths.map(path => ({ path, tried: [path] }))).map(({ path, because }) => `${path}${because === undefined ? '' : `: ${because}`}`)

test.each<{ name: string; needs: string[]; roots: string[] }>([
  { name: 'one path is itself', needs: ['/home/user/project/a'], roots: ['/home/user/project/a'] },
  { name: 'two neighbours stay two', needs: ['/home/user/project/a', '/home/user/project/b'], roots: ['/home/user/project/a', '/home/user/project/b'] },
  { name: 'three neighbours stand for their folder', needs: ['/home/user/project/a', '/home/user/project/b', '/home/user/project/c'], roots: ['/home/user/project: 3 neighbours stand for their folder'] },
  { name: 'not for the home folder', needs: ['/home/user/x', '/home/user/y', '/home/user/z'], roots: ['/home/user/x', '/home/user/y', '/home/user/z'] },
  { name: 'not for a folder directly below the root', needs: ['/opt/a', '/opt/b', '/opt/c'], roots: ['/opt/a', '/opt/b', '/opt/c'] },
  { name: 'what lies in another root falls away', needs: ['/srv/data', '/srv/data/one', '/srv/data/two/x'], roots: ['/srv/data'] },
  { name: 'a tool\'s own cache is one', needs: ['/home/user/.npm/_logs', '/home/user/.cache/pip/http/a'], roots: ['/home/user/.cache/pip: a tool\'s own cache: the names in it change', '/home/user/.npm: a tool\'s own cache: the names in it change'] },
  { name: 'the part of a tool that holds programs is not its cache', needs: ['/home/user/.cargo/registry/cache', '/home/user/.cargo/bin'], roots: ['/home/user/.cargo/bin', '/home/user/.cargo/registry: a tool\'s own cache: the names in it change'] },
  { name: 'a cache of several names', needs: ['/home/user/go/pkg/mod/x@v1'], roots: ['/home/user/go/pkg/mod: a tool\'s own cache: the names in it change'] },
  { name: 'a cache that is not there yet cannot be opened', needs: ['/home/user/.cache/other/a'], roots: ['/home/user/.cache/other/a'] },
  { name: 'nothing is nothing', needs: [], roots: [] },
])('$name', ({ needs, roots }) => {
  expect(collapse(...needs)).toEqual(roots)
})

test('what was tried is kept', () => {
  const roots = collapseNeeds({ platform: 'linux', home: undefined, files: host.files }, [{ path: '/srv/data', tried: ['/srv/data/new'] }, { path: '/srv/data/one', tried: ['/srv/data/one/a', '/srv/data/one/b'] }])
  expect(roots).toEqual([{ path: '/srv/data', tried: ['/srv/data/new', '/srv/data/one/a', '/srv/data/one/b'], because: undefined }])
})
