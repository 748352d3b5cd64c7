// The service's own standard streams as one connection. Node writes to a pipe of its own without returning to its loop until it is
// taken: a client that does not read would stop the service and every time-out in it. So a pipe is opened anew, as any socket is.
import { fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import process from 'node:process'
import type { Readable, Writable } from 'node:stream'

export function standardStreams(): { readonly input: Readable; readonly output: Writable } {
  return { input: process.stdin, output: standardOutput() }
}

function standardOutput(): Writable {
  const stats = fstatSync(1)
  if (!stats.isFIFO() && !stats.isSocket()) return process.stdout
  return new Socket({ fd: 1, readable: false, writable: true })
}
