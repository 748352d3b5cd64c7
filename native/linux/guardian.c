#include "guardian.h"
#include "kernel.h"
#include "process-tree.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The forker lives on without the monitor, so that what loses its parent stays below it, and is killed last. */
static void end_below(pid_t forker, int pidfd)
{
	struct pollfd ended = { .fd = pidfd, .events = POLLIN };
	pid_t any;

	while (poll(&ended, 1, 1) == 0) {
		if (collect_below(forker, &any, 1) == 0)
			kill(forker, SIGKILL);
		else
			kill_below(forker);
	}
}

static _Noreturn void guard(int monitor)
{
	int pidfd = -1;
	pid_t forker;
	char end;

	if (dup2(monitor, 3) < 0 || syscall(NR_close_range, 4, ~0U, 0) != 0 || read(3, &forker, sizeof forker) != (ssize_t)sizeof forker)
		_exit(0);
	/* Of this very process: where it ended and its number was given away, there is nobody left to end. */
	pidfd = (int)syscall(NR_pidfd_open, forker, 0);
	if (read(3, &end, 1) == 0 && pidfd >= 0)
		end_below(forker, pidfd);
	_exit(0);
}

int start_guardian(void)
{
	int pair[2];
	pid_t child;

	if (pipe2(pair, O_CLOEXEC) != 0)
		return -1;
	child = fork();
	if (child == 0) {
		close(pair[1]);
		guard(pair[0]);
	}
	close(pair[0]);
	return child < 0 ? -1 : pair[1];
}

int tell_guardian(int guardian, pid_t forker)
{
	return write(guardian, &forker, sizeof forker) == (ssize_t)sizeof forker ? 0 : -1;
}
