/* The monitor's life: the plan, the set-up, the loop, the end. */
#include "monitor.h"
#include "monitor-state.h"
#include "shared-memory.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_loop(struct monitor *monitor)
{
	monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
	monitor->control_source.kind = SOURCE_CONTROL;
	monitor->forker_source.kind = SOURCE_FORKER;
	monitor->starts_source.kind = SOURCE_STARTS;
	monitor->reports_source.kind = SOURCE_REPORTS;
	monitor->last_start = &monitor->first_start;
	monitor->watch_source.kind = SOURCE_WATCH;
	monitor->access_source.kind = SOURCE_ACCESSES;
	monitor->keeper_source.kind = SOURCE_KEEPER;
	monitor->guardian_source.kind = SOURCE_GUARDIAN;
	if (monitor->epoll < 0 || watch_source(monitor, EPOLL_CTL_ADD, monitor->control, EPOLLIN, &monitor->control_source) != 0 ||
	    watch_source(monitor, EPOLL_CTL_ADD, monitor->forker_socket, EPOLLIN, &monitor->forker_source) != 0 ||
	    watch_source(monitor, EPOLL_CTL_ADD, monitor->starts, 0, &monitor->starts_source) != 0 ||
	    watch_source(monitor, EPOLL_CTL_ADD, monitor->reports, EPOLLIN, &monitor->reports_source) != 0)
		return -1;
	if (monitor->held.watch.inotify >= 0 && watch_source(monitor, EPOLL_CTL_ADD, monitor->held.watch.inotify, EPOLLIN, &monitor->watch_source) != 0)
		return -1;
	if (monitor->around != NULL && watch_source(monitor, EPOLL_CTL_ADD, monitor->around->keeper, EPOLLIN, &monitor->keeper_source) != 0)
		return -1;
	/* Of a pipe's writing end, the end of its reader alone is told. */
	if (monitor->guardian >= 0 && watch_source(monitor, EPOLL_CTL_ADD, monitor->guardian, 0, &monitor->guardian_source) != 0)
		return -1;
	return monitor->access_reports < 0 ? 0 : watch_source(monitor, EPOLL_CTL_ADD, monitor->access_reports, EPOLLIN, &monitor->access_source);
}

/* The host changed a held path, and bwrap's mounts cannot follow; or the keeper is gone, and nobody would see it. */
static void hear_keeper(struct monitor *monitor)
{
	char path[PATH_MAX];
	ssize_t length = recv(monitor->around->keeper, path, sizeof path - 1, MSG_DONTWAIT);

	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, monitor->around->keeper, NULL);
	path[length > 0 ? length : 0] = 0;
	monitor->stale = length > 0 ? strdup(path) : NULL;
	if (monitor->stale == NULL)
		monitor->closing = monitor->keeper_is_gone = true;
	else
		kill_all(monitor, END_HOST_CHANGED, monitor->stale);
}

static void handle_source(struct monitor *monitor, const struct source *source, uint32_t events)
{
	struct running *command = source->owner;
	struct failure failure;

	if (command != NULL && command->dead)
		return;
	switch (source->kind) {
	case SOURCE_CONTROL:
		if (events & ~(uint32_t)EPOLLOUT)
			handle_control(monitor);
		break;
	case SOURCE_FORKER:
		handle_forker(monitor);
		break;
	case SOURCE_STARTS:
		give_waiting_starts(monitor);
		break;
	case SOURCE_REPORTS:
		read_reports(monitor);
		break;
	case SOURCE_WATCH:
		look_at_held(monitor, &failure);
		break;
	case SOURCE_ACCESSES:
		pass_reports(monitor);
		break;
	case SOURCE_KEEPER:
		hear_keeper(monitor);
		break;
	/* It was killed: where this process is next, nobody would end the commands. */
	case SOURCE_GUARDIAN:
		monitor->closing = true;
		break;
	case SOURCE_STDIN:
		write_stdin(monitor, command);
		break;
	case SOURCE_STDOUT:
	case SOURCE_STDERR:
		if (command->terminal && (events & EPOLLOUT))
			write_stdin(monitor, command);
		if (events & ~(uint32_t)EPOLLOUT) {
			struct stream *stream = &command->streams[source->kind == SOURCE_STDERR];

			if (!stream->paused)
				read_stream(monitor, command, stream);
			finish_if_over(monitor, command);
		}
		break;
	}
}

/* Milliseconds until there is something to do unasked; -1: never. */
static int wait_ms(const struct monitor *monitor)
{
	if (monitor->n_limited > 0 || (monitor->n_commands > 0 && !monitor->held.watch.reliable && monitor->held.n_rows > 0))
		return POLL_MS;
	if (monitor->groups.n_left > 0)
		return GROUP_MS;
	return monitor->n_commands == 0 && monitor->held.active ? IDLE_MS : -1;
}

static bool idle_long_enough(const struct monitor *monitor)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - monitor->idle_since.tv_sec) * 1000 + (now.tv_nsec - monitor->idle_since.tv_nsec) / 1000000 >= IDLE_MS;
}

static void loop(struct monitor *monitor)
{
	struct epoll_event events[64];
	struct failure failure;

	while (!monitor->closing) {
		int n = epoll_wait(monitor->epoll, events, 64, wait_ms(monitor));

		for (int i = 0; i < n && !monitor->closing; i++)
			handle_source(monitor, events[i].data.ptr, events[i].events);
		if (monitor->n_limited > 0)
			poll_limits(monitor);
		if (monitor->groups.n_left > 0)
			remove_left_groups(&monitor->groups);
		if (n == 0 && !monitor->held.watch.reliable)
			look_at_held(monitor, &failure);
		flush_to_node(monitor);
		resume_paused(monitor);
		if (queued_bytes(&monitor->queue) > 0 && !monitor->control_waits)
			flush_to_node(monitor);
		free_dead(monitor);
		if (monitor->n_commands == 0 && monitor->held.active && idle_long_enough(monitor))
			give_up_placeholders(&monitor->held);
	}
}

void flush_to_the_end(struct monitor *monitor)
{
	struct pollfd polled = { .fd = monitor->control, .events = POLLOUT };

	while (queued_bytes(&monitor->queue) > 0 && flush_frames(&monitor->queue, monitor->control) == 0 && queued_bytes(&monitor->queue) > 0)
		poll(&polled, 1, -1);
}

int first_frame(struct monitor *monitor, struct frame *frame)
{
	struct pollfd polled = { .fd = monitor->control, .events = POLLIN };
	int result;

	while ((result = next_frame(&monitor->reader, frame)) == 0) {
		long length;

		poll(&polled, 1, -1);
		length = read_frames(&monitor->reader, monitor->control);
		if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
			return -1;
	}
	if (result == 1 && frame->type != FRAME_PLAN) {
		errno = EBADMSG;
		return -1;
	}
	return result == 1 ? 0 : -1;
}

int run_monitor(int control, int channel, const struct around *around)
{
	struct monitor monitor = { .control = control, .channel = channel, .epoll = -1, .forker_socket = -1, .starts = -1, .reports = -1, .access_reports = -1, .journal = -1, .devnull = -1, .guardian = -1, .helper = -1, .forker = -1, .around = around,
				   .groups = { .parent = -1, .sandbox = -1, .home = -1 } };
	struct failure failure = { .step = STEP_decode_plan };
	struct frame frame;

	shared.umask = umask(0);
	if (first_frame(&monitor, &frame) != 0)
		return 1;
	/* The plan's filters stay in the reader's buffer: it gets a new one for what follows. */
	monitor.reader.buffer = NULL;
	monitor.reader.size = 0;
	if (monitor.reader.start != monitor.reader.end)
		return 1;	/* nothing may follow the plan before READY */
	monitor.reader.start = monitor.reader.end = 0;
	if (set_up(&monitor, &frame, &failure) != 0 || (open_loop(&monitor) != 0 && fail(&failure, STEP_start_forker, NULL) != 0)) {
		end_commands(&monitor);
		leave_groups(&monitor.groups);
		send_failure(&monitor, 0, &failure);
		flush_to_the_end(&monitor);
		return 1;
	}
	/* After the fork: a command would inherit it, and "yes | head" would not end as it does elsewhere. */
	signal(SIGPIPE, SIG_IGN);
	send_empty(&monitor, FRAME_READY, 0);
	flush_to_node(&monitor);
	loop(&monitor);
	end_commands(&monitor);
	give_up_placeholders(&monitor.held);
	leave_groups(&monitor.groups);
	remove_shared_memory();
	/* All that was made is gone: nobody need wait for the kernel to take the namespaces down. */
	shutdown(control, SHUT_RDWR);
	return monitor.keeper_is_gone ? KEEPER_IS_GONE : 0;
}
