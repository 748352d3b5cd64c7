/* The process that becomes the program: what only this command has, its control group, streams, directory, limits and rules, and then the
 * exec. Raw system calls only, until it: see init.h. */
#include "init.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* In the process that becomes the program: init, which waits for it, tells. */
#define TRY_PROGRAM(job, name, call) \
	do { \
		long result_ = INJECTED_RAW(name) ? -EIO : (call); \
		if (result_ < 0) { \
			note_failure(job, STEP_##name, result_); \
			leave(125); \
		} \
	} while (0)

/* What is wider than this process's own limit holds by that one, which nobody here may widen (EPERM). */
static long lower_limit(int resource, struct kernel_rlimit limit)
{
	struct kernel_rlimit own;
	long result = RAW(SYS_prlimit64, 0, resource, NULL, &own, 0);

	if (result < 0)
		return result;
	if (limit.hard > own.hard)
		limit.hard = own.hard;
	if (limit.soft > limit.hard)
		limit.soft = limit.hard;
	return RAW(SYS_prlimit64, 0, resource, &limit, NULL, 0);
}

static long set_limit(int resource, uint64_t value)
{
	return value == 0 ? 0 : lower_limit(resource, (struct kernel_rlimit){ value, value });
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
		result = lower_limit(RLIMIT_CPU, cpu);
	return result;
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

/* Until init has a command for this process. Whether it goes on. */
static bool wait_for_command(struct job *job)
{
	uint32_t word;

	while ((word = __atomic_load_n(&job->program_word, __ATOMIC_SEQ_CST)) == PROGRAM_WAITS)
		RAW(SYS_futex, &job->program_word, FUTEX_WAIT_PRIVATE, PROGRAM_WAITS, NULL, 0);
	return word == PROGRAM_GOES;
}

/* The descriptors that came with the command are init's. From here on each has a table of its own. */
static long unshare_descriptors(void)
{
	return RAW(NR_close_range, ~0U, ~0U, CLOSE_RANGE_UNSHARE_, 0, 0);
}

void run_program(void *argument)
{
	struct job *job = argument;
	long group;

	/* Its own process group, in front on the terminal: a stop reaches it and not init, and it is no orphaned group, whose
	 * stops the kernel would drop, as init in the same session is its parent. */
	RAW(SYS_setpgid, 0, 0, 0, 0, 0);
	if (without_namespaces()) {
		/* Ends with its init, whatever becomes of that; what it starts does not, and is init's to end. */
		TRY_PROGRAM(job, adopt_orphans, RAW(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
		if (RAW_1(SYS_getppid) != job->init)
			leave(125);
		/* What it may do with files; and a fence of its own inside init's: from here on it cannot signal init. First, as that takes
		 * long where many rules are to be copied, and no step below needs a right that it takes: the group is opened, and the
		 * directory is opened as a path only. */
		TRY_PROGRAM(job, program_landlock, RAW(NR_landlock_restrict_self, job->entered, 0, 0, 0, 0));
	}
	if (job->ahead) {
		if (!wait_for_command(job))
			leave(0);
		TRY_PROGRAM(job, connect_streams, unshare_descriptors());
	}
	if (job->command.flags & COMMAND_TERMINAL) {
		group = RAW_1(SYS_getpid);
		RAW(SYS_ioctl, job->fds[0], TIOCSPGRP, &group, 0, 0);
	}
	/* Its descriptor closes by itself; all that the program starts is in the group as well. */
	if (has_group(shared.plan, job->command.flags))
		TRY_PROGRAM(job, enter_command_group, RAW(SYS_write, job->group, "0", 1, 0, 0));
	TRY_PROGRAM(job, connect_streams, connect_streams(job));
	TRY_PROGRAM(job, enter_cwd, enter_cwd(job));
	/* Limits last but one: a limit on open files must not fail the steps above. */
	TRY_PROGRAM(job, set_limits, set_limits(&job->command));
	reset_signals();
	TRY_PROGRAM(job, exec, job->command.flags & COMMAND_HELPER ? exec_helper(job) : exec_program(job));
	leave(125);
}
