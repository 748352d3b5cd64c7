/* A command's output on its way to Node and its input on its way in, each no faster than its reader. */
#include "monitor-state.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "git-operations.h"
#include "reports.h"
#include "socket.h"

_Noreturn void out_of_memory(void)
{
	_exit(1);	/* the forker and all commands end with this process */
}

unsigned char *reserve_payload(struct monitor *monitor, size_t length)
{
	unsigned char *payload = reserve_frame(&monitor->queue, length);

	if (payload == NULL)
		out_of_memory();
	return payload;
}

void send_empty(struct monitor *monitor, uint8_t type, uint32_t id)
{
	reserve_payload(monitor, 0);
	commit_frame(&monitor->queue, type, id, 0);
}

void send_u32(struct monitor *monitor, uint8_t type, uint32_t id, uint32_t value)
{
	put_u32(reserve_payload(monitor, 4), value);
	commit_frame(&monitor->queue, type, id, 4);
}

void send_failure(struct monitor *monitor, uint32_t id, const struct failure *failure)
{
	size_t path_length = failure->path == NULL ? 0 : strlen(failure->path);
	unsigned char *payload = reserve_payload(monitor, 6 + path_length);

	put_u16(payload, (uint16_t)failure->step);
	put_u32(payload + 2, (uint32_t)failure->error);
	memcpy(payload + 6, failure->path == NULL ? "" : failure->path, path_length);
	commit_frame(&monitor->queue, FRAME_FAILED, id, (uint32_t)(6 + path_length));
}

/* EXIT or LEFT. */
static void send_end(struct monitor *monitor, uint8_t type, const struct running *command, const struct forker_exit *exit)
{
	size_t path_length = command->changed_path == NULL ? 0 : strlen(command->changed_path);
	size_t length = 4 + 4 + 8 + 8 + 2 + exit->ended_length + path_length;
	unsigned char *payload = reserve_payload(monitor, length);

	put_u32(payload, (uint32_t)exit->wait_status);
	put_u32(payload + 4, command->reason);
	put_u64(payload + 8, exit->cpu_us);
	put_u64(payload + 16, exit->max_rss_bytes);
	put_u16(payload + 24, exit->n_ended);
	memcpy(payload + 26, exit + 1, exit->ended_length);
	memcpy(payload + 26 + exit->ended_length, command->changed_path == NULL ? "" : command->changed_path, path_length);
	commit_frame(&monitor->queue, type, command->id, (uint32_t)length);
}

int watch_source(const struct monitor *monitor, int operation, int fd, uint32_t events, struct source *source)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(monitor->epoll, operation, fd, &event);
}

void flush_to_node(struct monitor *monitor)
{
	bool waits;

	if (flush_frames(&monitor->queue, monitor->control) != 0) {
		monitor->closing = true;
		return;
	}
	waits = queued_bytes(&monitor->queue) > 0;
	if (waits != monitor->control_waits)
		watch_source(monitor, EPOLL_CTL_MOD, monitor->control, waits ? EPOLLIN | EPOLLOUT : EPOLLIN, &monitor->control_source);
	monitor->control_waits = waits;
}

struct running *command_with_id(const struct monitor *monitor, uint32_t id)
{
	struct running *command = monitor->commands;

	while (command != NULL && (command->id != id || command->dead))
		command = command->next;
	return command;
}

void kill_command(struct monitor *monitor, struct running *command, enum end_reason reason, const char *path)
{
	if (command->reason == END_NONE) {
		command->reason = reason;
		command->changed_path = path;
	}
	if (command->start != NULL) {
		/* No init has it, and none will. */
		command->start->command = NULL;
		command->start = NULL;
		command->exit = calloc(1, sizeof *command->exit);
		if (command->exit == NULL)
			out_of_memory();
		command->exit->wait_status = SIGKILL;
		command->ended = true;
		return;
	}
	if (!command->ended && send_message(monitor->forker_socket, (struct message_header){ FORKER_KILL, command->id, 0 }, NULL, -1) != 0)
		monitor->closing = true;
}

void kill_all(struct monitor *monitor, enum end_reason reason, const char *path)
{
	for (struct running *command = monitor->commands; command != NULL; command = command->next)
		if (!command->dead)
			kill_command(monitor, command, reason, path);
}

static void close_stream(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	stream->fd = -1;
}

void close_stdin(struct running *command)
{
	if (command->stdin_fd >= 0 && !command->terminal)
		close(command->stdin_fd);
	command->stdin_fd = -1;
}

void forget(struct monitor *monitor, struct running *command)
{
	close_stream(&command->streams[0]);
	close_stream(&command->streams[1]);
	close_stdin(command);
	if (command->group >= 0) {
		/* What an init that was killed left is in it still. */
		if (monitor->plan.flags & PLAN_GROUP_ENDS)
			end_group(command->group);
		close(command->group);
		remove_command_group(&monitor->groups, command->id);
	}
	/* Its init's number is anybody's from now on. */
	shared.init_pids[command->slot] = 0;
	command->dead = true;
	monitor->n_commands--;
	if (command->memory_bytes != 0 || command->pids != 0)
		monitor->n_limited--;
	if (monitor->n_commands == 0)
		clock_gettime(CLOCK_MONOTONIC, &monitor->idle_since);
}

void free_dead(struct monitor *monitor)
{
	for (struct running **at = &monitor->commands; *at != NULL; ) {
		struct running *command = *at;

		if (!command->dead) {
			at = &command->next;
			continue;
		}
		*at = command->next;
		free(command->input);
		free(command->exit);
		free(command->left);
		free(command);
	}
}

static void tell_git_operations(struct monitor *monitor, const struct running *command)
{
	const char *path;

	for (uint32_t at = 0; (path = next_git_operation(&monitor->plan, &at)) != NULL; ) {
		size_t length = strlen(path);

		memcpy(reserve_payload(monitor, length), path, length);
		commit_frame(&monitor->queue, FRAME_GIT_OPERATION, command->id, (uint32_t)length);
	}
}

void finish_if_over(struct monitor *monitor, struct running *command)
{
	if (!command->ended || command->dead || command->streams[0].fd >= 0 || command->streams[1].fd >= 0)
		return;
	pass_reports(monitor);
	command->lost_accesses += forget_reports(shared.init_pids[command->slot]);
	if (command->lost_accesses > 0)
		send_u32(monitor, FRAME_ACCESSES_LOST, command->id, command->lost_accesses);
	tell_git_operations(monitor, command);
	send_end(monitor, FRAME_EXIT, command, command->exit);
	forget(monitor, command);
}

static void tell_left_if_due(struct monitor *monitor, struct running *command)
{
	if (command->left == NULL || command->ended || command->streams[0].before_left > 0 || command->streams[1].before_left > 0)
		return;
	pass_reports(monitor);
	tell_git_operations(monitor, command);
	send_end(monitor, FRAME_LEFT, command, command->left);
	free(command->left);
	command->left = NULL;
}

/* Bytes of a stream were sent, or there are none. */
static void count_before_left(struct monitor *monitor, struct running *command, struct stream *stream, size_t bytes)
{
	if (stream->before_left == 0)
		return;
	stream->before_left -= bytes < stream->before_left ? bytes : stream->before_left;
	tell_left_if_due(monitor, command);
}

void take_left(struct monitor *monitor, struct running *command, struct forker_exit *left)
{
	command->left = left;
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &command->streams[i];
		int waiting = 0;

		if (stream->fd >= 0 && ioctl(stream->fd, FIONREAD, &waiting) == 0 && waiting > 0)
			stream->before_left = (size_t)waiting;
		if (stream->fd >= 0 && !stream->paused)
			read_stream(monitor, command, stream);
	}
	tell_left_if_due(monitor, command);
}

/* What this stream is watched for: output while it may be sent, and on a terminal room for input. */
static void rewatch(struct monitor *monitor, struct running *command, struct stream *stream)
{
	uint32_t events = stream->paused ? 0 : EPOLLIN;

	if (command->terminal && command->awaiting_stdin)
		events |= EPOLLOUT;
	if (stream->fd < 0)
		return;
	/* Not watched at all rather than for nothing: a hang-up is told always, again and again. */
	if (events == 0)
		epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, stream->fd, NULL);
	else if (watch_source(monitor, EPOLL_CTL_MOD, stream->fd, events, &stream->source) != 0 && errno == ENOENT)
		watch_source(monitor, EPOLL_CTL_ADD, stream->fd, events, &stream->source);
}

static void pause_stream(struct monitor *monitor, struct running *command, struct stream *stream, bool paused)
{
	if (stream->paused == paused)
		return;
	stream->paused = paused;
	monitor->any_paused = monitor->any_paused || paused;
	rewatch(monitor, command, stream);
}

void read_stream(struct monitor *monitor, struct running *command, struct stream *stream)
{
	uint8_t type = stream->source.kind == SOURCE_STDOUT ? FRAME_STDOUT : FRAME_STDERR;

	for (int turn = 0; stream->fd >= 0 && turn < READS_A_TURN; turn++) {
		size_t wanted = stream->large ? LARGE_READ_BYTES : READ_BYTES, window = OUTPUT_WINDOW_BYTES - stream->unconsumed;
		ssize_t length;

		if (window == 0 || queued_bytes(&monitor->queue) >= MOST_QUEUED_BYTES) {
			pause_stream(monitor, command, stream, true);
			return;
		}
		if (wanted > window)
			wanted = window;
		length = read(stream->fd, reserve_payload(monitor, wanted), wanted);
		if (length > 0) {
			commit_frame(&monitor->queue, type, command->id, (uint32_t)length);
			stream->unconsumed += (uint32_t)length;
			count_before_left(monitor, command, stream, (size_t)length);
			if ((size_t)length == wanted && !stream->large && !command->terminal) {
				stream->large = true;
				fcntl(stream->fd, F_SETPIPE_SZ, LARGE_PIPE_BYTES);	/* fewer, larger reads; refused is fine */
			}
			continue;
		}
		if (length < 0 && errno == EINTR)
			continue;
		/* Nothing there now. When the tree is gone nothing will come: what still holds the other end is outside of it, such as
		 * a sibling that was sent the descriptor. */
		count_before_left(monitor, command, stream, stream->before_left);
		if (length < 0 && errno == EAGAIN && !command->ended)
			return;
		close_stream(stream);	/* the end; EIO on a terminal says the same */
	}
}

void read_what_is_left(struct monitor *monitor, struct running *command)
{
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &command->streams[i];

		while (stream->fd >= 0 && !stream->paused)
			read_stream(monitor, command, stream);
	}
	finish_if_over(monitor, command);
}

void resume_paused(struct monitor *monitor)
{
	if (!monitor->any_paused || queued_bytes(&monitor->queue) >= MOST_QUEUED_BYTES / 2)
		return;
	monitor->any_paused = false;
	for (struct running *command = monitor->commands; command != NULL; command = command->next) {
		if (command->dead)
			continue;
		for (int i = 0; i < 2; i++) {
			struct stream *stream = &command->streams[i];

			if (!stream->paused)
				continue;
			if (OUTPUT_WINDOW_BYTES - stream->unconsumed < READ_BYTES)
				monitor->any_paused = true;
			else
				pause_stream(monitor, command, stream, false);
		}
		if (command->ended)
			read_what_is_left(monitor, command);
	}
}

void await_stdin(struct monitor *monitor, struct running *command, bool awaiting)
{
	if (command->awaiting_stdin == awaiting)
		return;
	command->awaiting_stdin = awaiting;
	if (command->terminal)
		rewatch(monitor, command, &command->streams[0]);
	else if (awaiting)
		watch_source(monitor, EPOLL_CTL_ADD, command->stdin_fd, EPOLLOUT, &command->stdin_source);
	else
		epoll_ctl(monitor->epoll, EPOLL_CTL_DEL, command->stdin_fd, NULL);
}

void write_stdin(struct monitor *monitor, struct running *command)
{
	size_t taken = 0;

	while (command->stdin_fd >= 0 && taken < command->input_length) {
		ssize_t written = write(command->stdin_fd, command->input + taken, command->input_length - taken);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN)
			break;
		if (written < 0) {
			/* The command closed it: what it does not want is dropped, as a pipe's writer would find. */
			await_stdin(monitor, command, false);
			close_stdin(command);
			break;
		}
		taken += (size_t)written;
	}
	if (command->stdin_fd < 0)
		taken = command->input_length;
	if (taken > 0) {
		command->input_length -= taken;
		memmove(command->input, command->input + taken, command->input_length);
		send_u32(monitor, FRAME_STDIN_DRAINED, command->id, (uint32_t)taken);
	}
	if (command->stdin_fd < 0)
		return;
	await_stdin(monitor, command, command->input_length > 0);
	if (command->closing_stdin && command->input_length == 0) {
		/* A terminal has no end of its own: its end-of-file character says it, when there is room for that. */
		if (command->terminal && write(command->stdin_fd, "\004", 1) < 0 && (errno == EAGAIN || errno == EINTR)) {
			await_stdin(monitor, command, true);
			return;
		}
		close_stdin(command);
	}
}

void take_stdin(struct monitor *monitor, struct running *command, const unsigned char *data, size_t length)
{
	if (command->input_length + length > command->input_size) {
		size_t size = command->input_length + length + READ_BYTES;
		unsigned char *grown = realloc(command->input, size);

		if (grown == NULL)
			out_of_memory();
		command->input = grown;
		command->input_size = size;
	}
	memcpy(command->input + command->input_length, data, length);
	command->input_length += length;
	write_stdin(monitor, command);
}
