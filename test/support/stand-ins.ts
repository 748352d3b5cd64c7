// Programs that take the place of macOS's own: a sandbox-exec that confines nothing but takes the same words and fails in the same
// ones, and a log that prints what a test gives it.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export interface StandIn {
  readonly path: string
  /** What it was started with, a line each; of several starts the last. */
  words(): string[]
}

/** `instead`: lines of shell before the command is started, where `"$@"` is the command. */
export function sandboxExecStandIn(instead = ''): StandIn {
  return program(`
for word; do printf '%s\\0' "$word"; done > "$0.words"
while [ "$1" != -- ]; do
  case $1 in
    -p) profile=$2; shift 2 ;;
    -D) shift 2 ;;
    *) echo "sandbox-exec: illegal option $1" >&2; exit 64 ;;
  esac
done
shift
${instead}
command -v "$1" > /dev/null || { echo "sandbox-exec: execvp() of '$1' failed: No such file or directory" >&2; exit 71; }
exec "$@"`)
}

/** `script`: what it does once it has noted its words. */
export function logStandIn(script: string): StandIn {
  return program(`
for word; do printf '%s\\0' "$word"; done > "$0.words"
${script}`)
}

function program(text: string): StandIn {
  const folder = mkdtempSync(join(tmpdir(), 'stand-in-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'program')
  writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return { path, words: () => readFileSync(`${path}.words`, 'utf8').split('\0').slice(0, -1) }
}
