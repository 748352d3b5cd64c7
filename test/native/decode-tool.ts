// The launcher's decoders as a program of their own, built with sanitizers: see native/linux/test/decode-tool.c.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface DecodeTool {
  /** One answer a record: what was decoded, or `{ refused: errno }`. Text is UTF-8 again. */
  decode(kind: 'p' | 'c' | 'f', ...records: readonly Buffer[]): unknown[]
  remove(): void
}

/** @returns why this machine cannot build it, where it cannot */
export function buildDecodeTool(): DecodeTool | string {
  const folder = mkdtempSync(join(tmpdir(), 'decode-tool-'))
  const tool = join(folder, 'decode-tool')
  const remove = (): void => rmSync(folder, { recursive: true })
  const { status, stderr } = spawnSync(process.execPath, ['scripts/fuzz-native.mjs', '--tool', tool], { encoding: 'utf8' })
  if (status !== 0) remove()
  if (status === 125) return stderr.trim()
  if (status !== 0) throw new Error(stderr)
  return { remove, decode: (kind, ...records) => decode(tool, kind, records) }
}

function decode(tool: string, kind: string, records: readonly Buffer[]): unknown[] {
  const input = Buffer.concat(records.flatMap(bytes => {
    const header = Buffer.from([kind.charCodeAt(0), 0, 0, 0, 0])
    header.writeUInt32LE(bytes.length, 1)
    return [header, bytes]
  }))
  const { status, stdout, stderr } = spawnSync(tool, { input, env: { ASAN_OPTIONS: 'detect_leaks=0' }, encoding: 'utf8', maxBuffer: 1 << 30 })
  if (status !== 0) throw new Error(`the decoder ended with ${status}: ${stderr}`)
  return stdout.split('\n').slice(0, -1).map(line => JSON.parse(line, (_, value: unknown) => typeof value === 'string' ? Buffer.from(value, 'latin1').toString('utf8') : value) as unknown)
}
