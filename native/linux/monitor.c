#include "monitor.h"
#include "connect.h"
#include "forker.h"
#include "frames.h"
#include "held.h"
#include "journal.h"
#include "mounts.h"
#include "namespaces.h"
#include "process-tree.h"
#include "socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	READ_BYTES = 64 << 10,
	LARGE_READ_BYTES = 256 << 10,		/* once a stream has shown that it is large */
	LARGE_PIPE_BYTES = 1 << 20,
	READS_A_TURN = 4,			/* of one stream, before the others have theirs */
	MOST_QUEUED_BYTES = 1 << 20,		/* to Node, before streams are left to fill */
	IDLE_MS = 200,				/* placeholders stay so long after the last command */
	POLL_MS = 100,				/* for limits that are held by looking */
};

/* EXIT's end reasons, as frames.def has them. */
enum end_reason { END_NONE, END_KILLED, END_HOST_CHANGED, END_MEMORY, END_PIDS };

enum source_kind { SOURCE_CONTROL, SOURCE_FORKER, SOURCE_STARTS, SOURCE_REPORTS, SOURCE_WATCH, SOURCE_REFUSALS, SOURCE_STDOUT, SOURCE_STDERR, SOURCE_STDIN };
struct source { enum source_kind kind; struct running *owner; };

struct stream { struct source source; int fd; uint32_t unconsumed; bool paused, large; };

struct running {
	struct running *next;
	uint32_t id;
	bool terminal, ended, dead;		/* ended: its whole tree is gone; dead: freed after this turn */
	struct stream streams[2];		/* stdout, stderr; on a terminal the first is both, and stdin */
	struct source stdin_source;
	int stdin_fd;
	bool closing_stdin, awaiting_stdin;
	unsigned char *input;
	size_t input_length, input_size;
	enum end_reason reason;
	const char *changed_path;
	struct forker_exit *exit;		/* how it ended, with the list of what was ended behind */
	struct waiting_start *start;		/* not given to an init yet */
	pid_t host_init;			/* for polled limits; 0: not looked up yet */
	uint64_t memory_bytes, pids;
};

/* A command that the socket to the inits has not taken yet. */
struct waiting_start { struct waiting_start *next; struct running *command; int fds[START_DESCRIPTORS]; int n_fds; struct start_header header; unsigned char bytes[]; };

/* The pipes of the next command's output, made while the last one starts. */
struct spare_pipes { bool made; int ours[2], theirs[2]; };

struct monitor {
	struct spare_pipes spare;
	int control, epoll, forker_socket, starts, reports, refusals, journal, devnull;
	pid_t forker;
	struct plan plan;
	struct mounts mounts;
	struct held_paths held;
	struct frame_reader reader;
	struct frame_queue queue;
	struct source control_source, forker_source, starts_source, reports_source, watch_source, refusals_source;
	struct running *commands;
	struct waiting_start *first_start, **last_start;
	uint32_t n_commands, n_limited;
	bool closing, control_waits, any_paused;
	struct timespec idle_since;
};

/* -- What goes to Node -- */

static _Noreturn void out_of_memory(void)
{
	_exit(1);	/* the forker and all commands end with this process */
}

static unsigned char *reserve(struct monitor *monitor, size_t length)
{
	unsigned char *payload = reserve_frame(&monitor->queue, length);

	if (payload == NULL)
		out_of_memory();
	return payload;
}

static void send_empty(struct monitor *monitor, uint8_t type, uint32_t id)
{
	reserve(monitor, 0);
	commit_frame(&monitor->queue, type, id, 0);
}

static void send_u32(struct monitor *monitor, uint8_t type, uint32_t id, uint32_t value)
{
	put_u32(reserve(monitor, 4), value);
	commit_frame(&monitor->queue, type, id, 4);
}

static void send_failure(struct monitor *monitor, uint32_t id, const struct failure *failure)
{
	size_t path_length = failure->path == NULL ? 0 : strlen(failure->path);
	unsigned char *payload = reserve(monitor, 6 + path_length);

	put_u16(payload, (uint16_t)failure->step);
	put_u32(payload + 2, (uint32_t)failure->error);
	memcpy(payload + 6, failure->path == NULL ? "" : failure->path, path_length);
	commit_frame(&monitor->queue, FRAME_FAILED, id, (uint32_t)(6 + path_length));
}

static void send_exit(struct monitor *monitor, const struct running *command)
{
	const struct forker_exit *exit = command->exit;
	size_t path_length = command->changed_path == NULL ? 0 : strlen(command->changed_path);
	size_t length = 4 + 4 + 8 + 8 + 2 + exit->ended_length + path_length;
	unsigned char *payload = reserve(monitor, length);

	put_u32(payload, (uint32_t)exit->wait_status);
	put_u32(payload + 4, command->reason);
	put_u64(payload + 8, exit->cpu_us);
	put_u64(payload + 16, exit->max_rss_bytes);
	put_u16(payload + 24, exit->n_ended);
	memcpy(payload + 26, exit + 1, exit->ended_length);
	memcpy(payload + 26 + exit->ended_length, command->changed_path == NULL ? "" : command->changed_path, path_length);
	commit_frame(&monitor->queue, FRAME_EXIT, command->id, (uint32_t)length);
}

static int watch_source(const struct monitor *monitor, int operation, int fd, uint32_t events, struct source *source)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(monitor->epoll, operation, fd, &event);
}

static void flush(struct monitor *monitor)
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

/* -- Commands and their streams -- */

static struct running *command_with_id(const struct monitor *monitor, uint32_t id)
{
	struct running *command = monitor->commands;

	while (command != NULL && (command->id != id || command->dead))
		command = command->next;
	return command;
}

static void kill_command(struct monitor *monitor, struct running *command, enum end_reason reason, const char *path)
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

static void kill_all(struct monitor *monitor, enum end_reason reason, const char *path)
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

static void close_stdin(struct running *command)
{
	if (command->stdin_fd >= 0 && !command->terminal)
		close(command->stdin_fd);
	command->stdin_fd = -1;
}

static void forget(struct monitor *monitor, struct running *command)
{
	close_stream(&command->streams[0]);
	close_stream(&command->streams[1]);
	close_stdin(command);
	command->dead = true;
	monitor->n_commands--;
	if (command->memory_bytes != 0 || command->pids != 0)
		monitor->n_limited--;
	if (monitor->n_commands == 0)
		clock_gettime(CLOCK_MONOTONIC, &monitor->idle_since);
}

static void free_dead(struct monitor *monitor)
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
		free(command);
	}
}

static void finish_if_over(struct monitor *monitor, struct running *command)
{
	if (!command->ended || command->dead || command->streams[0].fd >= 0 || command->streams[1].fd >= 0)
		return;
	send_exit(monitor, command);
	forget(monitor, command);
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

static void read_stream(struct monitor *monitor, struct running *command, struct stream *stream)
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
		length = read(stream->fd, reserve(monitor, wanted), wanted);
		if (length > 0) {
			commit_frame(&monitor->queue, type, command->id, (uint32_t)length);
			stream->unconsumed += (uint32_t)length;
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
		if (length < 0 && errno == EAGAIN && !command->ended)
			return;
		close_stream(stream);	/* the end; EIO on a terminal says the same */
	}
}

static void read_what_is_left(struct monitor *monitor, struct running *command)
{
	for (int i = 0; i < 2; i++) {
		struct stream *stream = &command->streams[i];

		while (stream->fd >= 0 && !stream->paused)
			read_stream(monitor, command, stream);
	}
	finish_if_over(monitor, command);
}

static void resume_paused(struct monitor *monitor)
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

/* -- Standard input -- */

static void await_stdin(struct monitor *monitor, struct running *command, bool awaiting)
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

static void write_stdin(struct monitor *monitor, struct running *command)
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
		/* A terminal has no end of its own: its end-of-file character says it. */
		if (command->terminal && write(command->stdin_fd, "\004", 1) < 0)
			command->closing_stdin = false;
		close_stdin(command);
	}
}

static void take_stdin(struct monitor *monitor, struct running *command, const unsigned char *data, size_t length)
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

/* -- Starting a command -- */

/* What the monitor itself needs of a command, without decoding all of it. */
struct command_head { uint32_t flags; uint16_t rows, columns; uint64_t memory_bytes, pids; };

static int read_head(const struct frame *frame, struct command_head *head)
{
	uint32_t cwd_length;
	const unsigned char *limits;

	if (frame->length < 12)
		return -1;
	head->flags = get_u32(frame->payload);
	head->rows = get_u16(frame->payload + 4);
	head->columns = get_u16(frame->payload + 6);
	cwd_length = get_u32(frame->payload + 8);
	if (cwd_length > frame->length - 12 || frame->length - 12 - cwd_length < 32)
		return -1;
	limits = frame->payload + 12 + cwd_length + 16;
	head->memory_bytes = get_u32(limits) | (uint64_t)get_u32(limits + 4) << 32;
	head->pids = get_u32(limits + 8) | (uint64_t)get_u32(limits + 12) << 32;
	return 0;
}

/* Opens a terminal in the sandbox's own devpts. fds get the command's side. */
static int open_terminal(struct running *command, const struct command_head *head, int fds[3])
{
	struct winsize size = { .ws_row = head->rows, .ws_col = head->columns };
	int unlock = 0, master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	command->streams[0].fd = master;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCSWINSZ, &size) != 0)
		return -1;
	fds[0] = fds[1] = fds[2] = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	command->stdin_fd = master;
	return fds[0] < 0 ? -1 : 0;
}

/* Nothing is lost where this fails: the command that needs the pipes tries again and tells. */
static int make_spare_pipes(struct spare_pipes *spare)
{
	for (int i = 0; i < 2 && !spare->made; i++) {
		int pair[2];

		if (pipe2(pair, O_CLOEXEC) != 0 || fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0) {
			if (i == 1) {
				close(spare->ours[0]);
				close(spare->theirs[0]);
			}
			return -1;
		}
		spare->ours[i] = pair[0];
		spare->theirs[i] = pair[1];
	}
	spare->made = true;
	return 0;
}

static int open_pipes(struct monitor *monitor, struct running *command, const struct command_head *head, int fds[3])
{
	int pair[2];

	if (make_spare_pipes(&monitor->spare) != 0)
		return -1;
	monitor->spare.made = false;
	for (int i = 0; i < 2; i++) {
		command->streams[i].fd = monitor->spare.ours[i];
		fds[i + 1] = monitor->spare.theirs[i];
	}
	if (!(head->flags & COMMAND_STDIN_PIPE)) {
		fds[0] = monitor->devnull;
		return 0;
	}
	if (pipe2(pair, O_CLOEXEC) != 0)
		return -1;
	fds[0] = pair[0];
	command->stdin_fd = pair[1];
	return fcntl(pair[1], F_SETFL, O_NONBLOCK);
}

static int make_streams(struct monitor *monitor, struct running *command, const struct command_head *head, int fds[3])
{
	if (INJECTED(make_streams))
		return -1;
	command->terminal = (head->flags & COMMAND_TERMINAL) != 0;
	return command->terminal ? open_terminal(command, head, fds) : open_pipes(monitor, command, head, fds);
}

static int watch_streams(const struct monitor *monitor, struct running *command)
{
	for (int i = 0; i < 2; i++)
		if (command->streams[i].fd >= 0 && watch_source(monitor, EPOLL_CTL_ADD, command->streams[i].fd, EPOLLIN, &command->streams[i].source) != 0)
			return -1;
	return 0;
}

/* Ends what runs where a held path was changed in a way that commands may have used. Returns -1 where a path cannot be held. */
static int look_at_held(struct monitor *monitor, struct failure *failure)
{
	const char *path;
	int change;

	if (!held_may_have_changed(&monitor->held))
		return 0;
	change = recheck_held(&monitor->held, &path, failure);
	if (change == HELD_SOMETHING_APPEARED)
		kill_all(monitor, END_HOST_CHANGED, path);
	if (change < 0)
		kill_all(monitor, END_HOST_CHANGED, failure->path);
	return change < 0 ? -1 : 0;
}

static void close_fds(const struct monitor *monitor, const int *fds, int n_fds)
{
	for (int i = 0; i < n_fds; i++)
		if (fds[i] >= 0 && fds[i] != monitor->devnull && (i == 0 || fds[i] != fds[0]))
			close(fds[i]);
}

static struct running *new_command(struct monitor *monitor, uint32_t id, const struct command_head *head)
{
	struct running *command = calloc(1, sizeof *command);

	if (command == NULL)
		out_of_memory();
	command->id = id;
	command->stdin_fd = command->streams[0].fd = command->streams[1].fd = -1;
	command->streams[0].source = (struct source){ SOURCE_STDOUT, command };
	command->streams[1].source = (struct source){ SOURCE_STDERR, command };
	command->stdin_source = (struct source){ SOURCE_STDIN, command };
	command->memory_bytes = head->memory_bytes;
	command->pids = head->pids;
	command->next = monitor->commands;
	monitor->commands = command;
	monitor->n_commands++;
	if (command->memory_bytes != 0 || command->pids != 0)
		monitor->n_limited++;
	return command;
}

static int send_start(const struct monitor *monitor, const struct start_header *header, const void *bytes, const int *fds, int n_fds)
{
	union { struct cmsghdr header; char bytes[CMSG_SPACE(START_DESCRIPTORS * sizeof(int))]; } control = { 0 };
	struct iovec parts[2] = { { (void *)header, sizeof *header }, { (void *)bytes, n_fds == START_DESCRIPTORS ? 0 : header->length } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int)) };

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
	memcpy(CMSG_DATA(&control.header), fds, (size_t)n_fds * sizeof(int));
	return sendmsg(monitor->starts, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void keep_start(struct monitor *monitor, struct running *command, const struct start_header *header, const void *bytes, const int *fds, int n_fds)
{
	size_t length = n_fds == START_DESCRIPTORS ? 0 : header->length;
	struct waiting_start *waiting = malloc(sizeof *waiting + length);

	if (waiting == NULL)
		out_of_memory();
	*waiting = (struct waiting_start){ .command = command, .n_fds = n_fds, .header = *header };
	memcpy(waiting->fds, fds, (size_t)n_fds * sizeof(int));
	memcpy(waiting->bytes, bytes, length);
	if (monitor->first_start == NULL)
		watch_source(monitor, EPOLL_CTL_MOD, monitor->starts, EPOLLOUT, &monitor->starts_source);
	*monitor->last_start = waiting;
	monitor->last_start = &waiting->next;
	command->start = waiting;
}

/* Gives inits what they take. A command that was killed meanwhile is over without having been. */
static void give_waiting_starts(struct monitor *monitor)
{
	while (monitor->first_start != NULL) {
		struct waiting_start *waiting = monitor->first_start;

		if (waiting->command != NULL && send_start(monitor, &waiting->header, waiting->bytes, waiting->fds, waiting->n_fds) != 0) {
			if (errno == EAGAIN)
				return;
			monitor->closing = true;
			return;
		}
		if (waiting->command != NULL)
			waiting->command->start = NULL;
		close_fds(monitor, waiting->fds, waiting->n_fds);
		monitor->first_start = waiting->next;
		free(waiting);
	}
	monitor->last_start = &monitor->first_start;
	watch_source(monitor, EPOLL_CTL_MOD, monitor->starts, 0, &monitor->starts_source);
}

/* A memory file with a command that no packet holds. Returns its descriptor or -1. */
static int make_command_file(const struct frame *frame)
{
	int fd = (int)syscall(SYS_memfd_create, "command", 1U /* MFD_CLOEXEC */);
	size_t written = 0;

	while (fd >= 0 && written < frame->length) {
		ssize_t length = write(fd, frame->payload + written, frame->length - written);

		if (length <= 0) {
			close(fd);
			return -1;
		}
		written += (size_t)length;
	}
	return fd;
}

static void start(struct monitor *monitor, const struct frame *frame)
{
	struct start_header header = { frame->id, frame->length };
	struct failure failure = { .step = STEP_decode_command };
	struct command_head head;
	struct running *command;
	int fds[START_DESCRIPTORS] = { -1, -1, -1, -1 }, n_fds = 3;

	/* A failure of that id would be taken for the sandbox's, or for that of the command that has it. */
	if (frame->id == 0 || command_with_id(monitor, frame->id) != NULL) {
		monitor->closing = true;
		return;
	}
	if (read_head(frame, &head) != 0) {
		errno = EBADMSG;
		fail(&failure, STEP_decode_command, NULL);
		send_failure(monitor, frame->id, &failure);
		return;
	}
	if (look_at_held(monitor, &failure) != 0 || take_placeholders(&monitor->held, &failure) != 0) {
		send_failure(monitor, frame->id, &failure);
		return;
	}
	command = new_command(monitor, frame->id, &head);
	if (make_streams(monitor, command, &head, fds) != 0 ||
	    (frame->length > INLINE_COMMAND_BYTES && (fds[n_fds++] = make_command_file(frame)) < 0)) {
		fail(&failure, STEP_make_streams, NULL);
		close_fds(monitor, fds, n_fds);
		send_failure(monitor, frame->id, &failure);
		forget(monitor, command);
		return;
	}
	if (monitor->first_start == NULL && send_start(monitor, &header, frame->payload, fds, n_fds) == 0)
		close_fds(monitor, fds, n_fds);
	else if (monitor->first_start != NULL || errno == EAGAIN)
		keep_start(monitor, command, &header, frame->payload, fds, n_fds);
	else
		monitor->closing = true;
	/* What the command need not wait for. A stream that cannot be watched would be output that is lost. */
	if (watch_streams(monitor, command) != 0)
		kill_command(monitor, command, END_KILLED, NULL);
	make_spare_pipes(&monitor->spare);
}

/* -- Words of the forker and of inits -- */

static void take_exit(struct monitor *monitor, struct running *command, struct forker_exit *exit)
{
	command->ended = true;
	command->exit = exit;
	if (command->stdin_fd >= 0 && command->awaiting_stdin)
		await_stdin(monitor, command, false);
	close_stdin(command);
	read_what_is_left(monitor, command);
}

static void report_start(struct monitor *monitor, const struct running *command)
{
	pid_t init = host_pid_of_init(monitor->forker, shared.init_pids[command->id % INIT_PIDS]);

	send_u32(monitor, FRAME_STARTED, command->id, init == 0 ? 0 : (uint32_t)first_child(init));
}

static void handle_forker(struct monitor *monitor)
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

static void read_reports(struct monitor *monitor)
{
	struct init_report report;

	while (read(monitor->reports, &report, sizeof report) == (ssize_t)sizeof report)
		handle_report(monitor, &report);
}

static void pass_refusals(struct monitor *monitor)
{
	struct refused_connect refusal;

	while (read(monitor->refusals, &refusal, sizeof refusal) == (ssize_t)sizeof refusal) {
		size_t program = strnlen(refusal.program, sizeof refusal.program), path = strnlen(refusal.path, sizeof refusal.path);
		unsigned char *payload = reserve(monitor, 5 + program + path);
		pid_t init = init_above(refusal.thread);
		const struct running *command = monitor->commands;

		while (command != NULL && (command->dead || init == 0 || shared.init_pids[command->id % INIT_PIDS] != init))
			command = command->next;
		put_u32(payload, (uint32_t)refusal.thread);
		payload[4] = (unsigned char)program;
		memcpy(payload + 5, refusal.program, program);
		memcpy(payload + 5 + program, refusal.path, path);
		commit_frame(&monitor->queue, FRAME_REFUSED, command == NULL ? 0 : command->id, (uint32_t)(5 + program + path));
	}
}

/* -- Frames of Node -- */

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
		start(monitor, frame);
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

static void handle_control(struct monitor *monitor)
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

/* -- Limits that are held by looking -- */

static void poll_limits(struct monitor *monitor)
{
	for (struct running *command = monitor->commands; command != NULL; command = command->next) {
		struct tree_usage usage = { 0 };

		if (command->dead || command->ended || (command->memory_bytes == 0 && command->pids == 0))
			continue;
		if (command->host_init == 0)
			command->host_init = host_pid_of_init(monitor->forker, shared.init_pids[command->id % INIT_PIDS]);
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

/* -- The set-up, and the loop -- */

static int save_descriptor_limit(struct failure *failure)
{
	struct rlimit limit;

	/* The launcher needs descriptors for each command; commands get what the embedding process had. */
	if (INJECTED(raise_descriptor_limit) || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fail(failure, STEP_raise_descriptor_limit, NULL);
	shared.max_descriptors[0] = limit.rlim_cur;
	shared.max_descriptors[1] = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fail(failure, STEP_raise_descriptor_limit, NULL);
	return 0;
}

/* What of /proc acts on the host or tells it what to do, where the file's owner may write without a capability. */
static const char *const PROC_READ_ONLY[] = { "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi", "/proc/mtrr", "/proc/dynamic_debug" };

static const char *const *existing_proc_paths(void)
{
	static const char *paths[sizeof PROC_READ_ONLY / sizeof PROC_READ_ONLY[0] + 2];
	size_t n = 0;

	/* Init's own: it is not dumpable, so they are root's files, and root's commands could write to them. */
	if (geteuid() == 0)
		paths[n++] = "/proc/1";
	for (size_t i = 0; i < sizeof PROC_READ_ONLY / sizeof PROC_READ_ONLY[0]; i++)
		if (access(PROC_READ_ONLY[i], F_OK) == 0)
			paths[n++] = PROC_READ_ONLY[i];
	return paths;
}

static int open_rules(const struct plan *plan, struct open_rule **rules, struct failure *failure)
{
	*rules = calloc(plan->n_rules + 1, sizeof **rules);
	if (*rules == NULL)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	for (uint32_t i = 0; i < plan->n_rules; i++) {
		(*rules)[i].allowed = plan->rules[i].allowed;
		(*rules)[i].fd = INJECTED(compile_landlock_rules) ? -1 : open_exact(plan->rules[i].path);
		if ((*rules)[i].fd < 0)
			return fail(failure, STEP_compile_landlock_rules, plan->rules[i].path);
	}
	return 0;
}

/* The raw call, as fork has no flags; and no unshare, after which this process could start no thread. */
static pid_t fork_into_pid_namespace(void)
{
	return (pid_t)syscall(SYS_clone, (long)(CLONE_NEWPID | SIGCHLD), 0, 0, 0, 0);
}

static int start_forker(struct monitor *monitor, const struct open_rule *rules, struct failure *failure)
{
	struct message_header header;
	int pair[2], starts[2], reports[2], fds[1], listener = -1;

	shared.init_pids = mmap(NULL, INIT_PIDS * sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (INJECTED(start_forker) || shared.init_pids == MAP_FAILED || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, starts) != 0 || pipe2(reports, O_CLOEXEC) != 0 || fcntl(reports[0], F_SETFL, O_NONBLOCK) != 0 ||
	    (monitor->forker = fork_into_pid_namespace()) < 0)
		return fail(failure, STEP_start_forker, NULL);
	if (monitor->forker == 0) {
		close(pair[0]);
		close(starts[0]);
		close(reports[0]);
		shared.starts = starts[1];
		shared.reports = reports[1];
		close(monitor->control);
		close(monitor->journal);
		if (monitor->held.inotify >= 0)
			close(monitor->held.inotify);
		run_forker(&monitor->plan, pair[1], rules, monitor->plan.n_rules);
	}
	close(pair[1]);
	close(starts[1]);
	close(reports[1]);
	monitor->forker_socket = pair[0];
	monitor->starts = starts[0];
	monitor->reports = reports[0];
	do {
		struct forker_failure reported;

		if (receive_header(pair[0], &header, fds, 1) != 1) {
			errno = EPIPE;
			return fail(failure, STEP_start_forker, NULL);
		}
		if (header.type == FORKER_LISTENER)
			listener = fds[0];
		if (header.type == FORKER_FAILED) {
			if (header.length != sizeof reported || receive_exactly(pair[0], &reported, sizeof reported) != 0)
				return fail(failure, STEP_start_forker, NULL);
			*failure = (struct failure){ (enum step)reported.step, reported.error, NULL };
			return -1;
		}
	} while (header.type != FORKER_READY);
	/* A plan with a listener filter and no listener would leave its calls to nobody. */
	if (listener < 0 && monitor->plan.listener_filter.length > 0) {
		errno = EBADF;
		return fail(failure, STEP_forker_listener, NULL);
	}
	if (listener < 0)
		return 0;
	/* After the fork, so that the forker has one thread, and its commands none of these. */
	if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0 || start_connecting(listener, (monitor->plan.flags & PLAN_PRIVATE_NETWORK) != 0, pair[1]) != 0)
		return fail(failure, STEP_forker_listener, NULL);
	monitor->refusals = pair[0];
	return 0;
}

static int set_up(struct monitor *monitor, const struct frame *frame, struct failure *failure)
{
	struct open_rule *rules;
	const char *changed;

	int result = INJECTED(decode_plan) ? -EIO : decode_plan(frame->payload, frame->length, &monitor->plan);

	if (result != 0) {
		errno = -result;
		return fail(failure, STEP_decode_plan, NULL);
	}
	if (save_descriptor_limit(failure) != 0)
		return -1;
	/* The host's files are swept and the state directory opened before the mount namespace makes them read-only. */
	monitor->journal = INJECTED(open_journal) ? -1 : open_journal(monitor->plan.state_directory);
	if (monitor->journal < 0)
		return fail(failure, STEP_open_journal, monitor->plan.state_directory);
	sweep_journal(monitor->journal);
	shared.plan = &monitor->plan;
	shared.proc_read_only = existing_proc_paths();
	if (enter_namespaces(&monitor->plan, failure) != 0 || make_template(&monitor->plan, &monitor->mounts, failure) != 0)
		return -1;
	/* The template's, not the host's: commands get it as stdin, and could change the node's mode through it. */
	monitor->devnull = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (monitor->devnull < 0)
		return fail(failure, STEP_make_devices, "/dev/null");
	if ((monitor->plan.flags & PLAN_PRIVATE_NETWORK) && bring_up_loopback(failure) != 0)
		return -1;
	if (open_rules(&monitor->plan, &rules, failure) != 0)
		return -1;
	/* From here on with no more rights over files than commands have: placeholders are made only where they could. */
	if (drop_capabilities(failure) != 0)
		return -1;
	/* After the id maps are written: a process that is not dumpable may not write its own. */
	if (INJECTED(make_not_dumpable) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(failure, STEP_make_not_dumpable, NULL);
	if (start_holding(&monitor->plan, &monitor->mounts, monitor->journal, &monitor->held, failure) != 0 ||
	    recheck_held(&monitor->held, &changed, failure) < 0)
		return -1;
	return start_forker(monitor, rules, failure);
}

static int open_loop(struct monitor *monitor)
{
	monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
	monitor->control_source.kind = SOURCE_CONTROL;
	monitor->forker_source.kind = SOURCE_FORKER;
	monitor->starts_source.kind = SOURCE_STARTS;
	monitor->reports_source.kind = SOURCE_REPORTS;
	monitor->last_start = &monitor->first_start;
	monitor->watch_source.kind = SOURCE_WATCH;
	monitor->refusals_source.kind = SOURCE_REFUSALS;
	if (monitor->epoll < 0 || watch_source(monitor, EPOLL_CTL_ADD, monitor->control, EPOLLIN, &monitor->control_source) != 0 ||
	    watch_source(monitor, EPOLL_CTL_ADD, monitor->forker_socket, EPOLLIN, &monitor->forker_source) != 0 ||
	    watch_source(monitor, EPOLL_CTL_ADD, monitor->starts, 0, &monitor->starts_source) != 0 ||
	    watch_source(monitor, EPOLL_CTL_ADD, monitor->reports, EPOLLIN, &monitor->reports_source) != 0)
		return -1;
	if (monitor->held.inotify >= 0 && watch_source(monitor, EPOLL_CTL_ADD, monitor->held.inotify, EPOLLIN, &monitor->watch_source) != 0)
		return -1;
	return monitor->refusals < 0 ? 0 : watch_source(monitor, EPOLL_CTL_ADD, monitor->refusals, EPOLLIN, &monitor->refusals_source);
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
	case SOURCE_REFUSALS:
		pass_refusals(monitor);
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
	if (monitor->n_limited > 0 || (monitor->n_commands > 0 && !monitor->held.reliable && monitor->held.n_rows > 0))
		return POLL_MS;
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
		if (n == 0 && !monitor->held.reliable)
			look_at_held(monitor, &failure);
		flush(monitor);
		resume_paused(monitor);
		if (queued_bytes(&monitor->queue) > 0 && !monitor->control_waits)
			flush(monitor);
		free_dead(monitor);
		if (monitor->n_commands == 0 && monitor->held.active && idle_long_enough(monitor))
			give_up_placeholders(&monitor->held);
	}
}

/* Ends all commands; returns when the kernel has ended the last process of them. */
static void end_commands(const struct monitor *monitor)
{
	if (monitor->forker <= 0)
		return;
	kill(monitor->forker, SIGKILL);
	while (waitpid(monitor->forker, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Waits until the peer has taken the last frame, or is gone. */
static void flush_to_the_end(struct monitor *monitor)
{
	struct pollfd polled = { .fd = monitor->control, .events = POLLOUT };

	while (queued_bytes(&monitor->queue) > 0 && flush_frames(&monitor->queue, monitor->control) == 0 && queued_bytes(&monitor->queue) > 0)
		poll(&polled, 1, -1);
}

static int first_frame(struct monitor *monitor, struct frame *frame)
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

int run_monitor(int control)
{
	struct monitor monitor = { .control = control, .epoll = -1, .forker_socket = -1, .starts = -1, .reports = -1, .refusals = -1, .journal = -1, .devnull = -1, .forker = -1 };
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
		send_failure(&monitor, 0, &failure);
		flush_to_the_end(&monitor);
		return 1;
	}
	/* After the fork: a command would inherit it, and "yes | head" would not end as it does elsewhere. */
	signal(SIGPIPE, SIG_IGN);
	send_empty(&monitor, FRAME_READY, 0);
	flush(&monitor);
	loop(&monitor);
	end_commands(&monitor);
	give_up_placeholders(&monitor.held);
	/* All that was made is gone: nobody need wait for the kernel to take the namespaces down. */
	shutdown(control, SHUT_RDWR);
	return 0;
}
