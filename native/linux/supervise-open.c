/* Opening files on behalf: for writing, and making them. */
#include "supervise.h"
#include "caller.h"
#include "file-systems.h"
#include "kernel.h"
#include "terminals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	TMPFILE = 020000000,		/* O_TMPFILE without O_DIRECTORY */
	LARGE_FILE = 64 << 20,		/* emptying more than this takes a while */
};

/* Both calls ignore other flags. */
static const uint64_t KNOWN_FLAGS = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT |
				    O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | TMPFILE | 0100000 /* O_LARGEFILE */ | 0400000 /* arm64's */;

/* How the caller would have it. */
struct wish { uint64_t flags, mode; };

/* Below ABI 3 Landlock lets a file be emptied that is opened to be read. */
static bool empties_unseen(uint64_t flags)
{
	return (flags & O_TRUNC) && (flags & O_ACCMODE) == O_RDONLY && !truncation_is_covered();
}

static bool writes(uint64_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* Gives the caller the descriptor that `open` made, or its errno. */
static struct answer give(const struct call *call, int fd, uint64_t flags)
{
	return fd < 0 ? give_result(-errno) : hand_descriptor_over(call, fd, (flags & O_CLOEXEC) != 0);
}

/* Opens a pinned file again, as the caller asked. */
static int open_again(int object, uint64_t flags)
{
	char path[OWN_PATH_BYTES];

	own_path(path, object);
	return openat(AT_FDCWD, path, (int)(flags & ~(uint64_t)(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY);
}

struct later_open { int object; uint64_t flags; };

static struct answer open_later(const struct call *call, void *state)
{
	struct later_open *later = state;
	struct answer answer = let_continue();

	if (call != NULL)
		answer = give(call, open_again(later->object, later->flags), later->flags);
	close(later->object);
	free(later);
	return answer;
}

/* Hands over what may block: a FIFO that nobody reads, a lease that another process holds, a server that does not answer. */
static struct answer hand_over(struct place *place, uint64_t flags)
{
	struct later_open *later = malloc(sizeof *later);

	if (later == NULL)
		return give_result(-ENOMEM);
	*later = (struct later_open){ place->object, flags };
	place->object = -1;
	return (struct answer){ .kind = ANSWER_LATER, .later = open_later, .state = later };
}

static struct answer open_regular(struct place *place, uint64_t flags)
{
	int fd;

	if (((flags & O_TRUNC) && place->status.st_size > LARGE_FILE) || is_served(place->object))
		return hand_over(place, flags);
	/* Not blocking even for a lease. */
	fd = open_again(place->object, flags | O_NONBLOCK);
	if (fd < 0 && errno == EWOULDBLOCK && !(flags & O_NONBLOCK))
		return hand_over(place, flags);
	if (fd >= 0 && !(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, (int)(flags & (O_APPEND | O_DIRECT | O_NOATIME | O_ASYNC))) != 0) {
		int error = errno;

		close(fd);
		return give_result(-error);
	}
	return give(place->call, fd, flags);
}

/* fs.protected_regular and protected_fifos: with O_CREAT, others' files in a directory where all may write are not opened. The kernel
 * asks that of an open that may create, and this one will not. */
static bool is_others_file(const struct place *place)
{
	struct stat directory;

	if (place->directory < 0 || fstat(place->directory, &directory) != 0)
		return place->directory >= 0;
	return (directory.st_mode & S_ISVTX) && (directory.st_mode & (S_IWOTH | S_IWGRP)) && place->status.st_uid != directory.st_uid && place->status.st_uid != geteuid();
}

/* What stands at the place, which is looked at and no link to follow. */
static struct answer open_existing(struct place *place, uint64_t flags)
{
	mode_t type = place->status.st_mode & S_IFMT;

	if ((flags & O_CREAT) && (flags & O_EXCL))
		return give_result(-EEXIST);
	if (type == S_IFLNK)
		return give_result((flags & O_DIRECTORY) ? -ENOTDIR : -ELOOP);
	if (type == S_IFDIR && (writes(flags) || (flags & O_CREAT)))
		return give_result(-EISDIR);
	/* Reading is the kernel's to judge, and so is what depends on who opens it. */
	if (type == S_IFDIR || (effect_at(get_rules(), place->path) != EFFECT_WRITE && !writes(flags)) || is_kernels_own(place->object))
		return let_continue();
	if (effect_at(get_rules(), place->path) != EFFECT_WRITE)
		return give_result(refuse(place, ACCESS_WRITE));
	if ((flags & O_CREAT) && is_others_file(place))
		return give_result(-EACCES);
	return open_on_behalf(place, flags);
}

struct answer open_on_behalf(struct place *place, uint64_t flags)
{
	switch (place->status.st_mode & S_IFMT) {
	case S_IFDIR:
		return give(place->call, open_again(place->object, flags), flags);
	case S_IFREG:
		return open_regular(place, flags);
	case S_IFIFO:
		if ((flags & O_NONBLOCK) || (flags & O_ACCMODE) == O_RDWR)
			return give(place->call, open_again(place->object, flags), flags);
		return hand_over(place, flags);
	case S_IFSOCK:
		return give_result(-ENXIO);
	default:	/* a device node: commands get the few in /dev */
		refuse(place, ACCESS_WRITE);
		return give_result(-EACCES);
	}
}

/* A file without a name, in the directory that the path leads to. */
static struct answer open_nameless(struct place *place, const struct wish *how)
{
	char path[OWN_PATH_BYTES];
	struct answer answer;

	if (!S_ISDIR(place->status.st_mode))
		return give_result(-ENOTDIR);
	if (!is_monitors(place->path) && effect_at(get_rules(), place->path) == EFFECT_WRITE)
		return let_continue();
	if (effect_at(get_rules(), place->path) != EFFECT_WRITE)
		return give_result(refuse(place, ACCESS_WRITE));
	own_path(path, place->object);
	begin_making(place->call);
	answer = give(place->call, open(path, (int)(how->flags & ~(uint64_t)O_NOFOLLOW) | O_CLOEXEC, (mode_t)how->mode), how->flags);
	end_making();
	return answer;
}

/* Makes the file where nothing stands at the place. Returns whether it has answered. */
static bool create(struct place *place, const struct wish *how, struct answer *answer)
{
	int fd;

	begin_making(place->call);
	fd = openat(place->directory, place->name, (int)(how->flags & ~(uint64_t)(O_TRUNC | O_NOFOLLOW)) | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, (mode_t)how->mode);
	end_making();
	if (fd < 0 && errno == EEXIST)
		return false;
	*answer = give(place->call, fd, how->flags);
	return true;
}

/* Goes from link to link, until it is known who opens it and what. */
static struct answer open_place(struct place *place, const struct wish *how, long result)
{
	bool nameless = (how->flags & TMPFILE) != 0;
	struct answer answer;

	for (; result == 0; result = follow_link(place)) {
		bool creates = (how->flags & O_CREAT) && !nameless, monitors = holds_monitors_name(place) || is_closed_elsewhere(place) || empties_unseen(how->flags), may;

		/* A directory, or a mistake: the kernel says what of both it is. And it sees to all else that is its own. */
		if (creates && (place->must_be_directory || (place->directory < 0 && S_ISDIR(place->status.st_mode))))
			return let_continue();
		if (!monitors && !place->follows && !nameless)
			return leave_to_kernel(place);
		may = monitors && creates && place->directory >= 0 && may_create(get_rules(), place->path) && !is_above_closed(get_rules(), place->path);
		/* Others may make and remove the name meanwhile, but not for ever. */
		for (int turn = 0; turn < 16; turn++) {
			if (may && create(place, how, &answer))
				return answer;
			result = look(place);
			if (result != -ENOENT || !may)
				break;
		}
		if (result == -ENOENT && monitors && creates && !may)
			return give_result(refuse(place, ACCESS_CREATE));
		if (result != 0)
			break;
		if (is_link_to_follow(place))
			continue;
		if (place->must_be_directory && !S_ISDIR(place->status.st_mode))
			return give_result(-ENOTDIR);
		if (!monitors && S_ISCHR(place->status.st_mode))
			return supervise_terminal(place, how->flags);
		return nameless ? open_nameless(place, how) : monitors ? open_existing(place, how->flags) : leave_to_kernel(place);
	}
	/* What the kernel may see otherwise, it shall decide: commands' own domain is the narrower one. */
	return result == PATH_UNKNOWN || result == -ENOENT || result == -EACCES || result == -ENAMETOOLONG ? let_continue() : give_result(result);
}

static struct answer open_for(const struct call *call, int directory_fd, uint64_t address, const struct wish *how)
{
	bool follows = !(how->flags & O_NOFOLLOW) && !((how->flags & O_CREAT) && (how->flags & O_EXCL));
	char path[PATH_MAX];
	long length;
	struct place place;
	struct answer answer = let_continue();

	/* It opens nothing. */
	if (how->flags & O_PATH)
		return let_continue();
	if (!(writes(how->flags) || (how->flags & (O_CREAT | TMPFILE))))
		return supervise_read(call, directory_fd, address, how->flags);
	/* Not what it says it is: the kernel knows the errno. */
	if ((how->flags & TMPFILE) && (!(how->flags & O_DIRECTORY) || (how->flags & O_ACCMODE) == O_RDONLY))
		return let_continue();
	if ((how->flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY) && !(how->flags & TMPFILE))
		return give_result(-EINVAL);
	length = copy_path(call->thread, address, path, sizeof path);
	answer.nothing_to_tell = length > 0 && is_granted_device(path);
	/* Of all files that are written to, `/dev/null` is the most frequent. */
	if (length < 0) {
		answer = length == -EFAULT ? give_result(length) : answer;
	} else if (!answer.nothing_to_tell) {
		answer = open_place(&place, how, go_to_copied(&place, call, directory_fd, path, follows ? WAY_FOLLOW : 0));
		leave(&place);
	}
	return answer.kind == ANSWER_CONTINUE && empties_unseen(how->flags) ? give_result(-EACCES) : answer;
}

struct answer supervise_open(const struct call *call)
{
	const uint64_t *arguments = call->arguments;
	struct wish how = { 0 };

	switch (call->number) {
#ifdef SYS_open
	case SYS_open:
		how.flags = arguments[1] & KNOWN_FLAGS;
		how.mode = arguments[2] & 07777;
		return open_for(call, AT_FDCWD, arguments[0], &how);
	case SYS_creat:
		how.flags = O_CREAT | O_WRONLY | O_TRUNC;
		how.mode = arguments[1] & 07777;
		return open_for(call, AT_FDCWD, arguments[0], &how);
#endif
	default:	/* openat */
		how.flags = arguments[2] & KNOWN_FLAGS;
		how.mode = arguments[3] & 07777;
		return open_for(call, (int)arguments[0], arguments[1], &how);
	}
}
