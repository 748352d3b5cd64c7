#include "notifications.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { MOST_THREADS = 64, STACK_BYTES = 128 << 10 };

/* A call that may block, and no thread is free for it. */
struct waiting_call { struct waiting_call *next; struct call call; const struct handled_call *row; };

/* One thread at a time receives (`receiving`). It answers what cannot block itself; before a call that may block it lets another
 * thread receive. */
static struct {
	int listener;
	const struct handled_call *rows;
	unsigned n_rows;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool receiving;
	int idle, threads;
	struct waiting_call *first, **last;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .last = &state.first };

bool still_waits(const struct call *call)
{
	uint64_t id = call->id;

	return ioctl(state.listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

struct answer answer_with_descriptor(const struct call *call, int fd, bool close_on_exec)
{
	struct seccomp_notif_addfd add = { .id = call->id, .flags = SECCOMP_ADDFD_FLAG_SEND_, .srcfd = (uint32_t)fd, .newfd_flags = close_on_exec ? O_CLOEXEC : 0 };

	if (ioctl(state.listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) >= 0)
		return (struct answer){ ANSWER_GIVEN, 0 };
	/* The call still waits, unless its caller died (ENOENT): an answer to nobody is dropped by the kernel. */
	return (struct answer){ ANSWER_RESULT, -errno };
}

static const struct handled_call *row_of(int number)
{
	for (unsigned i = 0; i < state.n_rows; i++)
		if (state.rows[i].number == number)
			return &state.rows[i];
	return NULL;
}

static void answer_call(const struct call *call, const struct handled_call *row)
{
	struct answer answer = row == NULL ? (struct answer){ ANSWER_RESULT, -ENOSYS } : row->handle(call);
	struct seccomp_notif_resp response = { .id = call->id };

	if (answer.kind == ANSWER_GIVEN)
		return;
	if (answer.kind == ANSWER_CONTINUE)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (answer.result < 0)
		response.error = (int32_t)answer.result;
	else
		response.val = answer.result;
	/* ENOENT: the caller died meanwhile. */
	ioctl(state.listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void *run_thread(void *unused);

/* With the lock held. */
static bool start_thread(void)
{
	pthread_t thread;
	pthread_attr_t attributes;
	bool started;

	if (state.threads >= MOST_THREADS)
		return false;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	started = pthread_create(&thread, &attributes, run_thread, NULL) == 0;
	pthread_attr_destroy(&attributes);
	state.threads += started;
	return started;
}

/* Lets another thread receive, or keeps the call for a thread that gets free. Returns whether this one should carry it out now. */
static bool leave_receiving(const struct call *call, const struct handled_call *row)
{
	struct waiting_call *waiting;
	bool leave;

	pthread_mutex_lock(&state.lock);
	leave = state.idle > 0 || start_thread();
	if (leave) {
		state.receiving = false;
		pthread_cond_signal(&state.changed);
	} else if ((waiting = malloc(sizeof *waiting)) != NULL) {
		*waiting = (struct waiting_call){ NULL, *call, row };
		*state.last = waiting;
		state.last = &waiting->next;
	} else {
		answer_call(call, NULL);
	}
	pthread_mutex_unlock(&state.lock);
	return leave;
}

/* Receives until there is a call that this thread should carry out beside the others. Returns false where the last process with
 * the filter is gone. */
static bool receive(struct call *call, const struct handled_call **row)
{
	struct pollfd polled = { .fd = state.listener, .events = POLLIN };

	for (;;) {
		struct seccomp_notif notification = { 0 };

		if (poll(&polled, 1, -1) < 0)
			continue;
		if (polled.revents & (POLLHUP | POLLERR))
			return false;
		/* ENOENT: the caller died meanwhile. */
		if (ioctl(state.listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) != 0)
			continue;
		*call = (struct call){ .id = notification.id, .thread = (pid_t)notification.pid, .number = notification.data.nr };
		for (int i = 0; i < 6; i++)
			call->arguments[i] = notification.data.args[i];
		*row = row_of(call->number);
		if (*row == NULL || !(*row)->may_block)
			answer_call(call, *row);
		else if (leave_receiving(call, *row))
			return true;
	}
}

/* Waits until this thread should receive, or carry out a call that waits. Returns whether there is such a call. */
static bool take_turn(struct call *call, const struct handled_call **row)
{
	struct waiting_call *waiting;

	pthread_mutex_lock(&state.lock);
	state.idle++;
	while (state.receiving && state.first == NULL)
		pthread_cond_wait(&state.changed, &state.lock);
	state.idle--;
	waiting = state.first;
	if (waiting != NULL) {
		state.first = waiting->next;
		if (state.first == NULL)
			state.last = &state.first;
		*call = waiting->call;
		*row = waiting->row;
		free(waiting);
	} else {
		state.receiving = true;
	}
	pthread_mutex_unlock(&state.lock);
	return waiting != NULL;
}

static void *run_thread(void *unused)
{
	struct call call;
	const struct handled_call *row;

	(void)unused;
	for (;;) {
		if (!take_turn(&call, &row) && !receive(&call, &row))
			return NULL;
		answer_call(&call, row);
	}
}

int start_answering(int listener, const struct handled_call *rows, unsigned n_rows)
{
	bool started;

	state.listener = listener;
	state.rows = rows;
	state.n_rows = n_rows;
	/* Both threads on one processor where the kernel can (6.6): a hint, so its failure does not matter. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS_, 1UL);
	pthread_mutex_lock(&state.lock);
	started = start_thread();
	pthread_mutex_unlock(&state.lock);
	if (!started)
		errno = EAGAIN;
	return started ? 0 : -1;
}
