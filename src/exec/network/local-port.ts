// A port of the sandbox's loopback that leads to the same port of the host's.
import { connect, type Server, type Socket } from 'node:net'

export interface LocalPort {
  /** Ends its connections. */
  close(): void
}

/** Connects to 127.0.0.1 of the host, or ::1 where nobody listens there; and to nothing else, whatever comes in. */
export function leadToHost(server: Server, port: number): LocalPort {
  const sockets = new Set<Socket>()
  const hold = (socket: Socket): Socket => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.unref()
    socket.once('close', () => sockets.delete(socket))
    return socket
  }
  server.on('connection', inside => {
    hold(inside)
    inside.pause()
    inside.on('error', () => {})
    reach('127.0.0.1', () => reach('::1', () => inside.resetAndDestroy()))

    function reach(host: string, refused: () => void): void {
      if (inside.destroyed) return
      const outside = hold(connect({ host, port, allowHalfOpen: true }))
      let open = false
      outside.on('error', () => {
        if (open) inside.resetAndDestroy()
        else refused()
      })
      inside.once('close', () => outside.destroy())
      outside.once('connect', () => {
        open = true
        inside.on('error', () => outside.resetAndDestroy())
        inside.pipe(outside)
        outside.pipe(inside)
      })
    }
  })
  return { close: () => { for (const socket of sockets) socket.destroy() } }
}
