// What `resolve` may know of a machine. `src/host` fills one from the real machine; a test makes one by hand.

export type PlatformName = 'linux' | 'macos' | 'windows'

export type EntryKind = 'file' | 'directory' | 'symlink' | 'socket' | 'fifo' | 'device'

/** Device and inode in decimal, as text, so that a plan stays plain data and nothing is lost above 2^53. */
export interface FileIdentity {
  readonly device: string
  readonly inode: string
}

/** One directory entry as lstat(2) sees it: links are not followed. */
export interface Entry extends FileIdentity {
  readonly kind: EntryKind
  /** The text of a symlink. */
  readonly target?: string
}

/**
 * A view of the file system. Every path is absolute. Nothing throws for what is missing or may not be looked at:
 * the answer is undefined then.
 */
export interface FileSystemView {
  entry(path: string): Entry | undefined
  /** Names in a directory, undefined where it cannot be listed. */
  children(path: string): readonly string[] | undefined
  /** The first 64 KiB of a regular file as UTF-8, undefined where it cannot be read. */
  text(path: string): string | undefined
  /** A regular file of at most 64 MiB, undefined where it cannot be read. */
  bytes(path: string): Uint8Array | undefined
}

/** A part of a file system at a place in the tree. */
export interface Mount {
  /** Of the file system, in whatever form: equal for two mounts of one. */
  readonly device: string
  /** The folder or file of the file system that shows. */
  readonly root: string
  /** Where. */
  readonly point: string
}

/** A volume with a letter. */
export interface WindowsDrive {
  /** `C:` */
  readonly letter: string
  /** As Windows names it: `NTFS`, `ReFS`, `FAT32`, `exFAT`, `UDF`, … */
  readonly fileSystem: string
  readonly kind: 'fixed' | 'removable' | 'remote' | 'optical' | 'memory'
  /** The letter is only another name of this folder (`subst`). */
  readonly substituted?: string
}

export interface WindowsAccount {
  readonly name: string
  readonly sid: string
}

/** What set-up has made on this machine, as its state file in the Codex home says. */
export interface WindowsSetUp {
  readonly version: number
  /** Of `elevated` only. */
  readonly accounts?: { readonly offline: WindowsAccount; readonly online: WindowsAccount; readonly group: WindowsAccount }
  /** Ports of the loopback that the firewall leaves open for the offline account. */
  readonly proxyPorts: readonly number[]
  /** SIDs of capabilities by their key; see capability-sids.ts. */
  readonly capabilities: Readonly<Record<string, string>>
  /** Access lists that set-up has made and read back, by the fingerprint of what was planned and found. */
  readonly prepared: readonly string[]
}

/** What a plan for Windows has to know beside the files themselves. Paths are normalised. */
export interface WindowsFacts {
  readonly drives: readonly WindowsDrive[]
  readonly user: WindowsAccount
  /** `C:\Windows`. */
  readonly systemRoot: string
  /** Folders and files directly in the user's profile. */
  readonly profileEntries: readonly string[]
  /** The security descriptor in SDDL, SIDs in full; undefined where nothing is or it cannot be read. */
  descriptor(path: string): string | undefined
  /** Of a link its own: a junction is a directory to its list, and so is a symbolic link to one. */
  kind(path: string): 'file' | 'directory' | undefined
  /** Folders that everybody may write by an entry of their own, as a bounded scan found them. */
  readonly worldWritable: readonly string[]
  /** What inherits nothing, or has allowing entries of its own, as set-up's walk of the roots and denied folders found it. */
  readonly ownLists: readonly { readonly path: string; readonly kind: 'file' | 'directory' }[]
  /** Undefined: never set up. */
  readonly setUp: WindowsSetUp | undefined
}

export interface HostSnapshot {
  readonly platform: PlatformName
  /** The policy's cwd when the caller names none. */
  readonly cwd: string
  readonly home: string | undefined
  /** The home folder of the account, where HOME names another one: its keys and tokens lie there all the same. */
  readonly accountHome?: string
  /** $TMPDIR of the embedding process, undefined when unset or empty. */
  readonly tmpdir: string | undefined
  /** CODEX_HOME, or its default `~/.codex`. */
  readonly codexHome: string | undefined
  readonly uid: number
  readonly gid: number
  /** All that runs or is believed outside and so stays read-only whatever the roots: our own run-time files, the launcher, node, journal. */
  readonly selfPaths: readonly string[]
  readonly files: FileSystemView
  /** In the order in which they were made. Absent: no file shows in two places. */
  readonly mounts?: readonly Mount[]
  /** Of Linux: which version of Windows' subsystem for it this is. Absent: none. */
  readonly wsl?: 1 | 2
  /** On Windows, where they could be read. */
  readonly windows?: WindowsFacts
}
