/* What the monitor's files share: its state, and the functions that one has for another. */
#ifndef MONITOR_STATE_H
#define MONITOR_STATE_H

#include <stdbool.h>
#include <time.h>
#include <sys/epoll.h>

#include "forker.h"
#include "frames.h"
#include "groups.h"
#include "held.h"
#include "journal.h"
#include "monitor.h"
#include "mounts.h"
#include "plan.h"
#include "step.h"

enum {
	READ_BYTES = 64 << 10,
	LARGE_READ_BYTES = 256 << 10,		/* once a stream has shown that it is large */
	LARGE_PIPE_BYTES = 1 << 20,
	READS_A_TURN = 4,			/* of one stream, before the others have theirs */
	MOST_QUEUED_BYTES = 1 << 20,		/* to Node, before streams are left to fill */
	IDLE_MS = 200,				/* placeholders stay so long after the last command */
	POLL_MS = 100,				/* for limits that are held by looking */
	GROUP_MS = 20,				/* until a control group that was still busy is removed */
	MOST_ACCESSES = 1000,			/* of one command, that are told to Node */
};

/* EXIT's end reasons, as frames.def has them. */
enum end_reason { END_NONE, END_KILLED, END_HOST_CHANGED, END_MEMORY, END_PIDS };

enum source_kind { SOURCE_CONTROL, SOURCE_FORKER, SOURCE_STARTS, SOURCE_REPORTS, SOURCE_WATCH, SOURCE_ACCESSES, SOURCE_KEEPER, SOURCE_GUARDIAN, SOURCE_STDOUT, SOURCE_STDERR, SOURCE_STDIN };
struct source { enum source_kind kind; struct running *owner; };

struct stream { struct source source; int fd; uint32_t unconsumed; bool paused, large; size_t before_left; /* bytes to be sent before LEFT */ };

struct running {
	struct running *next;
	uint32_t id, slot;			/* slot: its place in shared.init_pids */
	bool terminal, ended, dead;		/* ended: its whole tree is gone; dead: freed after this turn */
	struct stream streams[2];		/* stdout, stderr; on a terminal the first is both, and stdin */
	struct source stdin_source;
	int stdin_fd;
	bool closing_stdin, awaiting_stdin;
	unsigned char *input;
	size_t input_length, input_size;
	enum end_reason reason;
	const char *changed_path;
	struct forker_exit *exit;		/* how it ended, with the list of what was ended behind */
	struct forker_exit *left;		/* the same while what it left goes on, until it was told */
	struct waiting_start *start;		/* not given to an init yet */
	pid_t host_init;			/* for polled limits; 0: not looked up yet */
	uint64_t memory_bytes, pids;		/* for polled limits; 0: none, or held otherwise */
	int group;				/* its control group, as a directory; -1: none */
	uint32_t n_accesses, lost_accesses;	/* told to Node, and not told since they were too many */
};

/* A command that the socket to the inits has not taken yet. */
struct waiting_start { struct waiting_start *next; struct running *command; int fds[START_DESCRIPTORS]; int n_fds; struct start_header header; unsigned char bytes[]; };

/* The pipes of the next command's output, made while the last one starts. */
struct spare_pipes { bool made; int ours[2], theirs[2]; };

struct monitor {
	struct spare_pipes spare;
	int control, channel, epoll, forker_socket, starts, reports, access_reports, journal, devnull, guardian;
	int helper;				/* the launcher's own program, for commands that run it; -1: none has yet */
	const struct around *around;		/* inside bwrap; else NULL */
	char *stale;				/* inside bwrap: the path that the host changed; nothing may run any more */
	pid_t forker;
	struct plan plan;
	struct mounts mounts;
	struct held_paths held;
	struct groups groups;
	struct frame_reader reader;
	struct frame_queue queue;
	struct source control_source, forker_source, starts_source, reports_source, watch_source, access_source, keeper_source, guardian_source;
	struct running *commands;
	struct waiting_start *first_start, **last_start;
	uint32_t n_commands, n_limited;
	uint32_t rules_number;			/* of the inner ruleset, without namespaces */
	bool closing, control_waits, any_paused, keeper_is_gone;
	struct timespec idle_since;
};

/* streams.c */
/* Ends the launcher: the forker and all commands end with it. */
_Noreturn void out_of_memory(void);
/* Room for a frame to Node; ends the launcher where there is no memory. */
unsigned char *reserve_payload(struct monitor *monitor, size_t length);
void send_empty(struct monitor *monitor, uint8_t type, uint32_t id);
void send_u32(struct monitor *monitor, uint8_t type, uint32_t id, uint32_t value);
void send_failure(struct monitor *monitor, uint32_t id, const struct failure *failure);
/* epoll_ctl(2) for a source. */
int watch_source(const struct monitor *monitor, int operation, int fd, uint32_t events, struct source *source);
/* Writes to Node what its socket takes, and waits for room where some is left. */
void flush_to_node(struct monitor *monitor);
/* NULL where it is over. */
struct running *command_with_id(const struct monitor *monitor, uint32_t id);
/* Kills the whole tree of a command; the first reason is the one that is told. */
void kill_command(struct monitor *monitor, struct running *command, enum end_reason reason, const char *path);
void kill_all(struct monitor *monitor, enum end_reason reason, const char *path);
void close_stdin(struct running *command);
/* A command of which nothing more will be told; freed by `free_dead`, after the events of this turn. */
void forget(struct monitor *monitor, struct running *command);
void free_dead(struct monitor *monitor);
/* Tells that a command ended and left something, once the output that it had written by then was sent. Takes `left`. */
void take_left(struct monitor *monitor, struct running *command, struct forker_exit *left);
/* Tells the end of a command, once its tree is gone and its output was sent. */
void finish_if_over(struct monitor *monitor, struct running *command);
void read_stream(struct monitor *monitor, struct running *command, struct stream *stream);
void read_what_is_left(struct monitor *monitor, struct running *command);
/* Streams that were left to fill, once Node has taken what was queued. */
void resume_paused(struct monitor *monitor);
void await_stdin(struct monitor *monitor, struct running *command, bool awaiting);
void write_stdin(struct monitor *monitor, struct running *command);
void take_stdin(struct monitor *monitor, struct running *command, const unsigned char *data, size_t length);

/* starting.c */
/* Ends what runs where a held path was changed in a way that commands may have used. Returns -1 where a path cannot be held. */
int look_at_held(struct monitor *monitor, struct failure *failure);
void give_waiting_starts(struct monitor *monitor);
/* A START frame of Node. */
void start_command(struct monitor *monitor, const struct frame *frame);

/* messages.c */
void handle_forker(struct monitor *monitor);
void read_reports(struct monitor *monitor);
/* Tells Node what commands were refused. Before the end of a command is told, so that nothing comes after it. */
void pass_reports(struct monitor *monitor);
void handle_control(struct monitor *monitor);
/* Ends commands that are over a limit which only a look can hold. */
void poll_limits(struct monitor *monitor);

/* monitor.c */
/* Waits for the frame that has the plan. Returns 0 or -1. */
int first_frame(struct monitor *monitor, struct frame *frame);
/* Waits until the peer has taken the last frame, or is gone. */
void flush_to_the_end(struct monitor *monitor);

/* set-up.c */
/* From the plan to a forker with a prepared init. Returns 0, or -1 with `failure` filled: then nothing was or will be run. */
int set_up(struct monitor *monitor, const struct frame *frame, struct failure *failure);
/* Ends all commands; returns when the kernel has ended the last process of them. */
void end_commands(const struct monitor *monitor);

#endif
