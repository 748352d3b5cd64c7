/* The file server: file work of the embedding process, done inside, where the kernel judges every call by the sandbox's own rules.
 * So nothing is checked here: what is refused is refused by the call that would do it, and no name can change between a check and
 * its use. The names of requests and answers are in file-operations.def. */
#include "helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum {
#define FILE_OPERATION(name, number, payload) OPERATION_##name = number,
#define FILE_ANSWER(name, number, payload) ANSWER_##name = number,
#include "file-operations.def"
#undef FILE_OPERATION
#undef FILE_ANSWER
};
enum { HEADER_BYTES = 9, CHUNK_BYTES = 64 << 10, MOST_SMALL_BYTES = 4 * PATH_MAX };
enum { WRITE_REPLACE, WRITE_NEW, WRITE_APPEND };
enum { REMOVE_RECURSIVE = 1, REMOVE_FORCE = 2 };

struct request { uint32_t id; uint8_t operation; size_t left; };	/* left: of the payload, not yet taken */

static unsigned char input[CHUNK_BYTES];
static size_t input_at, input_end;
/* Room for a DATA of a whole chunk, and the DONE behind it: a small file is one answer, written at once. */
static unsigned char output[HEADER_BYTES + CHUNK_BYTES + HEADER_BYTES + 4 + PATH_MAX];
static size_t output_length;
static uint32_t answered;	/* the id */

static void put(uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		output[output_length++] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

/* Where nobody reads any more there is nobody to serve. */
static void flush_output(void)
{
	for (size_t at = 0; at < output_length;) {
		ssize_t written = write(1, output + at, output_length - at);

		if (written < 0 && errno != EINTR)
			_exit(1);
		at += written < 0 ? 0 : (size_t)written;
	}
	output_length = 0;
}

static void begin_answer(uint8_t kind, size_t length)
{
	put(length + HEADER_BYTES - 4, 4);
	put(answered, 4);
	put(kind, 1);
}

static void answer_done(const void *payload, size_t length)
{
	begin_answer(ANSWER_DONE, length);
	if (length > 0)
		memcpy(output + output_length, payload, length);
	output_length += length;
	flush_output();
}

/* `path`: NULL where it is the one that was asked for. */
static void answer_failed(int error, const char *path)
{
	size_t length = path == NULL ? 0 : strlen(path);

	begin_answer(ANSWER_FAILED, 4 + length);
	put((uint64_t)(uint32_t)error, 4);
	if (length > 0)
		memcpy(output + output_length, path, length);
	output_length += length;
	flush_output();
}

/* False where stdin is at its end. */
static bool fill_input(void)
{
	ssize_t length;

	if (input_at < input_end)
		return true;
	do
		length = read(0, input, sizeof input);
	while (length < 0 && errno == EINTR);
	input_at = 0;
	input_end = length <= 0 ? 0 : (size_t)length;
	return input_end > 0;
}

/* What is cut off within a request is not done. */
static void take(void *to, size_t length)
{
	for (size_t taken = 0; taken < length;) {
		size_t part;

		if (!fill_input())
			_exit(1);
		part = input_end - input_at < length - taken ? input_end - input_at : length - taken;
		if (to != NULL)
			memcpy((unsigned char *)to + taken, input + input_at, part);
		input_at += part;
		taken += part;
	}
}

static void take_of(struct request *request, void *to, size_t length)
{
	take(to, length);
	request->left -= length;
}

/* Of the next bytes of a request those that are here, at most all of it. */
static size_t next_part(struct request *request, const unsigned char **part)
{
	size_t length;

	if (request->left == 0)
		return 0;
	if (!fill_input())
		_exit(1);
	length = input_end - input_at < request->left ? input_end - input_at : request->left;
	*part = input + input_at;
	input_at += length;
	request->left -= length;
	return length;
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

/* What is no regular file has no content of a size: a FIFO would hold up everything behind it. */
static int refuse_irregular(int fd, struct stat *state)
{
	if (fstat(fd, state) != 0)
		return -1;
	if (S_ISREG(state->st_mode))
		return 0;
	errno = S_ISDIR(state->st_mode) ? EISDIR : EINVAL;
	return -1;
}

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
			length = read(fd, output + output_length + HEADER_BYTES, CHUNK_BYTES);
		while (length < 0 && errno == EINTR);
		if (length <= 0)
			break;
		total += (uint64_t)length;
		if (errno = EFBIG, total > most)
			goto failed;
		begin_answer(ANSWER_DATA, (size_t)length);
		output_length += (size_t)length;
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
	static char real[PATH_MAX], folder[PATH_MAX], link[32];
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
	snprintf(link, sizeof link, "/proc/self/fd/%d", probe);
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
	off_t at = 0;
	ssize_t length;

	if (ftruncate(replacement->old, 0) != 0)
		return -1;
	while ((length = pread(replacement->file, output, CHUNK_BYTES, at)) > 0) {
		if (write_all(replacement->old, output, (size_t)length) != 0)
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

static void serve_write(struct request *request, int how, mode_t mode, const char *path)
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
			memcpy(output + output_length, rows, length);
			output_length += length;
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
		put(numbers[i], 8);
	for (int i = 0; i < 3; i++)
		put((uint64_t)times[i].tv_sec * 1000000000 + (uint64_t)times[i].tv_nsec, 8);
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
	error = take_path(request, request->operation == OPERATION_WRITE ? get(fixed + 5, 4) : request->operation == OPERATION_RENAME ? get(fixed, 4) : request->left, path);
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
	case OPERATION_READ: serve_read(get(fixed, 8), path); return;
	case OPERATION_WRITE: serve_write(request, fixed[0], (mode_t)get(fixed + 1, 4) & 0777, path); return;
	case OPERATION_MKDIR: serve_mkdir(fixed[0] != 0, (mode_t)get(fixed + 1, 4) & 0777, path); return;
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
	unsigned char header[HEADER_BYTES];

	/* A limit on the size of files is an answer, not an end. Readable memory: the supervised rung reads each path from it. */
	signal(SIGXFSZ, SIG_IGN);
	prctl(PR_SET_NAME, "sandbox-files", 0, 0, 0);
	while (fill_input()) {
		struct request request;

		take(header, sizeof header);
		request = (struct request){ (uint32_t)get(header + 4, 4), header[8], 0 };
		if (get(header, 4) < HEADER_BYTES - 4)
			return 1;
		request.left = get(header, 4) - (HEADER_BYTES - 4);
		answered = request.id;
		serve(&request);
	}
	return 0;
}
