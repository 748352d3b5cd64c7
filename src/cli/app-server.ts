// `app-server`: the service over this process's standard streams or on a unix socket, until its client goes or a signal ends it.
import { codexHomeOf } from '../config/codex-home.js'
import { SandboxError } from '../errors.js'
import { currentFolder } from '../host/snapshot.js'
import { configReader, type ReadConfig } from '../service/configuration.js'
import { Service } from '../service/service.js'
import type { Arguments } from './arguments.js'
import type { Options } from './options.js'

const EXIT_KILLED = 1
const ENDING_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** @returns the exit code: 0 where it ended because its client did or it was asked to */
export async function appServer({ options, words }: Arguments): Promise<number> {
  const [word, extra] = words
  if (extra !== undefined) throw new SandboxError('option_invalid', { field: 'argument', value: extra }, { detail: 'app-server takes one word at most', remedy: 'Leave it out.' })
  if (word !== undefined) return generate(word, options)
  if (options.outFolder !== undefined) throw new SandboxError('option_invalid', { field: '--out', value: options.outFolder }, { detail: 'it belongs to generate-json-schema and generate-ts', remedy: 'Leave it out, or say which: `app-server generate-ts --out DIR`.' })
  codexHomeOf()
  const socketPath = options.listen === undefined || options.listen === 'stdio://' ? undefined : await socketPathOf(options.listen)
  const choice = { ...(options.config === undefined ? {} : { overrides: options.config }), ...(options.profile === undefined ? {} : { profile: options.profile }) }
  if (options.config !== undefined || options.profile !== undefined) await checkChoice(configReader(choice))
  const service = new Service({ readConfig: configReader(choice), selfPaths: socketPath === undefined ? [] : [socketPath], log: text => void process.stderr.write(`codex-sandbox: ${text}\n`) })
  return socketPath === undefined ? serveStandardStreams(service) : serveSocket(service, socketPath)
}

/** What the command line itself says is wrong before anybody connects; what a file says is told to each client, by a `configWarning`. */
async function checkChoice(read: ReadConfig): Promise<void> {
  try {
    await read(currentFolder())
  } catch (error) {
    if (error instanceof SandboxError && (error.code === 'profile_not_found' || error.source?.file === '-c' || error.field === '-c')) throw error
  }
}

async function serveStandardStreams(service: Service): Promise<number> {
  const { standardStreams } = await import('../service/stdio.js')
  const { input, output } = standardStreams()
  const client = service.accept(input, output)
  const ended = onSignal(service)
  await Promise.race([client.gone, ended])
  await service.end(0)
  return 0
}

async function serveSocket(service: Service, path: string): Promise<number> {
  const [{ listenOnSocket }, { refusalOf }, { findLauncher, namedLauncher }] = await Promise.all([
    import('../service/unix-socket.js'), import('../service/peer.js'), import('../platform/linux/native/find-launcher.js'),
  ])
  // Where there is no launcher, the folder and the mode of the socket alone say who may connect.
  const launcher = service.platform === 'linux' ? findLauncher(namedLauncher({}, process.env)) : undefined
  const server = await listenOnSocket({
    path, log: service.log,
    refuse: async socket => launcher === undefined ? undefined : refusalOf(launcher, socket),
    accept: socket => {
      if (service.isDraining) socket.destroy()
      else service.accept(socket, socket)
    },
  })
  service.log(`listening on ${path}`)
  await onSignal(service, () => server.close())
  return 0
}

/** Resolves when a signal has ended the service; a second one ends it at once. */
function onSignal(service: Service, first: () => void = () => {}): Promise<void> {
  return new Promise(resolve => {
    let signals = 0
    for (const signal of ENDING_SIGNALS) {
      process.on(signal, () => {
        if (++signals > 1) return void service.kill().finally(() => process.exit(EXIT_KILLED))
        first()
        void service.end().finally(resolve)
      })
    }
  })
}

/** `unix://PATH`, or the usual place. */
export async function socketPathOf(url: string): Promise<string> {
  if (!url.startsWith('unix://')) throw new SandboxError('option_invalid', { field: '--listen', value: url }, { detail: 'it is neither stdio:// nor unix://PATH', remedy: 'Write it like --listen unix:///run/user/1000/codex-sandbox.sock.' })
  const path = url.slice('unix://'.length)
  if (path !== '') return path
  const [{ defaultSocketPath }, { stateDirectory }, { takeSnapshot }] = await Promise.all([
    import('../service/unix-socket.js'), import('../exec/state-directory.js'), import('../host/snapshot.js'),
  ])
  return defaultSocketPath(stateDirectory(process.env, takeSnapshot({ selfPaths: [] })))
}

async function generate(word: string, { outFolder: folder, ...others }: Options): Promise<number> {
  const { GENERATORS, writeGenerated } = await import('../service/generate.js')
  if (!Object.hasOwn(GENERATORS, word)) throw new SandboxError('option_invalid', { field: 'app-server', value: word }, { detail: `it can be ${Object.keys(GENERATORS).join(' or ')}`, remedy: 'Leave it out to serve.' })
  for (const [key, flag] of [['listen', '--listen'], ['config', '--config'], ['profile', '--profile']] as const) {
    if (others[key] !== undefined) throw new SandboxError('option_invalid', { field: flag, value: others[key] }, { detail: `it belongs to serving, and ${word} only writes files`, remedy: 'Leave it out.' })
  }
  if (folder === undefined) throw new SandboxError('option_missing', { field: '--out', value: undefined }, { remedy: `Write \`codex-sandbox app-server ${word} --out DIR\`.` })
  writeGenerated(folder, GENERATORS[word as keyof typeof GENERATORS]())
  return 0
}
