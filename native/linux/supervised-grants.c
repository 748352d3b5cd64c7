#include "supervised-grants.h"
#include "file-systems.h"
#include "supervised-path.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FDS = 512, MOST_ENTRIES = 4096 /* that are looked at, of one directory */ };

/* Grants the directory that `fd` is open on. Returns whether it did, and then keeps `fd`. */
static bool grant_one(struct supervised_rules *rules, struct grants *grants, const char *path, int fd)
{
	struct stat found;
	char *kept;

	if (grants->n >= MOST_FDS || fstat(fd, &found) != 0 || is_kernels_own(fd) || (kept = strdup(path)) == NULL)
		return false;
	if (!grant(rules, (struct granted){ kept, found.st_dev, found.st_ino })) {
		free(kept);
		return false;
	}
	grants->fds[grants->n++] = fd;
	return true;
}

/* The directories in `path`; where something closed lies below one, those in that. */
static void grant_children(struct supervised_rules *rules, struct grants *grants, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), n = 0;
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (directory == NULL && fd >= 0)
		close(fd);
	while (directory != NULL && n++ < MOST_ENTRIES && grants->n < MOST_FDS && (entry = readdir(directory)) != NULL) {
		char child[PATH_MAX];
		int child_fd;

		if ((entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN) || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		    snprintf(child, sizeof child, "%s/%s", path, entry->d_name) >= (int)sizeof child || effect_at(rules, child) != EFFECT_WRITE)
			continue;
		if (is_above_closed(rules, child)) {
			grant_children(rules, grants, child);
			continue;
		}
		child_fd = openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child_fd >= 0 && !grant_one(rules, grants, child, child_fd))
			close(child_fd);
	}
	if (directory != NULL)
		closedir(directory);
}

int open_grants(struct supervised_rules *rules, const struct supervised_rule *given, uint32_t n_given, struct grants *grants)
{
	*grants = (struct grants){ 0, malloc(MOST_FDS * sizeof *grants->fds) };
	if (grants->fds == NULL)
		return -1;
	for (uint32_t i = 0; i < n_given; i++)
		if (given[i].effect == EFFECT_WRITE && given[i].path[1] != 0 && is_above_closed(rules, given[i].path) && granted_above(rules, given[i].path) == NULL)
			grant_children(rules, grants, given[i].path);
	return 0;
}

void close_grants(struct grants *grants)
{
	for (uint32_t i = 0; i < grants->n; i++)
		close(grants->fds[i]);
	free(grants->fds);
	*grants = (struct grants){ 0 };
}
