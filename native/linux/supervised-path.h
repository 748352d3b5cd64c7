/* What a path of a caller leads to, found without a race: each step opens what it looks at (O_PATH), and what is judged and acted on
 * is that descriptor, not the path.
 *
 * The kernel resolves the directory (openat2(2), from the caller's own working directory or descriptor); its real path is what the kernel
 * says it is; the last name is looked at by hand, a link in it followed by hand. Magic links lead to where their reader stands, which
 * would be this process: what goes through one is followed only in the spellings that plainly mean the caller (`/proc/self/fd/3`,
 * `/dev/stdout`, `/proc/self/cwd/x`). */
#ifndef SUPERVISED_PATH_H
#define SUPERVISED_PATH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "notifications.h"
#include "paths.h"
#include "supervised-rules.h"

enum { PATH_UNKNOWN = 1 };	/* it cannot be told from here what the path leads to */

/* Where a caller's path has been followed to. All descriptors are O_PATH, and closed by `leave`. */
struct place {
	int directory;			/* -1: the path names something by itself (`.`, `..`, a descriptor), see `object` */
	int object;			/* what is there, never following a link; -1: not looked at, or nothing */
	struct stat status;		/* of `object` */
	bool must_be_directory;		/* a slash stood behind the name */
	bool follows;			/* a link at the last name is meant for what it leads to */
	char *name;			/* the last name, within `path`; "" where there is no `directory` */
	char path[PATH_MAX + NAME_MAX + 2];	/* the real path: of the directory, and the name. What has none (a pipe) does not begin with a slash */

	/* How it goes on. */
	const struct call *call;
	int base;			/* of what `rest` is relative to; AT_FDCWD: the root, as it is absolute */
	unsigned n_links;
	char rest[PATH_MAX];
};

enum way {
	WAY_FOLLOW = 1,			/* a link at the last name is followed */
	WAY_EMPTY_IS_DESCRIPTOR = 2,	/* AT_EMPTY_PATH */
};

/* Copies the path at `address` and goes to the directory that holds its last name; `directory_fd` is the call's.
 * Returns 0; PATH_UNKNOWN, also where the caller may not be read; or -errno, as the kernel would.
 * Whatever it returns, `leave` must follow. */
long go_to(struct place *place, const struct call *call, int directory_fd, uint64_t address, unsigned way);

/* The same for a path that was copied already. */
long go_to_copied(struct place *place, const struct call *call, int directory_fd, const char *path, unsigned way);

/* The same for what a descriptor of the caller's is open on. */
long go_to_descriptor(struct place *place, const struct call *call, int fd);

/* Opens what stands at the name into `object`. Returns 0 or -errno. */
long look(struct place *place);

/* `object` is a symbolic link: goes to the directory of what it leads to. Returns as go_to. */
long follow_link(struct place *place);

/* go_to, look, and follow as long as there are links to follow. -ENOENT where the last name is missing; then `directory` and `path` are
 * those of the missing name. */
long find(struct place *place, const struct call *call, int directory_fd, uint64_t address, unsigned way);

/* The real path of `fd` into `path`. Returns its length; 0: it is not known; or -errno. */
ssize_t path_of(int fd, char path[PATH_MAX]);

/* Is a link at the place to be followed? */
bool is_link_to_follow(const struct place *place);

/* Does `path`, walked from `base`, lead to the place with no link and no `..` on the way? Then only who may rename its directories could
 * make it lead elsewhere. */
bool is_plain_way(const struct place *place, int base, const char *path);

void leave(struct place *place);

/* Are the names in a directory in the monitor's hands? Else the kernel decides about them by the callers' own domain. */
bool is_monitors(const char *directory);

/* The same for the directory in which the place's name stands. */
bool holds_monitors_name(const struct place *place);

/* Is there nothing in the folder of this name? Also true where that cannot be seen. */
bool is_empty_folder(int directory, const char *name);

/* The rules; once, before the first call. */
void set_rules(struct supervised_rules *rules);
const struct supervised_rules *get_rules(void);

#endif
