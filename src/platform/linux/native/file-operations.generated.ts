// Written by scripts/emit-native-tables.ts from native/linux/file-operations.def.
export const FILE_OPERATION = {
  /** u64 most bytes, path. DATA: the content */
  READ: 1,
  /** u8 how (0 replace, 1 only if new, 2 append), u32 mode of a new file, u32 length of the path, path, content to the end */
  WRITE: 2,
  /** u8 recursive, u32 mode, path. DONE: the first folder that was made, as bytes of the path; empty where none was */
  MKDIR: 3,
  /** u32 length of the old path, old path, new path */
  RENAME: 4,
  /** u8 flags (1 recursive, 2 a missing path is no error), path */
  REMOVE: 5,
  /** path. DATA: {u8 kind, u8 length, name}; kinds are the DT_* of readdir(3) */
  LIST: 6,
  /** u8 follow a link, path. DONE: u64 dev, ino, mode, nlink, uid, gid, rdev, size, blksize, blocks, then atime, mtime, ctime in nanoseconds */
  STAT: 7,
} as const

export const FILE_ANSWER = {
  /** bytes */
  DATA: 64,
  /** as the operation has it */
  DONE: 65,
  /** i32 errno, then the path where it failed, where that is not the one asked for */
  FAILED: 66,
} as const
