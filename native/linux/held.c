#include "held.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "paths.h"

/* Other launchers that rely on the same removed placeholder let go of it in their own time, within milliseconds. */
enum { PLACEHOLDER_TRIES = 100 };

/* A host that changes held paths faster than this many looks in a row can follow is one under which nothing may run. */
enum { LOOKS = 100 };

static void watch_all(struct held_paths *held)
{
	forget_names(&held->watch);
	for (uint32_t i = 0; i < held->n_rows; i++)
		watch_path(&held->watch, held->rows[i].step->path);
}

bool held_may_have_changed(struct held_paths *held)
{
	/* Read first, also where it is known: what is told must not stay unread. */
	if (has_watch_told(&held->watch) || (!held->watch.reliable && held->n_rows > 0))
		held->suspect = true;
	return held->suspect;
}

/* The host may take it away: then its name is free, until the host puts something there again. */
static bool is_held_while_there(const struct mount_step *step)
{
	return step->kind == MOUNT_BIND_READ_ONLY && step->entry == ENTRY_MISSING;
}

static bool may_be_missing(const struct mount_step *step)
{
	return step->kind == MOUNT_WATCH || is_held_while_there(step);
}

static bool still_held(const struct held_paths *held, const struct held *row)
{
	const char *path = row->state == HELD_PLACEHOLDER ? row->placeholder_path : row->step->path;
	struct identity found;
	bool mount_root;

	return identify(AT_FDCWD, path, &found, &mount_root, NULL) == 0 && (mount_root || held->mounts == NULL) && same_identity(found, row->shown);
}

static int hold_open_object(const struct held_paths *held, struct held *row, int fd, const char *path)
{
	struct identity identity;
	bool directory;

	if (identify(fd, "", &identity, NULL, &directory) != 0)
		return -1;
	row->object = identity;
	if (held->mounts == NULL) {
		row->shown = identity;
		return 0;
	}
	if (hold_object(held->mounts, fd, row->step->effect, directory) != 0)
		return -1;
	return identify(AT_FDCWD, path, &row->shown, NULL, NULL);
}

/* Finds the first part of `path` that does not exist: its parent, open, and the length up to and with that part. */
static int open_existing_parent(const char *path, size_t *through, char *parent_path)
{
	int parent = open_exact("/");

	strcpy(parent_path, "/");
	for (const char *slash = path; parent >= 0; ) {
		const char *next = strchr(slash + 1, '/');
		size_t length = next == NULL ? strlen(path) : (size_t)(next - path);
		char part[PATH_MAX];
		int fd;

		memcpy(part, path, length);
		part[length] = 0;
		fd = open_exact(part);
		if (fd < 0 || next == NULL) {
			if (fd >= 0)
				close(fd);
			*through = length;
			return parent;
		}
		close(parent);
		parent = fd;
		strcpy(parent_path, part);
		slash = next;
	}
	return parent;
}

/* The owner of a directory can give himself the rights in it that he lacks. */
static bool is_own(int directory)
{
	struct stat found;

	return fstat(directory, &found) != 0 || found.st_uid == geteuid();
}

/* Holds the placeholder that was just taken at `path`, the row's own or, where it is not the last part, a folder on the way. Returns 0; 1 where
 * something else is there by now, or a folder on the way is no longer as it was made and leads on: held, it would hide or close whatever
 * else lies in it; -1 with errno. */
static int hold_placeholder(const struct held_paths *held, struct held *row, const char *path, bool last)
{
	int fd = open_exact(path), result = 1;
	struct identity found;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? 1 : -1;
	if (identify(fd, "", &found, NULL, NULL) != 0) {
		result = -1;
	} else if (same_identity(found, row->placeholder.identity) && (last || is_as_made(&row->placeholder, fd))) {
		char *kept = strdup(path);

		result = kept == NULL ? -1 : hold_open_object(held, row, fd, path);
		if (result == 0) {
			/* From here on no command can fill it. */
			row->filled = !is_as_made(&row->placeholder, fd);
			free(row->placeholder_path);
			row->placeholder_path = kept;
			row->state = HELD_PLACEHOLDER;
		} else {
			if (errno == ENOENT)
				result = 1;
			free(kept);
		}
	}
	close_keeping_errno(fd);
	return result;
}

/* Takes a placeholder at the first missing part. Where commands could not make that part either (no right, read-only), there is
 * nothing to hold: the watch tells when the host makes it. Returns 0; 1 where something has appeared meanwhile, so that the caller
 * has to look again; -1 with errno. */
static int hold_missing(struct held_paths *held, struct held *row)
{
	char parent_path[PATH_MAX], path[PATH_MAX];
	size_t through = 0;
	int parent = open_existing_parent(row->step->path, &through, parent_path);
	bool last = through == strlen(row->step->path);
	struct placeholder_kind kind = { ENTRY_DIRECTORY, "" };
	int result;

	if (parent < 0)
		return -1;
	if (last && row->step->kind == MOUNT_PLACEHOLDER && row->step->identity.inode != 0 && !row->compared) {
		struct identity found;

		if (identify(parent, "", &found, NULL, NULL) != 0 || !same_identity(found, row->step->identity)) {
			close(parent);
			errno = ESTALE;
			return -1;
		}
		row->compared = true;
	}
	memcpy(path, row->step->path, through);
	path[through] = 0;
	/* A file, link or socket only where the plan says so and nothing above it is missing. In a file's place a file stands: the host can write or
	 * move its next one there. */
	if (last && (row->step->entry == ENTRY_FILE || row->step->entry == ENTRY_SOCKET || (row->step->entry == ENTRY_SYMLINK && row->step->text[0] != 0)))
		kind = (struct placeholder_kind){ row->step->entry, row->step->text };
	for (int tries = 0; ; tries++) {
		static const struct timespec PAUSE = { .tv_nsec = 1000000 };

		result = take_placeholder(held->journal, parent, parent_path, strrchr(path, '/') + 1, kind, &row->placeholder);
		if (result >= 0 || errno != EAGAIN || tries == PLACEHOLDER_TRIES)
			break;
		nanosleep(&PAUSE, NULL);
	}
	if (result < 0) {
		int error = errno;
		bool nobody_can = error == EROFS || error == EPERM || (error == EACCES && !is_own(parent));

		close(parent);
		errno = error;
		row->state = HELD_NOTHING;
		return nobody_can ? 0 : -1;
	}
	/* What has appeared is held as what it is, or leads on. */
	if (result == 0) {
		close(parent);
		return 1;
	}
	result = hold_placeholder(held, row, path, last);
	if (result != 0) {
		int error = errno;

		give_up_placeholder(held->journal, parent, strrchr(path, '/') + 1, &row->placeholder);
		errno = error;
	}
	close_keeping_errno(parent);
	return result;
}

/* Whether the directory that keeps us from looking at `path` is our own. errno stays EACCES. */
static bool is_behind_own_directory(const char *path)
{
	char parent_path[PATH_MAX];
	size_t through;
	int parent = open_existing_parent(path, &through, parent_path);
	bool own = parent < 0 || is_own(parent);

	if (parent >= 0)
		close(parent);
	errno = EACCES;
	return own;
}

/* Opens the directory in which `path` stands; `name` gets the last name, within `path`. -1 with errno. */
static int open_parent(const char *path, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash == path ? 1 : (size_t)(slash - path);
	char parent_path[PATH_MAX];

	memcpy(parent_path, path, length);
	parent_path[length] = 0;
	*name = slash + 1;
	return open_exact(parent_path);
}

/* What is at the path may be another sandbox's placeholder: then it is ours too. Returns as join_placeholder does. */
static int join_other(const struct held_paths *held, struct held *row)
{
	bool hidden = row->state == HELD_OBJECT && row->step->effect == EFFECT_DENY && held->mounts != NULL;
	const char *name;
	int parent, result;
	char *path;

	if (!held->active || may_be_missing(row->step))
		return 0;
	parent = open_parent(row->step->path, &name);
	if (parent < 0)
		return -1;
	result = join_placeholder(held->journal, parent, name, hidden ? &row->object : NULL, &row->placeholder);
	close(parent);
	if (result != 1)
		return result;
	/* What was hidden may have gone before it was joined. */
	path = hidden && !still_held(held, row) ? NULL : strdup(row->step->path);
	if (path == NULL) {
		close(row->placeholder.lock);
		errno = EAGAIN;
		return -1;
	}
	free(row->placeholder_path);
	row->placeholder_path = path;
	return 1;
}

/* Holds the object that is at the path, open as `fd`. Returns 0, or -1 with errno. */
static int hold_found(const struct held_paths *held, struct held *row, int fd)
{
	int joined = join_other(held, row);

	if (joined < 0)
		return -1;
	if (hold_open_object(held, row, fd, row->step->path) != 0)
		return joined == 1 ? close_keeping_errno(row->placeholder.lock) : -1;
	row->state = joined == 1 ? HELD_PLACEHOLDER : HELD_OBJECT;
	row->filled = joined == 1 && !is_as_made(&row->placeholder, fd);
	return 0;
}

/* What two rows miss is often the same folder on the way: where one has hidden its placeholder there, nothing of the other can be seen, nor made. */
static bool is_behind_own_mask(const struct held_paths *held, const struct held *row)
{
	for (uint32_t i = 0; i < held->n_rows; i++) {
		const struct held *other = &held->rows[i];

		if (other != row && other->state == HELD_PLACEHOLDER && other->step->effect == EFFECT_DENY &&
		    is_at_or_below(row->step->path, other->placeholder_path) && still_held(held, other))
			return true;
	}
	return false;
}

/* One try of `hold_again`; returns 1 where what it saw was gone, or something had appeared, before it was held. */
static int try_to_hold(struct held_paths *held, struct held *row, bool was_held)
{
	int fd = open_exact(row->step->path), error = errno;

	if (fd >= 0) {
		int result = hold_found(held, row, fd);

		error = errno;
		close(fd);
		errno = error;
		return result != 0 && (error == EAGAIN || error == ENOENT) ? 1 : result;
	}
	if (error == EACCES && is_behind_own_mask(held, row))
		return 0;
	errno = error;
	/* What we may not look at, commands may not either: they have our uid and fewer rights. Unless they can take the hindrance
	 * away, or made it. */
	if (error == EACCES)
		return was_held || (!may_be_missing(row->step) && is_behind_own_directory(row->step->path)) ? -1 : 0;
	if (error != ENOENT && error != ENOTDIR)
		return -1;
	return may_be_missing(row->step) || !held->active ? 0 : hold_missing(held, row);
}

/* Holds whatever is at the path now. Returns -1 with errno where that cannot be done. */
static int hold_again(struct held_paths *held, struct held *row)
{
	bool was_held = row->state != HELD_NOTHING;

	if (row->state == HELD_PLACEHOLDER)
		close(row->placeholder.lock);
	row->state = HELD_NOTHING;
	for (int tries = 0; tries < PLACEHOLDER_TRIES; tries++) {
		int result = try_to_hold(held, row, was_held);

		if (result <= 0)
			return result;
	}
	errno = EAGAIN;
	return -1;
}

/* Before a command relies on what is held: makes what is missing, joins other sandboxes where they made it. */
static int take_row(struct held_paths *held, struct held *row, bool others)
{
	int joined;

	if (row->state == HELD_NOTHING)
		return INJECTED(placeholder) ? -1 : hold_again(held, row);
	joined = row->state == HELD_OBJECT && others ? join_other(held, row) : 0;
	if (joined == 1)
		row->state = HELD_PLACEHOLDER;
	/* Not there any more: it is seen missing, and made. */
	return joined < 0 ? hold_again(held, row) : 0;
}

int take_placeholders(struct held_paths *held, struct failure *failure)
{
	bool others;

	if (held->active)
		return 0;
	held->active = true;
	others = journal_has_records(held->journal);
	for (uint32_t i = 0; i < held->n_rows; i++) {
		struct held *row = &held->rows[i];

		if (take_row(held, row, others) != 0) {
			fail(failure, STEP_placeholder, row->step->path);
			/* Nothing runs yet; the next command tries all of them again. */
			give_up_placeholders(held);
			return -1;
		}
	}
	return 0;
}

void give_up_placeholders(struct held_paths *held)
{
	held->active = false;
	/* What was made last goes first: it may lie in one that was made before it. */
	for (uint32_t i = held->n_rows; i-- > 0; ) {
		struct held *row = &held->rows[i];
		const char *name;
		int parent;

		if (row->state != HELD_PLACEHOLDER)
			continue;
		if (held->mounts != NULL)
			umount2(row->placeholder_path, MNT_DETACH | UMOUNT_NOFOLLOW);
		parent = open_parent(row->placeholder_path, &name);
		/* A parent that is gone took the placeholder with it; the record is swept by a later start. */
		if (parent >= 0) {
			give_up_placeholder(held->journal, parent, name, &row->placeholder);
			close(parent);
		} else {
			close(row->placeholder.lock);
		}
		row->state = HELD_NOTHING;
	}
}

/* One look at every row, as `recheck_held`. */
static int look_once(struct held_paths *held, const char **path, struct failure *failure)
{
	int change = HELD_UNCHANGED;

	for (uint32_t i = 0; i < held->n_rows; i++) {
		struct held *row = &held->rows[i];
		enum held_state before = row->state;
		int fd;

		if (before == HELD_NOTHING) {
			fd = open_exact(row->step->path);
			if (fd < 0 && (errno == ENOENT || errno == ENOTDIR) && (may_be_missing(row->step) || !held->active))
				continue;
			if (fd >= 0)
				close(fd);
		} else if (still_held(held, row)) {
			continue;
		}
		if (hold_again(held, row) != 0)
			return fail(failure, STEP_recheck, row->step->path);
		if (row->state == HELD_NOTHING && before == HELD_NOTHING)
			continue;
		if (change == HELD_UNCHANGED)
			change = HELD_BOUND_AGAIN;
		if (held->bound_again == NULL)
			held->bound_again = row->step->path;
		/* A denied object that the host replaced is hidden again, and one that is held while it is there is bound again; what matters for a protected one, and for what stands for a
		 * missing one, is that a command may have made or filled it in between. */
		if (row->state == HELD_PLACEHOLDER ? row->filled : row->step->effect == EFFECT_READ && row->state == HELD_OBJECT && !is_held_while_there(row->step) && !is_empty_directory(AT_FDCWD, row->step->path)) {
			change = HELD_SOMETHING_APPEARED;
			if (*path == NULL)
				*path = row->step->path;
		}
	}
	return change;
}

int recheck_held(struct held_paths *held, const char **path, struct failure *failure)
{
	int change = HELD_UNCHANGED, found;

	*path = NULL;
	held->suspect = true;
	if (INJECTED(recheck))
		return fail(failure, STEP_recheck, NULL);
	for (int tries = 0; tries < LOOKS; tries++) {
		found = look_once(held, path, failure);
		if (found < 0)
			return -1;
		if (found > change)
			change = found;
		if (found == HELD_UNCHANGED) {
			held->suspect = false;
			return change;
		}
		/* Directories that are new are not watched yet: what happens in them before they are is seen by the next look. */
		watch_all(held);
	}
	errno = EAGAIN;
	return fail(failure, STEP_recheck, NULL);
}

int start_holding(const struct plan *plan, const struct mounts *mounts, int journal, struct held_paths *held, struct failure *failure)
{
	uint32_t parts = 0;

	*held = (struct held_paths){ .mounts = mounts, .journal = journal, .watch.inotify = -1 };
	held->rows = calloc(plan->n_mounts + 1, sizeof *held->rows);
	if (INJECTED(watch) || held->rows == NULL)
		return fail(failure, STEP_watch, NULL);
	for (uint32_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];
		struct held *row = &held->rows[held->n_rows];

		if (step->kind != MOUNT_BIND_READ_ONLY && step->kind != MOUNT_MASK && step->kind != MOUNT_PLACEHOLDER && step->kind != MOUNT_WATCH)
			continue;
		row->step = step;
		held->n_rows++;
		for (const char *at = step->path; (at = strchr(at, '/')) != NULL; at++)
			parts++;
		if (step->kind == MOUNT_PLACEHOLDER || step->kind == MOUNT_WATCH)
			continue;
		row->object = step->identity;
		row->state = identify(AT_FDCWD, step->path, &row->shown, NULL, NULL) == 0 ? HELD_OBJECT : HELD_NOTHING;
		if (row->state == HELD_NOTHING && errno != ENOENT)
			return fail(failure, STEP_watch, step->path);
	}
	if (make_watch(&held->watch, parts) != 0)
		return fail(failure, STEP_watch, NULL);
	watch_all(held);
	/* What changed between the template's making and the watch's start is found by the first look. */
	return 0;
}
