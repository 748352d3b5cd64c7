// Writing to a socket at the pace of its reader.
import type { Socket } from 'node:net'

/** The receiver is gone. */
export class GoneError extends Error {
  override readonly name = 'GoneError'
}

/** Resolves once the socket takes more. @throws GoneError where it never will */
export function write(socket: Socket, data: Buffer | string, encoding: BufferEncoding = 'utf8'): Promise<void> {
  if (socket.destroyed || socket.writableEnded) return Promise.reject(new GoneError('the connection is closed'))
  if (socket.write(data, encoding)) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      socket.off('drain', settle).off('close', settle)
      if (socket.destroyed) reject(new GoneError('the connection was closed'))
      else resolve()
    }
    socket.on('drain', settle).on('close', settle)
  })
}
