/* Objects of file systems: opened once, without following a link, and known again by their identity. */
#ifndef OBJECTS_H
#define OBJECTS_H

#include <stdbool.h>

#include "plan.h"

/* Opens `path` (absolute, no symlink in it; the last part may be one and is opened itself) with O_PATH. */
int open_exact(const char *path);

/* The identity of an open descriptor, or of `path` with AT_FDCWD, without following a last symlink.
 * `mount_root`, where not NULL, tells whether it is the root of a mount; `is_directory` likewise. Returns 0 or -1. */
int identify(int fd, const char *path, struct identity *identity, bool *mount_root, bool *is_directory);
static inline bool same_identity(struct identity a, struct identity b) { return a.device == b.device && a.inode == b.inode; }

/* Opens `path` as open_exact, and compares it with what the plan meant. -1 with errno; ESTALE: the host swapped it since. */
int open_identical(const char *path, struct identity expected);

/* Closes `fd`, unless it is -1, and keeps errno. Returns -1. */
int close_keeping_errno(int fd);

#endif
