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

export interface HostSnapshot {
  readonly platform: PlatformName
  /** The policy's cwd when the caller names none. */
  readonly cwd: string
  readonly home: string | undefined
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
}
