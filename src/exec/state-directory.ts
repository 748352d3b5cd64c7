// Where launchers write down what they put on the host, so that the next one removes what a killed one left.
import { join } from 'node:path'
import type { HostSnapshot } from '../policy/host-snapshot.js'
import { joinPath } from '../policy/path-syntax.js'

const NAME = 'codex-sandbox'

/** $XDG_STATE_HOME, else its default; a user without a home has a folder of their own in /var/tmp. On Windows %LOCALAPPDATA%, else where that lies in a profile. */
export function stateDirectory(env: Readonly<Record<string, string | undefined>>, { platform, home, uid }: Pick<HostSnapshot, 'platform' | 'home' | 'uid'>): string {
  if (platform === 'windows') return ofWindows(env['LOCALAPPDATA'], home)
  const named = env['XDG_STATE_HOME']
  if (named?.startsWith('/')) return join(named, NAME)
  return home === undefined ? `/var/tmp/${NAME}-${uid}` : join(home, '.local', 'state', NAME)
}

function ofWindows(named: string | undefined, home: string | undefined): string {
  if (named !== undefined && /^[A-Za-z]:[\\/]/.test(named)) return joinPath('windows', named, NAME)
  return home === undefined ? `C:\\ProgramData\\${NAME}` : joinPath('windows', home, 'AppData', 'Local', NAME)
}
