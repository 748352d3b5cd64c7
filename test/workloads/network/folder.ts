// A workspace for a whole group of tests, outside /tmp.
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'

export interface Folder {
  readonly path: string
  remove(): void
}

export function makeFolder(): Folder {
  const path = realpathSync(mkdtempSync('/var/tmp/network-test-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}
