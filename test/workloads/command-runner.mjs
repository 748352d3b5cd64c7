// Runs commands in sandboxes of the built package, as the user whom this process was started as.
// Its parent sends { id, cwd, policy, rung, other (options of another back end), argv, env, stdin, terminal }, and gets { id, outcome } or { id, error }.
import { createHash } from 'node:crypto'
import { pathToFileURL } from 'node:url'

const { createSandbox } = await import(pathToFileURL(process.argv[2]).href)

/** Of each stream, as text; all of it is in the digest. */
const SHOWN_BYTES = 1 << 20

process.on('message', request => {
  run(request).then(outcome => process.send({ id: request.id, outcome }), error => process.send({ id: request.id, error: { name: error.name, code: error.code, message: error.message, stack: error.stack } }))
})
process.on('disconnect', () => process.exit())
process.send('ready')

async function run({ cwd, policy, rung, other, argv, env, stdin, terminal }) {
  const sandbox = await createSandbox({ cwd, policy, ...(rung === undefined ? {} : { rung }), ...other })
  try {
    return terminal === undefined ? await execute(sandbox, argv, { env, stdin }) : await executeOnTerminal(sandbox, argv, { env, terminal })
  } finally {
    await sandbox.close()
  }
}

async function execute(sandbox, argv, { env, stdin }) {
  const digest = createHash('sha256')
  let bytes = 0
  const onOutput = (chunk, stream) => {
    if (stream !== 'stdout') return
    digest.update(chunk)
    bytes += chunk.length
  }
  const result = await sandbox.exec(argv, { env, stdin, onOutput, output: { maxBytes: SHOWN_BYTES, encoding: 'bytes' } })
  return { ...factsOf(result), stdout: result.stdout.toString(), stderr: result.stderr.toString(), bytes, sha256: digest.digest('hex') }
}

async function executeOnTerminal(sandbox, argv, { env, terminal }) {
  const child = sandbox.spawn(argv, { env, tty: terminal })
  const pieces = []
  for await (const piece of child.stdout) pieces.push(piece)
  return { ...factsOf(await child.exited), stdout: Buffer.concat(pieces).toString(), stderr: '', bytes: 0, sha256: '' }
}

const factsOf = ({ exitCode, signal, ended, denials }) => ({ exitCode, signal, leaves: ended.map(({ name }) => name).sort(), denials: denials.map(({ operation, path, call, host, port }) => `${operation} ${path ?? call ?? `${host}:${port}`}`) })
