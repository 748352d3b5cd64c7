/* Signals, where neither a PID namespace nor Landlock's scope (ABI 6) keeps them inside: each is judged, and sent by the monitor on a
 * pidfd of the process that it judged. A command reaches the processes that it started; the forker and inits reach what they must. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "notifications.h"

/* Before the first call. */
void prepare_signals(pid_t forker);

/* Appends their rows; returns what is behind the last one. */
struct handled_call *add_signal_calls(struct handled_call *at);

#endif
