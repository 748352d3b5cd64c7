// A Mac's files that change, behind the calls that a confined command can make: each asks the compiled profile what XNU asks its
// sandbox, about the path that XNU would name, and then happens. Names are found in any letter case and Unicode form; a new name
// keeps the letters that the caller wrote.
import { evaluate, type Reading } from '../../src/platform/macos/sbpl/evaluate.js'
import type { Profile } from '../../src/platform/macos/sbpl/profile.js'
import type { VnodeType } from '../../src/platform/macos/sbpl/request.js'
import type { Entry, FileSystemView } from '../../src/policy/host-snapshot.js'
import { foldName } from '../../src/policy/letter-case.js'

/** A folder, the content of a file, or where a link leads. */
export type Sapling = { readonly [name: string]: Sapling } | string | { readonly link: string }

export interface Node {
  readonly inode: number
  readonly kind: 'file' | 'directory' | 'symlink'
  readonly children: Map<string, Node>
  content: string
  readonly target: string
}

interface Found {
  /** As the kernel names it: letters from the disk, of a missing last name those of the caller. */
  readonly path: string
  readonly parent: Node
  readonly name: string
  readonly node: Node | undefined
}

const DATA = ['System', 'Volumes', 'Data']
const FIRMLINKS: ReadonlySet<string> = new Set(['Users', 'private', 'Volumes', 'opt'])
const MOST_LINKS = 32

export class MacFiles {
  readonly root: Node
  /** What names are compared by. */
  readonly #keys = new Map<string, string>()
  #inodes = 0

  constructor(tree: Sapling) {
    this.root = this.#grow(tree)
  }

  #grow(tree: Sapling): Node {
    if (typeof tree === 'string') return this.make('file', tree)
    if (isLink(tree)) return this.make('symlink', '', tree.link)
    const folder = this.make('directory')
    for (const [name, child] of Object.entries(tree)) folder.children.set(name, this.#grow(child))
    return folder
  }

  make(kind: Node['kind'], content = '', target = ''): Node {
    return { inode: ++this.#inodes, kind, children: new Map(), content, target }
  }

  copy(node: Node): Node {
    const made = this.make(node.kind, node.content, node.target)
    for (const [name, child] of node.children) made.children.set(name, this.copy(child))
    return made
  }

  child(folder: Node, name: string): { name: string; node: Node } | undefined {
    const exact = folder.children.get(name)
    if (exact !== undefined) return { name, node: exact }
    const key = this.#key(name)
    for (const [other, node] of folder.children) if (this.#key(other) === key) return { name: other, node }
    return undefined
  }

  #key(name: string): string {
    const known = this.#keys.get(name) ?? foldName(name)
    this.#keys.set(name, known)
    return known
  }

  /** Undefined where a folder on the way is missing or none. `name`: a link that is the last part stays. */
  find(path: string, last: 'follow' | 'name', nearEnds = true): Found | undefined {
    const waiting = path.split('/').filter(Boolean).reverse()
    let way: { name: string; node: Node }[] = []
    let links = 0
    let at = this.root
    for (;;) {
      const name = waiting.pop()
      if (name === undefined) return { path: pathOf(way), parent: way.at(-2)?.node ?? this.root, name: way.at(-1)?.name ?? '', node: at }
      if (name === '.') continue
      if (name === '..') {
        way.pop()
        at = way.at(-1)?.node ?? this.root
        continue
      }
      if (at.kind !== 'directory') return undefined
      const isData = way.length === DATA.length && way.every((each, index) => each.name === DATA[index])
      const near = isData && FIRMLINKS.has(name) ? this.child(this.root, name) : undefined
      const next = near ?? this.child(at, name)
      if (next === undefined) return waiting.length > 0 ? undefined : { path: `${pathOf(way) === '/' ? '' : pathOf(way)}/${name}`, parent: at, name, node: undefined }
      if (next.node.kind === 'symlink' && (waiting.length > 0 || last === 'follow')) {
        if (++links > MOST_LINKS) return undefined
        waiting.push(...next.node.target.split('/').filter(Boolean).reverse())
        if (next.node.target.startsWith('/')) way = []
        at = way.at(-1)?.node ?? this.root
        continue
      }
      if (near !== undefined && nearEnds) way = []
      way.push(next)
      at = next.node
    }
  }

  view(): FileSystemView {
    return {
      entry: path => {
        const node = this.find(path, 'name')?.node
        if (node === undefined) return undefined
        const entry: Entry = { kind: node.kind, device: '1', inode: String(node.inode) }
        return node.kind === 'symlink' ? { ...entry, target: node.target } : entry
      },
      children: path => {
        const node = this.find(path, 'name')?.node
        return node?.kind === 'directory' ? [...node.children.keys()] : undefined
      },
      text: path => {
        const node = this.find(path, 'name')?.node
        return node?.kind === 'file' ? node.content : undefined
      },
      bytes: path => {
        const node = this.find(path, 'name')?.node
        return node?.kind === 'file' ? Buffer.from(node.content) : undefined
      },
    }
  }

  /** Every path but the root, folders before what is in them. */
  paths(): { path: string; node: Node }[] {
    const found: { path: string; node: Node }[] = []
    const walk = (at: string, folder: Node): void => {
      for (const [name, node] of folder.children) {
        found.push({ path: `${at}/${name}`, node })
        walk(`${at}/${name}`, node)
      }
    }
    walk('', this.root)
    return found
  }
}

const isLink = (tree: Exclude<Sapling, string>): tree is { readonly link: string } => typeof (tree as { link?: unknown }).link === 'string'
const pathOf = (way: readonly { readonly name: string }[]): string => `/${way.map(({ name }) => name).join('/')}`

export type Call =
  | { readonly call: 'read' | 'write' | 'create' | 'mkdir' | 'unlink'; readonly path: string }
  | { readonly call: 'symlink' | 'link' | 'rename' | 'swap' | 'clone'; readonly from: string; readonly to: string }

const VNODE_TYPES: Readonly<Record<Node['kind'], VnodeType>> = { file: 'REGULAR-FILE', directory: 'DIRECTORY', symlink: 'SYMLINK' }

export interface MacKernelOptions {
  readonly reading: Reading
  /** The kernel names what is reached through /System/Volumes/Data by its near end, as it seems to do. */
  readonly nearEnds: boolean
}

export class MacKernel {
  readonly files: MacFiles
  readonly #profile: Profile
  readonly #reading: Reading
  readonly #nearEnds: boolean

  constructor(files: MacFiles, profile: Profile, { reading, nearEnds }: MacKernelOptions) {
    this.files = files
    this.#profile = profile
    this.#reading = reading
    this.#nearEnds = nearEnds
  }

  #may(operation: string, path: string, kind: Node['kind'] | undefined): boolean {
    return evaluate(this.#profile, { operation, path, ...(kind === undefined ? {} : { vnodeType: VNODE_TYPES[kind] }) }, this.#reading).verdict === 'allow'
  }

  #find = (path: string, last: 'follow' | 'name'): Found | undefined => this.files.find(path, last, this.#nearEnds)

  /** What was read, `done`, or undefined where it was refused or could not be. */
  do(call: Call): Node | 'done' | undefined {
    switch (call.call) {
      case 'read': {
        const found = this.#find(call.path, 'follow')
        return found?.node !== undefined && this.#may('file-read-data', found.path, found.node.kind) ? found.node : undefined
      }
      case 'write': {
        const found = this.#find(call.path, 'follow')
        if (found?.node?.kind !== 'file' || !this.#may('file-write-data', found.path, 'file')) return undefined
        found.node.content = 'written by the command'
        return 'done'
      }
      case 'create': return this.#make(call.path, 'file', 'written by the command')
      case 'mkdir': return this.#make(call.path, 'directory')
      case 'symlink': return this.#make(call.to, 'symlink', '', call.from)
      case 'unlink': {
        const found = this.#find(call.path, 'name')
        if (found?.node === undefined || found.node.children.size > 0 || !this.#may('file-write-unlink', found.path, found.node.kind)) return undefined
        found.parent.children.delete(found.name)
        return 'done'
      }
      case 'link': {
        const [source, target] = [this.#find(call.from, 'name'), this.#find(call.to, 'name')]
        if (source?.node === undefined || source.node.kind === 'directory' || target === undefined || target.node !== undefined) return undefined
        if (!this.#may('file-link', source.path, source.node.kind) || !this.#may('file-write-create', target.path, source.node.kind)) return undefined
        target.parent.children.set(target.name, source.node)
        return 'done'
      }
      case 'clone': {
        const [source, target] = [this.#find(call.from, 'follow'), this.#find(call.to, 'name')]
        if (source?.node === undefined || target === undefined || target.node !== undefined) return undefined
        if (!this.#may('file-clone', source.path, source.node.kind) || !this.#may('file-write-create', target.path, source.node.kind)) return undefined
        target.parent.children.set(target.name, this.files.copy(source.node))
        return 'done'
      }
      case 'rename': case 'swap': return this.#move(call)
      default: return call satisfies never
    }
  }

  #make(path: string, kind: Node['kind'], content = '', target = ''): 'done' | undefined {
    const found = this.#find(path, 'name')
    if (found === undefined || found.node !== undefined || !this.#may('file-write-create', found.path, kind)) return undefined
    found.parent.children.set(found.name, this.files.make(kind, content, target))
    return 'done'
  }

  /** The new name is asked for as the caller writes it, also where something stands there; of a swap no more is asked than of a rename. */
  #move({ call, from, to }: Extract<Call, { from: string }>): 'done' | undefined {
    const [source, target] = [this.#find(from, 'name'), this.#find(to, 'name')]
    if (source?.node === undefined || target === undefined || holds(source.node, target.parent)) return undefined
    const written = `${target.path.slice(0, target.path.lastIndexOf('/'))}/${to.split('/').filter(Boolean).at(-1) ?? ''}`
    if (!this.#may('file-write-unlink', source.path, source.node.kind) || !this.#may('file-write-create', written, source.node.kind)) return undefined
    if (target.node !== undefined && !this.#may('file-write-unlink', target.path, target.node.kind)) return undefined
    if (call === 'swap') {
      if (target.node === undefined || holds(target.node, source.parent)) return undefined
      source.parent.children.set(source.name, target.node)
      target.parent.children.set(target.name, source.node)
      return 'done'
    }
    if (target.node !== undefined && target.node !== source.node && (target.node.children.size > 0 || (target.node.kind === 'directory') !== (source.node.kind === 'directory'))) return undefined
    source.parent.children.delete(source.name)
    if (target.node !== undefined && target.node !== source.node) target.parent.children.delete(target.name)
    target.parent.children.set(to.split('/').filter(Boolean).at(-1) ?? target.name, source.node)
    return 'done'
  }
}

/** `folder` is `node` or lies below it. */
function holds(node: Node, folder: Node): boolean {
  if (node === folder) return true
  for (const child of node.children.values()) if (holds(child, folder)) return true
  return false
}
