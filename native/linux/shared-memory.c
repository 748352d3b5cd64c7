#include "shared-memory.h"
#include "paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "codex-sandbox-"
enum { NAME_BYTES = 64, MOST_DEPTH = 32 };

/* Used by the thread that answers calls, and after it by the one that ends the sandbox. */
static struct {
	bool made;
	int folder;		/* open, and locked as long as this process lives */
	char name[NAME_BYTES], path[sizeof SHARED_MEMORY + NAME_BYTES];
} own;

bool is_shared_memory(const char *path)
{
	return is_at_or_below(path, SHARED_MEMORY);
}

/* All in `folder`, which is closed. */
static void empty(int folder, int depth)
{
	DIR *entries = fdopendir(folder);
	const struct dirent *entry;

	if (entries == NULL) {
		close(folder);
		return;
	}
	while ((entry = readdir(entries)) != NULL) {
		int inner;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || unlinkat(folder, entry->d_name, 0) == 0 || depth == MOST_DEPTH)
			continue;
		inner = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (inner >= 0)
			empty(inner, depth + 1);
		unlinkat(folder, entry->d_name, AT_REMOVEDIR);
	}
	closedir(entries);
}

/* What launchers of this user left that ended before they could remove it: nobody holds its lock. */
static void sweep(int shared)
{
	int copy = openat(shared, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (entries == NULL && copy >= 0)
		close(copy);
	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		struct stat found;
		int folder;

		if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		folder = openat(shared, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (folder < 0)
			continue;
		if (fstat(folder, &found) != 0 || found.st_uid != geteuid() || flock(folder, LOCK_EX | LOCK_NB) != 0) {
			close(folder);
			continue;
		}
		empty(folder, 0);
		unlinkat(shared, entry->d_name, AT_REMOVEDIR);
	}
	if (entries != NULL)
		closedir(entries);
}

/* It gets its name when it is locked: no other launcher takes it for one that was left. */
static int make_in(int shared)
{
	unsigned long long random;
	char unlocked[NAME_BYTES];

	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return -1;
	snprintf(unlocked, sizeof unlocked, ".new-" PREFIX "%016llx", random);
	snprintf(own.name, sizeof own.name, PREFIX "%016llx", random);
	snprintf(own.path, sizeof own.path, SHARED_MEMORY "/%s", own.name);
	if (mkdirat(shared, unlocked, 0700) != 0)
		return -1;
	own.folder = openat(shared, unlocked, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own.folder >= 0 && flock(own.folder, LOCK_EX | LOCK_NB) == 0 && renameat(shared, unlocked, shared, own.name) == 0)
		return 0;
	unlinkat(shared, unlocked, AT_REMOVEDIR);
	if (own.folder >= 0)
		close(own.folder);
	return -1;
}

static int make(void)
{
	int shared = open(SHARED_MEMORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), result, error;

	if (shared < 0)
		return -1;
	sweep(shared);
	result = make_in(shared);
	error = errno;
	close(shared);
	own.made = result == 0;
	errno = error;
	return result;
}

int open_shared_memory(void)
{
	if (!own.made && make() != 0)
		return -1;
	return openat(own.folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void show_shared_memory(char *path)
{
	size_t length = strlen(own.path), shown = strlen(SHARED_MEMORY);

	if (own.made && is_at_or_below(path, own.path))
		memmove(path + shown, path + length, strlen(path + length) + 1);
}

void remove_shared_memory(void)
{
	int copy;

	if (!own.made)
		return;
	own.made = false;
	copy = openat(own.folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy >= 0)
		empty(copy, 0);
	rmdir(own.path);
	close(own.folder);
}
