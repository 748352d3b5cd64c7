// What runs in each virtual machine of scripts/test-kernels.mjs: every suite of its plan.json as every user, one after another, each in a
// process of its own. A result is a line that begins with `@@`; all other lines are the tests' own.
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const plan = JSON.parse(readFileSync(new URL('../plan.json', import.meta.url), 'utf8'))
const [userName, suiteName] = process.argv.slice(2)

const tell = result => process.stdout.write(`@@ ${JSON.stringify(result)}\n`)

/** In the order in which a host that has both takes one. */
const RUNGS = ['namespaces', 'supervised']
/** Compiled outside: those of the escape attempts. */
const PROGRAMS = '/programs'
const home = name => `/home/${name}`
/** A home folder itself is too broad to be writable. */
const workspace = name => `${home(name)}/workspace`

/** What this user finds here, and that what is missing is refused before anything runs. */
async function examine({ name, expects }) {
  const { capabilities, checkHost, createSandbox } = await import('../src/index.js')
  const check = (what, found, expected, more) => {
    const same = JSON.stringify(found) === JSON.stringify(expected)
    tell({ user: name, suite: 'host', name: what, state: same ? 'passed' : 'failed', ...(same ? {} : { reason: `${JSON.stringify(found)} instead of ${JSON.stringify(expected)}\n${JSON.stringify(more)}` }) })
  }
  const { layers } = await capabilities()
  check('the ABI of Landlock', layers.find(({ layer }) => layer === 'landlock')?.version ?? 0, expects.landlock, layers)
  const host = await checkHost('workspace-write', { cwd: workspace(name) })
  check('the rung that is chosen', host.ok ? host.enforcement.rung : null, expects.rungs[0] ?? null, host)
  const told = layers.find(({ layer }) => layer === 'socket-owners')?.available === true
  check('whether the kernel tells of unix sockets', told, expects.tellsSockets, layers)
  if (host.ok) check('that own ones are out of reach is noted where it does not', host.enforcement.notes.some(note => note.includes('unix_diag')), !expects.tellsSockets, host)
  const marker = `${workspace(name)}/marker`
  for (const rung of [undefined, ...RUNGS]) {
    const has = rung === undefined ? expects.rungs.length > 0 : expects.rungs.includes(rung)
    const outcome = await createSandbox({ policy: 'workspace-write', cwd: workspace(name), ...(rung === undefined ? {} : { rung }) }).then(async sandbox => {
      const { exitCode, enforcement } = await sandbox.exec(['sh', '-c', ': > marker'])
      await sandbox.close()
      return { exitCode, rung: enforcement.rung }
    }, error => ({ code: error.code, remedy: error.remedy !== '' }))
    check(`${rung ?? 'no rung'} asked for`, { ...outcome, ran: existsSync(marker) }, has ? { exitCode: 0, rung: rung ?? expects.rungs[0], ran: true } : { code: 'layer_missing', remedy: true, ran: false }, outcome)
    rmSync(marker, { force: true })
  }
}

if (userName === undefined) {
  // What no_new_privs is there for.
  chmodSync(`${PROGRAMS}/gain`, 0o4755)
  for (const { name, uid, expects } of plan.users) {
    mkdirSync(workspace(name), { recursive: true })
    for (const folder of [home(name), workspace(name)]) chownSync(folder, uid, uid)
    // Without a rung there is nothing to run the tables in.
    for (const suite of ['host', ...(expects.rungs.length === 0 ? [] : plan.suites.map(each => each.name))]) {
      const { status, signal } = spawnSync(process.execPath, [process.argv[1], name, suite], {
        uid, gid: uid, cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: ['ignore', 'inherit', 'inherit'],
        env: { PATH: process.env.PATH, HOME: home(name), LANG: 'C.UTF-8', CODEX_SANDBOX_TEST_RUNGS: expects.rungs.join(), CODEX_SANDBOX_ESCAPE_PROGRAMS: PROGRAMS, CODEX_SANDBOX_TEST_SLOWNESS: String(plan.slower) },
      })
      process.stdout.write(`${name}: ${suite} is through\n`)
      if (status !== 0) tell({ user: name, suite, name: 'its process', state: 'failed', reason: `ended with ${status ?? signal}` })
    }
  }
} else if (suiteName === 'host') {
  await examine(plan.users.find(({ name }) => name === userName))
} else {
  const { runFiles } = await import('vitest')
  const { files, share } = plan.suites.find(({ name }) => name === suiteName)
  await runFiles(files.map(file => fileURLToPath(new URL(`../${file}`, import.meta.url))), {
    slower: plan.slower, share, matching: plan.matching === undefined ? undefined : new RegExp(plan.matching), onResult: result => tell({ user: userName, suite: suiteName, ...result }),
  })
  process.exit(0)
}
