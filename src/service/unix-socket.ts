// The service on a unix socket: its place, which nobody else may change, its mode, and who may connect.
import { lstatSync, realpathSync, rmSync, type Stats } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname, isAbsolute, join } from 'node:path'
import process from 'node:process'
import { SandboxError } from '../errors.js'
import { makeOwnFolder } from '../host/own-folder.js'

/** sun_path, less the final NUL. */
const LONGEST_PATH_BYTES = 107
const MODE = 0o600
/** Connections of which it is not known yet whose they are: each costs a process. */
const MOST_UNKNOWN = 512
const OTHERS_WRITE = 0o022
const STICKY = 0o1000

export interface SocketOptions {
  readonly path: string
  /** Undefined: it may speak. Else why not. */
  readonly refuse: (socket: Socket) => Promise<string | undefined>
  readonly accept: (socket: Socket) => void
  readonly log: (text: string) => void
}

/**
 * Listens at `path`, with mode 0600 from its first moment on.
 *
 * @returns  once clients can connect
 * @throws   SandboxError `socket_refused`, `field` = `--listen`
 */
export async function listenOnSocket({ path, refuse, accept, log }: SocketOptions): Promise<Server> {
  checkPlace(path)
  await removeStale(path)
  let unknown = 0
  const look = async (socket: Socket): Promise<string | undefined> => {
    unknown++
    try {
      return await refuse(socket)
    } finally {
      unknown--
    }
  }
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, socket => void (async () => {
    socket.on('error', () => {})
    const reason = unknown >= MOST_UNKNOWN ? `${unknown} others are being looked at` : await look(socket)
    if (socket.destroyed) return
    if (reason !== undefined) {
      log(`refused a connection: ${reason}`)
      socket.destroy()
      return
    }
    accept(socket)
    socket.resume()
  })())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(refused(path, error.code === 'EADDRINUSE' ? 'something else was put there meanwhile' : error.code ?? error.message, error)))
    // Bound within this call: no moment in which the socket has another mode.
    const before = process.umask(0o777 & ~MODE)
    try {
      server.listen(path, resolve)
    } finally {
      process.umask(before)
    }
  })
  server.removeAllListeners('error')
  server.on('error', error => log(`the socket: ${error.message}`))
  const stats = lstatSync(path)
  if (!stats.isSocket() || stats.uid !== ownUid() || (stats.mode & 0o777) !== MODE) {
    server.close()
    throw refused(path, 'it did not get mode 0600')
  }
  return server
}

/** The place of a service that names none: where launchers keep their journal, which no command may write. */
export function defaultSocketPath(stateDirectory: string): string {
  makeOwnFolder(stateDirectory)
  return join(stateDirectory, 'service.sock')
}

/** A socket that somebody else could replace would have clients speak to an impostor. */
function checkPlace(path: string): void {
  if (!isAbsolute(path)) throw refused(path, 'it is not an absolute path')
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES) throw refused(path, `it is longer than ${LONGEST_PATH_BYTES} bytes`)
  let folder: string
  try {
    folder = realpathSync(dirname(path))
  } catch (error) {
    throw refused(path, 'its folder does not exist', error)
  }
  for (let at = folder; ; at = dirname(at)) {
    const stats = lstatSync(at)
    if (stats.uid !== 0 && stats.uid !== ownUid()) throw refused(path, `${JSON.stringify(at)} is of user ${stats.uid}, who could replace it`)
    if ((stats.mode & OTHERS_WRITE) !== 0 && (stats.mode & STICKY) === 0) throw refused(path, `${JSON.stringify(at)} can be written by others, who could replace it`)
    if (at === dirname(at)) return
  }
}

/** A socket that nobody listens on is left by a service that was killed. */
async function removeStale(path: string): Promise<void> {
  const stats = lookAt(path)
  if (stats === undefined) return
  if (!stats.isSocket() || stats.uid !== ownUid()) throw refused(path, 'something else is there')
  if (await answers(path)) throw refused(path, 'a service listens there already')
  rmSync(path, { force: true })
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false })
  } catch (error) {
    throw refused(path, `it cannot be looked at (${(error as NodeJS.ErrnoException).code})`, error)
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false)
      else reject(refused(path, error.code ?? error.message, error))
    })
  })
}

const ownUid = (): number => process.getuid?.() ?? -1

const refused = (path: string, detail: string, cause?: unknown): SandboxError => new SandboxError('socket_refused', { field: '--listen', value: path }, { detail, ...(cause === undefined ? {} : { cause }) })
