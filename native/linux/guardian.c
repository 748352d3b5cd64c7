#include "guardian.h"
#include "caller.h"
#include "forker.h"
#include "kernel.h"
#include "process-tree.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The forker lives on without the monitor, so that what loses its parent stays below it, and is killed last. */
static void end_below(pid_t forker, int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	pid_t any;

	while (poll(&ended, 1, 1) == 0) {
		if (collect_below(forker, &any, 1) == 0)
			syscall(NR_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
		else
			kill_below(forker);
	}
}

/* An init that has ended may have given its number away: one leads a session and has the launcher's name. */
static bool is_init(pid_t pid)
{
	char name[16] = { 0 }, own[16] = { 0 };
	struct ids ids;

	program_of(pid, name);
	return prctl(PR_GET_NAME, own, 0, 0, 0) == 0 && strncmp(name, own, sizeof own) == 0 && read_ids(pid, &ids) == 0 && ids.process == pid && ids.session == pid;
}

/* Where the forker was killed as well, nothing is below it any more; but the inits of commands wrote down their numbers. */
static void end_orphans(void)
{
	for (bool any = true; any; poll(NULL, 0, any ? 1 : 0)) {
		any = false;
		for (int i = 0; i < INIT_PIDS; i++) {
			pid_t init = shared.init_pids[i], below;

			if (init == 0)
				continue;
			if (is_init(init) && collect_below(init, &below, 1) > 0) {
				kill_below(init);
				any = true;
				continue;
			}
			if (is_init(init))
				kill(init, SIGKILL);
			shared.init_pids[i] = 0;
		}
	}
}

enum { FD_MONITOR = 3, FD_END, FIRST_OTHER_FD };

/* Where the two descriptors that it needs are, upwards first, so that none is closed by the copy of the other. */
static int keep_own_descriptors(int monitor, int end)
{
	int high_monitor = fcntl(monitor, F_DUPFD_CLOEXEC, FIRST_OTHER_FD), high_end = end < 0 ? -1 : fcntl(end, F_DUPFD_CLOEXEC, FIRST_OTHER_FD);

	if (high_monitor < 0 || (end >= 0 && high_end < 0) || dup2(high_monitor, FD_MONITOR) < 0 || (end >= 0 && dup2(high_end, FD_END) < 0))
		return -1;
	return (int)syscall(NR_close_range, end < 0 ? FD_END : FIRST_OTHER_FD, ~0U, 0);
}

static _Noreturn void guard(int monitor, int end_of_all)
{
	int pidfd = -1;
	pid_t forker;
	char end;

	/* Out of the launcher's process group, so that a signal to all of that is not for this process. */
	setsid();
	if (keep_own_descriptors(monitor, end_of_all) != 0 || read(FD_MONITOR, &forker, sizeof forker) != (ssize_t)sizeof forker)
		_exit(0);
	/* Of this very process: where it ended and its number was given away, there is nobody left to end. */
	pidfd = (int)syscall(NR_pidfd_open, forker, 0);
	if (read(FD_MONITOR, &end, 1) != 0)
		_exit(0);
	/* All commands at once, where they have groups. Where the launcher has one as well, this process and the forker are in it too: then all
	 * is done. */
	if (end_of_all >= 0)
		(void)!write(FD_END, "1", 1);
	if (pidfd >= 0)
		end_below(forker, pidfd);
	end_orphans();
	_exit(0);
}

int start_guardian(int end)
{
	int pair[2];
	pid_t child;

	if (pipe2(pair, O_CLOEXEC) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		close(pair[1]);
		guard(pair[0], end);
	}
	close(pair[0]);
	return child < 0 ? -1 : pair[1];
}

int tell_guardian(int guardian, pid_t forker)
{
	return write(guardian, &forker, sizeof forker) == (ssize_t)sizeof forker ? 0 : -1;
}
