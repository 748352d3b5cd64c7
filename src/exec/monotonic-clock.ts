// A clock that is never set back.

/** Milliseconds since some moment. `performance` would load modules of Node's own for it, which a command line that runs one command notices. */
export function nowMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
