#include "keeper.h"
#include "monitor-state.h"
#include "kernel.h"
#include "restrict.h"

#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int take_hold(struct monitor *keeper, const struct frame *frame, struct failure *failure)
{
	int result = INJECTED(decode_plan) ? -EIO : decode_plan(frame->payload, frame->length, &keeper->plan);
	const char *changed;

	if (result != 0) {
		errno = -result;
		return fail(failure, STEP_decode_plan, NULL);
	}
	keeper->journal = INJECTED(open_journal) ? -1 : open_journal(keeper->plan.state_directory);
	if (keeper->journal < 0)
		return fail(failure, STEP_open_journal, keeper->plan.state_directory);
	sweep_journal(keeper->journal);
	/* With no more rights over files than commands have: placeholders are made only where they could. */
	if (give_up_privileges(failure) != 0)
		return -1;
	if (INJECTED(make_not_dumpable) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(failure, STEP_make_not_dumpable, NULL);
	if (start_holding(&keeper->plan, NULL, keeper->journal, &keeper->held, failure) != 0 || take_placeholders(&keeper->held, failure) != 0)
		return -1;
	return recheck_held(&keeper->held, &changed, failure) < 0 ? -1 : 0;
}

/* Nothing can be bound again from here: what bwrap mounted shows what was there before. */
static void tell_change(struct monitor *keeper, int inside, const struct failure *failed, const char *path)
{
	struct failure failure = { .step = STEP_recheck, .error = ESTALE, .path = path };

	if (failed != NULL)
		failure = *failed;
	if (failure.path == NULL)
		failure.path = "";
	send(inside, failure.path, strlen(failure.path) + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	shutdown(inside, SHUT_WR);
	send_failure(keeper, 0, &failure);
}

/* True: go on. `launcher` gets a descriptor of the process that what is held is for. */
static bool hear(struct monitor *keeper, int *launcher)
{
	struct frame frame;
	long length = read_frames(&keeper->reader, keeper->control);
	int result;

	if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
		return false;
	while ((result = next_frame(&keeper->reader, &frame)) == 1) {
		if (frame.type != FRAME_HOLD_UNTIL || frame.length != 4 || *launcher >= 0)
			return false;
		*launcher = (int)syscall(NR_pidfd_open, get_u32(frame.payload), 0);
	}
	return result == 0;
}

/* Commands may make what is given up. The launcher inside ends them when its end of the socket says that this process goes; when the kernel
 * has ended the last of them, it is process 1 of their PID namespace that has ended. */
static void wait_for_end(int launcher, int inside)
{
	struct pollfd polled = { .fd = launcher, .events = POLLIN };

	shutdown(inside, SHUT_RDWR);
	while (launcher >= 0 && poll(&polled, 1, -1) < 0 && errno == EINTR)
		;
}

static void watch_host(struct monitor *keeper, int inside, int *launcher)
{
	struct pollfd sources[2] = { { .fd = keeper->control, .events = POLLIN }, { .fd = keeper->held.watch.inotify, .events = POLLIN } };
	bool told = false;

	for (;;) {
		struct failure failure = { .step = STEP_recheck };
		const char *path = NULL;
		int change;

		poll(sources, 2, !told && !keeper->held.watch.reliable && keeper->held.n_rows > 0 ? POLL_MS : -1);
		if (sources[0].revents != 0 && !hear(keeper, launcher))
			return;
		if (told || !held_may_have_changed(&keeper->held))
			continue;
		change = recheck_held(&keeper->held, &path, &failure);
		if (change == HELD_UNCHANGED)
			continue;
		tell_change(keeper, inside, change < 0 ? &failure : NULL, path != NULL ? path : keeper->held.bound_again);
		told = true;
		sources[1].fd = -1;
		flush_to_the_end(keeper);
	}
}

int run_keeper(int control, int inside)
{
	struct monitor keeper = { .control = control, .channel = -1, .epoll = -1, .journal = -1, .held.watch.inotify = -1 };
	struct failure failure = { .step = STEP_decode_plan };
	struct frame frame;
	int result = 1, launcher = -1;

	umask(0);
	if (first_frame(&keeper, &frame) != 0)
		return 1;
	/* The plan's strings are copies, its filters are not and nobody's here. */
	if (take_hold(&keeper, &frame, &failure) != 0) {
		send_failure(&keeper, 0, &failure);
		flush_to_the_end(&keeper);
	} else {
		send_empty(&keeper, FRAME_READY, 0);
		flush_to_the_end(&keeper);
		watch_host(&keeper, inside, &launcher);
		wait_for_end(launcher, inside);
		result = 0;
	}
	give_up_placeholders(&keeper.held);
	shutdown(control, SHUT_RDWR);
	return result;
}
