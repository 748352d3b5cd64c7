/* Mode, owner, times and extended attributes on behalf, wherever the file lies: Landlock knows none of them. And truncation by path. */
#include "supervise.h"
#include "caller.h"
#include "file-systems.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { LONGEST_ATTRIBUTE = 65536, LONGEST_ATTRIBUTE_NAME = 255 };

/* What a change is made with. */
struct change {
	long (*make)(const struct place *place, const struct change *change);
	mode_t mode;
	uid_t uid;
	gid_t gid;
	const struct timespec *times;	/* NULL: now */
	const char *name;
	const void *value;
	size_t size;
	int flags;
	off_t length;
};

static long outcome(long returned)
{
	return returned < 0 ? -errno : returned;
}

/* What has no name anywhere: pipes, sockets and memory files are their holder's own. */
static bool has_no_name(const struct place *place)
{
	return strncmp(place->path, "pipe:[", 6) == 0 || strncmp(place->path, "socket:[", 8) == 0 ||
	       (strncmp(place->path, "/memfd:", 7) == 0 && place->status.st_nlink == 0);
}

/* May what is at the place be changed? 0, or the errno. */
static long judge(const struct place *place)
{
	if (has_no_name(place))
		return 0;
	if (place->path[0] != '/')
		return -EPERM;
	if (effect_at(get_rules(), place->path) != EFFECT_WRITE)
		/* The kernel too refuses it to all but the owner. */
		return place->status.st_uid == geteuid() ? refuse(place, ACCESS_WRITE) : -EPERM;
	return S_ISCHR(place->status.st_mode) || S_ISBLK(place->status.st_mode) || is_kernels_own(place->object) ? -EPERM : 0;
}

/* Makes the change at what was found, `result` being how that went. Never ANSWER_CONTINUE. */
static struct answer apply(struct place *place, long result, const struct change *change)
{
	if (result == PATH_UNKNOWN) {
		report_access(place->call, ACCESS_WRITE, place->path, REPORT_REFUSED | REPORT_PATH_UNKNOWN);
		result = -EACCES;
	}
	if (result == 0)
		result = judge(place);
	if (result == 0)
		result = change->make(place, change);
	leave(place);
	return give_result(result);
}

static struct answer change_descriptor(const struct call *call, int fd, const struct change *change)
{
	struct place place;
	long result = go_to_descriptor(&place, call, fd);

	/* As the kernel: such a descriptor is a name, not a file. (Only with AT_EMPTY_PATH it takes it for the file.) */
	return apply(&place, result == 0 && is_opened_for_nothing(call->thread, fd) ? -EBADF : result, change);
}

static struct answer change_path(const struct call *call, int directory_fd, uint64_t address, uint64_t flags, const struct change *change)
{
	struct place place;

	if (flags & ~(uint64_t)(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
		return give_result(-EINVAL);
	return apply(&place, find(&place, call, directory_fd, address, ((flags & AT_SYMLINK_NOFOLLOW) ? 0 : WAY_FOLLOW) | ((flags & AT_EMPTY_PATH) ? WAY_EMPTY_IS_DESCRIPTOR : 0)), change);
}

static long change_mode(const struct place *place, const struct change *change)
{
	char path[OWN_PATH_BYTES];

	own_path(path, place->object);
	return outcome(chmod(path, change->mode));
}

static long change_owner(const struct place *place, const struct change *change)
{
	return outcome(fchownat(place->object, "", change->uid, change->gid, AT_EMPTY_PATH));
}

static struct answer mode_calls(const struct call *call)
{
	const uint64_t *a = call->arguments;
	struct change change = { .make = change_mode };

	switch (call->number) {
#ifdef SYS_chmod
	case SYS_chmod:
		change.mode = a[1] & 07777;
		return change_path(call, AT_FDCWD, a[0], 0, &change);
#endif
	case SYS_fchmod:
		change.mode = a[1] & 07777;
		return change_descriptor(call, (int)a[0], &change);
	default:	/* fchmodat, fchmodat2 */
		change.mode = a[2] & 07777;
		return change_path(call, (int)a[0], a[1], call->number == SYS_fchmodat ? 0 : a[3], &change);
	}
}

static struct answer owner_calls(const struct call *call)
{
	const uint64_t *a = call->arguments;
	struct change change = { .make = change_owner, .uid = (uid_t)a[1], .gid = (gid_t)a[2] };

	switch (call->number) {
#ifdef SYS_chown
	case SYS_chown:
		return change_path(call, AT_FDCWD, a[0], 0, &change);
	case SYS_lchown:
		return change_path(call, AT_FDCWD, a[0], AT_SYMLINK_NOFOLLOW, &change);
#endif
	case SYS_fchown:
		return change_descriptor(call, (int)a[0], &change);
	default:	/* fchownat */
		change.uid = (uid_t)a[2];
		change.gid = (gid_t)a[3];
		return change_path(call, (int)a[0], a[1], a[4], &change);
	}
}

static long change_times(const struct place *place, const struct change *change)
{
	return outcome(syscall(SYS_utimensat, place->object, "", change->times, AT_EMPTY_PATH));
}

/* Reads the times of a call: of seconds and nanoseconds, or microseconds, or seconds alone. */
static long read_times(const struct call *call, uint64_t address, struct timespec times[2])
{
	long given[4], result;
	bool only_seconds = false, nanoseconds = call->number == SYS_utimensat;

#ifdef SYS_utime
	only_seconds = call->number == SYS_utime;
#endif
	result = copy_memory(call->thread, address, given, only_seconds ? 2 * sizeof given[0] : sizeof given);
	if (result != 0)
		return result;
	for (int i = 0; i < 2; i++) {
		long fraction = only_seconds ? 0 : given[2 * i + 1];

		if (!nanoseconds && (fraction < 0 || fraction > 999999))
			return -EINVAL;
		times[i] = (struct timespec){ given[only_seconds ? i : 2 * i], nanoseconds ? fraction : fraction * 1000 };
	}
	return 0;
}

static struct answer time_calls(const struct call *call)
{
	const uint64_t *a = call->arguments;
	bool relative = true;
	uint64_t path, address, flags = call->number == SYS_utimensat ? a[3] : 0;
	struct timespec times[2];
	struct change change = { .make = change_times };
	long result;

#ifdef SYS_utime
	relative = call->number != SYS_utime && call->number != SYS_utimes;
#endif
	path = relative ? a[1] : a[0];
	address = relative ? a[2] : a[1];
	if (address != 0) {
		result = read_times(call, address, times);
		if (result != 0)
			return give_result(result);
		change.times = times;
	}
	/* futimens(3) */
	if (relative && path == 0 && (int)a[0] != AT_FDCWD)
		return flags == 0 ? change_descriptor(call, (int)a[0], &change) : give_result(-EINVAL);
	return change_path(call, relative ? (int)a[0] : AT_FDCWD, path, flags, &change);
}

static long set_attribute(const struct place *place, const struct change *change)
{
	char path[OWN_PATH_BYTES];

	own_path(path, place->object);
	return outcome(setxattr(path, change->name, change->value, change->size, change->flags));
}

static long remove_attribute(const struct place *place, const struct change *change)
{
	char path[OWN_PATH_BYTES];

	own_path(path, place->object);
	return outcome(removexattr(path, change->name));
}

/* Where a call of this family names the file, and the attribute. */
struct attribute_call { bool by_descriptor; int fd; uint64_t path, flags, name, value, size; int set_flags; };

/* struct xattr_args of include/uapi/linux/xattr.h. */
struct attribute_arguments { uint64_t value; uint32_t size, flags; };

static long read_attribute_call(const struct call *call, struct attribute_call *read)
{
	const uint64_t *a = call->arguments;
	struct attribute_arguments arguments;
	long result;

	*read = (struct attribute_call){ .fd = AT_FDCWD, .path = a[0], .name = a[1], .value = a[2], .size = a[3], .set_flags = (int)a[4] };
	switch (call->number) {
	case SYS_lsetxattr:
	case SYS_lremovexattr:
		read->flags = AT_SYMLINK_NOFOLLOW;
		return 0;
	case SYS_fsetxattr:
	case SYS_fremovexattr:
		read->by_descriptor = true;
		read->fd = (int)a[0];
		return 0;
	case NR_setxattrat:
	case NR_removexattrat:
		read->fd = (int)a[0];
		read->path = a[1];
		read->flags = a[2];
		read->name = a[3];
		if (call->number == NR_removexattrat)
			return 0;
		if (a[5] != sizeof arguments)
			return a[5] < sizeof arguments ? -EINVAL : -E2BIG;
		result = copy_memory(call->thread, a[4], &arguments, sizeof arguments);
		read->value = arguments.value;
		read->size = arguments.size;
		read->set_flags = (int)arguments.flags;
		return result;
	default:	/* setxattr, removexattr */
		return 0;
	}
}

static bool removes_attribute(int number)
{
	return number == SYS_removexattr || number == SYS_lremovexattr || number == SYS_fremovexattr || number == NR_removexattrat;
}

static struct answer attribute_calls(const struct call *call)
{
	struct attribute_call read;
	char name[LONGEST_ATTRIBUTE_NAME + 1];
	struct change change = { .make = removes_attribute(call->number) ? remove_attribute : set_attribute, .name = name };
	void *value = NULL;
	struct answer answer;
	long result = read_attribute_call(call, &read);

	if (result == 0)
		result = copy_path(call->thread, read.name, name, sizeof name);
	if (result == 0 || result == -ENAMETOOLONG)
		result = -ERANGE;
	if (result > 0 && change.make == set_attribute) {
		change.flags = read.set_flags;
		change.size = read.size;
		value = read.size > LONGEST_ATTRIBUTE ? NULL : malloc(read.size + 1);
		change.value = value;
		result = read.size > LONGEST_ATTRIBUTE ? -E2BIG : value == NULL ? -ENOMEM : read.size == 0 ? 0 : copy_memory(call->thread, read.value, value, read.size);
	}
	if (result < 0)
		answer = give_result(result);
	else
		answer = read.by_descriptor ? change_descriptor(call, read.fd, &change) : change_path(call, read.fd, read.path, read.flags, &change);
	free(value);
	return answer;
}

static long change_length(const struct place *place, const struct change *change)
{
	char path[OWN_PATH_BYTES];
	struct rlimit limit;

	/* The caller's own limit, not this process's. */
	if (change->length > place->status.st_size && (prlimit(place->call->thread, RLIMIT_FSIZE, NULL, &limit) != 0 || (uint64_t)change->length > limit.rlim_cur))
		return -EFBIG;
	own_path(path, place->object);
	return outcome(truncate(path, change->length));
}

struct answer supervise_truncate(const struct call *call)
{
	struct change change = { .make = change_length, .length = (off_t)call->arguments[1] };
	struct place place;
	long result;

	if (change.length < 0)
		return give_result(-EINVAL);
	result = find(&place, call, AT_FDCWD, call->arguments[0], WAY_FOLLOW);
	/* Elsewhere commands' own domain decides, where it knows truncation. */
	if (truncation_is_covered() && (result == PATH_UNKNOWN || (result == 0 && !holds_monitors_name(&place) && !is_closed_elsewhere(&place)))) {
		leave(&place);
		return let_continue();
	}
	if (result == 0 && !S_ISREG(place.status.st_mode))
		result = S_ISDIR(place.status.st_mode) ? -EISDIR : -EINVAL;
	return apply(&place, result, &change);
}

struct answer supervise_metadata(const struct call *call)
{
	switch (call->number) {
#ifdef SYS_chmod
	case SYS_chmod:
#endif
	case SYS_fchmod:
	case SYS_fchmodat:
	case NR_fchmodat2:
		return mode_calls(call);
#ifdef SYS_chown
	case SYS_chown:
	case SYS_lchown:
#endif
	case SYS_fchown:
	case SYS_fchownat:
		return owner_calls(call);
#ifdef SYS_utime
	case SYS_utime:
	case SYS_utimes:
	case SYS_futimesat:
#endif
	case SYS_utimensat:
		return time_calls(call);
	case SYS_setxattr:
	case SYS_lsetxattr:
	case SYS_fsetxattr:
	case NR_setxattrat:
	case SYS_removexattr:
	case SYS_lremovexattr:
	case SYS_fremovexattr:
	case NR_removexattrat:
		return attribute_calls(call);
	default:
		return give_result(-ENOSYS);
	}
}
