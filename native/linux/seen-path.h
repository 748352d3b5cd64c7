/* A path that a call names, as this process sees it: what the kernel says of it, where it leads, and its report. */
#ifndef SEEN_PATH_H
#define SEEN_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"
#include "notifications.h"
#include "plan.h"
#include "reports.h"

enum { PREFIX_BYTES = 48 };

/* An absolute path as it is, another one through the caller's working directory or descriptor, by a magic link of the caller's in /proc. */
struct seen {
	const struct call *call;
	char text[PREFIX_BYTES + PATH_MAX];
	size_t path;		/* where the call's own part begins */
};

/* Before the first call; `plan` must stay. */
void prepare_seen_paths(const struct plan *plan);

/* `at`: AT_FDCWD, or a descriptor of the caller's. The path's bytes are in `text` behind PREFIX_BYTES already; the prefix is put
 * right before them. Returns false where there is nothing to look at. */
bool place_path(struct seen *seen, char *bytes, int at);

/* Everything that names a file is about the last name that is not empty. Returns false where none is. */
bool drop_last_slashes(struct seen *seen);

/* May it be accessed by `mode`, of access(2)? EROFS: only the mount refuses it, or a rule; EACCES: a mode does, of the file, of a folder on the
 * way, or of a mask. Commands have the same ids and no capability either. What it gives is 0 or -errno. */
int ask_path(const struct seen *seen, int mode);

/* The same about writing the folder of the last name. */
int ask_folder(struct seen *seen);

/* Of the name itself: a link is not followed. 0 or -errno. */
int stat_name(const char *path, struct statx_ *found);

/* What stands at the name is held: it can be neither removed nor replaced. */
bool is_mount_point(const struct statx_ *found);

/* Is its mount? */
bool is_read_only(const char *path);

/* What a path's last name is to lead to: what it names, if that is a link too; itself; or nothing, as it is known to be missing. */
enum last_name { FOLLOWED, ITSELF, MISSING };

/* Reports the path as the kernel resolves it; not where it leads to what is each command's own. `flags`: of enum report_flag. */
void tell_path(const struct seen *seen, enum access_operation operation, enum last_name last, unsigned flags);

/* The same where `result` says that the mount or a mode refused it; every other error would have come without a sandbox too. */
void tell_refusal(const struct seen *seen, int result, enum access_operation operation, enum last_name last);
void tell_refusal_with(const struct seen *seen, int result, enum access_operation operation, enum last_name last, unsigned flags);

/* Reports what has none of `rights` (LANDLOCK_ACCESS_FS_*), where Landlock holds them: no question to the kernel from outside its domain tells. */
void tell_unreadable(const struct seen *seen, enum access_operation operation, uint64_t rights);

#endif
