/* A command's init: process 1 of its own PID namespace; where there are none, the subreaper above all that the command starts, in a
 * Landlock domain whose signals reach these alone. It shares the forker's memory (copying page tables is what makes a
 * fork dear), so only raw system calls here: errno and the thread's data are the forker's. The same holds for the process that
 * becomes the program, until its exec. */
#include "domains.h"
#include "forker.h"
#include "kernel.h"
#include "raw.h"

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
enum { FD_STARTS = 3, FD_NOTICES, FD_REPORTS, FIRST_FREE_FD };
enum { MOST_PARENTS = 1000 };

static bool without_namespaces(void)
{
	return shares_processes(shared.plan);
}

struct kernel_rlimit { uint64_t soft, hard; };
struct kernel_sigaction { void (*handler)(int); unsigned long flags; void (*restorer)(void); uint64_t mask; };
struct directory_entry { uint64_t ino; int64_t off; uint16_t length; uint8_t type; char name[]; };

static _Noreturn void leave(int code)
{
	for (;;)
		RAW(SYS_exit, code, 0, 0, 0, 0);
}

static void note_failure(struct job *job, enum step step, long error)
{
	if (job->failed_step < 0) {
		job->failed_step = (int)step;
		job->error = (int)-error;
	}
}

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

/* In the process that becomes the program: init, which waits for it, tells. */
#define TRY_PROGRAM(job, name, call) \
	do { \
		long result_ = INJECTED_RAW(name) ? -EIO : (call); \
		if (result_ < 0) { \
			note_failure(job, STEP_##name, result_); \
			leave(125); \
		} \
	} while (0)

static size_t length_of(const char *text)
{
	size_t length = 0;

	while (text[length] != 0)
		length++;
	return length;
}

static void copy(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = from[i];
}

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

static long set_limit(int resource, uint64_t value)
{
	struct kernel_rlimit limit = { value, value };

	return value == 0 ? 0 : RAW(SYS_prlimit64, 0, resource, &limit, NULL, 0);
}

static long set_limits(const struct command *command)
{
	const struct limits *limits = &command->limits;
	struct kernel_rlimit cpu = { limits->cpu_seconds, limits->cpu_seconds + 1 };
	long result = set_limit(RLIMIT_NOFILE, limits->open_files);

	if (result == 0)
		result = set_limit(RLIMIT_FSIZE, limits->file_size_bytes);
	/* Per user namespace since Linux 5.14, and so for this sandbox alone; without effect on uid 0. Without a namespace it would count all
	 * processes of the user. */
	if (result == 0 && !(command->flags & COMMAND_GROUP_PIDS) && !(shared.plan->flags & PLAN_SUPERVISED))
		result = set_limit(RLIMIT_NPROC, limits->pids);
	/* Per process only; the monitor adds up the rest. */
	if (result == 0 && !(command->flags & COMMAND_GROUP_MEMORY))
		result = set_limit(RLIMIT_DATA, limits->memory_bytes);
	/* Soft below hard: SIGXCPU tells the limit from other deaths. */
	if (result == 0 && limits->cpu_seconds != 0)
		result = RAW(SYS_prlimit64, 0, RLIMIT_CPU, &cpu, NULL, 0);
	return result;
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

/* Of the forker's descriptors an init needs three; what is not there cannot be inherited, and a small table is copied sooner. */
static long keep_own_descriptors(void)
{
	/* Upwards first, so that none is closed by the copy of another. */
	long starts = RAW(SYS_fcntl, shared.starts, F_DUPFD_CLOEXEC, FIRST_FREE_FD, 0, 0);
	long notices = RAW(SYS_fcntl, shared.notices, F_DUPFD_CLOEXEC, FIRST_FREE_FD, 0, 0);
	long reports = RAW(SYS_fcntl, shared.reports, F_DUPFD_CLOEXEC, FIRST_FREE_FD, 0, 0);

	if (starts < 0 || notices < 0 || reports < 0)
		return -EMFILE;
	if (RAW(SYS_dup3, starts, FD_STARTS, O_CLOEXEC, 0, 0) < 0 || RAW(SYS_dup3, notices, FD_NOTICES, O_CLOEXEC, 0, 0) < 0 ||
	    RAW(SYS_dup3, reports, FD_REPORTS, O_CLOEXEC, 0, 0) < 0)
		return -EMFILE;
	return RAW(NR_close_range, FIRST_FREE_FD, ~0U, 0, 0, 0);
}

static long connect_streams(const struct job *job)
{
	for (int i = 0; i < 3; i++) {
		long result = RAW(SYS_dup3, job->fds[i], i, 0, 0, 0);

		if (result < 0)
			return result;
	}
	return 0;
}

static long enter_cwd(const struct job *job)
{
	const struct identity *expected = &job->command.cwd_identity;
	struct statx_ found;
	/* openat2 is refused by now. A link on the way that was not there before leads to another inode. */
	long result, fd = RAW_MARKED(SYS_openat, AT_FDCWD, job->command.cwd, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);

	if (fd < 0)
		return fd;
	result = RAW(SYS_statx, fd, "", AT_EMPTY_PATH_, STATX_INO_, &found);
	if (result == 0 && expected->inode != 0 &&
	    (found.ino != expected->inode || device_number(found.dev_major, found.dev_minor) != expected->device))
		result = -ESTALE;
	return result < 0 ? result : RAW(SYS_fchdir, fd, 0, 0, 0, 0);
}

/* Signals as a fresh process has them; the forker ignores none, but it blocks some. */
static void reset_signals(void)
{
	uint64_t none = 0;

	RAW(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof none, 0);
}

static long exec_one(struct job *job, const char *path)
{
	long error = RAW_MARKED(SYS_execve, path, job->command.argv, job->command.envp, 0, 0);

	if (error == -ENOEXEC) {
		/* As execvp(3): a script without an interpreter line is the shell's. */
		job->script[0] = "/bin/sh";
		job->script[1] = path;
		for (uint32_t i = 1; i <= job->command.argc; i++)
			job->script[i + 1] = job->command.argv[i];
		error = RAW_MARKED(SYS_execve, "/bin/sh", job->script, job->command.envp, 0, 0);
	}
	return error;
}

static const char *find_path(char *const *envp)
{
	for (; *envp != NULL; envp++)
		if ((*envp)[0] == 'P' && (*envp)[1] == 'A' && (*envp)[2] == 'T' && (*envp)[3] == 'H' && (*envp)[4] == '=')
			return *envp + 5;
	return "/usr/local/bin:/bin:/usr/bin";
}

/* By descriptor, so that it runs whatever the policy lets commands read and execute. */
static long exec_helper(const struct job *job)
{
	return RAW(SYS_execveat, job->helper, "", job->command.argv, job->command.envp, AT_EMPTY_PATH_);
}

/* As execvp(3), on the command's own PATH and inside all its restrictions. Returns only on failure, with the error that a
 * shell would name: EACCES where a file was found and not executable, ENOENT where none was. */
static long exec_program(struct job *job)
{
	const char *name = job->command.argv[0], *path = find_path(job->command.envp);
	size_t name_length = length_of(name);
	long error = -ENOENT;

	for (size_t i = 0; i < name_length; i++)
		if (name[i] == '/')
			return exec_one(job, name);
	if (name_length == 0 || name_length > NAME_MAX)
		return name_length == 0 ? -ENOENT : -ENAMETOOLONG;
	for (;;) {
		size_t length = 0;
		long found;

		while (path[length] != 0 && path[length] != ':')
			length++;
		if (length + 1 + name_length < sizeof job->program) {
			size_t at = 0;

			/* An empty entry means the working directory. */
			copy(job->program, length == 0 ? "." : path, length == 0 ? 1 : length);
			at = length == 0 ? 1 : length;
			job->program[at++] = '/';
			copy(job->program + at, name, name_length);
			job->program[at + name_length] = 0;
			found = exec_one(job, job->program);
			if (found == -EACCES)
				error = found;
			else if (found != -ENOENT && found != -ENOTDIR && found != -ENAMETOOLONG && found != -ELOOP)
				return found;
		}
		if (path[length] == 0)
			return error;
		path += length + 1;
	}
}

/* Becomes the program. Runs while init waits (CLONE_VFORK), on a stack of its own. */
static void run_program(void *argument)
{
	struct job *job = argument;
	long group;

	/* Its own process group, in front on the terminal: a stop reaches it and not init, and it is no orphaned group, whose
	 * stops the kernel would drop, as init in the same session is its parent. */
	RAW(SYS_setpgid, 0, 0, 0, 0, 0);
	if (job->command.flags & COMMAND_TERMINAL) {
		group = RAW_1(SYS_getpid);
		RAW(SYS_ioctl, job->fds[0], TIOCSPGRP, &group, 0, 0);
	}
	/* Its descriptor closes by itself; all that the program starts is in the group as well. */
	if (has_group(shared.plan, job->command.flags))
		TRY_PROGRAM(job, enter_command_group, RAW(SYS_write, job->group, "0", 1, 0, 0));
	TRY_PROGRAM(job, connect_streams, connect_streams(job));
	TRY_PROGRAM(job, enter_cwd, enter_cwd(job));
	if (without_namespaces()) {
		/* Ends with its init, whatever becomes of that; what it starts does not, and is init's to end. */
		TRY_PROGRAM(job, adopt_orphans, RAW(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
		/* What it may do with files; and a fence of its own inside init's: from here on it cannot signal init. */
		TRY_PROGRAM(job, command_landlock, RAW(NR_landlock_restrict_self, job->inner, 0, 0, 0, 0));
	}
	/* Limits last but one: a limit on open files must not fail the steps above. */
	TRY_PROGRAM(job, set_limits, set_limits(&job->command));
	reset_signals();
	TRY_PROGRAM(job, exec, job->command.flags & COMMAND_HELPER ? exec_helper(job) : exec_program(job));
	leave(125);
}

static uint32_t number_of(const char *text, const char **end)
{
	uint32_t number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint32_t)(*text - '0');
	*end = text;
	return number;
}

/* Writes "/proc/<pid>" and `rest` to `path`. */
static void make_proc_path(char *path, uint32_t pid, const char *rest)
{
	char digits[10];
	size_t n = 0, at = 6, length = length_of(rest);

	copy(path, "/proc/", 6);
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) != 0);
	while (n > 0)
		path[at++] = digits[--n];
	copy(path + at, rest, length + 1);
}

static long read_text(const char *path, char *text, size_t size)
{
	long fd = RAW_MARKED(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0), length = fd < 0 ? fd : RAW(SYS_read, fd, text, size, 0, 0);

	if (fd >= 0)
		RAW(SYS_close, fd, 0, 0, 0, 0);
	return length;
}

static void add_ended(struct job *job, uint32_t pid)
{
	unsigned char *at = job->ended + job->ended_length;
	char path[32], name[16];
	size_t name_length;
	long read;

	make_proc_path(path, pid, "/comm");
	read = read_text(path, name, sizeof name);
	if (read > 0 && name[read - 1] == '\n')
		read--;
	name_length = read < 0 ? 0 : (size_t)read;
	if (job->n_ended == MOST_ENDED || job->ended_length + 5 + name_length > sizeof job->ended)
		return;
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(pid >> (8 * i));
	at[4] = (unsigned char)name_length;
	copy((char *)at + 5, name, name_length);
	job->ended_length += 5 + name_length;
	job->n_ended++;
}

/* Children that a file of /proc lists. */
static void add_children(struct job *job, const char *path)
{
	char text[4096];
	long length = read_text(path, text, sizeof text - 1);
	const char *at = text;

	if (length <= 0)
		return;
	text[length] = 0;
	while (*at >= '0' && *at <= '9') {
		add_ended(job, number_of(at, &at));
		while (*at == ' ')
			at++;
	}
}

/* Calls `use` with each name in a folder that is a number. */
static void for_each_number(const char *path, void (*use)(struct job *job, uint32_t folder, uint32_t number), struct job *job, uint32_t folder)
{
	char entries[2048] __attribute__((aligned(8)));
	long length, directory = RAW_MARKED(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0);

	while (directory >= 0 && (length = RAW(SYS_getdents64, directory, entries, sizeof entries, 0, 0)) > 0) {
		for (long at = 0; at < length; at += ((struct directory_entry *)(entries + at))->length) {
			const char *name = ((struct directory_entry *)(entries + at))->name, *end;
			uint32_t number = number_of(name, &end);

			if (*end == 0 && number > 0)
				use(job, folder, number);
		}
	}
	if (directory >= 0)
		RAW(SYS_close, directory, 0, 0, 0, 0);
}

static void add_unless_init(struct job *job, uint32_t folder, uint32_t number)
{
	(void)folder;
	if (number != 1)
		add_ended(job, number);
}

static void add_children_of_thread(struct job *job, uint32_t process, uint32_t thread)
{
	char rest[32], path[64];

	/* "/proc/" and "/task/" are equally long. */
	make_proc_path(rest, thread, "/children");
	copy(rest, "/task/", 6);
	make_proc_path(path, process, rest);
	add_children(job, path);
}

/* Names what is still there when the command has ended. */
static void list_what_is_left(struct job *job)
{
	if (!without_namespaces()) {
		for_each_number("/proc", add_unless_init, job, 0);
		return;
	}
	/* This process's children, and then those of each that is in the list. */
	add_children(job, "/proc/thread-self/children");
	for (size_t at = 0; at < job->ended_length; at += 5 + job->ended[at + 4]) {
		uint32_t pid = (uint32_t)job->ended[at] | (uint32_t)job->ended[at + 1] << 8 | (uint32_t)job->ended[at + 2] << 16 | (uint32_t)job->ended[at + 3] << 24;
		char path[32];

		make_proc_path(path, pid, "/task");
		for_each_number(path, add_children_of_thread, job, pid);
	}
}

/* Only the forker's word, so that commands cannot speak through init: it is outside of this PID namespace (sender 0), or known. */
static bool is_forkers(const siginfo_t *info)
{
	return info->si_code == SI_QUEUE && info->si_pid == (without_namespaces() ? shared.forker : 0);
}

/* Whether signals of this process stay inside, where there is no PID namespace: the parent, whoever it is by now, is outside of the fence and
 * cannot be signalled. When the forker ends, and whoever takes its children, there is another one, and ESRCH says nothing of the fence.
 * Before Landlock's ABI 6 the monitor answers the call. */
static bool is_fenced_in(void)
{
	long result = -ESRCH;

	if (!signals_are_fenced(shared.plan))
		return RAW(SYS_kill, shared.forker, 0, 0, 0, 0) == -EPERM;
	for (int tries = 0; result == -ESRCH && tries < MOST_PARENTS; tries++)
		result = RAW(SYS_kill, RAW_1(SYS_getppid), 0, 0, 0, 0);
	return result == -EPERM;
}

/* A signal to all of the command: without a PID namespace never without that proof. */
static void signal_all(int signal)
{
	if (!without_namespaces() || is_fenced_in())
		RAW(SYS_kill, -1, signal, 0, 0, 0);
}

/* Kills all that is in the command's control group, at once. Returns whether there is one. */
static bool kill_group(const struct job *job)
{
	return (shared.plan->flags & PLAN_GROUP_ENDS) && RAW(SYS_write, job->group_end, "1", 1, 0, 0) == 1;
}

/* A signal that the forker asks for. */
static void pass_on(struct job *job, long program, int signal)
{
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

/* Without a PID namespace that would do it: kills all that is left, and waits for the last of it. What forked while it was looked for,
 * where neither a group nor a fence has it all, is found by the next look; and so is what the host took out of the group. */
static void end_what_is_left(const struct job *job)
{
	const struct timespec pause = { 0, 1000000 };
	long child;

	for (bool again = false; ; again = true) {
		if (!kill_group(job) || again)
			signal_all(SIGKILL);
		while ((child = RAW(SYS_wait4, -1, NULL, signals_are_fenced(shared.plan) ? __WALL : __WALL | WNOHANG, NULL, 0)) > 0)
			;
		if (child < 0)
			return;
		RAW(SYS_nanosleep, &pause, NULL, 0, 0, 0);
	}
}

static const uint64_t AWAITED = 1ULL << (SIGCHLD - 1) | 1ULL << (FORWARD_SIGNAL - 1) | 1ULL << (ORPHAN_SIGNAL - 1);

/* Only without PID namespaces: the monitor ends everything then, unless it is gone as well. */
static _Noreturn void end_without_forker(const struct job *job)
{
	end_what_is_left(job);
	leave(0);
}

static long wait_for(struct job *job, long program)
{
	siginfo_t info;
	int status;
	long child;

	for (;;) {
		long signal = RAW(SYS_rt_sigtimedwait, &AWAITED, &info, NULL, sizeof AWAITED, 0);

		if (signal == FORWARD_SIGNAL && is_forkers(&info))
			pass_on(job, program, info.si_value.sival_int);
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
static void wait_for_rest(const struct job *job)
{
	siginfo_t info;
	long child;

	for (;;) {
		while ((child = RAW(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL, 0)) > 0)
			;
		if (child == -ECHILD)
			return;
		switch (RAW(SYS_rt_sigtimedwait, &AWAITED, &info, NULL, sizeof AWAITED, 0)) {
		case FORWARD_SIGNAL:
			if (!is_forkers(&info))
				break;
			if (without_namespaces() && info.si_value.sival_int == SIGKILL) {
				end_what_is_left(job);
				return;
			}
			signal_all(info.si_value.sival_int);
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
	RAW(SYS_umask, shared.umask, 0, 0, 0, 0);
	/* Descriptors last: the ruleset and the forker's own are used above, and the limit may be below their numbers. */
	TRY(job, keep_descriptors, keep_own_descriptors());
	job->kept = true;
	TRY(job, keep_descriptors, set_common_limits());
}

struct packet { struct start_header header; unsigned char command[INLINE_COMMAND_BYTES]; };

/* A command that is too large for a packet lies in a memory file. The mappings are in the memory that the forker shares: it unmaps
 * them when it reaps this init. */
static long map_large_command(struct job *job, uint32_t length, const unsigned char **data, void **memory)
{
	long mapped = raw6(SYS_mmap, 0, length, PROT_READ, MAP_PRIVATE, job->fds[3], 0), room;

	if (mapped < 0 && mapped > -4096)
		return mapped;
	room = raw6(SYS_mmap, 0, (long)command_memory(length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room < 0 && room > -4096)
		return room;
	*data = (const unsigned char *)mapped;
	*memory = (void *)room;
	job->large_data = (void *)mapped;
	job->large_memory = (void *)room;
	job->large_length = length;
	return 0;
}

/* Waits for a command. Where the socket is at its end, the monitor is gone, and this process with it. */
static void take_command(struct job *job)
{
	struct packet *packet = (struct packet *)(job->memory + INIT_STACK_BYTES + PROGRAM_STACK_BYTES);
	union { struct cmsghdr header; char bytes[CMSG_SPACE(START_DESCRIPTORS * sizeof(int))]; } control;
	struct iovec part = { packet, sizeof *packet };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
	const unsigned char *data = packet->command;
	void *memory = job->memory + INIT_STACK_BYTES + PROGRAM_STACK_BYTES + ((sizeof *packet + 15) & ~(size_t)15);
	long received, n_fds = 0, n_expected = 3;
	bool is_large, none_waits;

	do
		received = RAW(SYS_recvmsg, FD_STARTS, &message, MSG_CMSG_CLOEXEC, 0, 0);
	while (received == -EINTR);
	if (received < (long)sizeof packet->header)
		leave(0);
	/* The id before the look at `pending`, as the forker writes `pending` before it looks for the id: one of them sees the other. */
	__atomic_store_n(&job->id, packet->header.id, __ATOMIC_SEQ_CST);
	shared.init_pids[packet->header.slot] = job->init;
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
	is_large = packet->header.length > INLINE_COMMAND_BYTES;
	n_expected += is_large;
	if (n_fds < n_expected)
		give_up(job, STEP_connect_streams, -EMFILE);
	if (is_large)
		TRY(job, decode_command, map_large_command(job, packet->header.length, &data, &memory));
	else if (received != (long)(sizeof packet->header + packet->header.length))
		give_up(job, STEP_decode_command, -EBADMSG);
	TRY(job, decode_command, decode_command(data, packet->header.length, &job->command, memory, &job->script));
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

static bool is_anything_left(void)
{
	/* Signal 0 to everything but this process. */
	if (!without_namespaces())
		return RAW(SYS_kill, -1, 0, 0, 0, 0) == 0;
	/* All that the command started and is left has become this process's, or is below what has. */
	while (RAW(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL, 0) > 0)
		;
	return RAW(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL, 0) != -ECHILD;
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
	program = INJECTED_RAW(fork_program) ? -EIO : raw_clone(CLONE_VM | CLONE_VFORK | SIGCHLD, job->memory + INIT_STACK_BYTES + PROGRAM_STACK_BYTES, run_program, job, NULL);
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
