#include "sockets.h"
#include "caller.h"
#include "process-tree.h"
#include "refuse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SOCKETS = 4096, MOST_PROCESSES = 8192, LOOK_MS = 1000, LOOKS_FOR_FRESH = 5, WATCHER_STACK_BYTES = 256 << 10 };

enum state { STATE_FREE, STATE_FRESH, STATE_CONNECTING, STATE_BOUND };
struct made { ino_t inode; int fd; enum state state; bool held; time_t since; };

static struct {
	bool made;
	pid_t forker;
	pthread_mutex_t lock;
	pthread_cond_t watched;		/* n_made is no longer 0 */
	struct made sockets[MOST_SOCKETS];
	unsigned n_made;		/* that are not free, */
	unsigned n_watched;		/* and that are bound or connecting */
	bool watches;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .watched = PTHREAD_COND_INITIALIZER };

/* Beside the table, which takes no place in the launcher's file as long as all its first values are zero. */
static int epoll = -1;

void prepare_sockets(bool made, pid_t forker)
{
	state.made = made;
	state.forker = forker;
}

static time_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec;
}

static bool is_watched(const struct made *socket)
{
	return socket->state == STATE_CONNECTING || socket->state == STATE_BOUND;
}

/* With the lock held. */
static void drop(struct made *socket)
{
	state.n_watched -= is_watched(socket);
	state.n_made--;
	close(socket->fd);
	socket->state = STATE_FREE;
}

/* With the lock held. */
static struct made *find(ino_t inode)
{
	for (unsigned i = 0; i < MOST_SOCKETS; i++)
		if (state.sockets[i].state != STATE_FREE && state.sockets[i].inode == inode)
			return &state.sockets[i];
	return NULL;
}

/* The inode of a descriptor in a folder like /proc/PID/fd; 0: it is no socket. */
static ino_t socket_at(int folder, const char *name)
{
	char target[64];
	ssize_t length = readlinkat(folder, name, target, sizeof target - 1);

	if (length < 0)
		return 0;
	target[length] = 0;
	return strncmp(target, "socket:[", 8) == 0 ? (ino_t)strtoul(target + 8, NULL, 10) : 0;
}

/* With the lock held. */
static void mark_held_by(pid_t process)
{
	char path[32];
	const struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof path, "/proc/%d/fd", process);
	folder = opendir(path);
	if (folder == NULL)
		return;
	while ((entry = readdir(folder)) != NULL) {
		ino_t inode = entry->d_name[0] == '.' ? 0 : socket_at(dirfd(folder), entry->d_name);
		struct made *socket = inode == 0 ? NULL : find(inode);

		if (socket != NULL)
			socket->held = true;
	}
	closedir(folder);
}

/* With the lock held. What was made in this very second may be on its way to its owner. */
static void drop_unheld(time_t before)
{
	pid_t *processes = malloc(MOST_PROCESSES * sizeof *processes);
	int n_processes = processes == NULL ? 0 : collect_below(state.forker, processes, MOST_PROCESSES);

	for (unsigned i = 0; i < MOST_SOCKETS; i++)
		state.sockets[i].held = processes == NULL;
	for (int i = 0; i < n_processes; i++)
		mark_held_by(processes[i]);
	for (unsigned i = 0; i < MOST_SOCKETS; i++)
		if (state.sockets[i].state != STATE_FREE && !state.sockets[i].held && state.sockets[i].since < before)
			drop(&state.sockets[i]);
	free(processes);
}

void drop_unheld_sockets(void)
{
	if (!state.made)
		return;
	pthread_mutex_lock(&state.lock);
	drop_unheld(now() + 1);
	pthread_mutex_unlock(&state.lock);
}

/* With the lock held. The oldest gives way where all are in use: connecting it later is refused then. */
static struct made *find_room(void)
{
	struct made *oldest = &state.sockets[0];

	for (int tries = 0; tries < 2; tries++) {
		for (unsigned i = 0; i < MOST_SOCKETS; i++) {
			if (state.sockets[i].state == STATE_FREE)
				return &state.sockets[i];
			if (state.sockets[i].since < oldest->since)
				oldest = &state.sockets[i];
		}
		if (tries == 0)
			drop_unheld(now());
	}
	drop(oldest);
	return oldest;
}

static void *watch(void *unused)
{
	(void)unused;
	for (unsigned looks = 0;; looks++) {
		struct epoll_event events[16];
		int n;

		pthread_mutex_lock(&state.lock);
		while (state.n_made == 0)
			pthread_cond_wait(&state.watched, &state.lock);
		pthread_mutex_unlock(&state.lock);
		n = epoll_wait(epoll, events, 16, LOOK_MS);
		pthread_mutex_lock(&state.lock);
		for (int i = 0; i < n; i++) {
			struct made *socket = find((ino_t)events[i].data.u64);
			struct sockaddr_storage peer;
			socklen_t length = sizeof peer;

			if (socket == NULL || socket->state != STATE_CONNECTING)
				continue;
			/* Connected: nothing more is asked of it. Or it failed, and may be tried again. */
			if (getpeername(socket->fd, (struct sockaddr *)&peer, &length) == 0) {
				drop(socket);
			} else {
				epoll_ctl(epoll, EPOLL_CTL_DEL, socket->fd, NULL);
				socket->state = STATE_FRESH;
				state.n_watched--;
			}
		}
		/* What is fresh holds no address: its owner is looked for now and then. */
		if (n == 0 && (state.n_watched > 0 || looks % LOOKS_FOR_FRESH == 0))
			drop_unheld(now());
		pthread_mutex_unlock(&state.lock);
	}
	return NULL;
}

/* With the lock held. Without the watcher a copy is kept longer, and nothing else is lost. */
static void start_watching(void)
{
	pthread_t thread;
	pthread_attr_t attributes;

	if (state.watches || (epoll < 0 && (epoll = epoll_create1(EPOLL_CLOEXEC)) < 0))
		return;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, WATCHER_STACK_BYTES);
	state.watches = pthread_create(&thread, &attributes, watch, NULL) == 0;
	pthread_attr_destroy(&attributes);
}

struct answer make_socket(const struct call *call)
{
	/* Of its type the flags stay as they are: O_NONBLOCK belongs to what both descriptors refer to. */
	int type = (int)call->arguments[1], fd;
	struct made *made;
	struct answer answer;
	struct stat found;

	if (refuses_socket(call, &answer))
		return answer;
	fd = socket((int)call->arguments[0], type | SOCK_CLOEXEC, (int)call->arguments[2]);
	if (fd < 0)
		return give_result(-errno);
	if (fstat(fd, &found) != 0) {
		close(fd);
		return give_result(-ENOMEM);
	}
	pthread_mutex_lock(&state.lock);
	made = find_room();
	*made = (struct made){ .inode = found.st_ino, .fd = fd, .state = STATE_FRESH, .since = now() };
	state.n_made++;
	start_watching();
	pthread_cond_signal(&state.watched);
	pthread_mutex_unlock(&state.lock);
	answer = answer_with_descriptor(call, fd, (type & SOCK_CLOEXEC) != 0);
	if (answer.result >= 0)
		return answer;
	/* It has no owner. */
	pthread_mutex_lock(&state.lock);
	made = find(found.st_ino);
	if (made != NULL)
		drop(made);
	pthread_mutex_unlock(&state.lock);
	return answer;
}

int take_socket(const struct call *call, int fd)
{
	char path[48];
	struct made *socket;
	ino_t inode;
	int copy = -1;

	if (!state.made)
		return take_descriptor(call->thread, fd);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", call->thread, fd);
	inode = socket_at(AT_FDCWD, path);
	if (inode == 0) {
		struct stat any;

		errno = lstat(path, &any) == 0 ? ENOTSOCK : EBADF;
		return -1;
	}
	pthread_mutex_lock(&state.lock);
	socket = find(inode);
	if (socket != NULL)
		copy = fcntl(socket->fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&state.lock);
	/* One of a pair, accepted, or connected already: the kernel's word on a second connect. */
	if (socket == NULL)
		errno = EISCONN;
	return copy;
}

static void set_state(struct made *socket, enum state new_state)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.u64 = socket->inode };

	state.n_watched -= is_watched(socket);
	socket->state = new_state;
	state.n_watched += is_watched(socket);
	if (new_state == STATE_CONNECTING)
		epoll_ctl(epoll, EPOLL_CTL_ADD, socket->fd, &event);
}

void note_socket(int fd, enum socket_use use)
{
	struct made *socket;
	struct stat found;

	if (!state.made || fstat(fd, &found) != 0)
		return;
	pthread_mutex_lock(&state.lock);
	socket = find(found.st_ino);
	if (socket != NULL) {
		switch (use) {
		case SOCKET_CONNECTED:
		case SOCKET_LISTENS:
			drop(socket);
			break;
		case SOCKET_CONNECTING:
			set_state(socket, STATE_CONNECTING);
			break;
		case SOCKET_BOUND:
			set_state(socket, STATE_BOUND);
			break;
		}
	}
	pthread_mutex_unlock(&state.lock);
}
