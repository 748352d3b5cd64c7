/* Init's side of the process that becomes the program: made before the command comes, where it enters a domain of its own, or for it. Raw
 * system calls only: see init.h. */
#include "init.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/wait.h>

enum { LOOK_NS = 20 * 1000 * 1000 };

static long fork_program(struct job *job, unsigned long flags)
{
	const unsigned long common = CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;

	return INJECTED_RAW(fork_program) ? -EIO : raw_clone(common | flags, job->memory + INIT_STACK_BYTES + PROGRAM_STACK_BYTES, run_program, job, &job->program_process);
}

void fork_program_ahead(struct job *job, int ruleset)
{
	job->program_word = PROGRAM_WAITS;
	job->entered = ruleset;
	job->ahead = true;
	/* It shares the descriptors, as those that come with the command are meant for it. */
	fork_program(job, CLONE_FILES);
}

static pid_t program_process(struct job *job)
{
	return __atomic_load_n(&job->program_process, __ATOMIC_SEQ_CST);
}

/* Its program is not to run any more. */
static bool is_to_end(struct job *job)
{
	return is_without_forker() || (__atomic_load_n(&job->signals, __ATOMIC_SEQ_CST) & 1ULL << (SIGKILL - 1));
}

/* Says a word to the process that waits for its command, and waits until it has become the program, or is gone: the kernel clears its
 * number then, just as it wakes the parent of a vfork(2). Whoever outside has stopped it must not keep what is to end: then it is killed.
 * Returns whether it was. */
static bool say_to_program(struct job *job, enum program_word word)
{
	const struct timespec pause = { 0, LOOK_NS };
	bool killed = false;
	pid_t process;

	__atomic_store_n(&job->program_word, word, __ATOMIC_SEQ_CST);
	RAW(SYS_futex, &job->program_word, FUTEX_WAKE_PRIVATE, 1, NULL, 0);
	while ((process = program_process(job)) != 0)
		if (RAW(SYS_futex, &job->program_process, FUTEX_WAIT, process, &pause, 0) == -ETIMEDOUT && is_to_end(job))
			killed = RAW(SYS_kill, process, SIGKILL, 0, 0, 0) == 0;
	return killed;
}

/* Whether the process that was made before the command came can become its program: it lives, nothing has come since that the command may
 * read, and it needs no terminal, which a process gets only from a parent that has it. */
static bool is_of_use(struct job *job)
{
	return program_process(job) != 0 && job->failed_step < 0 && job->rules_number == job->start.rules_number && !(job->command.flags & COMMAND_TERMINAL);
}

long start_program(struct job *job)
{
	long process = program_process(job);

	if (job->ahead && is_of_use(job)) {
		say_to_program(job, PROGRAM_GOES);
		return process;
	}
	/* So was its command, which counts as one whose program was killed. */
	if (job->ahead && say_to_program(job, PROGRAM_LEAVES))
		return process;
	/* It has left this memory, but may be a process a moment longer: until it is none, it would count as one that the command started. There
	 * is no other child yet. */
	while (job->ahead && RAW(SYS_wait4, -1, NULL, __WALL, NULL, 0) > 0)
		;
	job->ahead = false;
	job->failed_step = -1;
	job->entered = job->inner;
	return fork_program(job, CLONE_VFORK);
}
