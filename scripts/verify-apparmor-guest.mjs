// The guest's side of scripts/verify-apparmor.mjs. Kernels outside Ubuntu cannot restrict user namespaces for all programs, so the user here
// runs under a profile that allows everything but them, which is what the restriction comes to.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync, chownSync, readdirSync } from 'node:fs'

const VERSION = JSON.parse(readFileSync('/guest/package.json', 'utf8')).version
const OWN = '/guest/dist/launcher/linux-x64/codex-sandbox-launcher'
const INSTALLED = `/usr/lib/codex-sandbox/${VERSION}/codex-sandbox-launcher`
const USER = 1234
const RESTRICTED = `abi <abi/4.0>,
profile restricted flags=(attach_disconnected,mediate_deleted) {
${['capability', 'file rwlkm /{**,}', 'network', 'unix', 'signal', 'mqueue', 'io_uring', 'dbus', 'mount', 'umount', 'pivot_root', 'ptrace', 'pix /**'].map(rule => `  allow ${rule},\n`).join('')}}
`

let failed = 0
function check(name, found, wanted) {
  const ok = wanted instanceof RegExp ? wanted.test(found) : JSON.stringify(found) === JSON.stringify(wanted)
  console.log(`${ok ? 'ok' : 'NOT OK'}  ${name}${ok ? '' : `: ${JSON.stringify(found)}, not ${wanted instanceof RegExp ? wanted : JSON.stringify(wanted)}`}`)
  if (!ok) failed++
}

function run(words, options = {}) {
  const { status, stdout, stderr } = spawnSync(words[0], words.slice(1), { encoding: 'utf8', timeout: 60_000, env: { PATH: '/usr/bin:/usr/sbin', HOME: '/tmp/user', ...options.env }, ...options.as })
  return { status, text: `${stdout}${stderr}` }
}
const asUser = { uid: USER, gid: USER, cwd: '/tmp/user' }
const root = (...words) => run(words)
const user = (...words) => run(words, { as: asUser })
// By a shell: aa-exec itself puts the program that it starts under the profile, whatever that one's path says.
const restricted = (...words) => run(['aa-exec', '-p', 'restricted', '--', 'sh', '-c', '"$@"', 'sh', ...words], { as: asUser })
const setup = (...words) => root('node', '/guest/dist/cli.cjs', 'setup', 'linux', ...words)
const probe = path => {
  const facts = new Map(restricted(path, '--probe').text.split('\n').map(line => line.split(' ')))
  return ['clone', 'uid_map', 'mount_setattr', 'mount_proc', 'netns'].map(name => facts.get(name))
}
const REFUSED = ['-13', '-1000', '-1000', '-1000', '-1000']
const PERMITTED = ['0', '0', '0', '0', '0']
const loaded = () => readFileSync('/sys/kernel/security/apparmor/profiles', 'utf8').split('\n').filter(line => line.includes('codex-sandbox')).sort()

mkdirSync('/tmp/user/work', { recursive: true })
for (const folder of ['/tmp/user', '/tmp/user/work']) chownSync(folder, USER, USER)
writeFileSync('/tmp/restricted', RESTRICTED)
check('the restricted user\'s profile loads', root('apparmor_parser', '-r', '-K', '/tmp/restricted').status, 0)
check('where it is not needed, nothing is changed', [setup().status, existsSync(INSTALLED), loaded()], [0, false, []])
check('not as a user', user('node', '/guest/dist/cli.cjs', 'setup', 'linux').text, /has to be run by root\. Run it as root: sudo .*node .*cli\.cjs setup linux\./)
check('the package\'s launcher gets no user namespace', probe(OWN), REFUSED)

check('set-up succeeds', setup('--force').text, /^AppArmor permits .* now\.\n(?: {2}made .*\n){4} {2}loaded .*\n$/)
check('a second time nothing is changed', setup('--force').text, /^It is as it shall be: .*\n {2}loaded .*\n$/)
check('both profiles are enforced', loaded(), ['codex-sandbox-command (enforce)', 'codex-sandbox-launcher (enforce)'])
check('the installed launcher gets its namespaces', probe(INSTALLED), PERMITTED)
check('the package\'s own still does not', probe(OWN), REFUSED)

const sandbox = (...words) => run(['aa-exec', '-p', 'restricted', '--', 'node', '/guest/dist/cli.cjs', ...words], { as: { ...asUser, cwd: '/tmp/user/work' }, env: { CODEX_SANDBOX_LAUNCHER: INSTALLED } })
check('a command runs by namespaces, under both labels, and writes in its workspace', sandbox('--rung', 'namespaces', '--', 'sh', '-c', 'cat /proc/self/attr/current; echo x > file; cat file').text, /^codex-sandbox-command\/\/&codex-sandbox-launcher \(enforce\)\nx\n$/)
check('what it is denied is told exactly', sandbox('--rung', 'namespaces', '--', 'sh', '-c', 'echo x > /etc/forbidden').text, /creation of "\/etc\/forbidden" denied/)
check('an own child can be traced', sandbox('--', 'sh', '-c', 'attach /usr/bin/busybox').text, /label codex-sandbox-command\/\/&codex-sandbox-launcher/)
check('a program under the command\'s labels gets no user namespace, without any filter of ours', user('aa-exec', '-p', 'codex-sandbox-launcher//&codex-sandbox-command', '--', 'unshare', '-U', 'true').text, /Permission denied/)
check('a confined program cannot get into the launcher', restricted('attach', INSTALLED).text, /^label codex-sandbox-launcher \(enforce\)\nmemory Permission denied\nattach Permission denied\n$/)
// What the profile cannot hold, and the threat model says: AppArmor does not ask about a tracer that has no profile.
check('one that AppArmor does not confine can', user('attach', INSTALLED).text, /attach attached/)

check('uninstalling succeeds', setup('--uninstall').status, 0)
check('nothing is left', [existsSync('/usr/lib/codex-sandbox'), readdirSync('/etc/apparmor.d').filter(name => name.includes('codex')), loaded()], [false, [], []])
console.log(failed === 0 ? 'all passed' : `${failed} failed`)
