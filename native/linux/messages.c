/* What Node, the forker and inits say, and what the monitor sees by looking. */
#include "monitor-state.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "process-tree.h"
#include "reports.h"
#include "socket.h"

/* A command may be refused a process and do well all the same: then nothing ended it. */
static enum end_reason reason_of_group(int group, int wait_status)
{
	switch (find_exceeded(group)) {
	case EXCEEDED_MEMORY: return END_MEMORY;
	case EXCEEDED_PIDS: return wait_status == 0 ? END_NONE : END_PIDS;
	default: return END_NONE;
	}
}

static void take_exit(struct monitor *monitor, struct running *command, struct forker_exit *exit)
{
	command->ended = true;
	command->exit = exit;
	if (command->group >= 0 && command->reason == END_NONE)
		command->reason = reason_of_group(command->group, exit->wait_status);
	if (command->stdin_fd >= 0 && command->awaiting_stdin)
		await_stdin(monitor, command, false);
	close_stdin(command);
	read_what_is_left(monitor, command);
}

static void report_start(struct monitor *monitor, const struct running *command)
{
	pid_t init = host_pid_of_init(monitor->forker, shared.init_pids[command->slot]);

	/* Inside bwrap nobody knows the host's numbers. */
	send_u32(monitor, FRAME_STARTED, command->id, init == 0 || monitor->around != NULL ? 0 : (uint32_t)first_child(init));
}

void handle_forker(struct monitor *monitor)
{
	struct message_header header;
	struct running *command;
	void *data;

	if (receive_header(monitor->forker_socket, &header, NULL, 0) != 1 || (data = calloc(1, header.length + 1)) == NULL ||
	    receive_exactly(monitor->forker_socket, data, header.length) != 0) {
		monitor->closing = true;
		return;
	}
	command = command_with_id(monitor, header.id);
	if (command == NULL) {
		free(data);
		return;
	}
	switch (header.type) {
	case FORKER_FAILED: {
		const struct forker_failure *reported = data;
		struct failure failure = { (enum step)reported->step, reported->error, NULL };

		send_failure(monitor, command->id, &failure);
		forget(monitor, command);
		break;
	}
	case FORKER_STARTED:
		report_start(monitor, command);
		break;
	case FORKER_EXIT:
		if (command->ended)
			break;
		take_exit(monitor, command, data);
		return;
	case FORKER_LEFT:
		/* The rest may be gone already: then its end says all. */
		if (command->ended)
			break;
		take_left(monitor, command, data);
		return;
	default:
		monitor->closing = true;
	}
	free(data);
}

static void handle_report(struct monitor *monitor, const struct init_report *report)
{
	struct running *command = command_with_id(monitor, report->id);
	struct forker_exit *exit;

	if (command == NULL || command->ended)
		return;
	switch (report->type) {
	case REPORT_FAILED: {
		struct failure failure = { (enum step)report->step_or_status, report->error, NULL };

		send_failure(monitor, command->id, &failure);
		forget(monitor, command);
		break;
	}
	case REPORT_STOPPED:
		send_u32(monitor, FRAME_STOPPED, command->id, (uint32_t)report->step_or_status);
		break;
	case REPORT_CONTINUED:
		send_empty(monitor, FRAME_CONTINUED, command->id);
		break;
	case REPORT_EXIT:
		exit = calloc(1, sizeof *exit);
		if (exit == NULL)
			out_of_memory();
		exit->wait_status = report->step_or_status;
		exit->cpu_us = report->cpu_us;
		exit->max_rss_bytes = report->max_rss_bytes;
		take_exit(monitor, command, exit);
		break;
	}
}

void read_reports(struct monitor *monitor)
{
	struct init_report report;

	while (read(monitor->reports, &report, sizeof report) == (ssize_t)sizeof report)
		handle_report(monitor, &report);
}

static struct running *command_of_init(const struct monitor *monitor, pid_t init)
{
	struct running *command = monitor->commands;

	while (command != NULL && (command->dead || shared.init_pids[command->slot] != init))
		command = command->next;
	return command;
}

static void pass_report(struct monitor *monitor, const struct report *report)
{
	size_t program = strnlen(report->program, sizeof report->program), length = 7 + program + report->path_length;
	struct running *command = command_of_init(monitor, report->init);
	unsigned char *payload;

	if (command == NULL)
		return;
	/* Also where Node does not read: what waits for it must not grow without end. */
	if (command->n_accesses >= MOST_ACCESSES || queued_bytes(&monitor->queue) > MOST_QUEUED_BYTES) {
		command->lost_accesses++;
		return;
	}
	command->n_accesses++;
	payload = reserve_payload(monitor, length);
	put_u32(payload, monitor->around != NULL ? 0 : (uint32_t)report->process);
	payload[4] = report->operation;
	payload[5] = report->flags;
	payload[6] = (unsigned char)program;
	memcpy(payload + 7, report->program, program);
	memcpy(payload + 7 + program, report->path, report->path_length);
	commit_frame(&monitor->queue, FRAME_ACCESS, command->id, (uint32_t)length);
}

void pass_reports(struct monitor *monitor)
{
	const struct report *report;
	size_t left = monitor->access_reports < 0 ? 0 : take_reports(&report);

	while (left > 0) {
		uint32_t size = report->size;

		pass_report(monitor, report);
		left -= size;
		report = (const struct report *)((const unsigned char *)report + size);
	}
}

static void consumed(struct running *command, const unsigned char *payload)
{
	struct stream *stream = &command->streams[payload[0] == 2 ? 1 : 0];
	uint32_t bytes = get_u32(payload + 1);

	stream->unconsumed -= bytes < stream->unconsumed ? bytes : stream->unconsumed;
}

/* The least payload of each frame that a command may get; -1: not a frame for a command. */
static int least_payload(uint8_t type)
{
	switch (type) {
	case FRAME_STDIN: case FRAME_STDIN_CLOSE: case FRAME_KILL: return 0;
	case FRAME_SIGNAL: case FRAME_RESIZE: return 4;
	case FRAME_CONSUMED: return 5;
	default: return -1;
	}
}

static void handle_frame(struct monitor *monitor, const struct frame *frame)
{
	struct running *command;

	if (frame->type == FRAME_CLOSE) {
		monitor->closing = true;
		return;
	}
	if (frame->type == FRAME_START) {
		start_command(monitor, frame);
		return;
	}
	if (least_payload(frame->type) < 0 || frame->length < (uint32_t)least_payload(frame->type)) {
		monitor->closing = true;	/* not our peer's language: nothing after it can be trusted */
		return;
	}
	command = command_with_id(monitor, frame->id);
	if (command == NULL)
		return;		/* it ended while the frame was on its way */
	switch (frame->type) {
	case FRAME_STDIN:
		take_stdin(monitor, command, frame->payload, frame->length);
		break;
	case FRAME_STDIN_CLOSE:
		command->closing_stdin = true;
		write_stdin(monitor, command);
		break;
	case FRAME_SIGNAL: {
		uint32_t signal = get_u32(frame->payload);

		if (!command->ended && send_message(monitor->forker_socket, (struct message_header){ FORKER_SIGNAL, frame->id, sizeof signal }, &signal, -1) != 0)
			monitor->closing = true;
		break;
	}
	case FRAME_KILL:
		kill_command(monitor, command, END_KILLED, NULL);
		break;
	case FRAME_RESIZE: {
		struct winsize size = { .ws_row = get_u16(frame->payload), .ws_col = get_u16(frame->payload + 2) };

		if (command->terminal && command->streams[0].fd >= 0)
			ioctl(command->streams[0].fd, TIOCSWINSZ, &size);
		break;
	}
	case FRAME_CONSUMED:
		consumed(command, frame->payload);
		break;
	}
}

void handle_control(struct monitor *monitor)
{
	struct frame frame;
	long length = read_frames(&monitor->reader, monitor->control);
	int result;

	if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
		monitor->closing = true;
	while (!monitor->closing && (result = next_frame(&monitor->reader, &frame)) != 0) {
		if (result < 0)
			monitor->closing = true;
		else
			handle_frame(monitor, &frame);
	}
}

void poll_limits(struct monitor *monitor)
{
	for (struct running *command = monitor->commands; command != NULL; command = command->next) {
		struct tree_usage usage = { 0 };

		if (command->dead || command->ended || (command->memory_bytes == 0 && command->pids == 0))
			continue;
		if (command->host_init == 0)
			command->host_init = host_pid_of_init(monitor->forker, shared.init_pids[command->slot]);
		if (command->host_init == 0)
			continue;
		add_tree_usage(command->host_init, &usage);
		if (command->memory_bytes != 0 && usage.rss_bytes > command->memory_bytes)
			kill_command(monitor, command, END_MEMORY, NULL);
		/* Init itself is one of them. */
		else if (command->pids != 0 && usage.threads > command->pids + 1)
			kill_command(monitor, command, END_PIDS, NULL);
	}
}
