/* Calls about another process, where no PID namespace hides those of the host or, inside bwrap, of other commands: priorities, processors,
 * limits. A command may change its own processes and no others. The listener filter hands over what is not about the caller itself. */
#ifndef FOREIGN_H
#define FOREIGN_H

#include "notifications.h"

/* Appends their rows; returns what is behind the last one. */
struct handled_call *add_foreign_calls(struct handled_call *at);

#endif
