/* Landlock's domains on the supervised rung, one in the other:
 *
 *   outer   the monitor and all below it: reads everything, writes in every writable root. What the monitor can do for commands.
 *   fence   the forker, and one more for each init: no rights of its own, but what is inside can neither signal nor look into what
 *           is not.
 *   inner   each program: writes only in roots in which nothing is closed, reads nothing that is denied. A fence as well: an init may
 *           signal its program; the program may not signal its init.
 */
#ifndef DOMAINS_H
#define DOMAINS_H

#include <stdbool.h>

#include "plan.h"
#include "step.h"
#include "supervised-rules.h"

/* Rulesets, as descriptors. Each process that enforces one gets a domain of its own. */
struct domains { int inner, fence; };

/* Makes all three, looking at the host's folders as they are now, and puts the caller into the outer one, for good. What the inner one is
 * granted beside the plan's rules is noted in `rules`. Returns 0, or -1 with `failure` filled. */
int enter_outer_domain(const struct plan *plan, struct supervised_rules *rules, struct domains *domains, struct failure *failure);

/* Inside bwrap, where its mounts hold the rules: the plan's rules as the inner domain, with /proc, and a fence. Returns 0, or -1 with
 * `failure` filled. */
int make_domains_inside(const struct plan *plan, struct domains *domains, struct failure *failure);

/* Before a command starts: makes the ruleset behind the descriptor `inner` anew where something was made or removed in a folder on the way
 * to a closed path, so that the command may read and run what is there now. Returns whether it was, or -1 with `failure` filled. */
int refresh_inner(const struct plan *plan, int inner, struct failure *failure);

/* The plan's path rules. NULL: no memory. */
struct supervised_rules *index_path_rules(const struct plan *plan);

/* Whether the kernel keeps signals inside a fence (Landlock ABI 6). */
bool signals_are_fenced(const struct plan *plan);

#endif
