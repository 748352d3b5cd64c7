/* The forker: process 1 of an outer PID namespace, inside all that commands share. It starts commands on the monitor's word and
 * tells how they ended. It reads nothing from commands and opens nothing for them. */
#ifndef FORKER_H
#define FORKER_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"
#include "restrict.h"
#include "step.h"

/* Between monitor and forker, both ways, over a stream socket: this header, `length` bytes, and with FORKER_START three
 * descriptors (stdin, stdout, stderr) that ride on its first byte. */
enum forker_message_type {
	FORKER_START = 1,	/* to: a command as frames.def has it */
	FORKER_SIGNAL,		/* to: u32 signal, to the command's process group */
	FORKER_KILL,		/* to */
	FORKER_READY,		/* from: the listener rides on it where there is one */
	FORKER_FAILED,		/* from: struct forker_failure; id 0: the set-up */
	FORKER_STARTED,		/* from, where the command asks for it */
	FORKER_STOPPED,		/* from: u32 signal */
	FORKER_CONTINUED,	/* from */
	FORKER_EXIT,		/* from: struct forker_exit and its `ended` */
};
struct forker_message { uint32_t type, id, length; };
struct forker_failure { uint32_t step; int32_t error; };

enum { MOST_ENDED = 64, ENDED_BYTES = 4096 };
struct forker_exit {
	int32_t wait_status;
	uint64_t cpu_us, max_rss_bytes;
	uint16_t n_ended, ended_length;		/* as EXIT in frames.def lists them */
};

/* What a command needs until its program runs: read by its init and by the process that becomes the program, which share the
 * forker's memory. */
struct job {
	struct job *next;
	struct command command;
	void *block;
	uint32_t id;
	pid_t init;
	int fds[3];
	int ruleset;
	bool started;			/* the program's exec succeeded */
	volatile int failed_step;	/* -1: none */
	volatile int error;
	volatile int wait_status;
	uint16_t n_ended, ended_length;
	unsigned char ended[ENDED_BYTES];
	char program[PATH_MAX];
	const char **script;		/* argv for /bin/sh, where the program is a script without an interpreter line */
	unsigned char *stacks;
};

/* The forker's world as inits see it. */
struct shared {
	const struct plan *plan;
	const char *const *proc_read_only;	/* NULL-terminated; paths that exist */
	int notices;				/* inits write struct init_notice here */
	mode_t umask;
	uint64_t max_descriptors[2];		/* RLIMIT_NOFILE of commands: soft, hard */
	volatile pid_t *init_pids;		/* by command id modulo INIT_PIDS, in the outer PID namespace; the monitor sees them too */
};
extern struct shared shared;
enum { INIT_PIDS = 4096 };

struct init_notice { uint32_t id, type, signal; };	/* type: FORKER_STOPPED or FORKER_CONTINUED */

enum { INIT_STACK_BYTES = 32 << 10, PROGRAM_STACK_BYTES = 32 << 10 };
/* With this signal, queued with a value, the forker asks an init to signal its command. */
enum { FORWARD_SIGNAL = SIGUSR1 };

/* Runs until the monitor is gone; never returns. `socket` leads to the monitor, `monitor` is its pid. */
_Noreturn void run_forker(const struct plan *plan, int socket, const struct open_rule *rules, uint32_t n_rules);

/* init.c: the body of a command's init, a process that shares the forker's memory. Never returns. */
void run_init(void *job);

#endif
