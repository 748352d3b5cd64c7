/* The guardian: ends all commands where the monitor is gone and nothing else would. Needed only where neither a PID namespace nor
 * Landlock's scope of signals (ABI 6) is there: then the forker's own signals are judged by the monitor, and go nowhere without it. */
#ifndef GUARDIAN_H
#define GUARDIAN_H

#include <sys/types.h>

/* Starts it, as long as this process has one thread. `end`: cgroup.kill of a group that all commands are in; -1: there is none. Returns a descriptor, to be kept open until this process ends, or -1 with errno. */
int start_guardian(int end);

/* Tells it whom to watch. Returns 0 or -1. */
int tell_guardian(int guardian, pid_t forker);

#endif
