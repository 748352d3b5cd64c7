// Written by scripts/emit-native-tables.ts from native/windows/frames.def.
export const TO_RUNNER = {
  /** the token, as runner.cc reads it: u32 flags, list disable, list restricting, list privileges, text integrity, text default list, text name and text list of the desktop, text list of the runner's own process, u32 n proofs: {text descriptor, u32 desired}; once, after HELLO */
  SET_UP: 1,
  /** a command: text application, text command line, text cwd, list environment, u8 flags (1 input comes, 2 keep), u16 rows, u16 columns (0: no terminal), u32 job flags, u32 user interface flags, u64 memory, u32 processes, u64 user time in 100 ns; 0: no limit */
  START: 2,
  /** bytes */
  STDIN: 3,
  /** No payload. */
  STDIN_CLOSE: 4,
  /** u32 signal number: what it means here is in command.cc */
  SIGNAL: 5,
  /** No payload. */
  KILL: 6,
  /** u16 rows, u16 columns */
  RESIZE: 7,
  /** u8 stream (1 stdout, 2 stderr), u32 bytes that the reader has dealt with */
  CONSUMED: 8,
  /** end everything and go */
  CLOSE: 9,
  /** to the broker, first and once: text name and text SID of the account, text path of the runner, bytes of its sealed password (UTF-8) to the end */
  LOGON: 10,
} as const

export const FROM_RUNNER = {
  /** u32 n, u8 each: whether the system grants what each proof asks for */
  READY: 64,
  /** u32 error of Windows (0: a step that did not read back), u8 length, step, detail to the end; id 0: the set-up, and the runner ends */
  FAILED: 65,
  /** u32 process id */
  STARTED: 66,
  /** bytes */
  STDOUT: 67,
  /** bytes */
  STDERR: 68,
  /** u32 bytes that the command took, or does not want */
  STDIN_DRAINED: 69,
  /** u32 exit code, u32 signal by which the runner ended it (0: none), u32 end reason (0 none 1 killed 2 memory limit 3 pids limit 4 cpu limit), u64 cpu microseconds, u64 largest working set in bytes, u16 n ended: {u32 pid, u8 length, name} */
  EXIT: 72,
  /** as EXIT: the command ended, and what is named goes on, as it was to be kept; EXIT comes when that is gone */
  LEFT: 75,
  /** text version of the package, text SID of the account, text SID of the logon session; first and once */
  HELLO: 77,
} as const
