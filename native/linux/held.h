/* Held paths: protected (read-only) and denied ones, existing or not, against commands and against the host's own changes.
 *
 * A mount follows its inode. When the host renames, removes or replaces a held path, the new object there would be open: so
 * the names on the way to every held path are watched, and what changed is bound again, before the next command starts and
 * within about a millisecond while one runs. */
#ifndef HELD_H
#define HELD_H

#include <stdbool.h>

#include "journal.h"
#include "mounts.h"
#include "plan.h"
#include "step.h"
#include "watched-names.h"

enum held_state { HELD_NOTHING, HELD_OBJECT, HELD_PLACEHOLDER };

struct held {
	const struct mount_step *step;
	enum held_state state;
	struct identity object;		/* what is held there: of something denied, nothing shows it any more */
	struct identity shown;		/* what the mount shows at `path`, or at `placeholder_path` */
	char *placeholder_path;		/* the first missing part of the path */
	struct placeholder placeholder;
	bool filled;			/* when the placeholder was bound, it was no longer as it was made */
	bool compared;			/* the parent was the one that the plan means when the placeholder was first made */
};

struct held_paths {
	const struct mounts *mounts;	/* NULL: nothing is bound; placeholders are made, and changes are seen */
	int journal;
	struct held *rows;
	uint32_t n_rows;
	bool active;			/* placeholders are in place: commands run */
	struct watched_names watch;
	bool suspect;			/* something changed, and no look since has found everything held */
	const char *bound_again;	/* the first path that a look found changed */
};

/* What `recheck_held` found. */
enum held_change { HELD_UNCHANGED, HELD_BOUND_AGAIN, HELD_SOMETHING_APPEARED };

/* Notes what the template holds and starts watching. The template must be made. */
int start_holding(const struct plan *plan, const struct mounts *mounts, int journal, struct held_paths *held, struct failure *failure);

/* Before a command: makes the placeholders if they are not there. Where one cannot be made, none is left. */
int take_placeholders(struct held_paths *held, struct failure *failure);

/* After the last one: removes them. */
void give_up_placeholders(struct held_paths *held);

/* Reads the watch; true where a held path may have changed since the last look that succeeded. Cheap where nothing did. */
bool held_may_have_changed(struct held_paths *held);

/* Looks at every held path and binds again what the host changed. `path` gets the first one in which something appeared that
 * is not an empty directory. Returns a held_change, or -1 with `failure` filled: then nothing may run. */
int recheck_held(struct held_paths *held, const char **path, struct failure *failure);

#endif
