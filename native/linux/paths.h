/* Absolute paths as text: nothing here asks the kernel. */
#ifndef PATHS_H
#define PATHS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* `path` is `folder` or lies below it, by whole names. Neither ends in a slash, but for the root. */
static inline bool is_at_or_below(const char *path, const char *folder)
{
	size_t length = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

/* One of its names is "..". Others may have two dots in them. */
static inline bool goes_up(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2)
		if ((at == path || at[-1] == '/') && (at[2] == 0 || at[2] == '/'))
			return true;
	return false;
}

/* Writes "/proc/self/fd/N": the way to a descriptor for calls that take only paths. */
enum { OWN_PATH_BYTES = 32 };
static inline void own_path(char path[OWN_PATH_BYTES], int fd)
{
	snprintf(path, OWN_PATH_BYTES, "/proc/self/fd/%d", fd);
}

#endif
