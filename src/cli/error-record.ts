// An error as data: what --json prints and --report writes where no command ran.
import type { SandboxError } from '../errors.js'

export function errorRecord({ code, message, field, step, errno, path, remedy, source }: SandboxError): string {
  return `${JSON.stringify({ error: { code, message, field, step, errno, path, remedy, source } }, null, 2)}\n`
}
