#include "journal.h"
#include "objects.h"
#include "paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_BYTES = PATH_MAX + NAME_MAX + MOST_PLACEHOLDER_TEXT + 128 };

struct record { int entry; struct identity identity, parent; char parent_path[PATH_MAX], name[NAME_MAX + 1], text[MOST_PLACEHOLDER_TEXT]; };

int open_journal(const char *directory)
{
	return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static uint64_t hash(const char *text)
{
	uint64_t value = 14695981039346656037ULL;	/* FNV-1a */

	for (; *text != 0; text++)
		value = (value ^ (unsigned char)*text) * 1099511628211ULL;
	return value;
}

static void name_record(char *file, size_t size, struct identity parent, const char *name)
{
	snprintf(file, size, "placeholder-%" PRIx64 "-%" PRIx64 "-%016" PRIx64, parent.device, parent.inode, hash(name));
}

static bool is_record(const char *file)
{
	return strncmp(file, "placeholder-", 12) == 0;
}

/* The record's file stays under its lock only as long as it has a name: who waited for the lock looks again. */
static bool still_there(int journal, int lock, const char *file)
{
	struct stat open_one, named;

	return fstat(lock, &open_one) == 0 && fstatat(journal, file, &named, AT_SYMLINK_NOFOLLOW) == 0 && open_one.st_ino == named.st_ino &&
	       open_one.st_dev == named.st_dev;
}

static int write_record(int lock, const struct record *record)
{
	char text[RECORD_BYTES];
	int length = snprintf(text, sizeof text, "%d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n%s\n%s\n%s", record->entry, record->identity.device,
			      record->identity.inode, record->parent.device, record->parent.inode, record->parent_path, record->name, record->text);

	if (length < 0 || (size_t)length >= sizeof text) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return ftruncate(lock, 0) == 0 && pwrite(lock, text, (size_t)length, 0) == length ? 0 : -1;
}

static int read_record(int lock, struct record *record)
{
	char text[RECORD_BYTES];
	ssize_t length = pread(lock, text, sizeof text - 1, 0);
	char *path, *name, *end;

	if (length <= 0)
		return -1;
	text[length] = 0;
	path = strchr(text, '\n');
	name = path == NULL ? NULL : strchr(path + 1, '\n');
	end = name == NULL ? NULL : strchr(name + 1, '\n');
	if (end == NULL || sscanf(text, "%d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &record->entry, &record->identity.device,
				  &record->identity.inode, &record->parent.device, &record->parent.inode) != 5)
		return -1;
	*name = *end = 0;
	if (strlen(path + 1) >= sizeof record->parent_path || strlen(name + 1) >= sizeof record->name || strlen(end + 1) >= sizeof record->text || strchr(name + 1, '/') != NULL)
		return -1;
	strcpy(record->parent_path, path + 1);
	strcpy(record->name, name + 1);
	strcpy(record->text, end + 1);
	return 0;
}

static bool is_the_recorded(int parent, const char *name, struct identity identity)
{
	struct stat found;

	return identity.inode != 0 && fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_ino == identity.inode && found.st_dev == identity.device;
}

/* Whether a file or link still says what it was made with. */
static bool has_text(int parent, const char *name, const struct record *record)
{
	char text[MOST_PLACEHOLDER_TEXT];
	struct stat found;
	ssize_t length;
	int fd;

	if (record->entry == ENTRY_SYMLINK) {
		length = readlinkat(parent, name, text, sizeof text);
	} else {
		fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			return false;
		length = fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_nlink == 1 ? read(fd, text, sizeof text) : -1;
		close(fd);
	}
	return length == (ssize_t)strlen(record->text) && memcmp(text, record->text, (size_t)length) == 0;
}

bool is_empty_directory(int base, const char *path)
{
	int fd = openat(base, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool empty = directory != NULL;

	if (directory == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (empty && (entry = readdir(directory)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(directory);
	return empty;
}

/* Content is looked at just before; that a directory is empty, rmdir itself looks. */
static void remove_object(int parent, const char *name, const struct record *record)
{
	if (!is_the_recorded(parent, name, record->identity))
		return;
	if (record->entry == ENTRY_DIRECTORY)
		unlinkat(parent, name, AT_REMOVEDIR);
	else if (record->entry == ENTRY_SOCKET || has_text(parent, name, record))
		unlinkat(parent, name, 0);
}

static int make_file(int parent, const char *name, const char *text)
{
	int fd = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
	ssize_t length = (ssize_t)strlen(text);

	if (fd < 0)
		return -1;
	if (write(fd, text, (size_t)length) != length) {
		int error = errno;

		close(fd);
		unlinkat(parent, name, 0);
		errno = error;
		return -1;
	}
	return close(fd);
}

static int make_entry(int parent, const struct record *record)
{
	switch (record->entry) {
	case ENTRY_DIRECTORY: return mkdirat(parent, record->name, 0755);
	case ENTRY_FILE: return make_file(parent, record->name, record->text);
	case ENTRY_SYMLINK: return symlinkat(record->text, parent, record->name);
	/* Of nobody's server: whoever opens it or connects to it is refused. */
	case ENTRY_SOCKET: return mknodat(parent, record->name, S_IFSOCK | 0644, 0);
	}
	errno = EINVAL;
	return -1;
}

static void sweep_one(int journal, const char *file)
{
	struct record record;
	int lock = openat(journal, file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (lock < 0)
		return;
	if (flock(lock, LOCK_EX | LOCK_NB) == 0 && still_there(journal, lock, file)) {
		bool done = true;

		if (read_record(lock, &record) == 0) {
			struct identity found;
			int parent = open_exact(record.parent_path);

			if (parent >= 0 && identify(parent, "", &found, NULL, NULL) == 0 && same_identity(found, record.parent)) {
				remove_object(parent, record.name, &record);
				/* Still the recorded one and not removable (not empty, no right): it is the user's by now. */
			}
			if (parent >= 0)
				close(parent);
			else
				done = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
		}
		if (done)
			unlinkat(journal, file, 0);
	}
	close(lock);
}

void sweep_journal(int journal)
{
	int fd = openat(journal, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (directory == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(directory)) != NULL)
		if (is_record(entry->d_name))
			sweep_one(journal, entry->d_name);
	closedir(directory);
}

/* Sole holder: makes the object, or finds the one that a killed launcher left. Returns as take_placeholder does. */
static int make_object(int lock, int parent, struct record *record)
{
	struct record old;
	struct stat made;
	int result;

	/* Written down after it is made: a crash between leaves an empty object behind, never a record that could remove another's. */
	bool known = read_record(lock, &old) == 0;

	result = make_entry(parent, record);
	/* On a file system that has no sockets. */
	if (result != 0 && record->entry == ENTRY_SOCKET && errno != EEXIST) {
		record->entry = ENTRY_DIRECTORY;
		result = make_entry(parent, record);
	}
	if (result != 0 && errno != EEXIST)
		return -1;
	if (result != 0) {
		if (!known || !is_the_recorded(parent, record->name, old.identity))
			return 0;
		record->identity = old.identity;
		return 1;
	}
	if (fstatat(parent, record->name, &made, AT_SYMLINK_NOFOLLOW) != 0)
		return -1;
	record->identity = (struct identity){ made.st_dev, made.st_ino };
	if (write_record(lock, record) != 0) {
		int error = errno;

		remove_object(parent, record->name, record);
		errno = error;
		return -1;
	}
	return 1;
}

int take_placeholder(int journal, int parent, const char *parent_path, const char *name, struct placeholder_kind kind,
		     struct placeholder *placeholder)
{
	struct record record = { .entry = kind.entry };

	if (strlen(parent_path) >= sizeof record.parent_path || strlen(name) >= sizeof record.name || strlen(kind.text) >= sizeof record.text) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (identify(parent, "", &record.parent, NULL, NULL) != 0)
		return -1;
	strcpy(record.parent_path, parent_path);
	strcpy(record.name, name);
	strcpy(record.text, kind.text);
	name_record(placeholder->file, sizeof placeholder->file, record.parent, name);
	for (;;) {
		int lock = openat(journal, placeholder->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		int result;

		if (lock < 0)
			return -1;
		if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
			if (!still_there(journal, lock, placeholder->file)) {
				close(lock);
				continue;
			}
			result = make_object(lock, parent, &record);
			if (result != 1) {
				int error = errno;

				unlinkat(journal, placeholder->file, 0);
				close(lock);
				errno = error;
				return result;
			}
		} else if (errno != EWOULDBLOCK) {
			close(lock);
			return -1;
		}
		/* Not atomic: in between another may have removed both, so look again. */
		if (flock(lock, LOCK_SH) != 0) {
			close(lock);
			return -1;
		}
		if (!still_there(journal, lock, placeholder->file)) {
			close(lock);
			continue;
		}
		if (read_record(lock, &record) != 0 || !is_the_recorded(parent, name, record.identity)) {
			struct stat found;
			bool exists = fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0;

			/* The host removed it under the others: their record is void, and nobody may make it while they hold the lock. Each of
			 * them finds it missing by its own watch; here it is an error, so that nothing runs without it. */
			close(lock);
			errno = EAGAIN;
			return exists ? 0 : -1;
		}
		placeholder->lock = lock;
		placeholder->identity = record.identity;
		return 1;
	}
}

bool journal_has_records(int journal)
{
	int fd = openat(journal, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool found = directory == NULL;

	if (directory == NULL) {
		if (fd >= 0)
			close(fd);
		return true;
	}
	while (!found && (entry = readdir(directory)) != NULL)
		found = is_record(entry->d_name);
	closedir(directory);
	return found;
}

int join_placeholder(int journal, int parent, const char *name, const struct identity *object, struct placeholder *placeholder)
{
	struct record record;
	struct identity directory;
	int lock;

	if (identify(parent, "", &directory, NULL, NULL) != 0)
		return -1;
	name_record(placeholder->file, sizeof placeholder->file, directory, name);
	lock = openat(journal, placeholder->file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (lock < 0)
		return errno == ENOENT ? 0 : -1;
	/* Waits only while another makes or removes it. */
	if (flock(lock, LOCK_SH) != 0) {
		close(lock);
		return -1;
	}
	if (!still_there(journal, lock, placeholder->file)) {
		close(lock);
		errno = EAGAIN;
		return -1;
	}
	if (read_record(lock, &record) != 0 || (object == NULL ? !is_the_recorded(parent, name, record.identity) : !same_identity(*object, record.identity))) {
		close(lock);
		return 0;
	}
	placeholder->lock = lock;
	placeholder->identity = record.identity;
	return 1;
}

bool is_as_made(const struct placeholder *placeholder, int object)
{
	struct record record;
	char path[OWN_PATH_BYTES], text[MOST_PLACEHOLDER_TEXT + 1];
	ssize_t length;
	int fd;

	if (read_record(placeholder->lock, &record) != 0)
		return false;
	if (record.entry == ENTRY_DIRECTORY)
		return is_empty_directory(object, ".");
	if (record.entry != ENTRY_FILE)
		return true;	/* what a link says is never changed in place */
	own_path(path, object);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	return length == (ssize_t)strlen(record.text) && memcmp(text, record.text, (size_t)length) == 0;
}

void give_up_placeholder(int journal, int parent, const char *name, struct placeholder *placeholder)
{
	struct record record;

	if (flock(placeholder->lock, LOCK_EX | LOCK_NB) == 0) {
		if (read_record(placeholder->lock, &record) == 0)
			remove_object(parent, name, &record);
		unlinkat(journal, placeholder->file, 0);
	}
	close(placeholder->lock);
	placeholder->lock = -1;
}
