// What `includePlatformDefaults` makes readable where reads are restricted: programs, libraries and their configuration.
// /dev and /proc are the back ends' own; the reference has the same lists.
import type { PlatformName } from './host-snapshot.js'

export const PLATFORM_DEFAULTS: Readonly<Record<PlatformName, readonly string[]>> = {
  linux: ['/bin', '/sbin', '/usr', '/etc', '/lib', '/lib64', '/nix/store', '/run/current-system/sw'],
  macos: [
    '/bin', '/sbin', '/usr/bin', '/usr/sbin', '/usr/lib', '/usr/libexec', '/usr/share', '/private/etc',
    '/System/Library', '/System/Cryptexes', '/System/Volumes/Preboot/Cryptexes', '/Library/Apple', '/Library/Frameworks', '/Library/Developer/CommandLineTools',
    '/private/var/db/timezone', '/private/var/db/dyld', '/private/var/db/xcode_select_link', '/private/var/select', '/Applications',
    // Homebrew's programs, but neither its `etc` nor its `var`, where databases and their passwords lie.
    ...['/opt/homebrew', '/usr/local'].flatMap(prefix => ['bin', 'sbin', 'lib', 'libexec', 'include', 'share', 'opt', 'Cellar', 'Caskroom', 'Frameworks'].map(name => `${prefix}/${name}`)),
  ],
  windows: ['C:\\Windows', 'C:\\Program Files', 'C:\\Program Files (x86)', 'C:\\ProgramData'],
}
