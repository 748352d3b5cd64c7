/* System calls that no command may make and whose refusal is worth a report: the told rows of COMMAND_FILTER in
 * src/platform/linux/seccomp/filters.ts. The listener filter hands over only what is refused, so the answer never depends on what
 * is looked at here; but for sockets that the launcher makes, which are judged here. */
#ifndef REFUSE_H
#define REFUSE_H

#include <stdbool.h>

#include "notifications.h"

struct plan;

/* Appends their rows; returns what is behind the last one. */
struct handled_call *add_refused_calls(struct handled_call *at);

/* Puts the refusal of set-user-ID modes before what `rows` do with the calls that set one; rows that are missing are appended at `end`.
 * Returns what is behind the last one. */
struct handled_call *refuse_set_user_id(struct handled_call *rows, struct handled_call *end);

/* Before the first call. */
void prepare_refusing(const struct plan *plan);

/* Whether socket(2) is refused, and then how. */
bool refuses_socket(const struct call *call, struct answer *answer);

#endif
