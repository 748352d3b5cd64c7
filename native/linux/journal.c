#include "journal.h"
#include "mounts.h"

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

enum { RECORD_BYTES = PATH_MAX + NAME_MAX + 128 };

struct record { char kind; struct identity identity, parent; char parent_path[PATH_MAX]; char name[NAME_MAX + 1]; };

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
	int length = snprintf(text, sizeof text, "%c %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n%s\n%s\n", record->kind, record->identity.device,
			      record->identity.inode, record->parent.device, record->parent.inode, record->parent_path, record->name);

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
	if (end == NULL || sscanf(text, "%c %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &record->kind, &record->identity.device,
				  &record->identity.inode, &record->parent.device, &record->parent.inode) != 5)
		return -1;
	*name = *end = 0;
	if (strlen(path + 1) >= sizeof record->parent_path || strlen(name + 1) >= sizeof record->name || strchr(name + 1, '/') != NULL)
		return -1;
	strcpy(record->parent_path, path + 1);
	strcpy(record->name, name + 1);
	return 0;
}

static bool is_the_recorded(int parent, const char *name, struct identity identity)
{
	struct stat found;

	return identity.inode != 0 && fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_ino == identity.inode && found.st_dev == identity.device;
}

/* An empty file is checked just before; an empty directory by rmdir itself. */
static void remove_object(int parent, const char *name, struct identity identity, bool directory)
{
	struct stat found;

	if (!is_the_recorded(parent, name, identity))
		return;
	if (directory)
		unlinkat(parent, name, AT_REMOVEDIR);
	else if (fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode) && found.st_size == 0 && found.st_nlink == 1)
		unlinkat(parent, name, 0);
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
				remove_object(parent, record.name, record.identity, record.kind == 'd');
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
		if (strncmp(entry->d_name, "placeholder-", 12) == 0)
			sweep_one(journal, entry->d_name);
	closedir(directory);
}

/* Sole holder: makes the object, or finds the one that a killed launcher left. Returns as take_placeholder does. */
static int make_object(int lock, int parent, struct record *record, bool directory)
{
	struct record old;
	struct stat made;
	int result;

	/* Written down after it is made: a crash between leaves an empty object behind, never a record that could remove another's. */
	bool known = read_record(lock, &old) == 0;

	if (directory) {
		result = mkdirat(parent, record->name, 0755);
	} else {
		int fd = openat(parent, record->name, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0644);

		result = fd < 0 ? -1 : close(fd);
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

		remove_object(parent, record->name, record->identity, directory);
		errno = error;
		return -1;
	}
	return 1;
}

int take_placeholder(int journal, int parent, const char *parent_path, const char *name, bool directory, struct placeholder *placeholder)
{
	struct record record = { .kind = directory ? 'd' : 'f' };

	if (strlen(parent_path) >= sizeof record.parent_path || strlen(name) >= sizeof record.name) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (identify(parent, "", &record.parent, NULL, NULL) != 0)
		return -1;
	strcpy(record.parent_path, parent_path);
	strcpy(record.name, name);
	placeholder->directory = directory;
	snprintf(placeholder->file, sizeof placeholder->file, "placeholder-%" PRIx64 "-%" PRIx64 "-%016" PRIx64, record.parent.device, record.parent.inode, hash(name));
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
			result = make_object(lock, parent, &record, directory);
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

void give_up_placeholder(int journal, int parent, const char *name, struct placeholder *placeholder)
{
	if (flock(placeholder->lock, LOCK_EX | LOCK_NB) == 0) {
		remove_object(parent, name, placeholder->identity, placeholder->directory);
		unlinkat(journal, placeholder->file, 0);
	}
	close(placeholder->lock);
	placeholder->lock = -1;
}
