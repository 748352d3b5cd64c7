/* What takes rights away from a process, for good. */
#ifndef RESTRICT_H
#define RESTRICT_H

#include "plan.h"
#include "step.h"

/* A rule of the file ruleset, its path opened once in the sandbox's template. */
struct open_rule { uint64_t allowed; int fd; };

/* Leaves the caller CAP_SYS_ADMIN of its user namespace and no other capability, and the bounding set empty, so that no
 * exec gains one. */
int drop_capabilities(struct failure *failure);

/* Leaves it none at all, and no way to gain one: without a user namespace they would be the host's. */
int give_up_privileges(struct failure *failure);

/* The kernel refuses a struct that is longer than it knows and not zero behind: older ABIs get the shorter one.
 * Returns a descriptor, or -1 with errno. */
int create_ruleset(uint64_t fs, uint64_t net, uint64_t scopes);

/* Where commands share processes: enforces `fence` (domains.h). Else Landlock's scopes and TCP rights, for the caller and all that it starts, where
 * commands get no file ruleset. Where they do, that one has them too: a domain with file rights may not mount, and each command has its
 * /proc to mount yet; and under a file layer every other layer must allow `refer`, or each rename and link between two directories is
 * EXDEV. */
int restrict_once(const struct plan *plan, int fence, struct failure *failure);

/* Installs the filter whose calls a listener answers. Returns the listener, -1 with `failure` filled; -2 where the plan has none. */
int install_listener(const struct plan *plan, struct failure *failure);

/* Makes the ruleset of one command: scopes, TCP rights and all of `rules`; the command's own /proc is added by its init.
 * Returns a descriptor or -1. */
int make_file_ruleset(const struct plan *plan, const struct open_rule *rules, uint32_t n_rules);

#endif
