#include "signals.h"
#include "caller.h"
#include "forker.h"
#include "kernel.h"
#include "process-tree.h"
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_PROCESSES = 8192, SIGINFO_BYTES = 128, EVERYBODY = -1 };

static pid_t forker;

void prepare_signals(pid_t known_forker)
{
	forker = known_forker;
}

/* A child of the forker that is none is what a killed init left. `above`: the init above it, which of an init is itself. */
static bool is_init(pid_t process, pid_t above)
{
	if (process != above)
		return false;
	for (int i = 0; i < INIT_PIDS; i++)
		if (shared.init_pids[i] == process)
			return true;
	return false;
}

/* A signal on its way: who sends it, of which command, and what rides on it. */
struct sending {
	const struct call *call;
	pid_t process, init;	/* the caller, and the init above it; an init is its own */
	int signal;
	bool has_info;
	unsigned char info[SIGINFO_BYTES];
};

static int open_process(pid_t process, unsigned flags)
{
	return (int)syscall(NR_pidfd_open, process, flags);
}

/* Sends to exactly the process that is judged: its descriptor is opened first, and then it must still be one of the command's. `thread`:
 * to this thread of it, where the kernel can (6.9), else to the process. Returns 0 or -errno. */
static long send_to(const struct sending *sending, pid_t process, pid_t thread)
{
	bool to_thread = thread != 0;
	int pidfd = to_thread ? open_process(thread, PIDFD_THREAD_) : open_process(process, 0);
	long result;

	if (pidfd < 0 && to_thread && errno == EINVAL) {
		to_thread = false;
		pidfd = open_process(process, 0);
	}
	if (pidfd < 0)
		return -ESRCH;
	if (process == sending->init || init_above(process) != sending->init)
		result = -EPERM;
	else
		result = syscall(NR_pidfd_send_signal, pidfd, sending->signal, sending->has_info ? sending->info : NULL, to_thread ? PIDFD_SIGNAL_THREAD_ : 0) == 0 ? 0 : -errno;
	close(pidfd);
	return result;
}

static pid_t group_of_process(pid_t process)
{
	char text[512];
	const char *at;

	read_file_of(process, "stat", text, sizeof text);
	/* pid (name) state parent group: the name may have anything in it. */
	at = strrchr(text, ')');
	return at == NULL || strlen(at) < 4 || (at = strchr(at + 4, ' ')) == NULL ? 0 : (pid_t)atoi(at);
}

/* To the command's processes of a group, or to EVERYBODY but the caller, as kill(2) has it. */
static long send_to_many(const struct sending *sending, pid_t group)
{
	pid_t *processes = malloc(MOST_PROCESSES * sizeof *processes);
	int n_processes = processes == NULL ? 0 : collect_below(sending->init, processes, MOST_PROCESSES);
	bool to_caller = false;
	long result = -ESRCH;

	for (int i = 0; i < n_processes; i++) {
		if (group != EVERYBODY && group_of_process(processes[i]) != group)
			continue;
		if (processes[i] == sending->process)
			to_caller = group != EVERYBODY;
		else if (send_to(sending, processes[i], 0) == 0)
			result = 0;
	}
	free(processes);
	/* Last, as it may end the one that waits for the answer. */
	if (to_caller && send_to(sending, sending->process, 0) == 0)
		result = 0;
	return result;
}

/* kill(2)'s `target`. */
static long send_as_kill(const struct sending *sending, int target)
{
	if (target > 0)
		return send_to(sending, thread_group(target), 0);
	if (target == EVERYBODY)
		return send_to_many(sending, EVERYBODY);
	return send_to_many(sending, target == 0 ? group_of_process(sending->process) : -target);
}

/* The process of a pidfd of the caller's; -1: it is none. */
static pid_t process_of_pidfd(pid_t thread, int fd)
{
	char name[24], text[1024];
	const char *line;

	snprintf(name, sizeof name, "fdinfo/%d", fd);
	read_file_of(thread, name, text, sizeof text);
	line = strstr(text, "\nPid:");
	return line == NULL ? -1 : (pid_t)atoi(line + 5);
}

static long copy_info(struct sending *sending, uint64_t address)
{
	sending->has_info = address != 0;
	return address == 0 ? 0 : copy_memory(sending->call->thread, address, sending->info, SIGINFO_BYTES);
}

static long carry_out(struct sending *sending)
{
	const uint64_t *arguments = sending->call->arguments;
	long result = 0;
	pid_t target;

	switch (sending->call->number) {
	case SYS_kill:
		sending->signal = (int)arguments[1];
		return send_as_kill(sending, (int)arguments[0]);
	case SYS_tkill:
		sending->signal = (int)arguments[1];
		return send_to(sending, thread_group((pid_t)arguments[0]), (pid_t)arguments[0]);
	case SYS_tgkill:
		sending->signal = (int)arguments[2];
		return send_to(sending, (pid_t)arguments[0], (pid_t)arguments[1]);
	case SYS_rt_sigqueueinfo:
		sending->signal = (int)arguments[1];
		result = copy_info(sending, arguments[2]);
		return result != 0 ? result : send_to(sending, thread_group((pid_t)arguments[0]), 0);
	case SYS_rt_tgsigqueueinfo:
		sending->signal = (int)arguments[2];
		result = copy_info(sending, arguments[3]);
		return result != 0 ? result : send_to(sending, (pid_t)arguments[0], (pid_t)arguments[1]);
	default:	/* pidfd_send_signal */
		sending->signal = (int)arguments[1];
		target = process_of_pidfd(sending->call->thread, (int)arguments[0]);
		if (target < 0)
			return target == -1 ? -EBADF : -ESRCH;
		result = copy_info(sending, arguments[2]);
		return result != 0 ? result : send_to(sending, target, 0);
	}
}

/* What is certainly about the caller's own process, which lives as long as it waits: Go's pre-emption, raise(3), abort(3). */
static bool is_about_itself(const struct call *call, pid_t process)
{
	if (call->number == NR_pidfd_send_signal || call->number == SYS_tkill)
		return call->number == SYS_tkill && (pid_t)call->arguments[0] == call->thread;
	return (pid_t)call->arguments[0] == process;
}

static struct answer judge_signal(const struct call *call)
{
	struct sending sending = { .call = call, .process = thread_group(call->thread) };
	long result;

	sending.init = init_above(call->thread);
	/* Trusted, and none of them asks for more than it should; but an init's "everybody" is its command. */
	if (sending.process == forker || (is_init(sending.process, sending.init) && !(call->number == SYS_kill && (int)call->arguments[0] == EVERYBODY))) {
		if (call->number == SYS_kill && (pid_t)call->arguments[0] == forker)
			return give_result(-EPERM);
		return let_continue();
	}
	if (sending.init == 0 || !still_waits(call))
		return give_result(-EPERM);
	if (is_about_itself(call, sending.process))
		return let_continue();
	result = carry_out(&sending);
	if (result == -EPERM)
		report_access(call, ACCESS_SYSTEM_CALL, "kill", REPORT_REFUSED);
	return give_result(result);
}

/* fcntl(F_SETOWN): who is signalled when something happens to a descriptor. Only the caller itself, or nobody. */
static struct answer judge_owner(const struct call *call)
{
	pid_t owner = (pid_t)call->arguments[2];

	if ((owner == 0 || owner == thread_group(call->thread)) && still_waits(call))
		return let_continue();
	report_access(call, ACCESS_SYSTEM_CALL, "fcntl(F_SETOWN)", REPORT_REFUSED);
	return give_result(-EPERM);
}

struct handled_call *add_signal_calls(struct handled_call *at)
{
	static const int NUMBERS[] = { SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, NR_pidfd_send_signal };

	for (unsigned i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++)
		*at++ = (struct handled_call){ NUMBERS[i], false, judge_signal };
	*at++ = (struct handled_call){ SYS_fcntl, false, judge_owner };
	return at;
}
