/* Control groups (cgroup v2) for limits of a command and all that it starts, and for its end where neither a PID namespace nor a fence
 * brings it. Only where the plan names a group to make them in.
 *
 *   <plan's group>/codex-sandbox-<pid>           the sandbox's own; root of its cgroup namespace
 *   <plan's group>/codex-sandbox-<pid>/launcher  with limits: the launcher and its inits, and commands that have none
 *   <plan's group>/codex-sandbox-<pid>/<id>      one command and all that it starts
 *
 * The sandbox's own is locked (flock) while its launcher lives, or what it forked; where another launcher has that name, `-1` and so on follow it.
 *
 * An init stays outside of its command's group: it shares the forker's memory, and the kernel kills whoever shares the memory of
 * what it kills for want of some; and it is to outlive its command. Without limits the launcher stays where it was started. The
 * embedding process is never moved. */
#ifndef GROUPS_H
#define GROUPS_H

#include <stdbool.h>

#include "plan.h"
#include "step.h"

struct groups {
	int parent, sandbox, home;	/* directories; home: cgroup.procs of the group where the launcher was started. -1: none */
	char name[32];
	uint32_t left[64], n_left;	/* of commands that ended, and could not be removed yet; what is more is removed at the end */
};

/* The kernel's word on what a command met. */
enum exceeded { EXCEEDED_NOTHING, EXCEEDED_MEMORY, EXCEEDED_PIDS };

/* Removes what launchers that are gone left, makes the sandbox's group and enters it: before the namespaces, as this group must
 * be the root of the cgroup namespace (with the mount option nsdelegate nothing moves over that root), and as commands' mounts
 * are read-only. */
int enter_sandbox_group(const struct plan *plan, struct groups *groups, struct failure *failure);

/* After the namespaces: the launcher gets a group beside those of its commands. */
int divide_sandbox_group(const struct plan *plan, const struct groups *groups, struct failure *failure);

/* A command's group: as a directory, and its files. */
struct command_group {
	int directory;
	int procs;			/* whose writer enters it */
	int end;			/* whose writer kills all that is in it at once; -1: the plan has no use for it */
};

/* Makes a command's group with its limits (0: none). Returns 0, or -1 with `failure` filled. */
int make_command_group(const struct plan *plan, const struct groups *groups, uint32_t id, uint64_t memory_bytes, uint64_t pids, struct command_group *group, struct failure *failure);

/* Kills all that is in a command's group, or in any group of the sandbox's commands, at once: what forks meanwhile is killed too. */
void end_group(int directory);
int open_end_of_all(const struct groups *groups);

enum exceeded find_exceeded(int directory);

/* After the last of its processes. The kernel may need a moment more: then it is left, to be tried again. */
void remove_command_group(struct groups *groups, uint32_t id);
void remove_left_groups(struct groups *groups);

/* In a process that has no use for them. */
void close_groups(const struct groups *groups);

/* After all commands: leaves and removes the sandbox's group. */
void leave_groups(struct groups *groups);

#endif
