/* What a policy's path rules say about one path: the C twin of `judge` (src/policy/judge-path.ts), for the rung where the monitor
 * performs what commands may do. Pure: nothing here looks at a file.
 *
 * The most specific rule wins, at one path deny before read before write. Paths are absolute, without `.`, `..`, doubled or trailing
 * slashes, as the kernel writes them. Where a rule's file system takes letter cases for the same, a rule that closes something holds
 * in every spelling of its path, and one that opens something only in its own: what differs from `judge` is closed here. */
#ifndef SUPERVISED_RULES_H
#define SUPERVISED_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "plan.h"

struct supervised_rule { enum effect effect; const char *path; bool folds_letter_case; };

struct supervised_rules;

/* `base` holds where no rule does. Paths must stay. NULL: no memory. */
struct supervised_rules *index_rules(enum effect base, const struct supervised_rule *rules, uint32_t n_rules);

/* How a closed path of a file system without letter case stands to a path, by every name that such a file system may take for its own: how
 * many names of `path` it has, where it is the path itself or above it (`at_or_above`), or below it (`below`); neither where they part. */
struct relation { bool at_or_above, below; uint32_t depth; };
struct relation relate_folded(const char *rule, const char *path);

enum effect effect_at(const struct supervised_rules *rules, const char *path);

/* May a name be made there? So must the directory that gets it let write. */
bool may_create(const struct supervised_rules *rules, const char *path);

/* Does a closed path lie below? What stands there may not be moved or removed, and nothing but an empty directory may appear there. */
bool is_above_closed(const struct supervised_rules *rules, const char *path);

/* May the name be removed, or what it stands for become another? As may_create, and nothing closed lies below. */
bool may_remove(const struct supervised_rules *rules, const char *path);

/* Does `directory` lie in (or is it) a writable root with closed paths below? What names there stand for, only the monitor changes:
 * the kernel alone could not tell the open ones from the closed ones. */
bool is_supervised(const struct supervised_rules *rules, const char *directory);

/* A directory in such a root that stood there at the start, open and with nothing closed below: commands' own domain opens it, so that
 * as long as it is the one at this path, the kernel alone can be left with all below. */
struct granted { const char *path; uint64_t device, inode; };

/* The path must stay. Returns false where it is not open, something closed lies below, or there are too many. */
bool grant(struct supervised_rules *rules, struct granted granted);

/* All of them, in no order. */
const struct granted *grants_of(const struct supervised_rules *rules, uint32_t *n);

/* The granted directory that `directory` is or lies in, or NULL. */
const struct granted *granted_above(const struct supervised_rules *rules, const char *directory);

#endif
