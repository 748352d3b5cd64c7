// A Windows machine made by hand: one NTFS drive as Windows sets it up, a profile that only its user may read, and a workspace.
import type { LayerReport } from '../../src/platform/backend.js'
import { withInheritedDescriptors } from '../../src/platform/windows/host-facts.js'
import type { HostSnapshot, WindowsFacts } from '../../src/policy/host-snapshot.js'
import { fakeHost, type FakeHostOptions, symlink, type Tree } from './fake-host.js'

export const ME = 'S-1-5-21-11-22-33-1001'
const GROUP_OF_ME = 'S-1-5-21-11-22-33-513'
const SYSTEM_AND_ADMINISTRATORS = '(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)'
export const ONLY_MINE = `O:${ME}G:${GROUP_OF_ME}D:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICI;FA;;;${ME})`
/** Everybody by an entry of its own. */
export const EVERYBODYS = `O:${ME}G:${GROUP_OF_ME}D:AI(A;OICI;FA;;;WD)`

const git: Tree = { HEAD: 'ref: refs/heads/main\n', config: '', objects: {}, refs: {}, hooks: { 'pre-commit': '' }, info: {} }

const WIN_WORK: Tree = {
  '.git': git, src: { 'a.ts': '', gen: { 'b.ts': '' } }, deep: { er: { 'secret.txt': '', 'open.txt': '' } }, 'id.key': '', 'run.cmd': '', junction: symlink('C:\\Users\\me\\other'),
}

export const WIN_TREE: Tree = {
  'C:': {
    Users: {
      me: {
        work: WIN_WORK, other: { 'file.txt': '' }, '.ssh': { id_ed25519: '', 'id_ed25519.pub': '' }, '.npmrc': '', '.codex': { 'auth.json': '' }, '.config': { gh: { 'hosts.yml': '' }, tool: { x: '' } },
        AppData: { Local: { Temp: { scratch: {} }, Programs: { x: '' } }, Roaming: { 'GitHub CLI': { 'hosts.yml': '' }, npm: {} } }, Documents: { 'note.txt': '' },
      },
      them: { notes: '' }, Public: { x: '' },
    },
    Windows: { System32: { 'cmd.exe': '' }, Temp: {} }, 'Program Files': { nodejs: { 'node.exe': '' } }, 'Program Files (x86)': {}, ProgramData: { x: '' }, src: { project: { 'a.c': '' } },
  },
}

const INSTALLED = 'O:S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464G:SYD:PAI(A;OICI;FA;;;S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464)(A;OICI;0x1301bf;;;SY)(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;AC)'

/** What has a list of its own; the rest inherits. */
export const WIN_LISTS: Readonly<Record<string, string>> = {
  'C:\\Windows': INSTALLED, 'C:\\Program Files': INSTALLED, 'C:\\Program Files (x86)': INSTALLED,
  'C:\\ProgramData': `O:SYG:SYD:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;0x116;;;BU)`,
  'C:\\Windows\\Temp': `O:SYG:SYD:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICIIO;GA;;;CO)(A;CI;0x100026;;;BU)`,
  'C:\\Users': `O:SYG:SYD:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;WD)`,
  'C:\\Users\\me': ONLY_MINE,
  'C:\\Users\\them': `O:S-1-5-21-11-22-33-1002G:${GROUP_OF_ME}D:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICI;FA;;;S-1-5-21-11-22-33-1002)`,
  'C:\\src': `O:${ME}G:${GROUP_OF_ME}D:AI`,
}

export interface WinHostOptions extends Omit<FakeHostOptions, 'windows'> {
  readonly lists?: Readonly<Record<string, string>>
  readonly facts?: Partial<WindowsFacts>
}

/** cwd C:\Users\me\work, %TEMP% in the profile. */
export function winHost(tree: Tree = WIN_TREE, { lists = {}, facts = {}, ...overrides }: WinHostOptions = {}): HostSnapshot {
  const all: Readonly<Record<string, string>> = { ...WIN_LISTS, ...lists }
  const profile = ((tree['C:'] as Tree)['Users'] as Tree | undefined)?.['me'] as Tree | undefined
  const host = fakeHost(tree, {
    platform: 'windows', cwd: 'C:\\Users\\me\\work', home: 'C:\\Users\\me', tmpdir: 'C:\\Users\\me\\AppData\\Local\\Temp', codexHome: 'C:\\Users\\me\\.codex', uid: -1, gid: -1, caseInsensitive: [''], ...overrides,
    windows: {
      drives: Object.keys(tree).map(letter => ({ letter, fileSystem: 'NTFS', kind: 'fixed' as const })),
      user: { name: 'me', sid: ME }, systemRoot: 'C:\\Windows', profileEntries: Object.keys(profile ?? {}).map(name => `C:\\Users\\me\\${name}`),
      descriptor: path => all[path], kind: () => undefined, worldWritable: [], ownLists: [], setUp: undefined, ...facts,
    },
  })
  const kind: WindowsFacts['kind'] = path => {
    const entry = host.files.entry(path)
    return entry === undefined ? undefined : entry.kind === 'directory' ? 'directory' : 'file'
  }
  return withInheritedDescriptors({ ...host, windows: { ...host.windows as WindowsFacts, kind } })
}

export const WINDOWS_THERE: readonly LayerReport[] = [{ layer: 'windows-addon', available: true }]
