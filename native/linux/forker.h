/* The forker: inside all that commands share; process 1 of an outer PID namespace, where there are namespaces. It keeps a few inits prepared, each in its
 * own PID and mount namespace with every restriction in place, waiting for a command. The monitor gives a command to whichever
 * init is next, over one socket; that init tells the monitor how it ended. The forker itself only makes inits, signals them on
 * the monitor's word, and reaps them. It reads nothing from commands and opens nothing for them. */
#ifndef FORKER_H
#define FORKER_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "plan.h"
#include "restrict.h"
#include "step.h"

/* Between monitor and forker, both ways, over a stream socket: struct message_header (socket.h) and `length` bytes. */
enum forker_message_type {
	FORKER_SIGNAL = 1,	/* to: u32 signal, to the command's process group */
	FORKER_KILL,		/* to */
	FORKER_RULES,		/* to: the inner ruleset was made anew; it rides on it, and the id is its number (start_header) */
	FORKER_LISTENER,	/* from: the listener rides on it; first, where there is one */
	FORKER_READY,		/* from: an init is prepared */
	FORKER_FAILED,		/* from: struct forker_failure; id 0: the set-up */
	FORKER_STARTED,		/* from, where the command asks for it */
	FORKER_EXIT,		/* from: struct forker_exit and its `ended`; only where the init could not tell it itself */
	FORKER_LEFT,		/* from: the same, where what is named goes on */
};
struct forker_failure { uint32_t step; int32_t error; };

enum { MOST_ENDED = 64, ENDED_BYTES = 4096 };
struct forker_exit {
	int32_t wait_status;
	uint64_t cpu_us, max_rss_bytes;
	uint16_t n_ended, ended_length;		/* as EXIT in frames.def lists them */
};

/* A command on its way to an init: one packet, this header and then the command as frames.def has it, or, where that is larger
 * than INLINE_COMMAND_BYTES, nothing more. Descriptors ride on it, in this order: the command's stdin, stdout and stderr; a memory
 * file that has the command, where it is so large; cgroup.procs of its control group, where it has one, and that group's cgroup.kill, where
 * the plan has it end so; the launcher's own program, where its flags say that it runs that; the inner ruleset, where there are no
 * namespaces. `rules_number` says how often that one was made anew. */
struct start_header { uint32_t id, length, slot, rules_number; };
enum { INLINE_COMMAND_BYTES = 32 << 10, START_DESCRIPTORS = 8 };

/* What an init tells the monitor, over a pipe: written at once, so never mixed with another's. */
enum init_report_type {
	REPORT_FAILED = 1,	/* the program does not run: step and errno */
	REPORT_EXIT,		/* it ended and nothing of it is left */
	REPORT_STOPPED,
	REPORT_CONTINUED,
};
struct init_report { uint32_t type, id; int32_t step_or_status, error; uint64_t cpu_us, max_rss_bytes; };

/* What an init tells the forker, over another pipe. */
enum init_notice_type { NOTICE_PREPARED = 1, NOTICE_TAKEN /* where the forker has something to do about it */, NOTICE_RUNS, NOTICE_LEFT };
struct init_notice { uint32_t type; struct job *job; };

/* An init and its command: what it reads and writes in the forker's memory, which it shares. */
struct job {
	struct job *next;
	pid_t init;
	int ruleset;
	struct start_header start;	/* of its command; written by the kernel when the init takes it, so not to be read while it lives */
	uint32_t id;			/* of its command; 0 until it takes one (atomic) */
	uint64_t signals;		/* for its command: 1 << (number - 1); the forker adds, the init takes (atomic) */
	volatile bool kept;		/* it has closed all descriptors but its own */
	volatile bool reported;		/* the monitor knows how it ended */
	volatile bool waits;		/* for a command: it is counted in shared.waiting */
	bool ending;			/* without a PID namespace: it was to be killed, so nothing of it is kept */
	volatile int failed_step;	/* -1: none */
	volatile int error;
	volatile int wait_status;
	uint64_t cpu_us, max_rss_bytes;	/* until its end, with NOTICE_LEFT */
	struct command command;
	const char **script;		/* argv for /bin/sh, where the program is a script without an interpreter line */
	int fds[START_DESCRIPTORS];
	int group;			/* one of them, where the command has a control group, */
	int group_end;			/* and, with PLAN_GROUP_ENDS, one that kills all that is in that */
	int helper;			/* another, where the program is the launcher's own */
	int inner;			/* the last, without namespaces: its Landlock ruleset */
	pid_t program_process;		/* 0: there is none, or it is gone, or it runs the program; the kernel writes that (atomic, futex) */
	uint32_t program_word;		/* to it, where it was made before its command came (enum program_word; atomic, futex) */
	bool ahead;			/* it was */
	uint32_t rules_number;		/* and then of the ruleset that it has entered, */
	int entered;			/* and in any case the descriptor by which it does */
	uint16_t n_ended, ended_length;
	unsigned char ended[ENDED_BYTES];
	char program[PATH_MAX];
	void *large_data, *large_memory;	/* mappings of a command that did not; NULL: none */
	size_t large_length;
	unsigned char *memory;		/* two stacks, then room for a command that came inline */
};
enum program_word { PROGRAM_WAITS, PROGRAM_GOES, PROGRAM_LEAVES };
enum { INIT_STACK_BYTES = 32 << 10, PROGRAM_STACK_BYTES = 32 << 10, COMMAND_BYTES = 224 << 10 };

/* The forker's world as inits see it. */
struct shared {
	const struct plan *plan;
	const char *const *proc_read_only;	/* NULL-terminated; paths that exist */
	int starts;				/* inits take commands here */
	int notices;				/* and write struct init_notice to the forker, */
	int reports;				/* struct init_report to the monitor */
	mode_t umask;
	uint64_t max_descriptors[2];		/* RLIMIT_NOFILE of commands: soft, hard */
	volatile pid_t *init_pids;		/* by the slot that the monitor gives a command while it lives, in the outer PID namespace; monitor and guardian see them too */
	pid_t forker;				/* without PID namespaces: whose word inits take */
	int inner, fence;			/* without namespaces: Landlock rulesets (domains.h) */
	int waiting;				/* inits that wait for a command (atomic) */
	int pending;				/* the forker holds signals for commands that no init has taken yet (atomic) */
};
extern struct shared shared;
enum { INIT_PIDS = 4096 };

/* This signal wakes an init: there are signals for its command in its job. A queued one with a value would be lost where commands of the same
 * user have filled the queue (RLIMIT_SIGPENDING). Without PID namespaces SIGKILL is asked for so too, and means all that the command started;
 * the other signal says that the forker is gone. */
enum { FORWARD_SIGNAL = SIGUSR1, ORPHAN_SIGNAL = SIGUSR2 };

/* Runs until the monitor is gone; never returns. `socket` leads to the monitor, `monitor` is its pid. */
_Noreturn void run_forker(const struct plan *plan, int socket, const struct open_rule *rules, uint32_t n_rules);

/* Whether a command of the plan has a control group of its own. */
static inline bool has_group(const struct plan *plan, uint32_t command_flags)
{
	return (command_flags & COMMAND_GROUP) != 0 || (plan->flags & PLAN_GROUP_ENDS) != 0;
}

/* init.c: the body of a command's init, a process that shares the forker's memory. Never returns. */
void run_init(void *job);

#endif
