// A Mac as most are: what `--print-plan --platform macos` is for where no `--host` names another one.
import type { SnapshotFile } from './snapshot-file.js'

export const EXAMPLE_MAC: SnapshotFile = {
  platform: 'macos',
  cwd: '/Users/me/project',
  home: '/Users/me',
  tmpdir: '/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/',
  files: {
    '/Users/me/project/.git/HEAD': 'ref: refs/heads/main\n',
    '/Users/me/project/.git/config': '',
    '/Users/me/project/.git/objects/': null,
    '/Users/me/project/.git/refs/': null,
    '/Users/me/project/src/': null,
    '/Users/me/.ssh/id_ed25519': '',
    '/Users/me/.ssh/id_ed25519.pub': '',
    '/Users/me/.npmrc': '',
    '/Users/me/Library/Keychains/': null,
    '/private/tmp/': null,
    '/private/etc/': null,
    '/private/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T/': null,
    '/private/var/db/timezone/': null,
    '/private/var/db/dyld/': null,
    '/private/var/select/': null,
    '/tmp': { link: 'private/tmp' },
    '/var': { link: 'private/var' },
    '/etc': { link: 'private/etc' },
    '/bin/': null, '/sbin/': null, '/usr/bin/': null, '/usr/sbin/': null, '/usr/lib/': null, '/usr/libexec/': null, '/usr/share/': null,
    '/System/Library/': null, '/System/Cryptexes/': null, '/System/Volumes/Data/': null, '/System/Volumes/Preboot/Cryptexes/': null,
    '/Library/Apple/': null, '/Library/Frameworks/': null, '/Library/Developer/CommandLineTools/': null,
    '/Applications/': null, '/opt/homebrew/bin/': null, '/opt/homebrew/lib/': null, '/opt/homebrew/opt/': null, '/opt/homebrew/Cellar/': null, '/usr/local/bin/': null,
  },
}
