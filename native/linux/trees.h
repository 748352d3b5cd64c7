/* Mount trees, by descriptor: no path is walked twice, so a host that swaps one meanwhile never makes a mount land elsewhere. All return
 * -1 with errno where they fail. */
#ifndef TREES_H
#define TREES_H

#include <stdbool.h>
#include <stdint.h>

/* A detached clone of the mount at `fd`, with those below it where it is `recursive`. */
int clone_tree(int fd, bool recursive);

/* The same of all below it too, writable or not. What the host itself mounted read-only stays so. */
int clone_with_effect(int fd, bool writable);

/* MOUNT_ATTR_* of a mount, and of those below it. */
int set_attributes(int tree, bool recursive, uint64_t set, uint64_t clear);

/* Mounts a detached tree on what is open as `target`. */
int attach(int tree, int target);

int bind_over_itself(int fd, bool writable);

/* A file system of its own in memory, detached. `mode` of its root, and `size`, as the kernel reads them ("0755", "64k"; NULL: its own
 * default). */
int make_tmpfs(const char *mode, const char *size);

/* Makes a mount point, a directory or a file, at `path` below the directory `base`, with the directories between. Used only inside file
 * systems of our own. Returns it opened with O_PATH. */
int make_mount_point(int base, const char *path, bool directory);

#endif
