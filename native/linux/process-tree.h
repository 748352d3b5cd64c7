/* The commands' processes as the host's /proc shows them: for reports, and for limits that only a sum can hold. */
#ifndef PROCESS_TREE_H
#define PROCESS_TREE_H

#include <stdint.h>
#include <sys/types.h>

/* The host's id of the process that has `outer` in the forker's PID namespace; 0 where it is gone. */
pid_t host_pid_of_init(pid_t forker, pid_t outer);

/* The first child of a process; 0 where there is none. */
pid_t first_child(pid_t parent);

/* The id, in the forker's PID namespace, of the init above a thread of a command; 0 where it is not known. */
pid_t init_above(pid_t thread);

/* Resident memory and number of threads of a process and all below it. */
struct tree_usage { uint64_t rss_bytes, threads; };
void add_tree_usage(pid_t root, struct tree_usage *usage);

#endif
