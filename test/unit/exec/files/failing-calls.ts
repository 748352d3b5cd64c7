// Calls that fail, and what of their failure has to be Node's: one table for both programs that carry file work out.
import hostFs from 'node:fs/promises'
import { expect } from 'vitest'
import type { SandboxFiles } from '../../../../src/exec/files/files.js'
import { failureOf } from '../../../support/failure-of.js'

export type Call = (fs: SandboxFiles, at: (name: string) => string) => Promise<unknown>

export interface FailingCall {
  readonly name: string
  readonly call: Call
  /** Where Node names another path or call than the one that was asked for. */
  readonly only?: readonly string[]
}

const CODES = ['code', 'errno'] as const

/** In a place with `folder`, `full/sub`, `file` and `loop`, a link to itself. */
export const FAILING_CALLS: readonly FailingCall[] = [
  { name: 'read what is missing',               call: (fs, at) => fs.readFile(at('missing')) },
  { name: 'read a folder',                      call: (fs, at) => fs.readFile(at('folder')), only: CODES },
  { name: 'read below a file',                  call: (fs, at) => fs.readFile(at('file/x')) },
  { name: 'read a loop of links',               call: (fs, at) => fs.readFile(at('loop')) },
  { name: 'write a folder',                     call: (fs, at) => fs.writeFile(at('folder'), 'x') },
  { name: 'write in a missing folder',          call: (fs, at) => fs.writeFile(at('missing/x'), 'x') },
  { name: 'write a new file that is there',     call: (fs, at) => fs.writeFile(at('file'), 'x', { flag: 'wx' }) },
  { name: 'make a folder that is there',        call: (fs, at) => fs.mkdir(at('folder')), only: CODES },
  { name: 'make a folder in a missing one',     call: (fs, at) => fs.mkdir(at('missing/x')), only: CODES },
  { name: 'make folders where a file is',       call: (fs, at) => fs.mkdir(at('file'), { recursive: true }), only: CODES },
  { name: 'make folders below a file',          call: (fs, at) => fs.mkdir(at('file/x/y'), { recursive: true }), only: CODES },
  { name: 'rename what is missing',             call: (fs, at) => fs.rename(at('missing'), at('x')) },
  { name: 'rename a folder onto a full one',    call: (fs, at) => fs.rename(at('folder'), at('full')) },
  { name: 'rename a file onto a folder',        call: (fs, at) => fs.rename(at('file'), at('folder')) },
  { name: 'remove what is missing',             call: (fs, at) => fs.rm(at('missing')) },
  { name: 'list what is missing',               call: (fs, at) => fs.readdir(at('missing')) },
  { name: 'list a file',                        call: (fs, at) => fs.readdir(at('file')) },
  { name: 'ask about what is missing',          call: (fs, at) => fs.stat(at('missing')) },
  { name: 'a name that is too long',            call: (fs, at) => fs.readFile(at('n'.repeat(300))) },
  { name: 'a path that is too long',            call: (fs, at) => fs.readFile(at(`${'n/'.repeat(3000)}x`)) },
]

/** Compares with what Node's own functions throw for the same. */
export async function expectNodesFailure({ call, only }: FailingCall, files: SandboxFiles, at: (name: string) => string): Promise<void> {
  const shape = async (fs: SandboxFiles): Promise<object> => {
    const { code, errno, path, dest, syscall, message } = await failureOf(() => call(fs, at)) as Record<string, unknown>
    return { code, errno, path, dest, syscall: syscall === 'lstat' ? 'rm' : syscall, message: String(message).replace(', lstat ', ', rm ') }
  }
  const [ours, nodes] = [await shape(files), await shape(hostFs as unknown as SandboxFiles)]
  const names = only ?? Object.keys(nodes)
  expect(pick(ours, names)).toEqual(pick(nodes, names))
}

const pick = (from: object, names: readonly string[]): object => Object.fromEntries(names.map(name => [name, from[name as keyof typeof from]]))
