/* What commands tried and were refused, or may have been: from the threads that answer system calls to the monitor's loop, which
 * tells Node. Reports are words about calls, never decisions: what is lost here is lost to readers alone.
 *
 * Bounded: what waits for the loop lies in two fixed buffers; where they are full, reports are counted and dropped. */
#ifndef REPORTS_H
#define REPORTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "notifications.h"

/* In the order of ACCESS_OPERATIONS in src/platform/linux/native/frames.ts. */
enum access_operation {
	ACCESS_READ = 1,
	ACCESS_WRITE,		/* content, or metadata */
	ACCESS_CREATE,
	ACCESS_REMOVE,
	ACCESS_EXECUTE,
	ACCESS_UNIX_CONNECT,
	ACCESS_CONNECT,		/* path: "1.2.3.4:80", "[::1]:80" */
	ACCESS_SYSTEM_CALL,	/* path: the call's name, with what of its arguments was refused */
};

enum report_flag {
	REPORT_REFUSED = 1,		/* this process refused the call: certain */
	REPORT_PATH_UNKNOWN = 2,	/* the caller may not be read; `path` is not looked at */
	REPORT_MODE_REFUSES = 4,	/* the file's own mode refuses it, or a mask's: without the sandbox it may fail as well */
	REPORT_MISSING = 8,		/* nothing stood at the name, no link either: made, it would have been new */
};

/* Before the first call. `inits`: those of running commands, in the forker's PID namespace (0: none), `n_inits` of them. Returns a descriptor that is readable while reports wait, or -1 with errno. */
int prepare_reports(const volatile pid_t *inits, int n_inits);

/* Tells what `call` tried. From any thread, before the call is answered: who the caller is, is looked up while it waits.
 * The same of one command again is folded into the first; what belongs to no command is dropped. `path` is cut where it is longer than PATH_MAX. */
void report_access(const struct call *call, enum access_operation operation, const char *path, unsigned flags);

struct report { uint32_t size; pid_t init, process; uint16_t path_length; uint8_t operation, flags; char program[16]; char path[]; };

/* Takes all reports that wait; `init` is their command's, as `shared.init_pids` has it. They stay valid until the next call.
 * Returns how many bytes of them there are: rows of `size` bytes each, one behind the other. */
size_t take_reports(const struct report **first);

/* A command is over. Returns how many of its reports were dropped; a later command with this init starts afresh. */
uint32_t forget_reports(pid_t init);

#endif
