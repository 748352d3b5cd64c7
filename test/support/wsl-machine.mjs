// Run inside new user and mount namespaces: makes this machine look like one with WSL 2 as far as programs of Windows go (binfmt_misc, which
// belongs to a user namespace, and the interop sockets), runs commands bare and in a sandbox, and prints what they printed as JSON.
//   wsl-machine.mjs CLI INIT WORKSPACE RUNG…
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'

const [cli, init, workspace, ...rungs] = process.argv.slice(2)
const INTEROP = '/run/WSL/1_interop'

execFileSync('mount', ['-t', 'tmpfs', 'run', '/run'])
execFileSync('mount', ['-t', 'binfmt_misc', 'binfmt_misc', '/proc/sys/fs/binfmt_misc'])
// As WSL registers it: github.com/microsoft/WSL/issues/8843.
writeFileSync('/proc/sys/fs/binfmt_misc/register', `:WSLInterop:M::MZ::${init}:PF`)
mkdirSync('/run/WSL')
let requests = 0
const server = createServer(socket => socket.on('data', () => { requests++ }).on('error', () => {}))
await new Promise(resolve => server.listen(INTEROP, resolve))

async function run(argv) {
  const before = requests
  const child = spawn(argv[0], argv.slice(1), { cwd: workspace, env: { ...process.env, WSL_INTEROP: INTEROP }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [text, errors] = ['', '']
  child.stdout.on('data', chunk => { text += chunk })
  child.stderr.on('data', chunk => { errors += chunk })
  const code = await new Promise((resolve, reject) => child.on('close', resolve).on('error', reject))
  await new Promise(resolve => setTimeout(resolve, 100))
  return { code, text, errors, requests: requests - before }
}

const bare = await run(['./program.exe'])
const inside = {}
for (const rung of rungs) inside[rung] = await run([process.execPath, cli, '--rung', rung, '--json', '--', './program.exe'])
process.stdout.write(JSON.stringify({ bare, inside }))
server.close()
