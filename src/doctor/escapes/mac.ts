// Attempts on a Mac: ways around rules that know files by their path, and services of the system that act outside. Those that only
// a Mac can carry out say so; the others are seen to escape wherever nothing confines them.
import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { foldName } from '../../policy/letter-case.js'
import { type EscapeAttempt, IN_REPOSITORY, listing, node, onHost, pause, python, repository, type Scene, SECRET, secretOutside, sh } from './attempt.js'

const WRITES_INSIDE = { name: 'reads and writes in the workspace', act: sh('echo x > "$W/a" && cat "$W/a" > "$W/can"') } as const

/** A denied file two folders deep. */
function deepSecret(scene: Scene): void {
  mkdirSync(`${scene.workspace}/deep/er`, { recursive: true })
  writeFileSync(`${scene.workspace}/deep/er/secret`, `${SECRET}\n`)
  writeFileSync(`${scene.workspace}/deep/er/open`, 'open\n')
}
const DENIED = { prepare: deepSecret, policy: () => ({ deny: ['deep/er/secret'] }) } as const
/** Whatever of the secret lies anywhere in the workspace under another name. */
const FIND_IT = 'grep -rsh escape-attempt-secret "$W" --exclude-dir=deep > "$W/found"; test -s "$W/found" && mv "$W/found" "$LEAK"'

const PROTECTED = ['.git', '.codex', '.agents'].map(foldName)
const protectedNames = (scene: Scene): string | undefined => {
  const made = listing(scene.workspace).filter(name => PROTECTED.includes(foldName(name)))
  return made.length === 0 ? undefined : `it made ${made.map(name => JSON.stringify(name)).join(', ')}`
}

/** A server of the host; `contacted` says whether anybody came. */
async function serve(scene: Scene, where: { path: string } | { host: string; port: number }): Promise<number> {
  const server = createServer(socket => {
    scene.notes.set('contacted', 'a server outside was reached')
    socket.on('error', () => {})
    socket.end()
  })
  scene.defer(() => { server.close() })
  await new Promise<void>((done, fail) => { server.once('error', fail).listen(where, done) })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}
const contacted = async (scene: Scene): Promise<string | undefined> => {
  await pause(50)
  return scene.notes.get('contacted')
}

export const MAC_ATTEMPTS: readonly EscapeAttempt[] = [
  {
    name: 'make, change, remove and rename outside', failure: 'the plain case: every row that ends in a write', prepare: secretOutside,
    attack: sh('echo x > "$O/new"; echo x >> "$O/secret"; rm -f "$O/secret"; mv "$O/secret" "$O/s"; mkdir "$O/d"; chmod 600 "$O/secret"; touch "$O/secret"; ln -s x "$O/l"'),
    can: { name: 'does all that in the workspace', act: sh('cd "$W" && echo x > f && echo x >> f && mv f g && rm g && mkdir d && ln -s d l && touch h && chmod 640 h && touch can') },
  },
  {
    name: 'make a protected name in another letter case', failure: 'row 41: CVE-2025-59944 (Cursor): .GIT on a disk that ignores letter case',
    attack: sh('cd "$W"; for n in .GIT .Git .CODEX .Codex .Agents .agent\u017f .git .codex .agents; do mkdir "$n"; echo x > "$n"; ln -s "$O" "$n"; mkdir x; mv x "$n"; done; rm -rf x'),
    evidence: protectedNames, can: { name: 'makes names that are like them', act: sh('cd "$W" && mkdir .github .gitx && touch .gitignore .codexrc can') },
  },
  {
    name: 'write a hook by another spelling of its path', failure: 'row 41: the name is looked up in any case', ...IN_REPOSITORY,
    attack: sh('cd "$W"; for d in .git .GIT .Git "/System/Volumes/Data$W/.git"; do echo x > "$d/hooks/post-commit"; echo x >> "$d/CONFIG"; done'),
    can: { name: 'reads the repository', act: sh('cat "$W/.git/HEAD" > "$W/can"') },
  },
  {
    name: 'move or replace the protected folder', failure: 'row 13: srt@7fcfd84, #71, #138', ...IN_REPOSITORY,
    attack: sh('cd "$W"; mv .git old; mv .git .GIT; mv .git .g && mv .g .git; rm -rf .git; mkdir n && mv n .git; ln -sfn "$O" .git'),
    can: { name: 'moves and replaces its own folder', act: sh('cd "$W" && mkdir n && mv n m && rmdir m && ln -s x m && touch can') },
  },
  {
    name: 'move the folder above a denied file', failure: 'row 12: srt@383871c, @ec9fc45: a rule by path, moved from under it', ...DENIED,
    attack: sh(`cd "$W"; mv deep moved; mv deep/er moved; mv deep/er/secret moved; cat moved moved/secret moved/er/secret; ${FIND_IT}`),
    can: { name: 'moves what lies beside it', act: sh('cd "$W" && mv deep/er/open can') },
  },
  {
    name: 'exchange the folder above a denied file with another', failure: 'row 12: renamex_np with RENAME_SWAP', needs: ['macos', 'python3'], ...DENIED,
    attack: python(`
os.mkdir(W + '/other')
for a, b in ((W + '/deep', W + '/other'), (W + '/deep/er', W + '/other')):
    libc.renamex_np(a.encode(), b.encode(), 2)
for path in (W + '/other/er/secret', W + '/other/secret'):
    try: leak(open(path).read())
    except OSError: pass
`),
    can: { name: 'exchanges its own', act: python(`
for name in ('one', 'two'): os.mkdir(W + '/' + name)
if libc.renamex_np((W + '/one').encode(), (W + '/two').encode(), 2) == 0: open(W + '/can', 'w').close()
`) },
  },
  {
    name: 'link to a denied file', failure: 'row 34: merry PR#29, another name in the writable folder', ...DENIED,
    attack: sh(`cd "$W"; ln deep/er/secret hard; cat hard; ${FIND_IT}`),
    can: { name: 'links to its own file', act: sh('cd "$W" && echo x > f && ln f can') },
  },
  {
    name: 'link to a file outside and write there', failure: 'row 34', prepare: secretOutside,
    attack: sh('cd "$W"; ln "$O/secret" hard && echo x >> hard'),
    can: WRITES_INSIDE,
  },
  {
    name: 'clone the folder above a denied file', failure: 'ours: clonefile(2) copies a folder with all in it', needs: ['macos'], ...DENIED,
    attack: sh(`cd "$W"; cp -Rc deep copy; cp -Rc deep/er copy; cat copy/er/secret copy/secret; ${FIND_IT}`),
    can: { name: 'clones a file', act: sh('cd "$W" && cp -c deep/er/open can') },
  },
  {
    name: 'read a denied file by another path', failure: 'row 12, row 41: firmlinks, letters, resource forks, numbers', ...DENIED,
    attack: async scene => {
      await sh('cd "$W"; cat deep/er/secret DEEP/ER/SECRET "/System/Volumes/Data$W/deep/er/secret" deep/er/../er/./secret 2> /dev/null > "$LEAK"; ln -s deep/er/secret soft; cat soft >> "$LEAK"; dd if=deep/er/secret >> "$LEAK" 2> /dev/null; cat "deep/er/secret/..namedfork/rsrc" >> "$LEAK"')(scene)
      await node('const fs = require("fs"); const s = fs.statSync(process.env.W); const v = "/.vol/" + s.dev + "/" + s.ino + "/deep/er/secret"; try { fs.appendFileSync(process.env.LEAK, fs.readFileSync(v)) } catch {}')(scene)
    },
    can: { name: 'reads what lies beside it so', act: sh('cd "$W" && cat deep/er/../er/open > can') },
  },
  {
    name: 'read what a deny glob names, made by the host meanwhile', failure: 'row 14, row 15: a pattern that holds later files too',
    prepare: scene => mkdirSync(`${scene.workspace}/sub`), policy: () => ({ deny: ['**/*.key'] }),
    attack: async scene => {
      writeFileSync(`${scene.workspace}/sub/late.key`, `${SECRET}\n`)
      writeFileSync(`${scene.workspace}/Late.KEY`, `${SECRET}\n`)
      await sh('cd "$W"; cat sub/late.key late.key Late.KEY > out; test -s out && mv out "$LEAK"')(scene)
      rmSync(`${scene.workspace}/sub/late.key`)
      rmSync(`${scene.workspace}/Late.KEY`)
    },
    can: WRITES_INSIDE,
  },
  {
    name: 'through a link that leads outside', failure: 'row 3: CVE-2026-39861, a path checked as text and then followed',
    attack: sh('cd "$W"; ln -s "$O" out; echo x > out/new; mkdir out/d; ln -s "$O/file" f; echo x > f'), can: WRITES_INSIDE,
  },
  {
    name: 'a folder whose name begins like the workspace\'s', failure: 'ours: a path is no prefix', prepare: scene => {
      mkdirSync(`${scene.workspace}2`)
      scene.defer(() => rmSync(`${scene.workspace}2`, { recursive: true, force: true }))
    },
    attack: sh('echo x > "$W"2/new'), evidence: scene => existsSync(`${scene.workspace}2/new`) ? 'it made a file in the other folder' : undefined, can: WRITES_INSIDE,
  },
  {
    name: 'make a file that is set-user-id', failure: 'ours: it would run as this user for everybody',
    attack: sh('cd "$W"; echo x > f; chmod u+s f; chmod g+s f'), evidence: scene => existsSync(`${scene.workspace}/f`) && (statSync(`${scene.workspace}/f`).mode & 0o6000) !== 0 ? 'the bit is set' : undefined,
    can: { name: 'makes a file executable', act: sh('cd "$W" && touch can && chmod 755 can') },
  },
  {
    name: 'connect to a unix socket of a server outside', failure: 'row 22: agent-safehouse#19, gemini-cli@5411f113: a connect is network-outbound, whatever file rules say',
    prepare: async scene => {
      mkdirSync(`${scene.workspace}/run`)
      await serve(scene, { path: `${scene.workspace}/run/s` })
    },
    attack: async scene => {
      await node('for (const p of ["run/s", process.env.W + "/run/s"]) require("net").connect({ path: p }).on("error", () => {})')(scene)
    },
    evidence: contacted, can: WRITES_INSIDE,
  },
  {
    name: 'connect to a port of the host', failure: 'row 23: nono#713, raw connect with no proxy variables',
    prepare: async scene => { scene.notes.set('port', String(await serve(scene, { host: '0.0.0.0', port: 0 }))) },
    attack: async scene => {
      await scene.run([process.execPath, '-e', `for (const host of ['127.0.0.1', '::1', ...Object.values(require('os').networkInterfaces()).flat().map(each => each.address)]) require('net').connect({ host, port: ${scene.notes.get('port')} }).on('error', () => {}).setTimeout(1000, function () { this.destroy() })`])
    },
    evidence: contacted, can: WRITES_INSIDE,
  },
  {
    name: 'signal a process outside', failure: 'row 19: helpers and neighbours', prepare: scene => {
      const victim = spawn('sleep', ['60'], { stdio: 'ignore' })
      scene.notes.set('pid', String(victim.pid))
      victim.once('exit', () => { scene.notes.set('ended', 'the process outside was ended') })
      scene.defer(() => { victim.kill('SIGKILL') })
    },
    attack: async scene => { await scene.run(['sh', '-c', `kill -KILL ${scene.notes.get('pid')}; sleep 0.1`]) },
    evidence: scene => scene.notes.get('ended'),
    can: { name: 'signals its own child', act: sh('sleep 60 & kill -TERM $!; wait $!; test $? = 143 && touch "$W/can"') },
  },
  {
    name: 'stay behind after the command ended', failure: 'row 29: what was started must end with it',
    attack: sh('(sleep 1; echo x > "$W/late") > /dev/null 2>&1 &'),
    evidence: async scene => {
      await pause(1500)
      return existsSync(`${scene.workspace}/late`) ? 'a background process went on' : undefined
    },
    can: { name: 'waits for its own background work', act: sh('(sleep 0.1; touch "$W/can") & wait') },
  },
  {
    name: 'have launchd start a job', failure: 'ours: job creation starts programs outside', needs: ['macos'],
    attack: async scene => {
      await scene.run(['sh', '-c', `launchctl submit -l codex-sandbox-escape-${scene.id} -- /bin/sh -c 'echo x > "${scene.outside}/job"'; sleep 1; launchctl remove codex-sandbox-escape-${scene.id}`])
      scene.defer(async () => { await onHost(scene, '/bin/launchctl', ['remove', `codex-sandbox-escape-${scene.id}`]) })
    },
    can: WRITES_INSIDE,
  },
  {
    name: 'change a setting of the user', failure: 'ours: cfprefsd writes for whoever asks', needs: ['macos'],
    attack: async scene => {
      await scene.run(['defaults', 'write', `codex-sandbox-escape-${scene.id}`, 'x', '1'])
      scene.defer(async () => { await onHost(scene, '/usr/bin/defaults', ['delete', `codex-sandbox-escape-${scene.id}`]) })
    },
    evidence: async scene => (await onHost(scene, '/usr/bin/defaults', ['read', `codex-sandbox-escape-${scene.id}`])).includes('x = 1') ? 'the setting is there' : undefined,
    can: WRITES_INSIDE,
  },
  {
    name: 'read the arguments and environments of other processes', failure: 'row 28: sandlock#246, the environment of who runs outside', needs: ['macos', 'python3'],
    prepare: scene => {
      const victim = spawn('/bin/sleep', ['60'], { stdio: 'ignore', env: { SECRET_OF_THE_HOST: SECRET } })
      scene.notes.set('pid', String(victim.pid))
      scene.defer(() => { victim.kill('SIGKILL') })
    },
    attack: async scene => {
      await python(`
name = (ctypes.c_int * 3)(1, 49, ${scene.notes.get('pid')})
size = ctypes.c_size_t(1 << 18)
buffer = ctypes.create_string_buffer(size.value)
if libc.sysctl(name, 3, buffer, ctypes.byref(size), None, 0) == 0 and b'escape-attempt-secret' in buffer.raw: leak('the environment was read')
`)(scene)
    },
    can: { name: 'reads its own version of the system', act: sh('sysctl -n kern.osrelease > "$W/can"') },
  },
  {
    name: 'start a program in a sandbox of its own making', failure: 'row 37: a second, open one in place of ours', needs: ['macos'],
    attack: sh('sandbox-exec -p "(version 1)(allow default)" /bin/sh -c "echo x > $O/new"; /usr/bin/sandbox-exec -n no-network /usr/bin/touch "$O/new2"'), can: WRITES_INSIDE,
  },
  {
    name: 'run what the host will run', failure: 'row 32: cplt#210: core.fsmonitor, hooksPath', needs: ['git'], prepare: repository,
    attack: async scene => {
      writeFileSync(`${scene.workspace}/evil.sh`, `#!/bin/sh\necho ran >> '${scene.outside}/evil-ran'\n`)
      chmodSync(`${scene.workspace}/evil.sh`, 0o755)
      await sh('cd "$W"; git config core.fsmonitor "$W/evil.sh"; printf "[core]\\n\\tfsmonitor = %s/evil.sh\\n" "$W" >> .git/config; cp evil.sh .git/hooks/post-index-change')(scene)
      await onHost(scene, 'git', ['-c', 'safe.directory=*', 'status'])
    },
    can: { name: 'runs git status', act: sh('cd "$W" && git -c safe.directory="*" status --porcelain > can') },
  },
  {
    name: 'keep the output of a denied program', failure: 'ours: what may not be read may not be run', prepare: scene => {
      writeFileSync(`${scene.workspace}/tool`, `#!/bin/sh\necho ${SECRET}\n`, { mode: 0o755 })
    },
    policy: () => ({ deny: ['tool'] }), attack: sh('cd "$W"; ./tool > out; sh tool >> out; cp tool t2 && ./t2 >> out; test -s out && mv out "$LEAK"'),
    can: { name: 'runs its own', act: sh('cd "$W" && printf "#!/bin/sh\\ntouch \\"$W/can\\"\\n" > mine && chmod 755 mine && ./mine') },
  },
]
