#include "notifications.h"
#include "kernel.h"
#include "process-tree.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Of one kind; and beside these some in which each command has a few, so that one whose calls all wait holds up no other. */
enum { MOST_BLOCKED = 120, MOST_RESERVED = 40, MOST_RESERVED_EACH = 4, MOST_AT_ONCE = MOST_BLOCKED + MOST_RESERVED };
enum { MOST_THREADS = 2 * MOST_AT_ONCE + 16, STACK_BYTES = 128 << 10, LOOK_MS = 1000, WAKE_SIGNAL = SIGURG, NUMBERS = 512 /* more than there are system calls */ };

/* Calls that may block, by how that is known: each kind has threads of its own, so that all FIFOs of the world hold up no connect. */
enum kind { BY_ROW, BY_LOOK, KINDS };

/* What a thread carries out beside the others. */
struct work {
	struct call call;
	enum kind kind;
	pid_t command;		/* its init; looked up only where there are no other threads than the reserved ones */
	const struct handled_call *row;
	struct answer later;
};

/* Work for which no thread is free. */
struct waiting { struct waiting *next; struct work work; };

/* A thread in the middle of such work. */
struct blocked { bool busy, reserved; enum kind kind; pid_t command; uint64_t id; pthread_t thread; };

/* One thread at a time receives (`receiving`). It answers what cannot block itself; before a call that may block it lets another
 * thread receive. */
static struct {
	int listener;
	const struct handled_call *row_of[NUMBERS];	/* by the call's number */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool receiving;
	int idle, threads, n_blocked[KINDS], n_reserved[KINDS];	/* the latter are among the former */
	int n_beside;			/* calls in the middle of such work, and those that wait for a thread */
	struct waiting *first[KINDS], **last[KINDS];
	struct blocked blocked[KINDS * MOST_AT_ONCE];
	struct timespec looked;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* The kernel takes a lock first, for which a signal ends the wait: WAKE_SIGNAL may come a moment after its reason has gone. */
static int ask_kernel(unsigned long request, void *argument)
{
	int result;

	do
		result = ioctl(state.listener, request, argument);
	while (result < 0 && errno == EINTR);
	return result;
}

bool still_waits(const struct call *call)
{
	uint64_t id = call->id;

	return ask_kernel(SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* Not with SECCOMP_ADDFD_FLAG_SEND, which answers in one: where this process is stopped or frozen before the caller has taken the descriptor
 * (SIGSTOP, a container that is paused, a machine that goes to sleep), the kernel takes it back, and the caller is told descriptor 0. */
struct answer answer_with_descriptor(const struct call *call, int fd, bool close_on_exec)
{
	struct seccomp_notif_addfd add = { .id = call->id, .srcfd = (uint32_t)fd, .newfd_flags = close_on_exec ? O_CLOEXEC : 0 };
	int number = ask_kernel(SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	/* Where its caller died (ENOENT), an answer to nobody is dropped by the kernel. */
	return give_result(number >= 0 ? number : -errno);
}

struct answer hand_descriptor_over(const struct call *call, int fd, bool close_on_exec)
{
	struct answer answer = answer_with_descriptor(call, fd, close_on_exec);

	close(fd);
	return answer;
}

static const struct handled_call *row_of(int number)
{
	return number >= 0 && number < NUMBERS ? state.row_of[number] : NULL;
}

static void send_answer(const struct call *call, struct answer answer)
{
	struct seccomp_notif_resp response = { .id = call->id };

	if (answer.kind == ANSWER_CONTINUE)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (answer.result < 0)
		response.error = (int32_t)answer.result;
	else
		response.val = answer.result;
	/* ENOENT: the caller died meanwhile. */
	ask_kernel(SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static bool is_crowded(enum kind kind)
{
	return __atomic_load_n(&state.n_blocked[kind], __ATOMIC_RELAXED) - __atomic_load_n(&state.n_reserved[kind], __ATOMIC_RELAXED) >= MOST_BLOCKED;
}

/* With the lock held, as all below. */
static bool may_begin(enum kind kind, pid_t command)
{
	int its_own = 0;

	if (!is_crowded(kind))
		return true;
	for (int i = 0; i < KINDS * MOST_AT_ONCE; i++) {
		const struct blocked *blocked = &state.blocked[i];

		its_own += blocked->busy && blocked->reserved && blocked->kind == kind && blocked->command == command;
	}
	return its_own < MOST_RESERVED_EACH && state.n_reserved[kind] < MOST_RESERVED;
}

/* The first work that waits and may begin: where it hangs in the list; NULL where there is none. */
static struct waiting **find_due(enum kind kind)
{
	pid_t refused = -1;

	for (struct waiting **at = &state.first[kind]; *at != NULL; at = &(*at)->next) {
		pid_t command = (*at)->work.command;

		/* Most that wait are one command's. */
		if (command == refused)
			continue;
		if (may_begin(kind, command))
			return at;
		refused = command;
	}
	return NULL;
}

static struct blocked *begin_work(const struct work *work)
{
	struct blocked *blocked = state.blocked;
	bool reserved = is_crowded(work->kind);

	while (blocked->busy)
		blocked++;
	*blocked = (struct blocked){ true, reserved, work->kind, work->command, work->call.id, pthread_self() };
	__atomic_add_fetch(&state.n_reserved[work->kind], reserved, __ATOMIC_RELAXED);
	__atomic_add_fetch(&state.n_blocked[work->kind], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&state.n_beside, 1, __ATOMIC_RELAXED);
	return blocked;
}

static void carry_out(const struct work *work, struct blocked *blocked)
{
	struct answer answer = work->kind == BY_ROW ? work->row->handle(&work->call) : work->later.later(&work->call, work->later.state);

	if (answer.kind == ANSWER_LATER)	/* it blocks here already */
		answer = answer.later(&work->call, answer.state);
	send_answer(&work->call, answer);
	pthread_mutex_lock(&state.lock);
	blocked->busy = false;
	__atomic_sub_fetch(&state.n_reserved[work->kind], blocked->reserved, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&state.n_blocked[work->kind], 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&state.n_beside, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&state.lock);
}

static void wake(int signal)
{
	(void)signal;
}

/* Interrupts those whose caller is gone: nobody else would end an open of a FIFO that no one will read. */
static void look_at_blocked(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if ((now.tv_sec - state.looked.tv_sec) * 1000 + (now.tv_nsec - state.looked.tv_nsec) / 1000000 < LOOK_MS)
		return;
	state.looked = now;
	pthread_mutex_lock(&state.lock);
	for (int i = 0; i < KINDS * MOST_AT_ONCE; i++) {
		const struct call call = { .id = state.blocked[i].id };

		/* A signal that comes just before the system call that blocks is lost; the next one is not. */
		if (state.blocked[i].busy && !still_waits(&call))
			pthread_kill(state.blocked[i].thread, WAKE_SIGNAL);
	}
	pthread_mutex_unlock(&state.lock);
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

/* Lets another thread receive, or keeps the work for a thread that gets free. Returns its place where this thread should carry it
 * out now. */
static struct blocked *leave_receiving(struct work *work)
{
	struct blocked *blocked = NULL;
	struct waiting *waiting;

	work->command = is_crowded(work->kind) ? init_above(work->call.thread) : 0;
	pthread_mutex_lock(&state.lock);
	if (may_begin(work->kind, work->command) && (state.idle > 0 || start_thread())) {
		state.receiving = false;
		blocked = begin_work(work);
		pthread_cond_signal(&state.changed);
	} else if (state.threads > 1 && (waiting = malloc(sizeof *waiting)) != NULL) {
		*waiting = (struct waiting){ NULL, *work };
		__atomic_add_fetch(&state.n_beside, 1, __ATOMIC_RELAXED);
		*state.last[work->kind] = waiting;
		state.last[work->kind] = &waiting->next;
	} else {
		if (work->kind == BY_LOOK)
			work->later.later(NULL, work->later.state);
		send_answer(&work->call, give_result(-EAGAIN));
	}
	pthread_mutex_unlock(&state.lock);
	return blocked;
}

enum received { RECEIVED, NOTHING, OVER };

/* The next call. While others are carried out beside, it comes back at least each second to look at them (NOTHING). Otherwise it waits in the
 * kernel's own call: one less for each. OVER: the last process with the filter is gone. */
static enum received receive_one(struct seccomp_notif *notification)
{
	struct pollfd polled = { .fd = state.listener, .events = POLLIN };
	bool any_beside = __atomic_load_n(&state.n_beside, __ATOMIC_RELAXED) > 0, failed;
	int n = any_beside ? poll(&polled, 1, LOOK_MS) : 1;

	if (any_beside)
		look_at_blocked();
	if (n <= 0)
		return NOTHING;
	if (polled.revents & (POLLHUP | POLLERR))
		return OVER;
	*notification = (struct seccomp_notif){ 0 };
	failed = ioctl(state.listener, SECCOMP_IOCTL_NOTIF_RECV, notification) != 0;
	/* ENOENT: the caller died meanwhile; or all did (since 6.11: before, nobody is told, nor need be: this process ends with the forker). */
	if (failed && errno == ENOENT && poll(&polled, 1, 0) > 0 && (polled.revents & (POLLHUP | POLLERR)))
		return OVER;
	return failed ? NOTHING : RECEIVED;
}

/* Receives until there is work that this thread should carry out beside the others. Returns NULL where the last process with the
 * filter is gone. */
static struct blocked *receive(struct work *work)
{
	struct blocked *blocked = NULL;

	while (blocked == NULL) {
		struct seccomp_notif notification;
		enum received received = receive_one(&notification);

		if (received == OVER)
			return NULL;
		if (received == NOTHING)
			continue;
		*work = (struct work){ .call = { .id = notification.id, .thread = (pid_t)notification.pid, .number = notification.data.nr }, .kind = BY_ROW };
		for (int i = 0; i < 6; i++)
			work->call.arguments[i] = notification.data.args[i];
		work->row = row_of(work->call.number);
		if (work->row == NULL || !work->row->may_block) {
			work->later = work->row == NULL ? give_result(-ENOSYS) : work->row->handle(&work->call);
			work->kind = BY_LOOK;
		}
		if (work->kind == BY_ROW || work->later.kind == ANSWER_LATER)
			blocked = leave_receiving(work);
		else
			send_answer(&work->call, work->later);
	}
	return blocked;
}

/* Waits until this thread should receive, or carry out work that waits. Returns the place of such work. */
static struct blocked *take_turn(struct work *work)
{
	struct blocked *blocked = NULL;
	struct waiting **due;

	pthread_mutex_lock(&state.lock);
	state.idle++;
	while ((due = find_due(BY_ROW)) == NULL && (due = find_due(BY_LOOK)) == NULL && state.receiving)
		pthread_cond_wait(&state.changed, &state.lock);
	state.idle--;
	if (due != NULL) {
		struct waiting *waiting = *due;

		*due = waiting->next;
		if (waiting->next == NULL)
			state.last[waiting->work.kind] = due;
		*work = waiting->work;
		free(waiting);
		blocked = begin_work(work);
		__atomic_sub_fetch(&state.n_beside, 1, __ATOMIC_RELAXED);	/* it does not wait any more */
	} else {
		state.receiving = true;
	}
	pthread_mutex_unlock(&state.lock);
	return blocked;
}

static void *run_thread(void *unused)
{
	struct work work;
	struct blocked *blocked;

	(void)unused;
	/* A umask of its own: the one that receives makes files with their caller's. Where a container's filter refuses the call, all
	 * threads share one. */
	unshare(CLONE_FS);
	for (;;) {
		blocked = take_turn(&work);
		if (blocked == NULL)
			blocked = receive(&work);
		if (blocked == NULL)
			return NULL;
		carry_out(&work, blocked);
	}
}

int start_answering(int listener, const struct handled_call *rows, unsigned n_rows)
{
	struct sigaction action = { .sa_handler = wake };	/* no SA_RESTART: it is there to interrupt */
	bool started;

	state.listener = listener;
	for (int kind = 0; kind < KINDS; kind++)
		state.last[kind] = &state.first[kind];
	/* The first row of a number counts. */
	for (unsigned i = n_rows; i-- > 0; )
		state.row_of[rows[i].number % NUMBERS] = &rows[i];
	/* Both threads on one processor where the kernel can (6.6): a hint, so its failure does not matter. */
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS_, 1UL);
	sigaction(WAKE_SIGNAL, &action, NULL);
	pthread_mutex_lock(&state.lock);
	started = start_thread();
	pthread_mutex_unlock(&state.lock);
	if (!started)
		errno = EAGAIN;
	return started ? 0 : -1;
}
