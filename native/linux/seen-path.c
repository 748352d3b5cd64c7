#include "seen-path.h"
#include "kernel.h"
#include "paths.h"
#include "supervised-path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RIGHT_WRITE = 2 };	/* LANDLOCK_ACCESS_FS_WRITE_FILE */

static const struct plan *plan;
static bool by_rules;		/* the supervised rung */
static bool inside_bwrap;

static bool resolve(const struct seen *seen, enum last_name last, char resolved[PATH_MAX]);

void prepare_seen_paths(const struct plan *its_plan)
{
	plan = its_plan;
	by_rules = (plan->flags & PLAN_SUPERVISED) != 0;
	inside_bwrap = (plan->flags & PLAN_INSIDE) != 0;
}

bool drop_last_slashes(struct seen *seen)
{
	char *path = seen->text + seen->path;
	size_t length = strlen(path);
	const char *last;

	while (length > 1 && path[length - 1] == '/')
		path[--length] = 0;
	last = strrchr(seen->text, '/') + 1;
	/* The root itself, `.` and `..` are neither made nor removed. */
	return *last != 0 && strcmp(last, ".") != 0 && strcmp(last, "..") != 0;
}

bool place_path(struct seen *seen, char *bytes, int at)
{
	size_t length = strlen(bytes);

	if (length == 0)
		return false;	/* the descriptor itself, or ENOENT */
	if (bytes[0] == '/') {
		seen->path = 0;
		/* Each command's own. */
		if (strncmp(bytes, "/proc/", 6) == 0)
			return false;
	} else if (at == AT_FDCWD) {
		seen->path = (size_t)sprintf(seen->text, "/proc/%d/cwd/", seen->call->thread);
	} else {
		seen->path = (size_t)sprintf(seen->text, "/proc/%d/fd/%d/", seen->call->thread, at);
	}
	memmove(seen->text + seen->path, bytes, length + 1);
	return true;
}

/* Landlock's own answer, which no question to the kernel from outside its domain gives: whether a rule on a folder above has a right. */
static bool has_right(const char *path, uint64_t rights)
{
	bool found = (plan->handled_fs & rights) == 0;

	for (uint32_t i = 0; i < plan->n_rules && !found; i++)
		found = (plan->rules[i].allowed & rights) != 0 && is_at_or_below(path, plan->rules[i].path);
	return found;
}

/* On the supervised rung no mount refuses anything: rules do, of which the kernel's access(2) does not know. */
static bool is_closed(const struct seen *seen, int mode)
{
	char resolved[PATH_MAX];
	enum effect effect;

	if (!by_rules || mode == F_OK || !resolve(seen, FOLLOWED, resolved))
		return false;
	effect = effect_at(get_rules(), resolved);
	/* Devices have no rule of the policy's, only Landlock's. */
	return mode == W_OK ? effect != EFFECT_WRITE && !has_right(resolved, RIGHT_WRITE) : effect == EFFECT_DENY;
}

/* bwrap hides files below a device that its mount does not let be opened, of which access(2) does not know either. */
static bool is_shut_device(const struct seen *seen, int mode)
{
	struct statx_ found;
	struct statfs file_system;

	if (!inside_bwrap || mode == F_OK || syscall(SYS_statx, AT_FDCWD, seen->text, 0, STATX_TYPE_MODE_, &found) != 0 || !S_ISCHR(found.mode))
		return false;
	return statfs(seen->text, &file_system) == 0 && (file_system.f_flags & 4 /* ST_NODEV */) != 0;
}

int ask_path(const struct seen *seen, int mode)
{
	if (syscall(SYS_faccessat, AT_FDCWD, seen->text, mode) != 0)
		return -errno;
	if (is_shut_device(seen, mode))
		return -EACCES;
	return is_closed(seen, mode) ? -EROFS : 0;
}

int stat_name(const char *path, struct statx_ *found)
{
	return syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW_, STATX_TYPE_MODE_, found) == 0 ? 0 : -errno;
}

bool is_read_only(const char *path)
{
	struct statfs found;

	return statfs(path, &found) == 0 && (found.f_flags & 1 /* ST_RDONLY */) != 0;
}

bool is_mount_point(const struct statx_ *found)
{
	return (found->attributes & STATX_ATTR_MOUNT_ROOT_) != 0;
}

int ask_folder(struct seen *seen)
{
	char *last = strrchr(seen->text, '/'), first = last[1];
	int result;

	last[1] = 0;
	result = ask_path(seen, W_OK);
	last[1] = first;
	return result;
}

/* Of the path without its last name. */
static size_t length_above(const char *path, size_t length)
{
	while (length > 0 && path[length - 1] == '/')
		length--;
	while (length > 0 && path[length - 1] != '/')
		length--;
	return length;
}

/* Where the path leads, with names that cannot be followed kept as they are. False where it is none of ours: through a magic link,
 * which here would be this process's, or into /proc, which is each command's own. */
static bool resolve(const struct seen *seen, enum last_name last, char resolved[PATH_MAX])
{
	struct open_how_ how = { .flags = O_PATH | O_CLOEXEC | (last == ITSELF ? O_NOFOLLOW : 0), .resolve = RESOLVE_NO_MAGICLINKS_ };
	char path[PATH_MAX], link[OWN_PATH_BYTES];
	const char *rest;
	size_t whole = strnlen(seen->text + seen->path, sizeof path - 1), length = whole;
	int base = AT_FDCWD, fd = -1;
	long resolved_length;

	memcpy(path, seen->text + seen->path, whole);
	path[whole] = 0;
	if (seen->path > 0) {
		char start[PREFIX_BYTES];

		snprintf(start, sizeof start, "%.*s", (int)seen->path, seen->text);
		base = openat(AT_FDCWD, start, O_PATH | O_CLOEXEC);
		if (base < 0)
			return false;
	}
	if (last == MISSING)
		length = length_above(path, length);
	for (;;) {
		char cut = path[length];

		path[length] = 0;
		fd = (int)syscall(NR_openat2, base, length == 0 ? "." : path, &how, sizeof how);
		path[length] = cut;
		if (fd >= 0 || errno == ELOOP || length == 0)
			break;
		how.flags &= ~(uint64_t)O_NOFOLLOW;
		length = length_above(path, length);
	}
	if (base >= 0)
		close(base);
	if (fd < 0)
		return false;
	own_path(link, fd);
	resolved_length = readlink(link, resolved, PATH_MAX - 1);
	close(fd);
	if (resolved_length <= 0)
		return false;
	resolved[resolved_length] = 0;
	for (rest = path + length; *rest == '/'; rest++)
		;
	/* What is missing has no parent to go back to. */
	if (goes_up(rest) || (size_t)resolved_length + 1 + strlen(rest) >= PATH_MAX)
		return false;
	if (*rest != 0)
		sprintf(resolved + resolved_length, "%s%s", resolved_length == 1 ? "" : "/", rest);
	return !is_at_or_below(resolved, "/proc");
}

void tell_path(const struct seen *seen, enum access_operation operation, enum last_name last, unsigned flags)
{
	char resolved[PATH_MAX];

	if (resolve(seen, last, resolved))
		report_access(seen->call, operation, resolved, flags);
}

void tell_refusal_with(const struct seen *seen, int result, enum access_operation operation, enum last_name last, unsigned flags)
{
	if (result == -EROFS || result == -EACCES)
		tell_path(seen, operation, last, flags | (result == -EACCES ? REPORT_MODE_REFUSES : 0));
}

void tell_refusal(const struct seen *seen, int result, enum access_operation operation, enum last_name last)
{
	tell_refusal_with(seen, result, operation, last, 0);
}

void tell_unreadable(const struct seen *seen, enum access_operation operation, uint64_t rights)
{
	char resolved[PATH_MAX];

	if (!by_rules && (plan->handled_fs & rights) != 0 && resolve(seen, FOLLOWED, resolved) && !has_right(resolved, rights))
		report_access(seen->call, operation, resolved, 0);
}
