/* A command's init: process 1 of its own PID namespace; where there are none, the subreaper above all that the command starts, in a
 * Landlock domain whose signals reach these alone. It prepares, waits for a command, starts its program, and waits for its end. Raw
 * system calls only: see init.h. */
#include "init.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* Where an init keeps what it needs of the forker's descriptors. */
enum { FD_STARTS = 3, FD_NOTICES, FD_REPORTS, FD_RULES /* only without namespaces */ };

static void read_usage(uint64_t *cpu_us, uint64_t *max_rss_bytes)
{
	struct rusage usage;

	*cpu_us = *max_rss_bytes = 0;
	if (RAW(SYS_getrusage, RUSAGE_CHILDREN, &usage, 0, 0, 0) != 0)
		return;
	*cpu_us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	*max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

static void report(struct job *job, uint32_t type, int step_or_status)
{
	struct init_report report = { .type = type, .id = job->id, .step_or_status = step_or_status, .error = job->error };

	if (type == REPORT_EXIT)
		read_usage(&report.cpu_us, &report.max_rss_bytes);
	RAW(SYS_write, job->kept ? FD_REPORTS : shared.reports, &report, sizeof report, 0, 0);
	/* After it, so that the forker tells the end of an init that was killed before it could; the monitor takes the first word. */
	if (type == REPORT_EXIT || type == REPORT_FAILED)
		job->reported = true;
}

static void notify(struct job *job, uint32_t type)
{
	struct init_notice notice = { .type = type, .job = job };

	RAW(SYS_write, job->kept ? FD_NOTICES : shared.notices, &notice, sizeof notice, 0, 0);
}

/* Before a command is taken, the forker tells; after it, the monitor is told from here. */
static _Noreturn void give_up(struct job *job, enum step step, long error)
{
	note_failure(job, step, error);
	if (job->id != 0)
		report(job, REPORT_FAILED, job->failed_step);
	leave(125);
}

#define TRY(job, name, call) \
	do { \
		long result_ = INJECTED_RAW(name) ? -EIO : (call); \
		if (result_ < 0) \
			give_up(job, STEP_##name, result_); \
	} while (0)

/* mount(2) twice a path: a bind ignores the read-only flag, only the remount sets it. */
static long bind_read_only(const char *path)
{
	long result = RAW_MARKED(SYS_mount, path, path, NULL, MS_BIND, NULL);

	return result < 0 ? result : RAW_MARKED(SYS_mount, NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static long protect_proc(void)
{
	long result = 0;

	for (const char *const *path = shared.proc_read_only; result == 0 && *path != NULL; path++)
		result = bind_read_only(*path);
	return result;
}

static long drop_all_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return RAW(SYS_capset, &header, data, 0, 0, 0);
}

/* The forker made the ruleset; what only this command has is its /proc. */
static long restrict_files(struct job *job)
{
	struct landlock_path_beneath_attr_ rule = { shared.plan->proc_rights, -1 };
	long result;

	if (without_namespaces())
		return RAW(NR_landlock_restrict_self, shared.fence, 0, 0, 0, 0);
	if (!(shared.plan->flags & PLAN_LANDLOCK_FILES))
		return 0;
	rule.parent_fd = (int32_t)RAW_MARKED(SYS_openat, AT_FDCWD, "/proc", O_PATH | O_CLOEXEC, 0, 0);
	if (rule.parent_fd < 0)
		return rule.parent_fd;
	result = RAW(NR_landlock_add_rule, job->ruleset, LANDLOCK_RULE_PATH_BENEATH_, &rule, 0, 0);
	RAW(SYS_close, rule.parent_fd, 0, 0, 0, 0);
	return result < 0 ? result : RAW(NR_landlock_restrict_self, job->ruleset, 0, 0, 0, 0);
}

static long install_filter(void)
{
	struct sock_fprog program = { (unsigned short)shared.plan->command_filter.length, (struct sock_filter *)shared.plan->command_filter.program };

	return RAW(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, 0, &program, 0, 0);
}

/* What every command gets: the embedding process's limit on descriptors, not the launcher's, and no core, which would be
 * written by the host's core_pattern, outside of everything here. 1, not 0: where that names a program, the kernel heeds
 * no other limit. */
static long set_common_limits(void)
{
	struct kernel_rlimit descriptors = { shared.max_descriptors[0], shared.max_descriptors[1] };
	struct kernel_rlimit core = { 1, 1 };
	long result = RAW(SYS_prlimit64, 0, RLIMIT_NOFILE, &descriptors, NULL, 0);

	return result < 0 ? result : RAW(SYS_prlimit64, 0, RLIMIT_CORE, &core, NULL, 0);
}

/* Of the forker's descriptors an init needs these; what is not there cannot be inherited, and a small table is copied sooner. */
static long keep_own_descriptors(void)
{
	const int forkers[] = { shared.starts, shared.notices, shared.reports, shared.inner };
	const int n = without_namespaces() ? 4 : 3;
	long above[4];

	/* Upwards first, so that none is closed by the copy of another. */
	for (int i = 0; i < n; i++)
		if ((above[i] = RAW(SYS_fcntl, forkers[i], F_DUPFD_CLOEXEC, FD_STARTS + n, 0, 0)) < 0)
			return -EMFILE;
	for (int i = 0; i < n; i++)
		if (RAW(SYS_dup3, above[i], FD_STARTS + i, O_CLOEXEC, 0, 0) < 0)
			return -EMFILE;
	return RAW(NR_close_range, FD_STARTS + n, ~0U, 0, 0, 0);
}

static uint64_t take_signals(struct job *job)
{
	return __atomic_exchange_n(&job->signals, 0, __ATOMIC_SEQ_CST);
}

/* The lowest of them, which is then none of them any more; 0: there is none. */
static int next_signal(uint64_t *signals)
{
	int signal = *signals == 0 ? 0 : __builtin_ctzll(*signals) + 1;

	*signals &= *signals - 1;
	return signal;
}

/* What the forker asks for. Commands can wake this process too, and then it finds nothing. */
static void pass_on(struct job *job, long program)
{
	uint64_t signals = take_signals(job);
	int signal;

	while ((signal = next_signal(&signals)) != 0) {
		/* Where there is a PID namespace, the forker kills it with this process. */
		if (without_namespaces() && signal == SIGKILL) {
			job->ending = true;
			kill_group(job);
			/* The same in other words, and what the host took out of the group. */
			signal_all(SIGKILL);
		} else {
			RAW(SYS_kill, -program, signal, 0, 0, 0);
		}
	}
}

static const uint64_t AWAITED = 1ULL << (SIGCHLD - 1) | 1ULL << (FORWARD_SIGNAL - 1) | 1ULL << (ORPHAN_SIGNAL - 1);

/* After ORPHAN_SIGNAL, which others can send as well (in a PID namespace the command, without one the user's other processes), and the command would
 * count as one that succeeded. The monitor ends everything then, unless it is gone as well. */
static void end_without_forker(const struct job *job)
{
	if (!is_without_forker())
		return;
	end_what_is_left(job);
	leave(0);
}

static long wait_for(struct job *job, long program)
{
	int status;
	long child;

	for (;;) {
		long signal = RAW(SYS_rt_sigtimedwait, &AWAITED, NULL, NULL, sizeof AWAITED, 0);

		if (signal == FORWARD_SIGNAL)
			pass_on(job, program);
		if (signal == ORPHAN_SIGNAL)
			end_without_forker(job);
		if (signal != SIGCHLD)
			continue;
		while ((child = RAW(SYS_wait4, -1, &status, WNOHANG | WUNTRACED | WCONTINUED | __WALL, NULL, 0)) > 0) {
			if (child != program)
				continue;
			if (WIFSTOPPED(status))
				report(job, REPORT_STOPPED, WSTOPSIG(status));
			else if (WIFCONTINUED(status))
				report(job, REPORT_CONTINUED, 0);
			else
				return status;
		}
	}
}

/* Until nothing is left of a command whose rest is kept. All that it left are children of this process or of one of them, so the
 * last one to be reaped was the last of all. A signal is for every one of them: the command's own process group may be gone. */
static void wait_for_rest(struct job *job)
{
	uint64_t signals;
	long child;
	int signal;

	for (;;) {
		while ((child = RAW(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL, 0)) > 0)
			;
		if (child == -ECHILD)
			return;
		switch (RAW(SYS_rt_sigtimedwait, &AWAITED, NULL, NULL, sizeof AWAITED, 0)) {
		case FORWARD_SIGNAL:
			signals = take_signals(job);
			while ((signal = next_signal(&signals)) != 0) {
				if (without_namespaces() && signal == SIGKILL) {
					end_what_is_left(job);
					return;
				}
				signal_all(signal);
			}
			break;
		case ORPHAN_SIGNAL:
			end_without_forker(job);
		}
	}
}

static void keep_what_is_left(struct job *job)
{
	read_usage(&job->cpu_us, &job->max_rss_bytes);
	notify(job, NOTICE_LEFT);
	wait_for_rest(job);
	report(job, REPORT_EXIT, job->wait_status);
}

/* Everything that does not depend on the command. */
static void prepare(struct job *job)
{
	if (without_namespaces()) {
		TRY(job, adopt_orphans, RAW(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
		TRY(job, adopt_orphans, RAW(SYS_prctl, PR_SET_PDEATHSIG, ORPHAN_SIGNAL, 0, 0, 0));
	} else {
		/* Slave before /proc: binds of the monitor come in, also those made while this init waits; this /proc must not go out to the
		 * template. */
		TRY(job, slave_mounts, RAW_MARKED(SYS_mount, NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	}
	if (shared.plan->flags & PLAN_OWN_PROC) {
		TRY(job, mount_proc, RAW_MARKED(SYS_mount, "proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
		TRY(job, protect_proc, protect_proc());
	}
	/* Capabilities after the last mount, Landlock after them because it would forbid mounts, the filter last because it forbids
	 * the calls above it. no_new_privs was set by the forker. */
	TRY(job, drop_all_capabilities, drop_all_capabilities());
	TRY(job, command_landlock, restrict_files(job));
	TRY(job, command_seccomp, install_filter());
	TRY(job, own_session, RAW_1(SYS_setsid));
	RAW_MARKED(SYS_umask, shared.umask, 0, 0, 0, 0);
	/* Descriptors last: the ruleset and the forker's own are used above, and the limit may be below their numbers. */
	TRY(job, keep_descriptors, keep_own_descriptors());
	job->kept = true;
	TRY(job, keep_descriptors, set_common_limits());
	/* At the very end, as it inherits all of that. */
	if (without_namespaces())
		fork_program_ahead(job, FD_RULES);
}

/* A command that is too large for a packet lies in a memory file. The mappings are in the memory that the forker shares: it unmaps
 * them when it reaps this init. */
static long map_large_command(struct job *job, uint32_t length, const unsigned char **data, void **memory)
{
	long mapped = raw6(SYS_mmap, 0, length, PROT_READ, MAP_PRIVATE, job->fds[3], 0), room;

	if (mapped < 0 && mapped > -4096)
		return mapped;
	job->large_length = length;
	job->large_data = (void *)mapped;
	room = raw6(SYS_mmap, 0, (long)command_memory(length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room < 0 && room > -4096)
		return room;
	job->large_memory = (void *)room;
	*data = (const unsigned char *)mapped;
	*memory = (void *)room;
	return 0;
}

/* Waits for a command. Where the socket is at its end, the monitor is gone, and this process with it. */
static void take_command(struct job *job)
{
	unsigned char *room = job->memory + INIT_STACK_BYTES + PROGRAM_STACK_BYTES;
	union { struct cmsghdr header; char bytes[CMSG_SPACE(START_DESCRIPTORS * sizeof(int))]; } control;
	/* The header by the kernel's own hand to where the forker looks for it: whenever this process is killed, it is known whose command it had. */
	struct iovec parts[2] = { { &job->start, sizeof job->start }, { room, INLINE_COMMAND_BYTES } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
	const unsigned char *data = room;
	void *memory = room + INLINE_COMMAND_BYTES;
	long received, n_fds = 0, n_expected = 3;
	bool is_large, none_waits;

	do
		received = RAW(SYS_recvmsg, FD_STARTS, &message, MSG_CMSG_CLOEXEC, 0, 0);
	while (received == -EINTR);
	if (received < (long)sizeof job->start)
		leave(0);
	/* The id before the look at `pending`, as the forker writes `pending` before it looks for the id: one of them sees the other. */
	__atomic_store_n(&job->id, job->start.id, __ATOMIC_SEQ_CST);
	shared.init_pids[job->start.slot] = job->init;
	/* The forker makes the next init when this one is reaped, but where none is left, at once. */
	none_waits = __atomic_sub_fetch(&shared.waiting, 1, __ATOMIC_SEQ_CST) <= 0;
	job->waits = false;
	if (none_waits || __atomic_load_n(&shared.pending, __ATOMIC_SEQ_CST) != 0)
		notify(job, NOTICE_TAKEN);
	if (control.header.cmsg_type == SCM_RIGHTS && message.msg_controllen >= CMSG_LEN(0)) {
		n_fds = (long)((control.header.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (long i = 0; i < n_fds && i < START_DESCRIPTORS; i++)
			job->fds[i] = ((const int *)CMSG_DATA(&control.header))[i];
	}
	if (n_fds < 3 || (message.msg_flags & (MSG_CTRUNC | MSG_TRUNC)))
		give_up(job, STEP_connect_streams, -EMFILE);
	is_large = job->start.length > INLINE_COMMAND_BYTES;
	n_expected += is_large;
	if (n_fds < n_expected)
		give_up(job, STEP_connect_streams, -EMFILE);
	if (is_large)
		TRY(job, decode_command, map_large_command(job, job->start.length, &data, &memory));
	else if (received != (long)(sizeof job->start + job->start.length))
		give_up(job, STEP_decode_command, -EBADMSG);
	TRY(job, decode_command, decode_command(data, job->start.length, &job->command, memory, &job->script));
	if (is_large)
		RAW(SYS_close, job->fds[3], 0, 0, 0, 0);
	job->group = job->fds[n_expected];
	n_expected += has_group(shared.plan, job->command.flags);
	job->group_end = job->fds[n_expected];
	n_expected += (shared.plan->flags & PLAN_GROUP_ENDS) != 0;
	job->helper = job->fds[n_expected];
	n_expected += (job->command.flags & COMMAND_HELPER) != 0;
	job->inner = job->fds[n_expected];
	n_expected += without_namespaces();
	if (n_fds != n_expected)
		give_up(job, STEP_connect_streams, -EMFILE);
}

void run_init(void *argument)
{
	struct job *job = argument;
	long program;

	prepare(job);
	/* Before it is counted, and until after it is not any more: killed in between, it is counted too few, which costs no more than a notice. */
	job->waits = true;
	__atomic_add_fetch(&shared.waiting, 1, __ATOMIC_SEQ_CST);
	notify(job, NOTICE_PREPARED);
	take_command(job);
	if (job->command.flags & COMMAND_TERMINAL)
		TRY(job, own_session, RAW(SYS_ioctl, job->fds[0], TIOCSCTTY, 0, 0, 0));
	program = start_program(job);
	if (program < 0)
		give_up(job, STEP_fork_program, program);
	/* The command's ends only: else a reader never sees the end of a stream that the command closed. */
	for (int i = 0; i < 3; i++)
		RAW(SYS_close, job->fds[i], 0, 0, 0, 0);
	if (has_group(shared.plan, job->command.flags))
		RAW(SYS_close, job->group, 0, 0, 0, 0);
	if (job->command.flags & COMMAND_HELPER)
		RAW(SYS_close, job->helper, 0, 0, 0, 0);
	if (without_namespaces())
		RAW(SYS_close, job->inner, 0, 0, 0, 0);
	if (job->failed_step < 0 && (job->command.flags & COMMAND_REPORT_START))
		notify(job, NOTICE_RUNS);
	job->wait_status = (int)wait_for(job, program);
	if (job->failed_step >= 0)
		report(job, REPORT_FAILED, job->failed_step);
	/* Is anything left? If so, it is gone only when this process is reaped, and the forker tells; if not, the tree is gone already, and
	 * nobody need wait for the namespaces to be taken down. */
	else if (!is_anything_left())
		report(job, REPORT_EXIT, job->wait_status);
	else
		list_what_is_left(job);
	if (job->n_ended > 0 && (job->command.flags & COMMAND_KEEP) && !job->ending)
		keep_what_is_left(job);
	/* Also where its program never ran. */
	if (without_namespaces())
		end_what_is_left(job);
	leave(0);
}
