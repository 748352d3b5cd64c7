// Where launchers write down what they put on the host, so that the next one removes what a killed one left.
import { join } from 'node:path'
import type { HostSnapshot } from '../policy/host-snapshot.js'

const NAME = 'codex-sandbox'

/** $XDG_STATE_HOME, else its default; a user without a home has a folder of their own in /var/tmp. */
export function stateDirectory(env: Readonly<Record<string, string | undefined>>, { home, uid }: Pick<HostSnapshot, 'home' | 'uid'>): string {
  const named = env['XDG_STATE_HOME']
  if (named?.startsWith('/')) return join(named, NAME)
  return home === undefined ? `/var/tmp/${NAME}-${uid}` : join(home, '.local', 'state', NAME)
}
