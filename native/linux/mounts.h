/* The template of all commands' mounts: made once by the monitor, held against the host's own changes afterwards. */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <stdbool.h>

#include "plan.h"
#include "step.h"

struct mounts {
	int mask_directory, mask_file;	/* O_PATH, what denied paths are hidden below */
	struct identity mask_directory_identity, mask_file_identity;
};

/* Opens `path` (absolute, no symlink in it; the last part may be one and is opened itself) with O_PATH. */
int open_exact(const char *path);

/* The identity of an open descriptor, or of `path` with AT_FDCWD, without following a last symlink.
 * `mount_root`, where not NULL, tells whether it is the root of a mount; `is_directory` likewise. Returns 0 or -1. */
int identify(int fd, const char *path, struct identity *identity, bool *mount_root, bool *is_directory);
static inline bool same_identity(struct identity a, struct identity b) { return a.device == b.device && a.inode == b.inode; }

/* Makes the tree private, read-only, nosuid and nodev, the small /dev, and carries out the plan's mount steps but for the
 * placeholders. Afterwards the tree is shared, so that later binds reach running commands. */
int make_template(const struct plan *plan, struct mounts *mounts, struct failure *failure);

/* Binds the object at `path`, open as `fd`, over itself read-only, or hides it (EFFECT_DENY). Used again after the host
 * replaced it. Returns 0 or -1 with errno. */
int hold_object(const struct mounts *mounts, int fd, enum effect effect, bool is_directory);

#endif
