/* The commands' processes as the host's /proc shows them: for reports, for limits that only a sum can hold, and for their end where no
 * PID namespace brings it. */
#ifndef PROCESS_TREE_H
#define PROCESS_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Inits have no PID namespaces of their own: they are the forker's children. Before the first look. */
void expect_no_namespaces(pid_t forker);

/* The host's id of the process that has `outer` in the forker's PID namespace; 0 where it is gone. */
pid_t host_pid_of_init(pid_t forker, pid_t outer);

/* The first child of a process; 0 where there is none. */
pid_t first_child(pid_t parent);

/* Of a thread, by one look: its process, session and parent, its innermost two ids, and its session's id in the namespace of `outer` (of `inner`,
 * where there is but one); and its name. Returns 0, or -1 where it is gone. */
struct ids { pid_t process, session, parent, outer, inner, outer_session; char name[16]; };
int read_ids(pid_t thread, struct ids *ids);

/* The id, in the forker's PID namespace, of the init above a thread of a command; 0 where it is not known. */
pid_t init_above(pid_t thread);

/* The same for a thread that has been looked at. */
pid_t init_above_ids(const struct ids *ids);

/* The children of all threads of a process, at most `most`; how many. */
int list_children(pid_t parent, pid_t *children, int most);

/* All processes below `root`, as they are found, at most `most`; how many. */
int collect_below(pid_t root, pid_t *processes, int most);

/* Kills and reaps all that descends from this process, to which orphans must come (PR_SET_CHILD_SUBREAPER). `fenced`: this process is in a
 * Landlock domain that keeps its signals inside, so that one reaches all at once; else whatever is found is killed, until nothing is. */
void end_descendants(bool fenced);

/* Sends SIGKILL to all that is found below `root`, once. */
void kill_below(pid_t root);

/* Resident memory and number of threads of a process and all below it. */
struct tree_usage { uint64_t rss_bytes, threads; };
void add_tree_usage(pid_t root, struct tree_usage *usage);

#endif
