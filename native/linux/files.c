/* The file server: file work of the embedding process, done inside, where the kernel judges every call by the sandbox's own rules.
 * So nothing is checked here: what is refused is refused by the call that would do it, and no name can change between a check and
 * its use. The names of requests and answers are in file-operations.def. */
#include "file-server.h"
#include "helper.h"
#include "little-endian.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MOST_SMALL_BYTES = 4 * PATH_MAX };	/* of a request, but for WRITE's content */
enum { REMOVE_RECURSIVE = 1, REMOVE_FORCE = 2 };

static void serve_read(uint64_t most, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat state;
	uint64_t total = 0;
	ssize_t length = 0;

	if (fd < 0 || refuse_irregular(fd, &state) != 0 || (errno = EFBIG, (uint64_t)state.st_size > most))
		goto failed;
	for (;;) {
		/* Behind the header, whose length is known after. */
		do
			length = read(fd, next_payload(), CHUNK_BYTES);
		while (length < 0 && errno == EINTR);
		if (length <= 0)
			break;
		total += (uint64_t)length;
		if (errno = EFBIG, total > most)
			goto failed;
		answer_data((size_t)length);
		/* A file that says that it is at its end here mostly is: one write for all. */
		if (total != (uint64_t)state.st_size)
			flush_output();
		else if (length == CHUNK_BYTES || lseek(fd, 0, SEEK_END) != (off_t)total)
			flush_output();
		else {
			length = 0;
			break;
		}
	}
	if (length < 0)
		goto failed;
	close(fd);
	answer_done(NULL, 0);
	return;
failed:
	length = errno;
	if (fd >= 0)
		close(fd);
	answer_failed((int)length, NULL);
}

static bool is_directory(const char *path)
{
	struct stat state;

	return stat(path, &state) == 0 && S_ISDIR(state.st_mode);
}

static void serve_mkdir(bool recursive, mode_t mode, char *path)
{
	size_t length = strlen(path), first = 0;

	if (!recursive) {
		if (mkdir(path, mode) != 0)
			answer_failed(errno, NULL);
		else
			answer_done(path, length);
		return;
	}
	for (size_t at = 1; at <= length; at++) {
		char end = path[at];

		if ((end != '/' && end != 0) || path[at - 1] == '/')
			continue;
		path[at] = 0;
		if (mkdir(path, mode) == 0)
			first = first == 0 ? at : first;
		else if (errno != EEXIST || !is_directory(path)) {
			/* A folder above may be one that nobody can be let make: it is there. */
			int error = errno == EEXIST && end == '/' ? ENOTDIR : errno;

			if (error == EEXIST || error == ENOTDIR || !is_directory(path)) {
				answer_failed(error, path);
				return;
			}
		}
		path[at] = end;
	}
	answer_done(path, first);
}

/* The path at which a removal is, for its answer. */
static char place[PATH_MAX];

static int remove_entry(int folder, const char *name, size_t place_length);

static int empty_folder(int fd, size_t place_length)
{
	DIR *entries = fdopendir(fd);
	struct dirent *entry;
	int error = 0;

	if (entries == NULL) {
		error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	while (error == 0 && (errno = 0, entry = readdir(entries)) != NULL) {
		size_t length = strlen(entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (place_length + 1 + length >= sizeof place) {
			error = ENAMETOOLONG;
			break;
		}
		place[place_length] = '/';
		memcpy(place + place_length + 1, entry->d_name, length + 1);
		error = remove_entry(fd, entry->d_name, place_length + 1 + length) == 0 ? 0 : errno;
	}
	error = error == 0 ? errno : error;
	closedir(entries);
	if (error == 0)
		place[place_length] = 0;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* Never through a link: what is removed is the name, and below it only what lies there. */
static int remove_entry(int folder, const char *name, size_t place_length)
{
	for (int round = 0;; round++) {
		int fd;

		if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
			return 0;
		/* EPERM is what other systems' file systems say of a folder; a folder on a read-only mount is no folder to be emptied. */
		if (errno != EISDIR && errno != EPERM)
			return -1;
		fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			if (errno == ENOTDIR || errno == ELOOP)
				errno = EPERM;
			return -1;
		}
		if (empty_folder(fd, place_length) != 0)
			return -1;
		if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		/* Somebody makes files in it as fast as they go. */
		if ((errno != ENOTEMPTY && errno != EEXIST) || round == 3)
			return -1;
	}
}

static void serve_remove(int flags, const char *path)
{
	struct stat state;

	if (fstatat(AT_FDCWD, path, &state, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT && (flags & REMOVE_FORCE))
			answer_done(NULL, 0);
		else
			answer_failed(errno, NULL);
		return;
	}
	if (S_ISDIR(state.st_mode) && !(flags & REMOVE_RECURSIVE)) {
		answer_failed(EISDIR, NULL);
		return;
	}
	strcpy(place, path);
	if ((S_ISDIR(state.st_mode) ? remove_entry(AT_FDCWD, path, strlen(path)) : unlink(path)) == 0)
		answer_done(NULL, 0);
	else
		answer_failed(errno, strcmp(place, path) == 0 ? NULL : place);
}

static void serve_list(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK), error;
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	size_t length = 0;
	static unsigned char rows[CHUNK_BYTES];

	if (entries == NULL) {
		error = errno;
		if (fd >= 0)
			close(fd);
		answer_failed(error, NULL);
		return;
	}
	for (;;) {
		size_t name_length = 0;

		do
			errno = 0, entry = readdir(entries);
		while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
		if (entry != NULL)
			name_length = strlen(entry->d_name);
		error = errno;
		if ((entry == NULL && length > 0) || length + 2 + name_length > sizeof rows) {
			begin_answer(ANSWER_DATA, length);
			put_bytes(rows, length);
			if (entry != NULL)
				flush_output();
			length = 0;
		}
		if (entry == NULL)
			break;
		rows[length++] = entry->d_type;
		if (entry->d_type == DT_UNKNOWN) {
			struct stat state;

			rows[length - 1] = fstatat(fd, entry->d_name, &state, AT_SYMLINK_NOFOLLOW) == 0 ? (unsigned char)((state.st_mode & S_IFMT) >> 12) : DT_UNKNOWN;
		}
		rows[length++] = (unsigned char)name_length;
		memcpy(rows + length, entry->d_name, name_length);
		length += name_length;
	}
	closedir(entries);
	if (error == 0)
		answer_done(NULL, 0);
	else
		answer_failed(error, NULL);
}

static void serve_stat(bool follow, const char *path)
{
	struct stat s;

	if (fstatat(AT_FDCWD, path, &s, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
		answer_failed(errno, NULL);
		return;
	}
	const struct timespec times[] = { s.st_atim, s.st_mtim, s.st_ctim };
	const uint64_t numbers[] = {
		s.st_dev, s.st_ino, s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_rdev, (uint64_t)s.st_size, (uint64_t)s.st_blksize, (uint64_t)s.st_blocks,
	};

	begin_answer(ANSWER_DONE, sizeof numbers + 8 * 3);
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		put_number(numbers[i]);
	for (int i = 0; i < 3; i++)
		put_number((uint64_t)times[i].tv_sec * 1000000000 + (uint64_t)times[i].tv_nsec);
	flush_output();
}

/* A path of `length` bytes becomes text; 0, or the errno that open(2) would give. */
static int take_path(struct request *request, size_t length, char path[PATH_MAX])
{
	if (length > request->left)
		_exit(1);	/* whoever wrote this does not speak the language */
	if (length >= PATH_MAX) {
		take_of(request, NULL, length);
		return ENAMETOOLONG;
	}
	take_of(request, path, length);
	path[length] = 0;
	return length == 0 ? ENOENT : strlen(path) == length ? 0 : EINVAL;
}

/* Of each operation the bytes before its path. */
static size_t fixed_bytes(uint8_t operation)
{
	switch (operation) {
	case OPERATION_READ: return 8;
	case OPERATION_WRITE: return 9;
	case OPERATION_MKDIR: return 5;
	case OPERATION_RENAME: return 4;
	case OPERATION_REMOVE: case OPERATION_STAT: return 1;
	default: return 0;
	}
}

static void serve(struct request *request)
{
	static char path[PATH_MAX], other[PATH_MAX];
	unsigned char fixed[9] = { 0 };
	size_t n_fixed = fixed_bytes(request->operation);
	int error;

	if (request->left < n_fixed || (request->operation != OPERATION_WRITE && request->left > MOST_SMALL_BYTES))
		_exit(1);
	take_of(request, fixed, n_fixed);
	error = take_path(request, request->operation == OPERATION_WRITE ? get_u32(fixed + 5) : request->operation == OPERATION_RENAME ? get_u32(fixed) : request->left, path);
	if (request->operation == OPERATION_RENAME) {
		int second = take_path(request, request->left, other);

		error = error != 0 ? error : second;
	}
	if (error != 0) {
		take_of(request, NULL, request->left);
		answer_failed(error, NULL);
		return;
	}
	switch (request->operation) {
	case OPERATION_READ: serve_read(get_u64(fixed), path); return;
	case OPERATION_WRITE: serve_write(request, fixed[0], (mode_t)get_u32(fixed + 1) & 0777, path); return;
	case OPERATION_MKDIR: serve_mkdir(fixed[0] != 0, (mode_t)get_u32(fixed + 1) & 0777, path); return;
	case OPERATION_RENAME:
		if (rename(path, other) != 0)
			answer_failed(errno, NULL);
		else
			answer_done(NULL, 0);
		return;
	case OPERATION_REMOVE: serve_remove(fixed[0], path); return;
	case OPERATION_LIST: serve_list(path); return;
	case OPERATION_STAT: serve_stat(fixed[0] != 0, path); return;
	default: _exit(1);
	}
}

int serve_files(void)
{
	struct request request;
	int next;

	/* A limit on the size of files is an answer, not an end. Readable memory: the supervised rung reads each path from it. */
	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_NAME, "sandbox-files", 0, 0, 0);
	while ((next = next_request(&request)) == 1)
		serve(&request);
	return next == 0 ? 0 : 1;
}
