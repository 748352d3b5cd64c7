/* From a START frame to a command in an init's hands: held paths looked at, placeholders made, streams opened. */
#include "domains.h"
#include "helper.h"
#include "monitor-state.h"
#include "socket.h"
#include "supervise.h"
#include "terminals.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

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

/* Opens a terminal, where there is a mount namespace in the sandbox's own devpts. fds get the command's side. */
static int open_terminal(struct running *command, const struct command_head *head, int fds[3])
{
	struct winsize size = { .ws_row = head->rows, .ws_col = head->columns };
	int unlock = 0, master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	command->streams[0].fd = master;
	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlock) != 0 || ioctl(master, TIOCSWINSZ, &size) != 0)
		return -1;
	fds[0] = fds[1] = fds[2] = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	command->stdin_fd = master;
	return fds[0] < 0 ? -1 : note_terminal(master);
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
int look_at_held(struct monitor *monitor, struct failure *failure)
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
		if (fds[i] >= 0 && fds[i] != monitor->devnull && fds[i] != monitor->helper && fds[i] != shared.inner && (i == 0 || fds[i] != fds[0]))
			close(fds[i]);
}

/* One that no living command has. Where there are more commands than slots, two share one: then what is reported counts for either. */
static uint32_t free_slot(const struct monitor *monitor, uint32_t id)
{
	for (uint32_t i = 0; i < INIT_PIDS; i++) {
		const struct running *command = monitor->commands;
		uint32_t slot = (id + i) % INIT_PIDS;

		while (command != NULL && (command->dead || command->slot != slot))
			command = command->next;
		if (command == NULL)
			return slot;
	}
	return id % INIT_PIDS;
}

static struct running *new_command(struct monitor *monitor, uint32_t id, const struct command_head *head)
{
	struct running *command = calloc(1, sizeof *command);

	if (command == NULL)
		out_of_memory();
	command->id = id;
	command->slot = free_slot(monitor, id);
	shared.init_pids[command->slot] = 0;
	command->stdin_fd = command->streams[0].fd = command->streams[1].fd = -1;
	command->streams[0].source = (struct source){ SOURCE_STDOUT, command };
	command->streams[1].source = (struct source){ SOURCE_STDERR, command };
	command->stdin_source = (struct source){ SOURCE_STDIN, command };
	command->group = -1;
	command->memory_bytes = head->flags & COMMAND_GROUP_MEMORY ? 0 : head->memory_bytes;
	command->pids = head->flags & COMMAND_GROUP_PIDS ? 0 : head->pids;
	command->next = monitor->commands;
	monitor->commands = command;
	if (monitor->n_commands++ == 0)
		expect_first_umask();
	if (command->memory_bytes != 0 || command->pids != 0)
		monitor->n_limited++;
	return command;
}

/* Of the command itself; what is larger than a packet rides as a memory file. */
static size_t packet_length(const struct start_header *header)
{
	return header->length > INLINE_COMMAND_BYTES ? 0 : header->length;
}

static int send_start(const struct monitor *monitor, struct start_header *header, const void *bytes, const int *fds, int n_fds)
{
	union { struct cmsghdr header; char bytes[CMSG_SPACE(START_DESCRIPTORS * sizeof(int))]; } control = { 0 };
	struct iovec parts[2] = { { header, sizeof *header }, { (void *)bytes, packet_length(header) } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int)) };

	/* Of the ruleset that rides on it: a command that waited gets the newest one. */
	header->rules_number = monitor->rules_number;
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
	memcpy(CMSG_DATA(&control.header), fds, (size_t)n_fds * sizeof(int));
	return sendmsg(monitor->starts, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

static void keep_start(struct monitor *monitor, struct running *command, const struct start_header *header, const void *bytes, const int *fds, int n_fds)
{
	size_t length = packet_length(header);
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

/* For what is on its way through sockets: other processes of the user, commands too, may have used up what it may have there. */
static bool is_no_room(int error)
{
	return error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM;
}

/* By the errno of sendmsg(2). */
static void refuse_start(struct monitor *monitor, struct running *command)
{
	struct failure failure;

	fail(&failure, STEP_make_streams, NULL);
	send_failure(monitor, command->id, &failure);
	forget(monitor, command);
}

/* Gives inits what they take. A command that was killed meanwhile is over without having been. */
void give_waiting_starts(struct monitor *monitor)
{
	while (monitor->first_start != NULL) {
		struct waiting_start *waiting = monitor->first_start;

		struct running *command = waiting->command;

		if (command != NULL && send_start(monitor, &waiting->header, waiting->bytes, waiting->fds, waiting->n_fds) != 0) {
			if (errno == EAGAIN)
				return;
			if (!is_no_room(errno)) {
				monitor->closing = true;
				return;
			}
			refuse_start(monitor, command);
		}
		if (command != NULL)
			command->start = NULL;
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

/* A command whose limits or end a group should hold never runs without one. */
static int give_group(const struct monitor *monitor, struct running *command, const struct command_head *head, int *fds, int *n_fds, struct failure *failure)
{
	struct command_group group;

	if (make_command_group(&monitor->plan, &monitor->groups, command->id, head->flags & COMMAND_GROUP_MEMORY ? head->memory_bytes : 0,
			       head->flags & COMMAND_GROUP_PIDS ? head->pids : 0, &group, failure) != 0)
		return -1;
	command->group = group.directory;
	fds[(*n_fds)++] = group.procs;
	if (group.end >= 0)
		fds[(*n_fds)++] = group.end;
	return 0;
}

/* What commands may read, as the host's folders are now; and what inits prepare for later ones. */
static int look_at_rules(struct monitor *monitor, struct failure *failure)
{
	int made = refresh_inner(&monitor->plan, shared.inner, failure);

	if (made <= 0)
		return made;
	monitor->rules_number++;
	/* Where there is no room, inits prepare what their commands cannot use, and then do without. */
	if (send_message(monitor->forker_socket, (struct message_header){ FORKER_RULES, monitor->rules_number, 0 }, NULL, shared.inner) != 0 && !is_no_room(errno))
		monitor->closing = true;
	return 0;
}

void start_command(struct monitor *monitor, const struct frame *frame)
{
	struct start_header header = { .id = frame->id, .length = frame->length };
	struct failure failure = { .step = STEP_decode_command };
	struct command_head head;
	struct running *command;
	int fds[START_DESCRIPTORS] = { -1, -1, -1, -1, -1, -1, -1, -1 }, n_fds = 3;

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
	if (monitor->stale != NULL) {
		errno = ESTALE;
		fail(&failure, STEP_recheck, monitor->stale);
		send_failure(monitor, frame->id, &failure);
		return;
	}
	if (look_at_held(monitor, &failure) != 0 || take_placeholders(&monitor->held, &failure) != 0 ||
	    ((monitor->plan.flags & PLAN_SUPERVISED) && look_at_rules(monitor, &failure) != 0)) {
		send_failure(monitor, frame->id, &failure);
		return;
	}
	command = new_command(monitor, frame->id, &head);
	header.slot = command->slot;
	if (make_streams(monitor, command, &head, fds) != 0 ||
	    (frame->length > INLINE_COMMAND_BYTES && (fds[n_fds++] = make_command_file(frame)) < 0)) {
		fail(&failure, STEP_make_streams, NULL);
		close_fds(monitor, fds, n_fds);
		send_failure(monitor, frame->id, &failure);
		forget(monitor, command);
		return;
	}
	if (has_group(&monitor->plan, head.flags) && give_group(monitor, command, &head, fds, &n_fds, &failure) != 0) {
		close_fds(monitor, fds, n_fds);
		send_failure(monitor, frame->id, &failure);
		forget(monitor, command);
		return;
	}
	if (head.flags & COMMAND_HELPER) {
		if (monitor->helper < 0)
			monitor->helper = INJECTED(open_helper) ? -1 : open_helper();
		if (monitor->helper < 0) {
			fail(&failure, STEP_open_helper, NULL);
			close_fds(monitor, fds, n_fds);
			send_failure(monitor, frame->id, &failure);
			forget(monitor, command);
			return;
		}
		fds[n_fds++] = monitor->helper;
	}
	if (shares_processes(&monitor->plan))
		fds[n_fds++] = shared.inner;
	if (monitor->first_start == NULL && send_start(monitor, &header, frame->payload, fds, n_fds) == 0)
		close_fds(monitor, fds, n_fds);
	else if (monitor->first_start != NULL || errno == EAGAIN)
		keep_start(monitor, command, &header, frame->payload, fds, n_fds);
	else if (is_no_room(errno)) {
		refuse_start(monitor, command);
		close_fds(monitor, fds, n_fds);
		return;
	} else
		monitor->closing = true;
	/* What the command need not wait for. A stream that cannot be watched would be output that is lost. */
	if (watch_streams(monitor, command) != 0)
		kill_command(monitor, command, END_KILLED, NULL);
	make_spare_pipes(&monitor->spare);
}
