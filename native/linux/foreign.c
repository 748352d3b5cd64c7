#include "foreign.h"
#include "caller.h"
#include "process-tree.h"
#include "reports.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* ioprio_set's `which`. */
enum { IOPRIO_WHO_PROCESS_ = 1 };

/* How far a call may reach. */
enum reach { OWN_PROCESS, OWN_COMMAND };

static const struct foreign_call { int number; const char *name; enum reach reach; } CALLS[] = {
	/* Limits that are lowered cannot be raised again: only where it is certain that the process is the caller's. Others are judged by a
	 * number, which another process could get before the kernel looks at it; that takes as many new processes as there are numbers. */
	{ SYS_prlimit64, "prlimit64", OWN_PROCESS },
	{ SYS_setpriority, "setpriority", OWN_COMMAND },
	{ SYS_ioprio_set, "ioprio_set", OWN_COMMAND },
	{ SYS_sched_setaffinity, "sched_setaffinity", OWN_COMMAND },
	{ SYS_sched_setscheduler, "sched_setscheduler", OWN_COMMAND },
	{ SYS_sched_setparam, "sched_setparam", OWN_COMMAND },
	{ SYS_sched_setattr, "sched_setattr", OWN_COMMAND },
};
enum { N_CALLS = sizeof CALLS / sizeof CALLS[0] };

static const struct foreign_call *row_of(int number)
{
	for (int i = 0; i < N_CALLS; i++)
		if (CALLS[i].number == number)
			return &CALLS[i];
	return NULL;
}

/* Whom it is about; 0: more than one process, as a group or all of a user's. */
static pid_t target_of(const struct call *call)
{
	switch (call->number) {
	case SYS_setpriority: return (int)call->arguments[0] == PRIO_PROCESS ? (pid_t)call->arguments[1] : 0;
	case SYS_ioprio_set: return (int)call->arguments[0] == IOPRIO_WHO_PROCESS_ ? (pid_t)call->arguments[1] : 0;
	default: return (pid_t)call->arguments[0];
	}
}

static bool is_within(const struct call *call, pid_t target, enum reach reach)
{
	pid_t init;

	if (thread_group(target) == thread_group(call->thread))
		return true;
	init = reach == OWN_COMMAND ? init_above(call->thread) : 0;
	return init != 0 && target != init && init_above(target) == init;
}

static struct answer judge_foreign(const struct call *call)
{
	const struct foreign_call *row = row_of(call->number);
	pid_t target = target_of(call);

	if (row == NULL)
		return give_result(-ENOSYS);
	if (target < 0)
		return give_result(-ESRCH);
	if (target > 0 && thread_group(target) < 0)
		return give_result(-ESRCH);
	/* Its arguments are in registers, which nobody can change while it waits. */
	if (target > 0 && is_within(call, target, row->reach) && still_waits(call))
		return let_continue();
	report_access(call, ACCESS_SYSTEM_CALL, row->name, REPORT_REFUSED);
	return give_result(-EPERM);
}

/* Attaching to a process. Commands' domains keep it inside by themselves: this only tells what they refuse. */
static struct answer tell_tracing(const struct call *call)
{
	pid_t target = (pid_t)call->arguments[1];

	if (target <= 0 || thread_group(target) < 0 || is_within(call, target, OWN_COMMAND))
		return let_continue();
	report_access(call, ACCESS_SYSTEM_CALL, "ptrace", REPORT_REFUSED);
	return give_result(-EPERM);
}

struct handled_call *add_foreign_calls(struct handled_call *at)
{
	*at++ = (struct handled_call){ SYS_ptrace, false, tell_tracing };
	for (int i = 0; i < N_CALLS; i++)
		*at++ = (struct handled_call){ CALLS[i].number, false, judge_foreign };
	return at;
}
