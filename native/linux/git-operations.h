/* The state of git operations that take several steps (rebase, cherry-pick of several commits): a later `git rebase --continue`
 * carries out what it says, `exec` lines among it. So it never lies on the host. What stands at `.git/rebase-merge` and
 * `.git/sequencer` is a link (src/policy/git-paths.ts) into a file system that only commands of this sandbox see; on the host it leads
 * nowhere, and nobody but root could make the target.
 *
 * Through the link git reads, writes and lists as ever; only making and removing the folder stops at a link. These calls are
 * carried out here, in that file system and nowhere else: whatever a caller changes meanwhile, nothing else can be reached. */
#ifndef GIT_OPERATIONS_H
#define GIT_OPERATIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "notifications.h"
#include "plan.h"

/* Where the links lead: a folder a git dir, with a folder an operation. */
#define GIT_OPERATIONS "/dev/git-operations"

/* Does the plan have such links? */
bool has_git_operations(const struct plan *plan);

/* Once the template is made, before any command. Returns 0, or -1 with errno. */
int prepare_git_operations(const struct plan *plan);

/* Appends the rows of their calls; returns what is behind the last one. */
struct handled_call *add_git_operation_calls(struct handled_call *at);

/* The path of the next link behind step `*at` whose operation is under way, and `*at` behind it; NULL where there is none. */
const char *next_git_operation(const struct plan *plan, uint32_t *at);

#endif
