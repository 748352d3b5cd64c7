/* Files that the file server writes: whole, beside the name, and then under it, where commands may do that; else where they are. */
#include "file-server.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { WRITE_REPLACE, WRITE_NEW, WRITE_APPEND };

int refuse_irregular(int fd, struct stat *state)
{
	if (fstat(fd, state) != 0)
		return -1;
	if (S_ISREG(state->st_mode))
		return 0;
	errno = S_ISDIR(state->st_mode) ? EISDIR : EINVAL;
	return -1;
}

static int write_all(int fd, const unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, bytes, length);

		if (written < 0 && errno != EINTR)
			return -1;
		if (written > 0) {
			bytes += written;
			length -= (size_t)written;
		}
	}
	return 0;
}

/* The folder of `path` and the name in it, by text; false where the last part is no name. */
static bool split(const char *path, char *folder, const char **name)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 0 : (size_t)(slash - path);

	*name = slash == NULL ? path : slash + 1;
	memcpy(folder, slash == NULL ? "." : length == 0 ? "/" : path, slash == NULL || length == 0 ? 1 : length);
	folder[slash == NULL || length == 0 ? 1 : length] = 0;
	return **name != 0 && strcmp(*name, ".") != 0 && strcmp(*name, "..") != 0;
}

/* Attributes that a new file would lack. The security modules' own are given to every new file by these. */
static bool has_attributes(int fd)
{
	static char names[4096];
	ssize_t length = flistxattr(fd, names, sizeof names);

	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1)
		if (strncmp(names + at, "security.", 9) != 0)
			return true;
	return length < 0 && errno == ERANGE;
}

/* A file that is written whole beside its name, and then takes it. */
struct replacement {
	int folder;		/* -1: there is none, the file itself is written */
	int file;		/* what is written */
	int old;		/* what has the name now; -1: nothing */
	mode_t old_mode;
	char name[NAME_MAX + 1], temporary[48];
};

static void end_replacement(struct replacement *replacement)
{
	for (int i = 0; i < 3; i++) {
		int fd = i == 0 ? replacement->folder : i == 1 ? replacement->file : replacement->old;

		if (fd >= 0)
			close(fd);
	}
}

/* A name of the new file's own in `folder`. Fails where commands may not make one there, though they may write the file itself. */
static bool make_beside(struct replacement *replacement, mode_t mode)
{
	struct stat old, new;
	uint64_t number;

	if (replacement->old >= 0 && (fstat(replacement->old, &old) != 0 || old.st_nlink != 1 || has_attributes(replacement->old)))
		return false;
	if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
		return false;
	snprintf(replacement->temporary, sizeof replacement->temporary, ".codex-sandbox-%016llx.tmp", (unsigned long long)number);
	replacement->file = openat(replacement->folder, replacement->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, replacement->old >= 0 ? 0600 : mode);
	if (replacement->file < 0)
		return false;
	replacement->old_mode = replacement->old >= 0 ? old.st_mode & 0777 : 0;
	/* A new file has the writer for its owner; one that had another keeps it by being written itself. */
	if (replacement->old < 0 || (fstat(replacement->file, &new) == 0 && new.st_uid == old.st_uid && new.st_gid == old.st_gid))
		return true;
	unlinkat(replacement->folder, replacement->temporary, 0);
	close(replacement->file);
	replacement->file = -1;
	return false;
}

/* Finds what has the name, through links. Returns 0, with folder -1 where the file itself is to be written; -1 with errno where that
 * would be refused as well. */
static int find_target(const char *path, struct replacement *replacement)
{
	static char real[PATH_MAX], folder[PATH_MAX], link[OWN_PATH_BYTES];
	int probe = open(path, O_PATH | O_CLOEXEC);
	struct stat state, other;
	const char *name;
	ssize_t length;

	if (probe < 0) {
		if (errno != ENOENT || !split(path, folder, &name) || strlen(name) > NAME_MAX || fstatat(AT_FDCWD, path, &state, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;	/* opening it says what is wrong; a link that leads nowhere is gone through */
		replacement->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
		strcpy(replacement->name, name);
		return 0;
	}
	if (refuse_irregular(probe, &state) != 0) {
		length = errno;
		close(probe);
		errno = (int)length;
		return -1;
	}
	own_path(link, probe);
	length = readlink(link, real, sizeof real - 1);
	close(probe);
	if (length <= 0)
		return 0;
	real[length] = 0;
	if (real[0] != '/' || !split(real, folder, &name) || strlen(name) > NAME_MAX)
		return 0;
	replacement->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (replacement->folder < 0)
		return 0;
	/* Whoever may replace a file may not always write it: its own mode and the rules for it decide, as if it were written itself. */
	replacement->old = openat(replacement->folder, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (replacement->old < 0 && errno != ENOENT && errno != ELOOP)
		return -1;
	strcpy(replacement->name, name);
	if (replacement->old >= 0 && fstat(replacement->old, &other) == 0 && other.st_ino == state.st_ino && other.st_dev == state.st_dev)
		return 0;
	/* Something else has the name by now. */
	if (replacement->old >= 0)
		close(replacement->old);
	close(replacement->folder);
	replacement->folder = replacement->old = -1;
	return 0;
}

static int open_itself(const char *path, int flags, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, mode), error;
	struct stat state;

	if (fd < 0 || refuse_irregular(fd, &state) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Opens what the content goes to. Returns 0, or -1 with errno. */
static int open_target(int how, mode_t mode, const char *path, struct replacement *replacement)
{
	*replacement = (struct replacement){ .folder = -1, .file = -1, .old = -1 };
	if (how == WRITE_REPLACE) {
		if (find_target(path, replacement) != 0)
			return -1;
		if (replacement->folder >= 0 && make_beside(replacement, mode))
			return 0;
		if (replacement->folder >= 0)
			close(replacement->folder);
		replacement->folder = -1;
	}
	if (replacement->old >= 0) {
		replacement->file = replacement->old;
		replacement->old = -1;
		return ftruncate(replacement->file, 0);
	}
	replacement->file = open_itself(path, O_CREAT | (how == WRITE_NEW ? O_EXCL : how == WRITE_APPEND ? O_APPEND : O_TRUNC), mode);
	return replacement->file < 0 ? -1 : 0;
}

/* The name is held where it is (a mount point): the content goes into the file that has it. */
static int write_through(const struct replacement *replacement)
{
	unsigned char *content = next_payload();
	off_t at = 0;
	ssize_t length;

	if (ftruncate(replacement->old, 0) != 0)
		return -1;
	while ((length = pread(replacement->file, content, CHUNK_BYTES, at)) > 0) {
		if (write_all(replacement->old, content, (size_t)length) != 0)
			return -1;
		at += length;
	}
	return length < 0 ? -1 : 0;
}

static int give_name(const struct replacement *replacement)
{
	int result = replacement->old >= 0 ? fchmod(replacement->file, replacement->old_mode) : 0, error;

	if (result == 0 && renameat(replacement->folder, replacement->temporary, replacement->folder, replacement->name) == 0)
		return 0;
	if (result == 0)
		result = replacement->old >= 0 ? write_through(replacement) : -1;
	error = errno;
	unlinkat(replacement->folder, replacement->temporary, 0);
	errno = error;
	return result;
}

void serve_write(struct request *request, int how, mode_t mode, const char *path)
{
	struct replacement replacement;
	const unsigned char *part;
	size_t length;
	int error = open_target(how, mode, path, &replacement) == 0 ? 0 : errno;

	/* All of it is taken, also where it goes nowhere. */
	while ((length = next_part(request, &part)) > 0)
		if (error == 0 && write_all(replacement.file, part, length) != 0)
			error = errno;
	if (error != 0 && replacement.folder >= 0 && replacement.file >= 0)
		unlinkat(replacement.folder, replacement.temporary, 0);
	if (error == 0 && replacement.folder >= 0 && give_name(&replacement) != 0)
		error = errno;
	end_replacement(&replacement);
	if (error == 0)
		answer_done(NULL, 0);
	else
		answer_failed(error, NULL);
}
