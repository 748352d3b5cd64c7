/* Listeners of the sandbox's own loopback that the embedding process accepts on: its proxy's, and those that lead to ports of the host.
 * A socket keeps its network namespace, so what Node accepts there comes from inside, and from nowhere else. */
#ifndef LISTENERS_H
#define LISTENERS_H

#include "plan.h"
#include "step.h"

/* Makes the plan's listeners where this process is now, writes down which ports they got, and hands each to Node over `channel`, the
 * one that child_process calls "ipc". Each is handed over only when Node has said that it has it. The channel is closed in any case:
 * whoever holds it could send Node handles. Returns 0, or -1 with `failure` filled. */
int hand_listeners_over(const struct plan *plan, int channel, struct failure *failure);

#endif
