// Landlock's rights as data: which exist under which ABI, and the bits that stand for them.

/**
 * Landlock's access rights for files, in the order of their bits.
 * `since`: the first ABI with the right; ask for the ABI, never for the kernel version, which backports make useless.
 * `on`: `file` rights may stand in a rule on a file too, `directory` rights may not (EINVAL).
 * Source: include/uapi/linux/landlock.h; for `on`, ACCESS_FILE in security/landlock/fs.c.
 */
export const FS_RIGHTS = [
  { right: 'execute',      since: 1, on: 'file' },
  { right: 'write_file',   since: 1, on: 'file' },
  { right: 'read_file',    since: 1, on: 'file' },
  { right: 'read_dir',     since: 1, on: 'directory' },
  { right: 'remove_dir',   since: 1, on: 'directory' },
  { right: 'remove_file',  since: 1, on: 'directory' },
  { right: 'make_char',    since: 1, on: 'directory' },
  { right: 'make_dir',     since: 1, on: 'directory' },
  { right: 'make_reg',     since: 1, on: 'directory' },
  { right: 'make_sock',    since: 1, on: 'directory' },
  { right: 'make_fifo',    since: 1, on: 'directory' },
  { right: 'make_block',   since: 1, on: 'directory' },
  { right: 'make_sym',     since: 1, on: 'directory' },
  { right: 'refer',        since: 2, on: 'directory' },
  { right: 'truncate',     since: 3, on: 'file' },
  { right: 'ioctl_dev',    since: 5, on: 'file' },
  { right: 'resolve_unix', since: 9, on: 'file' },
] as const

/** The rights for the network, in the order of their bits. Each is about a port; a rule can allow single ports only. */
export const NET_RIGHTS = [
  { right: 'bind_tcp',         since: 4 },
  { right: 'connect_tcp',      since: 4 },
  { right: 'bind_udp',         since: 10 },
  { right: 'connect_send_udp', since: 10 },
] as const

/** What a domain can be cut off from, in the order of their bits; no rule opens a scope again. */
export const SCOPES = [
  { right: 'abstract_unix_socket', since: 6 },
  { right: 'signal',               since: 6 },
] as const

/** The first ABI with rights about TCP. */
export const FIRST_ABI_WITH_TCP = NET_RIGHTS[0].since
/** The first ABI with which the kernel keeps signals and abstract unix sockets inside. */
export const FIRST_ABI_WITH_SCOPES = SCOPES[0].since

export type FsRight = (typeof FS_RIGHTS)[number]['right']
export type Scope = (typeof SCOPES)[number]['right']

type Row = { readonly right: string; readonly since: number }

/** The file rights that a ruleset can handle under `abi`. Above the table's last ABI: all of them, and `probe` reports the gap. */
export const handledRights = (abi: number): FsRight[] => FS_RIGHTS.filter(({ since }) => since <= abi).map(({ right }) => right)

/** The bits of file rights, as in `handled_access_fs` and `allowed_access`. */
export const fsMask = (rights: readonly FsRight[]): bigint =>
  FS_RIGHTS.reduce((mask, { right }, bit) => (rights.includes(right) ? mask | (1n << BigInt(bit)) : mask), 0n)

/** The bits of all file rights that may stand in a rule on a file. */
export const ON_FILE_MASK = fsMask(FS_RIGHTS.filter(({ on }) => on === 'file').map(({ right }) => right))

/** The bits of all network rights under `abi`, as in `handled_access_net`. */
export const netMask = (abi: number): number => maskUnder(NET_RIGHTS, abi)

/** The bits of all scopes under `abi`, as in `scoped`. */
export const scopeMask = (abi: number): number => maskUnder(SCOPES, abi)

const maskUnder = (rows: readonly Row[], abi: number): number =>
  rows.reduce((mask, { since }, bit) => (since <= abi ? mask | (1 << bit) : mask), 0)
