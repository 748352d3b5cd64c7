// A Mac made by hand: /tmp, /var and /etc are links, the disk ignores letter case, and the data volume shows in two places.
import type { LayerReport } from '../../src/platform/backend.js'
import type { FileSystemView, HostSnapshot } from '../../src/policy/host-snapshot.js'
import { device, fakeHost, type FakeHostOptions, symlink, type Tree } from './fake-host.js'

const git: Tree = { HEAD: 'ref: refs/heads/main\n', config: '', objects: {}, refs: {}, hooks: { 'pre-commit': '' }, info: {} }

export const MAC_WORK: Tree = {
  '.git': git, src: { 'a.ts': '', gen: { 'b.ts': '' } }, deep: { er: { 'secret.txt': '', 'open.txt': '' } }, 'id.key': '', run: '#!/bin/sh\n', link: symlink('../other'),
}

/** What every Mac has, and a user with a workspace. */
export const MAC_TREE: Tree = {
  Users: {
    me: {
      work: MAC_WORK, other: { 'file.txt': '', 'Read Me': '' }, '.ssh': { id_ed25519: '', 'id_ed25519.pub': '' }, '.npmrc': '', '.codex': { 'auth.json': '' },
      Library: { Keychains: { 'login.keychain-db': '' }, Preferences: {} }, '.gitconfig': '',
    },
    them: { notes: '' },
  },
  private: { tmp: { scratch: {} }, var: { folders: { zz: { abc: { T: {}, C: {} } } }, run: { mDNSResponder: '', 'docker.sock': '' }, db: { timezone: {}, dyld: {} }, select: { sh: '' } }, etc: { hosts: '', passwd: '' } },
  tmp: symlink('private/tmp'), var: symlink('private/var'), etc: symlink('private/etc'),
  bin: { sh: '' }, sbin: {}, usr: { bin: { env: '', git: '' }, sbin: {}, lib: { 'libSystem.B.dylib': '' }, libexec: {}, share: {}, local: { bin: {} } },
  System: { Library: { Frameworks: {} }, Volumes: { Preboot: { Cryptexes: { OS: {} } }, Data: {} }, Cryptexes: { OS: symlink('../Volumes/Preboot/Cryptexes/OS') } },
  Library: { Apple: {}, Frameworks: {}, Developer: { CommandLineTools: {} } }, Applications: { 'Some App.app': {} }, opt: { homebrew: { bin: { node: '' } } }, dev: { null: device(), 'cu.usbserial': device() }, Volumes: {},
}

const DATA = '/System/Volumes/Data'
/** Folders of the data volume that show at the root as well. */
const FIRMLINKS = ['/Users', '/private', '/Applications', '/Library', '/opt', '/usr/local', '/Volumes']

/** cwd /Users/me/work, $TMPDIR as launchd sets it. The whole disk ignores letter case unless `caseInsensitive` says otherwise. */
export function macHost(tree: Tree = MAC_TREE, overrides: FakeHostOptions = {}): HostSnapshot {
  const host = fakeHost(tree, {
    platform: 'macos', cwd: '/Users/me/work', home: '/Users/me', tmpdir: '/var/folders/zz/abc/T/', codexHome: '/Users/me/.codex', uid: 501, gid: 20, caseInsensitive: [''], ...overrides,
  })
  return { ...host, files: withFirmlinks(host.files) }
}

function withFirmlinks(files: FileSystemView): FileSystemView {
  const near = (path: string): string => {
    const rest = path.slice(DATA.length)
    return path.startsWith(`${DATA}/`) && FIRMLINKS.some(folder => rest === folder || rest.startsWith(`${folder}/`)) ? rest : path
  }
  return { entry: path => files.entry(near(path)), children: path => files.children(near(path)), text: path => files.text(near(path)), bytes: path => files.bytes(near(path)) }
}

export const SEATBELT_THERE: readonly LayerReport[] = [{ layer: 'seatbelt', available: true }]
