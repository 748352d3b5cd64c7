/* The template of all commands' mounts: made once by the monitor, held against the host's own changes afterwards. */
#ifndef MOUNTS_H
#define MOUNTS_H

#include <stdbool.h>

#include "objects.h"
#include "plan.h"
#include "step.h"

struct mounts {
	int mask_directory, mask_file;	/* O_PATH, what denied paths are hidden below */
};

/* Makes the tree private, read-only, nosuid and nodev, the small /dev, and carries out the plan's mount steps but for the
 * placeholders. Afterwards the tree is shared, so that later binds reach running commands. */
int make_template(const struct plan *plan, struct mounts *mounts, struct failure *failure);

/* Binds the object at `path`, open as `fd`, over itself read-only, or hides it (EFFECT_DENY). Used again after the host
 * replaced it. Returns 0 or -1 with errno. */
int hold_object(const struct mounts *mounts, int fd, enum effect effect, bool is_directory);

#endif
