// What a command could reach beside the files and sockets of the conformance table: processes outside, and files by ways around a path.
// Each is tried for real, and judged outside; those that begin with `own` are the twins that must work.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { Sandbox } from '../../src/exec/sandbox.js'
import { exists } from '../conformance/attempts.js'

export interface ReachPlace {
  /** A scene's folder; `work` in it is the policy's cwd. */
  readonly base: string
  readonly sandbox: Sandbox
}

/** Perl: the calls themselves, without what a shell makes of them. */
const perl = async ({ sandbox }: ReachPlace, script: string, ...words: readonly string[]): Promise<string> => (await sandbox.exec(['perl', '-e', script, ...words])).stdout

async function isEmptied(place: ReachPlace, path: string): Promise<boolean> {
  await perl(place, 'truncate $ARGV[0], 0', path)
  return readFileSync(path, 'utf8') === ''
}

export const REACHES = {
  'own-file-made': async ({ base, sandbox }) => {
    await sandbox.exec(['sh', '-c', 'mkdir -p made/in && echo text > made/in/file && mv made/in/file made/file'])
    return exists(join(base, 'work/made')) && readFileSync(join(base, 'work/made/file'), 'utf8') === 'text\n'
  },
  'own-file-truncated': place => isEmptied(place, join(place.base, 'work/src/a.txt')),
  'truncated-outside': place => isEmptied(place, join(place.base, 'outside/file.txt')),
  'truncated-protected': place => isEmptied(place, join(place.base, 'work/.git/config')),
  'own-process-signalled': async place => (await place.sandbox.exec(['sh', '-c', 'sleep 600 & kill -9 $!; wait $!; echo $?'])).stdout === '137\n',
  'own-server-reached': async ({ sandbox }) => {
    const serve = 'const net = require("node:net"); const server = net.createServer(socket => socket.end("reached")).listen("own.sock", () => net.connect("own.sock").on("data", data => { console.log(String(data)); server.close() }))'
    return (await sandbox.exec([process.execPath, '-e', serve])).stdout === 'reached\n'
  },
  'process-signalled': async place => {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    await perl(place, 'kill "KILL", $ARGV[0]', String(child.pid))
    child.kill('SIGTERM')
    const [, signal] = await ended
    return signal === 'SIGKILL'
  },
  'process-seen': async place => {
    const child = spawn('sleep', [`600.${process.pid}`], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    await once(child, 'spawn')
    const found = await perl(place, 'for my $file (glob "/proc/[0-9]*/cmdline") { open my $in, "<", $file or next; print "seen" if <$in> eq "sleep\\0" . "600.$ARGV[0]\\0" }', String(process.pid))
    child.kill('SIGKILL')
    await ended
    return found === 'seen'
  },
  'process-read': async place => (await place.sandbox.exec(['cat', `/proc/${process.pid}/environ`, `/proc/${process.pid}/maps`])).stdout.length > 0,
  'written-through-root': async ({ base, sandbox }) => {
    await sandbox.exec(['sh', '-c', 'echo x > "$1"', 'sh', `/proc/${process.pid}/root${base}/outside/new.txt`])
    return exists(join(base, 'outside/new.txt'))
  },
  'abstract-socket-connected': async place => {
    const server = createServer()
    let connections = 0
    server.on('connection', socket => {
      connections++
      socket.destroy()
    })
    const name = `codex-sandbox-ladder-${process.pid}`
    await new Promise<void>(resolve => server.listen(`\0${name}`, resolve))
    await perl(place, 'use Socket; socket(my $s, AF_UNIX, SOCK_STREAM, 0); connect $s, pack("Sa*", AF_UNIX, "\\0$ARGV[0]")', name)
    await new Promise(resolve => server.close(resolve))
    return connections > 0
  },
} satisfies Record<string, (place: ReachPlace) => Promise<boolean>>
export type Reach = keyof typeof REACHES
export const ALL_REACHES = Object.keys(REACHES) as Reach[]

/** What works on every rung. */
export const OWN: readonly Reach[] = ALL_REACHES.filter(reach => reach.startsWith('own-'))
