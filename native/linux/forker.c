#include "forker.h"
#include "raw.h"
#include "socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared shared;

struct forker {
	int socket;
	const struct plan *plan;
	const struct open_rule *rules;
	uint32_t n_rules;
	int prepared_ruleset;		/* made while the last command starts, so that the next does not wait for it; -1: none */
	struct job *jobs, *spare;
	unsigned char *queue;		/* what the socket has not taken yet: a forker that waits for the monitor to read, while the */
	size_t queued, queue_size;	/* monitor waits for the forker to read, would wait for ever */
};

/* The monitor is gone, or talks nonsense: the kernel ends everything in this PID namespace with its process 1. */
static _Noreturn void end_everything(void)
{
	_exit(1);
}

static void flush(struct forker *forker)
{
	while (forker->queued > 0) {
		ssize_t sent = send(forker->socket, forker->queue, forker->queued, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno == EAGAIN)
			return;
		if (sent < 0)
			end_everything();
		forker->queued -= (size_t)sent;
		memmove(forker->queue, forker->queue + sent, forker->queued);
	}
}

static void tell(struct forker *forker, uint32_t type, uint32_t id, const void *data, uint32_t length)
{
	struct message_header header = { type, id, length };
	size_t wanted = forker->queued + sizeof header + length;

	if (wanted > forker->queue_size) {
		unsigned char *grown = realloc(forker->queue, wanted * 2);

		if (grown == NULL)
			end_everything();
		forker->queue = grown;
		forker->queue_size = wanted * 2;
	}
	memcpy(forker->queue + forker->queued, &header, sizeof header);
	memcpy(forker->queue + forker->queued + sizeof header, data, length);
	forker->queued = wanted;
	flush(forker);
}

static void tell_failure(struct forker *forker, uint32_t id, enum step step, int error)
{
	struct forker_failure failure = { step, error };

	tell(forker, FORKER_FAILED, id, &failure, sizeof failure);
}

static int prepare_ruleset(struct forker *forker)
{
	if (forker->plan->flags & PLAN_LANDLOCK_FILES)
		forker->prepared_ruleset = make_file_ruleset(forker->plan, forker->rules, forker->n_rules);
	return !(forker->plan->flags & PLAN_LANDLOCK_FILES) || forker->prepared_ruleset >= 0 ? 0 : -1;
}

/* Two stacks with an unmapped page below; kept for the next command. */
static unsigned char *make_stacks(void)
{
	const size_t guard = 4096, stacks = INIT_STACK_BYTES + PROGRAM_STACK_BYTES;
	unsigned char *memory = mmap(NULL, guard + stacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory, guard, PROT_NONE) != 0)
		return NULL;
	return memory + guard;
}

static struct job *take_job(struct forker *forker)
{
	struct job *job = forker->spare;

	if (job != NULL) {
		forker->spare = job->next;
	} else {
		job = calloc(1, sizeof *job);
		if (job == NULL)
			return NULL;
		job->stacks = make_stacks();
		if (job->stacks == NULL) {
			free(job);
			return NULL;
		}
	}
	job->failed_step = -1;
	job->error = 0;
	job->wait_status = 0;
	job->started = false;
	job->n_ended = job->ended_length = 0;
	job->ruleset = -1;
	return job;
}

static void give_back(struct forker *forker, struct job *job)
{
	free(job->block);
	free((void *)job->script);
	job->block = NULL;
	job->script = NULL;
	job->next = forker->spare;
	forker->spare = job;
}

static void close_streams(const int fds[3])
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0 && (i == 0 || fds[i] != fds[0]) && (i < 2 || fds[i] != fds[1]))
			close(fds[i]);
}

/* Decodes the command and clones its init. Returns the failed step, or -1. */
static int start_job(struct forker *forker, struct job *job, const void *data, uint32_t length)
{
	const unsigned long flags = CLONE_VM | CLONE_NEWPID | CLONE_NEWNS | SIGCHLD;
	long pid;

	if (INJECTED(decode_command) || decode_command(data, length, &job->command, &job->block) != 0)
		return STEP_decode_command;
	job->script = calloc(job->command.argc + 2, sizeof *job->script);
	if (job->script == NULL)
		return STEP_decode_command;
	if (forker->prepared_ruleset < 0 && prepare_ruleset(forker) != 0)
		return STEP_prepare_ruleset;
	job->ruleset = forker->prepared_ruleset;
	pid = INJECTED(fork_command) ? -EIO : raw_clone(flags, job->stacks + INIT_STACK_BYTES, run_init, job);
	if (pid < 0) {
		errno = (int)-pid;
		return STEP_fork_command;
	}
	job->init = (pid_t)pid;
	return -1;
}

static void start(struct forker *forker, uint32_t id, const void *data, uint32_t length, const int fds[3])
{
	struct job *job = take_job(forker);
	int failed, error;

	if (job == NULL) {
		close_streams(fds);
		tell_failure(forker, id, STEP_fork_command, ENOMEM);
		return;
	}
	job->id = id;
	memcpy(job->fds, fds, sizeof job->fds);
	failed = start_job(forker, job, data, length);
	error = errno;
	close_streams(fds);
	if (failed >= 0) {
		tell_failure(forker, id, (enum step)failed, error);
		give_back(forker, job);
		return;
	}
	job->next = forker->jobs;
	forker->jobs = job;
	shared.init_pids[id % INIT_PIDS] = job->init;
	if (job->command.flags & COMMAND_REPORT_START)
		tell(forker, FORKER_STARTED, id, NULL, 0);
	/* Off the command's path: the next one finds it made. A failure shows when it is needed. */
	if (forker->prepared_ruleset >= 0)
		close(forker->prepared_ruleset);
	forker->prepared_ruleset = -1;
	prepare_ruleset(forker);
}

static struct job *job_with_id(const struct forker *forker, uint32_t id)
{
	struct job *job = forker->jobs;

	while (job != NULL && job->id != id)
		job = job->next;
	return job;
}

static void forward_signal(const struct forker *forker, uint32_t id, uint32_t signal)
{
	const struct job *job = job_with_id(forker, id);

	if (job != NULL && signal > 0 && signal <= 64)
		sigqueue(job->init, FORWARD_SIGNAL, (union sigval){ .sival_int = (int)signal });
}

static void kill_job(const struct forker *forker, uint32_t id)
{
	const struct job *job = job_with_id(forker, id);

	if (job != NULL)
		kill(job->init, SIGKILL);
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

/* The kernel lets an init be reaped only when its whole PID namespace is gone: now the tree is. */
static void report_end(struct forker *forker, struct job *job, int init_status, const struct rusage *usage)
{
	struct { struct forker_exit exit; unsigned char ended[ENDED_BYTES]; } report = { 0 };

	if (job->failed_step >= 0) {
		tell_failure(forker, job->id, (enum step)job->failed_step, job->error);
		return;
	}
	/* An init that did not leave by itself was killed, and the command with it. */
	report.exit.wait_status = WIFSIGNALED(init_status) ? WTERMSIG(init_status) : job->wait_status;
	report.exit.cpu_us = microseconds(usage->ru_utime) + microseconds(usage->ru_stime);
	report.exit.max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
	report.exit.n_ended = job->n_ended;
	report.exit.ended_length = job->ended_length;
	memcpy(report.ended, job->ended, job->ended_length);
	tell(forker, FORKER_EXIT, job->id, &report, (uint32_t)(sizeof report.exit + job->ended_length));
}

static void reap(struct forker *forker)
{
	struct rusage usage;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
		for (struct job **at = &forker->jobs; *at != NULL; at = &(*at)->next) {
			struct job *job = *at;

			if (job->init != pid)
				continue;
			*at = job->next;
			report_end(forker, job, status, &usage);
			give_back(forker, job);
			break;
		}
	}
}

static void pass_notices(struct forker *forker, int notices)
{
	struct init_notice notice;

	while (read(notices, &notice, sizeof notice) == (ssize_t)sizeof notice)
		tell(forker, notice.type, notice.id, &notice.signal, sizeof notice.signal);
}

static void handle_message(struct forker *forker)
{
	static unsigned char *data;
	static size_t size;
	struct message_header header;
	int fds[3] = { -1, -1, -1 };
	int result = receive_header(forker->socket, &header, fds, 3);

	if (result <= 0)
		end_everything();
	if (header.length > size) {
		unsigned char *grown = realloc(data, header.length);

		if (grown == NULL)
			end_everything();
		data = grown;
		size = header.length;
	}
	if (receive_exactly(forker->socket, data, header.length) != 0)
		end_everything();
	switch (header.type) {
	case FORKER_START:
		if (fds[2] < 0)
			end_everything();
		start(forker, header.id, data, header.length, fds);
		break;
	case FORKER_SIGNAL:
		if (header.length == sizeof(uint32_t)) {
			uint32_t signal;

			memcpy(&signal, data, sizeof signal);
			forward_signal(forker, header.id, signal);
		}
		break;
	case FORKER_KILL:
		kill_job(forker, header.id);
		break;
	default:
		end_everything();
	}
}

/* Restricts the forker and everything after it. Returns the listener (-2: none), or -1 with `failure` filled. */
static int restrict_forker(const struct plan *plan, struct failure *failure)
{
	/* SIGKILL is in our name even as process 1: it comes from an outer PID namespace. The monitor may have gone before this
	 * call: then its end of the socket is closed, and the first read ends us. */
	if (INJECTED(forker_death_signal) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return fail(failure, STEP_forker_death_signal, NULL);
	if (INJECTED(forker_no_new_privs) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(failure, STEP_forker_no_new_privs, NULL);
	if (restrict_once(plan, failure) != 0)
		return -1;
	return install_listener(plan, failure);
}

_Noreturn void run_forker(const struct plan *plan, int socket, const struct open_rule *rules, uint32_t n_rules)
{
	struct forker forker = { .socket = socket, .plan = plan, .rules = rules, .n_rules = n_rules, .prepared_ruleset = -1 };
	struct failure failure = { .step = STEP_start_forker };
	sigset_t every, children;
	int notices[2], listener = restrict_forker(plan, &failure);
	struct pollfd polled[3];

	sigfillset(&every);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	if (listener != -1 && (sigprocmask(SIG_SETMASK, &every, NULL) != 0 || pipe2(notices, O_CLOEXEC | O_NONBLOCK) != 0)) {
		fail(&failure, STEP_start_forker, NULL);
		listener = -1;
	}
	if (listener != -1 && prepare_ruleset(&forker) != 0) {
		fail(&failure, STEP_prepare_ruleset, NULL);
		listener = -1;
	}
	if (listener == -1) {
		tell_failure(&forker, 0, failure.step, failure.error);
		_exit(1);
	}
	shared.notices = notices[1];
	polled[0] = (struct pollfd){ .fd = socket, .events = POLLIN };
	polled[1] = (struct pollfd){ .fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
	polled[2] = (struct pollfd){ .fd = notices[0], .events = POLLIN };
	if (send_message(socket, (struct message_header){ FORKER_READY, 0, 0 }, NULL, listener < 0 ? -1 : listener) != 0)
		end_everything();
	/* The monitor holds the only copy: when it is gone, the kernel answers the listener's calls with ENOSYS. */
	if (listener >= 0)
		close(listener);
	for (;;) {
		polled[0].events = forker.queued > 0 ? POLLIN | POLLOUT : POLLIN;
		if (poll(polled, 3, -1) < 0)
			continue;
		if (polled[2].revents != 0)
			pass_notices(&forker, notices[0]);
		if (polled[1].revents != 0) {
			struct signalfd_siginfo info;

			while (read(polled[1].fd, &info, sizeof info) > 0)
				;
			reap(&forker);
		}
		flush(&forker);
		if (polled[0].revents & ~POLLOUT)
			handle_message(&forker);
	}
}
