/* What the files of a command's init share: its life (init.c), all that its command has started (command-processes.c), and the process
 * that becomes the program (program.c; program-process.c is init's side of it).
 *
 * All of it runs in the forker's memory (copying page tables is what makes a fork dear), so only raw system calls here: errno and the
 * thread's data are the forker's. */
#ifndef INIT_H
#define INIT_H

#include "forker.h"
#include "kernel.h"
#include "raw.h"

struct kernel_rlimit { uint64_t soft, hard; };

static inline bool without_namespaces(void)
{
	return shares_processes(shared.plan);
}

/* The kernel gives an orphan its new parent before it sends the signal that says so. In a PID namespace init goes with the forker. */
static inline bool is_without_forker(void)
{
	return without_namespaces() && RAW_1(SYS_getppid) != shared.forker;
}

static inline _Noreturn void leave(int code)
{
	for (;;)
		RAW(SYS_exit, code, 0, 0, 0, 0);
}

/* The first one counts. */
static inline void note_failure(struct job *job, enum step step, long error)
{
	if (job->failed_step < 0) {
		job->failed_step = (int)step;
		job->error = (int)-error;
	}
}

static inline size_t length_of(const char *text)
{
	size_t length = 0;

	while (text[length] != 0)
		length++;
	return length;
}

static inline void copy(char *to, const char *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = from[i];
}

/* program.c: becomes the program of `job`, while init waits, on a stack of its own. Where it was made before the command came, it shares
 * init's descriptors, and waits for its word. Never returns; where a step fails, it is in `job` and the process is gone. */
void run_program(void *job);

/* program-process.c. Makes it before the command comes, as the kernel copies all rules when it enters the domain of `ruleset` (some hundred, where
 * something is denied in a large folder). Where it cannot be made, or fails, it is made again when the command comes, and fails then. */
void fork_program_ahead(struct job *job, int ruleset);

/* Lets it become the program, or makes it. Returns it once it has, or is gone; or -errno. */
long start_program(struct job *job);

/* command-processes.c. All that the command started, and what that started in turn. */

/* A signal to each of them: without a PID namespace never without the proof that it stays inside. */
void signal_all(int signal);

/* Kills all that is in the command's control group, at once. Returns whether there is one. */
bool kill_group(const struct job *job);

bool is_anything_left(void);

/* Names in `job` what is still there when the command has ended. */
void list_what_is_left(struct job *job);

/* Without a PID namespace that would do it: kills all that is left, and waits for the last of it. What forked while it was looked for,
 * where neither a group nor a fence has it all, is found by the next look; and so is what the host took out of the group. */
void end_what_is_left(const struct job *job);

#endif
