/* Looks at what commands are about to do with paths, before the kernel carries it out: the answer is always CONTINUE, so nothing
 * here decides, and whatever another thread changes meanwhile can only make a report wrong.
 *
 * A call that the mounts and modes of its path permit is done with at once. What they refuse is reported with the path as the
 * kernel would resolve it, unless it fails anyway: mkdir of what exists, unlink of what does not. Node then drops what the policy
 * allows. Attempts are seen, never results.
 *
 * Refusals are the mounts' and, for restricted reads, Landlock's; on the supervised rung the rules'. There other handlers judge most
 * calls and report what they refuse; what they leave to the kernel is looked at here. */
#ifndef OBSERVE_H
#define OBSERVE_H

#include "notifications.h"
#include "plan.h"

/* Has the calls of these rows looked at too, where their own handler leaves them to the kernel, or cannot bind. */
void observe_handled_calls(struct handled_call *rows, const struct handled_call *end);

/* Appends their rows; returns what is behind the last one. */
struct handled_call *add_observed_calls(struct handled_call *at);

#endif
