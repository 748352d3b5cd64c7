// A Windows machine as most are: what `--print-plan --platform windows` is for where no `--host` names another one.
import type { SnapshotFile } from './snapshot-file.js'

const ME = 'S-1-5-21-1004336348-1177238915-682003330-1001'
const INSTALLER = 'S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464'
const SYSTEM_AND_ADMINISTRATORS = '(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)'
const INSTALLED = `O:${INSTALLER}G:${INSTALLER}D:PAI(A;OICI;FA;;;${INSTALLER})(A;OICI;0x1301bf;;;SY)(A;OICI;0x1301bf;;;BA)(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;AC)`

export const EXAMPLE_WINDOWS: SnapshotFile = {
  platform: 'windows',
  cwd: 'C:\\Users\\me\\project',
  home: 'C:\\Users\\me',
  tmpdir: 'C:\\Users\\me\\AppData\\Local\\Temp',
  windows: {
    user: { name: 'me', sid: ME },
    lists: {
      'C:\\Windows': INSTALLED, 'C:\\Program Files': INSTALLED, 'C:\\Program Files (x86)': INSTALLED,
      'C:\\ProgramData': `O:SYG:SYD:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICIIO;GA;;;CO)(A;OICI;0x1200a9;;;BU)(A;CI;0x116;;;BU)`,
      'C:\\Users': `O:SYG:SYD:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICI;0x1200a9;;;BU)(A;OICI;0x1200a9;;;WD)`,
      'C:\\Users\\me': `O:${ME}G:${ME}D:PAI${SYSTEM_AND_ADMINISTRATORS}(A;OICI;FA;;;${ME})`,
    },
  },
  files: {
    'C:\\Users\\me\\project\\.git\\HEAD': 'ref: refs/heads/main\n',
    'C:\\Users\\me\\project\\.git\\config': '',
    'C:\\Users\\me\\project\\.git\\objects\\': null,
    'C:\\Users\\me\\project\\.git\\refs\\': null,
    'C:\\Users\\me\\project\\src\\': null,
    'C:\\Users\\me\\.ssh\\id_ed25519': '',
    'C:\\Users\\me\\.ssh\\id_ed25519.pub': '',
    'C:\\Users\\me\\.npmrc': '',
    'C:\\Users\\me\\.codex\\': null,
    'C:\\Users\\me\\AppData\\Local\\Temp\\': null,
    'C:\\Users\\me\\AppData\\Local\\Programs\\': null,
    'C:\\Users\\me\\AppData\\Roaming\\GitHub CLI\\hosts.yml': '',
    'C:\\Users\\me\\Documents\\': null,
    'C:\\Windows\\System32\\': null,
    'C:\\Program Files\\nodejs\\': null,
    'C:\\Program Files (x86)\\': null,
    'C:\\ProgramData\\': null,
  },
}
