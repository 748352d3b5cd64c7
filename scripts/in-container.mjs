// `node scripts/in-container.mjs [--user UID] [--unconfined] -- COMMAND…`: runs a command in a container as Docker makes one, built by the
// tests' own support (test/support/docker-like.ts); in this folder, with this machine's files. Only root can. For trying by hand what
// happens where no namespaces can be made.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { parseArgs } from 'node:util'
import { loadContainers } from './containers.mjs'
import { main, SetUpError } from './setup.mjs'

await main(async () => {
  const { values, positionals } = parseArgs({ options: { user: { type: 'string', default: '0' }, unconfined: { type: 'boolean' } }, allowPositionals: true })
  if (positionals.length === 0) throw new SetUpError('give a command after --.')
  const { inContainer, whyNoContainer } = await loadContainers()
  const reason = whyNoContainer()
  if (reason !== undefined) throw new SetUpError(`${reason}.`)
  const [program, ...words] = inContainer(positionals, { uid: Number(values.user), cwd: process.cwd(), seccomp: values.unconfined ? 'unconfined' : 'default' })
  const child = spawn(program, words, { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal))
  child.on('exit', (code, signal) => { process.exitCode = code ?? 128 + constants.signals[signal] })
})
