#include "forker.h"
#include "domains.h"
#include "process-tree.h"
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

enum {
	PREPARED_INITS = 2,	/* one is taken, the other is there while the next is made */
	MOST_PENDING = 1024,
	MOST_SPARE = 8,		/* jobs whose memory waits for the next ones; after many commands at once the rest is given back */
	GUARD_BYTES = 4096,
	JOB_BYTES = INIT_STACK_BYTES + PROGRAM_STACK_BYTES + COMMAND_BYTES,
};

/* Signals for a command that no init has taken yet: the two sockets are not ordered. */
struct pending_signals { uint32_t id; uint64_t signals; };

struct forker {
	int socket;
	const struct plan *plan;
	const struct open_rule *rules;
	uint32_t n_rules;
	struct job *jobs, *spare;
	uint32_t n_spare;
	uint32_t rules_number;		/* of the inner ruleset that inits get */
	struct forker_failure failure;	/* why there are fewer than there should be; step -1: they are not */
	bool ready;			/* the monitor was told */
	bool strays;			/* without PID namespaces: an init was killed, and what it left is ours to end */
	bool retried;			/* the last init was made for a command that waits, and has not said that it is prepared */
	struct pending_signals pending[MOST_PENDING];
	uint32_t n_pending;
	unsigned char *queue;		/* what the socket has not taken yet: a forker that waits for the monitor to read, while the */
	size_t queued, queue_size;	/* monitor waits for the forker to read, would wait for ever */
};

static bool without_namespaces(const struct forker *forker)
{
	return shares_processes(forker->plan);
}

/* Something is broken here. The kernel ends everything in this PID namespace with its process 1; without one the monitor does. */
static _Noreturn void end_everything(void)
{
	_exit(1);
}

/* The monitor is gone, and nobody can answer a call that waits for it. */
static _Noreturn void end_without_monitor(const struct forker *forker)
{
	if (!without_namespaces(forker))
		end_everything();
	/* Where the kernel keeps signals inside, this one is for all commands and for nobody else. Else a guardian kills them, for which they
	 * must stay below this process. */
	if (signals_are_fenced(forker->plan)) {
		end_descendants(true);
		end_everything();
	}
	while (wait4(-1, NULL, __WALL, NULL) >= 0 || errno != ECHILD)
		;
	end_everything();
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
			end_without_monitor(forker);
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
	if (length > 0)
		memcpy(forker->queue + forker->queued + sizeof header, data, length);
	forker->queued = wanted;
	flush(forker);
}

static void tell_failure(struct forker *forker, uint32_t id, struct forker_failure failure)
{
	tell(forker, FORKER_FAILED, id, &failure, sizeof failure);
}

/* Two stacks and room for a command, with an unmapped page below; kept for a later init. */
static unsigned char *make_job_memory(void)
{
	unsigned char *memory = mmap(NULL, GUARD_BYTES + JOB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0)
		return NULL;
	return memory + GUARD_BYTES;
}

/* Where an init is gone, the process that it made for its program may live a moment longer, in this memory. */
static bool is_used(const struct job *job)
{
	return __atomic_load_n(&job->program_process, __ATOMIC_SEQ_CST) != 0;
}

static struct job *take_job(struct forker *forker)
{
	struct job **at = &forker->spare, *job;
	unsigned char *memory;

	while (*at != NULL && is_used(*at))
		at = &(*at)->next;
	job = *at;
	if (job != NULL) {
		*at = job->next;
		forker->n_spare--;
	} else {
		job = malloc(sizeof *job);
		memory = job == NULL ? NULL : make_job_memory();
		if (memory == NULL) {
			free(job);
			return NULL;
		}
		job->memory = memory;
	}
	job->init = 0;
	job->ruleset = -1;
	job->start.id = job->id = 0;
	job->signals = 0;
	job->kept = false;
	job->reported = false;
	job->waits = false;
	job->ending = false;
	job->program_process = 0;
	job->ahead = false;
	job->rules_number = forker->rules_number;
	job->failed_step = -1;
	job->error = 0;
	job->n_ended = job->ended_length = 0;
	job->large_data = job->large_memory = NULL;
	return job;
}

static void give_back(struct forker *forker, struct job *job)
{
	if (job->large_data != NULL)
		munmap(job->large_data, job->large_length);
	if (job->large_memory != NULL)
		munmap(job->large_memory, command_memory(job->large_length));
	if (forker->n_spare >= MOST_SPARE && !is_used(job)) {
		munmap(job->memory - GUARD_BYTES, GUARD_BYTES + JOB_BYTES);
		free(job);
		return;
	}
	job->next = forker->spare;
	forker->spare = job;
	forker->n_spare++;
}

/* Returns 0, or -1 with `failure` filled. */
static int make_init(struct forker *forker)
{
	/* It may take a command, and tell its id, before this process runs again. */
	const unsigned long flags = CLONE_VM | CLONE_PARENT_SETTID | SIGCHLD | (without_namespaces(forker) ? 0 : CLONE_NEWPID | CLONE_NEWNS);
	struct job *job = take_job(forker);
	long pid;

	forker->failure = (struct forker_failure){ STEP_fork_command, ENOMEM };
	if (job == NULL)
		return -1;
	if ((forker->plan->flags & PLAN_LANDLOCK_FILES) && !without_namespaces(forker)) {
		job->ruleset = make_file_ruleset(forker->plan, forker->rules, forker->n_rules);
		if (job->ruleset < 0) {
			forker->failure = (struct forker_failure){ STEP_prepare_ruleset, errno };
			give_back(forker, job);
			return -1;
		}
	}
	pid = INJECTED(fork_command) ? -EIO : raw_clone(flags, job->memory + INIT_STACK_BYTES, run_init, job, &job->init);
	if (job->ruleset >= 0)
		close(job->ruleset);
	if (pid < 0) {
		forker->failure = (struct forker_failure){ STEP_fork_command, (int32_t)-pid };
		give_back(forker, job);
		return -1;
	}
	job->next = forker->jobs;
	forker->jobs = job;
	forker->failure.step = UINT32_MAX;
	return 0;
}

static uint32_t id_of(const struct job *job)
{
	return __atomic_load_n(&job->id, __ATOMIC_SEQ_CST);
}

/* Inits that wait, or are on their way to it. */
static uint32_t count_prepared(const struct forker *forker)
{
	uint32_t prepared = 0;

	for (const struct job *job = forker->jobs; job != NULL; job = job->next)
		prepared += id_of(job) == 0;
	return prepared;
}

static void refill(struct forker *forker)
{
	for (uint32_t prepared = count_prepared(forker); prepared < PREPARED_INITS && make_init(forker) == 0; prepared++)
		;
}

/* No init can be made, and a command waits: it fails with the reason. */
static void fail_waiting_command(struct forker *forker)
{
	struct start_header header;
	struct forker_failure failure = forker->failure;

	if (failure.step == UINT32_MAX)		/* somebody killed it */
		failure = (struct forker_failure){ STEP_fork_command, ECHILD };
	/* Not the rest of the packet, nor its descriptors: the kernel closes what is not received. */
	if (recv(shared.starts, &header, sizeof header, MSG_DONTWAIT | MSG_TRUNC) < (ssize_t)sizeof header)
		return;
	tell_failure(forker, header.id, failure);
}

static struct job *job_with_id(const struct forker *forker, uint32_t id)
{
	struct job *job = forker->jobs;

	while (job != NULL && id_of(job) != id)
		job = job->next;
	return job;
}

static uint64_t bit_of(uint32_t signal)
{
	return 1ULL << (signal - 1);
}

/* As the kernel has it of signals that wait: one that stops takes away one that continues, and the other way round. Without that, a stop
 * would be the last word wherever both came before the init looks. */
static uint64_t add_signals(uint64_t waiting, uint64_t more)
{
	const uint64_t stops = bit_of(SIGSTOP) | bit_of(SIGTSTP) | bit_of(SIGTTIN) | bit_of(SIGTTOU);

	if (more & stops)
		waiting &= ~bit_of(SIGCONT);
	if (more & bit_of(SIGCONT))
		waiting &= ~stops;
	return waiting | more;
}

static void signal_init(const struct forker *forker, struct job *job, uint64_t signals)
{
	uint64_t waiting = __atomic_load_n(&job->signals, __ATOMIC_SEQ_CST);

	if ((signals & bit_of(SIGKILL)) && !without_namespaces(forker)) {
		kill(job->init, SIGKILL);
		return;
	}
	while (!__atomic_compare_exchange_n(&job->signals, &waiting, add_signals(waiting, signals), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	kill(job->init, FORWARD_SIGNAL);
	/* Whoever outside has stopped it would keep its command alive. */
	if (signals & bit_of(SIGKILL))
		kill(job->init, SIGCONT);
}

static void deliver_pending(struct forker *forker)
{
	uint32_t left = 0;

	for (uint32_t i = 0; i < MOST_PENDING; i++) {
		struct job *job = forker->pending[i].id == 0 ? NULL : job_with_id(forker, forker->pending[i].id);

		if (job != NULL) {
			signal_init(forker, job, forker->pending[i].signals);
			forker->pending[i].id = 0;
		}
		left += forker->pending[i].id != 0;
	}
	__atomic_store_n(&shared.pending, (int)left, __ATOMIC_SEQ_CST);
}

static struct pending_signals *pending_of(struct forker *forker, uint32_t id)
{
	struct pending_signals *pending;

	for (uint32_t i = 0; i < MOST_PENDING; i++)
		if (forker->pending[i].id == id)
			return &forker->pending[i];
	pending = &forker->pending[forker->n_pending++ % MOST_PENDING];
	*pending = (struct pending_signals){ .id = id };
	return pending;
}

static void signal_command(struct forker *forker, uint32_t id, uint32_t signal)
{
	struct job *job = id == 0 ? NULL : job_with_id(forker, id);
	struct pending_signals *pending;

	if (id == 0 || signal < 1 || signal > 64)
		return;
	if (job != NULL) {
		/* It took its command since the last look: what waited for it was sent before. */
		if (__atomic_load_n(&shared.pending, __ATOMIC_SEQ_CST) != 0)
			deliver_pending(forker);
		signal_init(forker, job, bit_of(signal));
		return;
	}
	/* Not taken yet, or over: then its id never comes again, and the entry is overwritten some day. Said before the second look,
	 * as an init writes its id before it looks here. */
	pending = pending_of(forker, id);
	pending->signals = add_signals(pending->signals, bit_of(signal));
	__atomic_store_n(&shared.pending, 1, __ATOMIC_SEQ_CST);
	deliver_pending(forker);
}

/* How a command ended, with the list of what it left. */
static void tell_end(struct forker *forker, uint32_t type, const struct job *job, struct forker_exit exit)
{
	struct { struct forker_exit exit; unsigned char ended[ENDED_BYTES]; } report = { .exit = exit };

	report.exit.n_ended = job->n_ended;
	report.exit.ended_length = job->ended_length;
	memcpy(report.ended, job->ended, job->ended_length);
	tell(forker, type, job->id, &report, (uint32_t)(sizeof report.exit + job->ended_length));
}

static void handle_notice(struct forker *forker, const struct init_notice *notice)
{
	struct job *job = notice->job;

	switch (notice->type) {
	case NOTICE_PREPARED:
		if (!forker->ready)
			tell(forker, FORKER_READY, 0, NULL, 0);
		forker->ready = true;
		forker->retried = false;
		break;
	case NOTICE_TAKEN:
		deliver_pending(forker);
		break;
	case NOTICE_RUNS:
		tell(forker, FORKER_STARTED, job->id, NULL, 0);
		break;
	case NOTICE_LEFT:
		tell_end(forker, FORKER_LEFT, job, (struct forker_exit){ .wait_status = job->wait_status, .cpu_us = job->cpu_us, .max_rss_bytes = job->max_rss_bytes });
		job->n_ended = job->ended_length = 0;
		break;
	}
}

static void read_notices(struct forker *forker, int notices)
{
	struct init_notice notice;

	while (read(notices, &notice, sizeof notice) == (ssize_t)sizeof notice)
		handle_notice(forker, &notice);
}

static uint64_t microseconds(struct timeval time)
{
	return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
}

/* The kernel lets an init be reaped only when its whole PID namespace is gone: now the tree is. */
static void report_end(struct forker *forker, const struct job *job, int init_status, const struct rusage *usage)
{
	if (job->failed_step >= 0) {
		tell_failure(forker, job->id, (struct forker_failure){ (uint32_t)job->failed_step, job->error });
		return;
	}
	/* An init that did not leave by itself was killed, and the command with it. */
	tell_end(forker, FORKER_EXIT, job, (struct forker_exit){
		.wait_status = WIFSIGNALED(init_status) ? WTERMSIG(init_status) : job->wait_status,
		.cpu_us = microseconds(usage->ru_utime) + microseconds(usage->ru_stime),
		.max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024,
	});
}

/* An init that never took a command: it could not be prepared, or somebody killed it. */
static void note_lost_init(struct forker *forker, const struct job *job)
{
	if (job->failed_step >= 0)
		forker->failure = (struct forker_failure){ (uint32_t)job->failed_step, job->error };
	if (!forker->ready) {
		tell_failure(forker, 0, job->failed_step >= 0 ? forker->failure : (struct forker_failure){ STEP_fork_command, ECHILD });
		flush(forker);
		end_everything();
	}
}

static bool is_init(const struct forker *forker, pid_t pid)
{
	const struct job *job = forker->jobs;

	while (job != NULL && job->init != pid)
		job = job->next;
	return job != NULL;
}

/* Children that are no inits: an init that somebody killed left them, and what they leave in turn becomes ours when they are gone. */
static void end_strays(struct forker *forker)
{
	pid_t children[256];
	int n_children = list_children(getpid(), children, sizeof children / sizeof children[0]);

	forker->strays = false;
	for (int i = 0; i < n_children; i++) {
		if (is_init(forker, children[i]))
			continue;
		kill(children[i], SIGKILL);
		forker->strays = true;
	}
}

static void reap(struct forker *forker, int notices)
{
	struct rusage usage;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
		/* What an init said before it ended comes before its end, and names a job that is still there. */
		read_notices(forker, notices);
		for (struct job **at = &forker->jobs; *at != NULL; at = &(*at)->next) {
			struct job *job = *at;

			if (job->init != pid)
				continue;
			*at = job->next;
			/* Killed after it took a command, and before it could say so. */
			job->id = job->start.id;
			if (job->waits)
				__atomic_sub_fetch(&shared.waiting, 1, __ATOMIC_SEQ_CST);
			forker->strays = forker->strays || (without_namespaces(forker) && WIFSIGNALED(status));
			if (id_of(job) == 0)
				note_lost_init(forker, job);
			else if (!job->reported)
				report_end(forker, job, status, &usage);
			give_back(forker, job);
			break;
		}
	}
	if (forker->strays)
		end_strays(forker);
}

/* For the inits that are made from here on. One that is prepared with the ruleset before it sees that by the number. */
static void take_rules(struct forker *forker, uint32_t number, int ruleset)
{
	if (!without_namespaces(forker) || dup3(ruleset, shared.inner, O_CLOEXEC) < 0)
		end_everything();
	close(ruleset);
	forker->rules_number = number;
}

static void handle_message(struct forker *forker)
{
	struct message_header header;
	uint32_t signal = SIGKILL;
	int ruleset;

	if (receive_header(forker->socket, &header, &ruleset, 1) != 1)
		end_without_monitor(forker);
	if (header.type == FORKER_RULES) {
		take_rules(forker, header.id, ruleset);
		return;
	}
	if (header.type == FORKER_SIGNAL) {
		if (header.length != sizeof signal || receive_exactly(forker->socket, &signal, sizeof signal) != 0)
			end_everything();
	} else if (header.type != FORKER_KILL || header.length != 0) {
		end_everything();
	}
	signal_command(forker, header.id, signal);
}

/* Restricts the forker and everything after it. Returns the listener (-2: none), or -1 with `failure` filled. */
static int restrict_forker(const struct plan *plan, struct failure *failure)
{
	/* SIGKILL is in our name even as process 1: it comes from an outer PID namespace. The monitor may have gone before this
	 * call: then its end of the socket is closed, and the first read ends us. Without a PID namespace this process has commands to end
	 * then, and must live: it takes the end of the socket for its signal. */
	if (!shares_processes(plan) && (INJECTED(forker_death_signal) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0))
		return fail(failure, STEP_forker_death_signal, NULL);
	if (shares_processes(plan) && (INJECTED(adopt_orphans) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0))
		return fail(failure, STEP_adopt_orphans, NULL);
	if (INJECTED(forker_no_new_privs) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return fail(failure, STEP_forker_no_new_privs, NULL);
	if (restrict_once(plan, shared.fence, failure) != 0)
		return -1;
	return install_listener(plan, failure);
}

/* What the loop waits for. */
enum { FROM_MONITOR, CHILDREN, NOTICES, STARTS, N_SOURCES };

static int open_sources(struct forker *forker, struct pollfd *sources, struct failure *failure)
{
	sigset_t every, children;
	int notices[2];

	sigfillset(&every);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &every, NULL) != 0 || pipe2(notices, O_CLOEXEC) != 0 || fcntl(notices[0], F_SETFL, O_NONBLOCK) != 0)
		return fail(failure, STEP_start_forker, NULL);
	shared.notices = notices[1];
	sources[FROM_MONITOR] = (struct pollfd){ .fd = forker->socket, .events = POLLIN };
	sources[CHILDREN] = (struct pollfd){ .fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN };
	sources[NOTICES] = (struct pollfd){ .fd = notices[0], .events = POLLIN };
	sources[STARTS] = (struct pollfd){ .fd = shared.starts };
	return sources[CHILDREN].fd < 0 ? fail(failure, STEP_start_forker, NULL) : 0;
}

static void take_turn(struct forker *forker, struct pollfd *sources)
{
	/* Commands are the inits' to take, but where none can be made. */
	bool none = count_prepared(forker) == 0;

	sources[FROM_MONITOR].events = forker->queued > 0 ? POLLIN | POLLOUT : POLLIN;
	sources[STARTS].events = none ? POLLIN : 0;
	if (poll(sources, N_SOURCES, -1) < 0)
		return;
	if (sources[NOTICES].revents != 0)
		read_notices(forker, sources[NOTICES].fd);
	if (sources[CHILDREN].revents != 0) {
		struct signalfd_siginfo info;

		while (read(sources[CHILDREN].fd, &info, sizeof info) > 0)
			;
		reap(forker, sources[NOTICES].fd);
	}
	flush(forker);
	if (sources[FROM_MONITOR].revents & ~POLLOUT)
		handle_message(forker);
	if (none && sources[STARTS].revents != 0) {
		/* One try for each command that waits: an init that was made for it and ended before it took it is why it fails. */
		bool failed = forker->retried || make_init(forker) != 0;

		if (failed)
			fail_waiting_command(forker);
		forker->retried = !failed;
	}
	/* An init that failed by itself is made again only for a command that waits, or this would be a loop. */
	if (forker->failure.step == UINT32_MAX)
		refill(forker);
}

_Noreturn void run_forker(const struct plan *plan, int socket, const struct open_rule *rules, uint32_t n_rules)
{
	struct forker forker = { .socket = socket, .plan = plan, .rules = rules, .n_rules = n_rules, .failure.step = UINT32_MAX };
	struct failure failure = { .step = STEP_start_forker };
	struct pollfd sources[N_SOURCES];
	int listener;

	shared.forker = getpid();
	listener = restrict_forker(plan, &failure);
	if (listener == -1 || open_sources(&forker, sources, &failure) != 0) {
		tell_failure(&forker, 0, (struct forker_failure){ failure.step, failure.error });
		_exit(1);
	}
	/* The monitor holds the only copy: when it is gone, the kernel answers the listener's calls with ENOSYS. It comes before READY,
	 * which waits for the first init. */
	if (listener >= 0) {
		if (send_message(socket, (struct message_header){ FORKER_LISTENER, 0, 0 }, NULL, listener) != 0)
			end_without_monitor(&forker);
		close(listener);
	}
	refill(&forker);
	if (forker.jobs == NULL) {
		tell_failure(&forker, 0, forker.failure);
		_exit(1);
	}
	for (;;)
		take_turn(&forker, sources);
}
