// Written by scripts/emit-native-tables.ts from native/linux/frames.def.
export const TO_LAUNCHER = {
  /** the plan, as native/linux/plan.h has it; first and once */
  PLAN: 1,
  /** a command, as native/linux/plan.h has it */
  START: 2,
  /** bytes */
  STDIN: 3,
  /** No payload. */
  STDIN_CLOSE: 4,
  /** u32 signal number, to the command's process group */
  SIGNAL: 5,
  /** No payload. */
  KILL: 6,
  /** u16 rows, u16 columns */
  RESIZE: 7,
  /** u8 stream (1 stdout, 2 stderr), u32 bytes that the reader has dealt with */
  CONSUMED: 8,
  /** end everything; the socket closes when it is done */
  CLOSE: 9,
  /** to the keeper: u32 process id of the launcher inside bwrap; what is held is given up when that is gone, and no sooner */
  HOLD_UNTIL: 10,
} as const

export const FROM_LAUNCHER = {
  /** No payload. */
  READY: 64,
  /** u16 step (steps.def), i32 errno, path bytes to the end; id 0: the set-up, and the launcher ends */
  FAILED: 65,
  /** u32 process id on the host, 0 where it is not known */
  STARTED: 66,
  /** bytes */
  STDOUT: 67,
  /** bytes */
  STDERR: 68,
  /** u32 bytes that the command took */
  STDIN_DRAINED: 69,
  /** u32 signal */
  STOPPED: 70,
  /** No payload. */
  CONTINUED: 71,
  /** i32 wait status, u32 end reason (0 none 1 killed 2 host changed a protected path 3 memory limit 4 pids limit), u64 cpu microseconds, u64 max rss bytes, u16 n ended: {u32 pid, u8 length, name}, then the path of reason 2 to the end */
  EXIT: 72,
  /** what a command tried and was refused, or may have been: u32 process id on the host, u8 operation and u8 flags as reports.h has them, u8 length, program, then the path to the end */
  ACCESS: 73,
  /** u32 ACCESS frames that were too many, before the EXIT of the command */
  ACCESSES_LOST: 74,
  /** as EXIT: the command ended, and what is named goes on, as it was to be kept; EXIT comes when that is gone */
  LEFT: 75,
  /** before the EXIT or LEFT of a command: the path, to the end, of a git operation that is under way in this sandbox alone */
  GIT_OPERATION: 76,
} as const
