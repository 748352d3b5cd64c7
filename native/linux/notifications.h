/* System calls that wait for the monitor's answer (seccomp_unotify(2)): receiving them, and answering.
 *
 * The listener filter (src/platform/linux/seccomp/filters.ts) says which calls come here; each belongs to one row of a table.
 * A caller is stopped until it has its answer, but its memory, its descriptors and every path can be changed meanwhile by other
 * threads: a handler copies what it judges once (caller.h), asks `still_waits` before it believes the copy, and then carries the
 * call out itself. ANSWER_CONTINUE lets the kernel carry it out, and may never be a decision. */
#ifndef NOTIFICATIONS_H
#define NOTIFICATIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct call {
	uint64_t id;
	pid_t thread;		/* the calling thread, as this process's /proc has it */
	int number;		/* of the system call */
	uint64_t arguments[6];
};

enum answer_kind {
	ANSWER_RESULT,		/* the call returns `result`: a value, or -errno */
	ANSWER_CONTINUE,	/* the kernel carries the call out, under every rule that holds for the caller */
	ANSWER_LATER,		/* it turned out that the call may block: `later(call, state)` answers it beside the others */
};
struct answer {
	enum answer_kind kind;
	long result;
	struct answer (*later)(const struct call *call, void *state);	/* frees `state`, and does only that where `call` is NULL */
	void *state;
	bool nothing_to_tell;	/* with ANSWER_CONTINUE: it was looked at, and the rules permit it */
};

static inline struct answer give_result(long result)
{
	return (struct answer){ .kind = ANSWER_RESULT, .result = result };
}

static inline struct answer let_continue(void)
{
	return (struct answer){ .kind = ANSWER_CONTINUE };
}

struct handled_call {
	int number;
	bool may_block;		/* it then runs beside the others: a slow peer holds up nobody else. Its system calls are interrupted
				 * (EINTR) within seconds where the caller is gone */
	struct answer (*handle)(const struct call *call);
};

/* Starts answering `listener` in threads of this process. All rows that cannot block run one after the other in one thread at a
 * time: between their check and their act no other of them runs. A call without a row gets ENOSYS.
 * Of two rows with one number the first counts; `rows` must stay. Returns 0, or -1 with errno. */
int start_answering(int listener, const struct handled_call *rows, unsigned n_rows);

/* Does the caller still wait in this very call? Asked after its memory or descriptors were read: before, its thread id may have
 * been given to another process. */
bool still_waits(const struct call *call);

/* Gives the caller a copy of `fd`, as its lowest free descriptor, and that number as the call's result. The kernel keeps to the
 * caller's RLIMIT_NOFILE: then the answer is its EMFILE. */
struct answer answer_with_descriptor(const struct call *call, int fd, bool close_on_exec);

/* The same, and closes `fd` before the caller goes on: a program that it has just written could not be run while this process has it
 * open for writing (ETXTBSY), and a pipe that it closes would not be at its end. */
struct answer hand_descriptor_over(const struct call *call, int fd, bool close_on_exec);

#endif
