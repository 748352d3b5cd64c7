/* Making, moving and removing names on behalf. */
#include "supervise.h"
#include "caller.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where an argument names a path: the descriptor that it is relative to, and its address. */
struct argument { int directory_fd; uint64_t address; };

#ifdef SYS_mkdir
static struct argument at_cwd(uint64_t address)
{
	return (struct argument){ AT_FDCWD, address };
}
#endif

static struct argument at(uint64_t directory_fd, uint64_t address)
{
	return (struct argument){ (int)directory_fd, address };
}

/* Where the kernel shall decide: in commands' own domain it refuses what is not theirs, and it knows the errno of every mistake. */
static bool is_for_kernel(long result)
{
	return result == PATH_UNKNOWN || result == -ENOENT || result == -EACCES || result == -ENAMETOOLONG;
}

/* What is not the monitor's: of a place that was reached (0), or an error. */
static struct answer leave_or_fail(const struct place *place, long result)
{
	return result == 0 ? leave_to_kernel(place) : is_for_kernel(result) ? let_continue() : give_result(result);
}

/* Of a place that `go_to` has reached: is the name one that the monitor makes or removes, or refuses to? `.`, `..` and `/` are the kernel's
 * to refuse. */
static bool is_ours(const struct place *place)
{
	return place->directory >= 0 && (holds_monitors_name(place) || is_closed_elsewhere(place));
}

/* Is it in a place where commands' own domain alone knows what they may? */
static bool is_kernels(const struct place *place)
{
	return !may_create(get_rules(), place->path) && !is_ours(place);
}

/* The name as the call has it: a slash behind it counts. */
static const char *name_of(struct place *place)
{
	if (place->must_be_directory)
		strcat(place->name, "/");	/* there is room for one more */
	return place->name;
}

static long outcome(long returned)
{
	return returned < 0 ? -errno : returned;
}

static bool exists(const struct place *place)
{
	struct stat found;

	return fstatat(place->directory, place->name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

/* May the name be made? 0, or the errno. Above what is closed only a plain directory may appear, as nothing can be in that. */
static long judge_making(struct place *place, bool is_directory)
{
	if (may_create(get_rules(), place->path) && (is_directory || !is_above_closed(get_rules(), place->path)))
		return 0;
	/* As on a read-only file system. */
	return exists(place) ? -EEXIST : refuse(place, ACCESS_CREATE);
}

static struct answer make_directory(const struct call *call, struct argument path, mode_t mode)
{
	struct place place;
	struct answer answer;
	long result = go_to(&place, call, path.directory_fd, path.address, 0);

	if (result == 0 && is_ours(&place)) {
		result = judge_making(&place, true);
		if (result == 0) {
			begin_making(call);
			result = outcome(mkdirat(place.directory, place.name, mode));
			end_making();
		}
		answer = give_result(result);
	} else {
		answer = leave_or_fail(&place, result);
	}
	leave(&place);
	return answer;
}

static struct answer make_node(const struct call *call, struct argument path, mode_t mode)
{
	struct place place;
	struct answer answer;
	long result = go_to(&place, call, path.directory_fd, path.address, 0);
	mode_t type = mode & S_IFMT;

	if (result == 0 && is_ours(&place)) {
		/* Devices need a capability, which commands do not have. */
		result = type == 0 || type == S_IFREG || type == S_IFIFO || type == S_IFSOCK ? judge_making(&place, false) : -EPERM;
		if (result == 0) {
			begin_making(call);
			result = outcome(mknodat(place.directory, name_of(&place), mode, 0));
			end_making();
		}
		answer = give_result(result);
	} else {
		answer = leave_or_fail(&place, result);
	}
	leave(&place);
	return answer;
}

static struct answer make_symlink(const struct call *call, uint64_t target, struct argument path)
{
	struct place place;
	struct answer answer;
	char text[PATH_MAX];
	long length = copy_path(call->thread, target, text, sizeof text), result;

	if (length <= 0)
		return length == 0 ? give_result(-ENOENT) : length == -EACCES ? let_continue() : give_result(length);
	result = go_to(&place, call, path.directory_fd, path.address, 0);
	if (result == 0 && is_ours(&place)) {
		result = judge_making(&place, false);
		if (result == 0)
			result = outcome(symlinkat(text, place.directory, name_of(&place)));
		answer = give_result(result);
	} else {
		answer = leave_or_fail(&place, result);
	}
	leave(&place);
	return answer;
}

long judge_socket_file(struct place *place, const struct call *call, const char *path)
{
	long result = go_to_copied(place, call, AT_FDCWD, path, 0);

	if (is_for_kernel(result) || (result == 0 && !is_ours(place)))
		return LEAVE_TO_INNER;
	if (result == 0)
		result = judge_making(place, false);
	return result == -EEXIST ? -EADDRINUSE : place->must_be_directory && result == 0 ? -ENOENT : result;
}

/* May what the name stands for be taken from it? 0, or the errno. What fails anyway is no refusal. */
static long judge_removing(struct place *place, bool as_directory, bool as_file)
{
	struct stat found;

	if (may_remove(get_rules(), place->path))
		return 0;
	if (fstatat(place->directory, place->name, &found, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (as_file && S_ISDIR(found.st_mode))
		return -EISDIR;
	if (as_directory && !S_ISDIR(found.st_mode))
		return -ENOTDIR;
	return as_directory && !is_empty_folder(place->directory, place->name) ? -ENOTEMPTY : refuse(place, ACCESS_REMOVE);
}

static struct answer remove_name(const struct call *call, struct argument path, int flags)
{
	struct place place;
	struct answer answer;
	long result;

	if (flags & ~AT_REMOVEDIR)
		return give_result(-EINVAL);
	result = go_to(&place, call, path.directory_fd, path.address, 0);
	if (result == 0 && is_ours(&place)) {
		result = judge_removing(&place, flags == AT_REMOVEDIR, flags == 0);
		if (result == 0)
			result = outcome(unlinkat(place.directory, name_of(&place), flags));
		answer = give_result(result);
	} else {
		answer = leave_or_fail(&place, result);
	}
	leave(&place);
	return answer;
}

/* Between a root and what is outside of every root: EXDEV, as between two mounts, so that programs copy and are told what of that is
 * refused; and a denial, since the end that is outside stays as it is. */
static long cross_out(const struct place *from, const struct place *to)
{
	if (!exists(from))
		return -ENOENT;
	if (is_closed_elsewhere(from))
		refuse(from, ACCESS_REMOVE);
	else
		refuse(to, exists(to) ? ACCESS_WRITE : ACCESS_CREATE);
	return -EXDEV;
}

/* A rename moves what `from` stands for to `to`, and takes what was there away; an exchange does both ways. So both ends are judged alike. */
static long judge_rename(struct place *from, struct place *to)
{
	long result;

	if (is_closed_elsewhere(from) != is_closed_elsewhere(to))
		return cross_out(from, to);
	result = judge_removing(from, false, false);
	if (result != 0 || may_remove(get_rules(), to->path))
		return result;
	return refuse(to, exists(to) ? ACCESS_WRITE : ACCESS_CREATE);
}

static struct answer rename_for(const struct call *call, struct argument old, struct argument new, unsigned flags)
{
	struct place from, to;
	struct answer answer = let_continue();
	long result, second;

	/* Whiteouts are devices. */
	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) || flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return give_result(-EINVAL);
	result = go_to(&from, call, old.directory_fd, old.address, 0);
	second = go_to(&to, call, new.directory_fd, new.address, 0);
	if (result == 0)
		result = second;
	/* With one end elsewhere the monitor does it too: commands' own domain has not the rights of both ends. */
	if (result == 0 && from.directory >= 0 && to.directory >= 0 && (is_ours(&from) || is_ours(&to)) && !is_kernels(&from) && !is_kernels(&to)) {
		result = judge_rename(&from, &to);
		if (result == 0)
			result = outcome(syscall(SYS_renameat2, from.directory, name_of(&from), to.directory, name_of(&to), flags));
		answer = give_result(result);
	} else if (result != 0 && !is_for_kernel(result)) {
		answer = give_result(result);
	}
	leave(&from);
	leave(&to);
	return answer;
}

/* A second name for a file gives its content, so the file must be one that may be written to. EXDEV, as between two mounts: programs
 * then copy. */
static long judge_source(struct place *source)
{
	enum effect effect;

	if (source->path[0] != '/')
		return -EXDEV;
	effect = effect_at(get_rules(), source->path);
	if (effect == EFFECT_WRITE)
		return 0;
	return effect == EFFECT_DENY ? refuse(source, ACCESS_WRITE) : -EXDEV;
}

static struct answer link_for(const struct call *call, struct argument old, struct argument new, int flags)
{
	struct place source, to;
	struct answer answer = let_continue();
	char path[OWN_PATH_BYTES];
	long result, second;

	if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
		return give_result(-EINVAL);
	result = find(&source, call, old.directory_fd, old.address, ((flags & AT_SYMLINK_FOLLOW) ? WAY_FOLLOW : 0) | ((flags & AT_EMPTY_PATH) ? WAY_EMPTY_IS_DESCRIPTOR : 0));
	second = go_to(&to, call, new.directory_fd, new.address, 0);
	if (result == 0)
		result = second;
	/* Of a directory there is no second name: which mistake comes first, Landlock and the kernel see differently. */
	if (result == 0 && to.directory >= 0 && (is_ours(&to) || holds_monitors_name(&source) || S_ISDIR(source.status.st_mode)) && !is_kernels(&to)) {
		result = judge_making(&to, false);
		if (result == 0)
			result = judge_source(&source);
		own_path(path, source.object);
		if (result == 0)
			result = outcome(linkat(AT_FDCWD, path, to.directory, name_of(&to), AT_SYMLINK_FOLLOW));
		if (result == -EXDEV && S_ISDIR(source.status.st_mode))
			result = -EPERM;
		answer = give_result(result);
	} else if (result != 0 && !is_for_kernel(result)) {
		answer = give_result(result);
	}
	leave(&source);
	leave(&to);
	return answer;
}

struct answer supervise_names(const struct call *call)
{
	const uint64_t *a = call->arguments;

	switch (call->number) {
#ifdef SYS_mkdir
	case SYS_mkdir:
		return make_directory(call, at_cwd(a[0]), (mode_t)a[1]);
	case SYS_mknod:
		return make_node(call, at_cwd(a[0]), (mode_t)a[1]);
	case SYS_unlink:
		return remove_name(call, at_cwd(a[0]), 0);
	case SYS_rmdir:
		return remove_name(call, at_cwd(a[0]), AT_REMOVEDIR);
	case SYS_rename:
		return rename_for(call, at_cwd(a[0]), at_cwd(a[1]), 0);
	case SYS_link:
		return link_for(call, at_cwd(a[0]), at_cwd(a[1]), 0);
	case SYS_symlink:
		return make_symlink(call, a[0], at_cwd(a[1]));
#endif
#ifdef SYS_renameat
	case SYS_renameat:
		return rename_for(call, at(a[0], a[1]), at(a[2], a[3]), 0);
#endif
	case SYS_mkdirat:
		return make_directory(call, at(a[0], a[1]), (mode_t)a[2]);
	case SYS_mknodat:
		return make_node(call, at(a[0], a[1]), (mode_t)a[2]);
	case SYS_unlinkat:
		return remove_name(call, at(a[0], a[1]), (int)a[2]);
	case SYS_renameat2:
		return rename_for(call, at(a[0], a[1]), at(a[2], a[3]), (unsigned)a[4]);
	case SYS_linkat:
		return link_for(call, at(a[0], a[1]), at(a[2], a[3]), (int)a[4]);
	case SYS_symlinkat:
		return make_symlink(call, a[0], at(a[1], a[2]));
	default:
		return give_result(-ENOSYS);
	}
}
