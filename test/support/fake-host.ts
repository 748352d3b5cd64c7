// A HostSnapshot made by hand, from a nested literal: `{ home: { user: { work: {}, note: 'text', link: symlink('/x') } } }`.
import type { Entry, EntryKind, FileSystemView, HostSnapshot } from '../../src/policy/host-snapshot.js'
import { foldName } from '../../src/policy/letter-case.js'

/** A text is a file, an object a folder. */
export type Tree = { readonly [name: string]: TreeNode }
export type TreeNode = string | Special | Tree

class Special {
  readonly kind: Exclude<EntryKind, 'file' | 'directory'>
  readonly target: string | undefined

  constructor(kind: Special['kind'], target?: string) {
    this.kind = kind
    this.target = target
  }
}

export const symlink = (target: string): Special => new Special('symlink', target)
export const socket = (): Special => new Special('socket')
export const device = (): Special => new Special('device')

export interface FakeHostOptions extends Partial<Omit<HostSnapshot, 'files'>> {
  /** Folders in whose whole subtree letter case and Unicode form make no other name. */
  readonly caseInsensitive?: readonly string[]
}

/** Defaults: Linux, home /home/user, cwd /home/user/work, no $TMPDIR, no CODEX_HOME, nothing of our own. */
export function fakeHost(tree: Tree, { caseInsensitive = [], ...overrides }: FakeHostOptions = {}): HostSnapshot {
  return {
    platform: 'linux',
    cwd: '/home/user/work',
    home: '/home/user',
    tmpdir: undefined,
    codexHome: undefined,
    uid: 1000,
    gid: 1000,
    selfPaths: [],
    ...overrides,
    files: fakeFiles(tree, caseInsensitive),
  }
}

/** Identities are numbered in the order of the literal, from the root on. */
export function fakeFiles(tree: Tree, caseInsensitive: readonly string[] = []): FileSystemView {
  const identities = new Map<string, string>()
  number(tree, '')
  const find = (path: string): { node: TreeNode; key: string } | undefined => {
    let [node, key]: [TreeNode, string] = [tree, '']
    for (const name of path.split(/[\\/]/).filter(Boolean)) {
      if (!isFolder(node)) return undefined
      const ignoreCase = caseInsensitive.some(root => key === root || key.startsWith(`${root}/`))
      const actual: string | undefined = (Object.hasOwn(node, name) ? name : undefined) ?? (ignoreCase ? Object.keys(node).find(each => foldName(each) === foldName(name)) : undefined)
      const next: TreeNode | undefined = actual === undefined ? undefined : node[actual]
      if (next === undefined) return undefined
      ;[node, key] = [next, `${key}/${actual}`]
    }
    return { node, key }
  }
  return {
    entry(path): Entry | undefined {
      const found = find(path)
      if (found === undefined) return undefined
      const identity = { device: '1', inode: identities.get(found.key) ?? '0' }
      const { node } = found
      if (typeof node === 'string') return { kind: 'file', ...identity }
      if (!(node instanceof Special)) return { kind: 'directory', ...identity }
      return node.target === undefined ? { kind: node.kind, ...identity } : { kind: node.kind, ...identity, target: node.target }
    },
    children(path) {
      const node = find(path)?.node
      return node !== undefined && isFolder(node) ? Object.keys(node) : undefined
    },
    text(path) {
      const node = find(path)?.node
      return typeof node === 'string' ? node : undefined
    },
    // One byte a character, so that a test can write what is no text.
    bytes(path) {
      const node = find(path)?.node
      return typeof node === 'string' ? Buffer.from(node, 'latin1') : undefined
    },
  }

  function number(node: TreeNode, key: string): void {
    identities.set(key, String(identities.size + 1))
    if (isFolder(node)) for (const [name, child] of Object.entries(node)) number(child, `${key}/${name}`)
  }
}

const isFolder = (node: TreeNode): node is Tree => typeof node === 'object' && !(node instanceof Special)
