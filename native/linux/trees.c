#include "trees.h"
#include "kernel.h"
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int clone_tree(int fd, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE_ | O_CLOEXEC | AT_EMPTY_PATH_ | AT_SYMLINK_NOFOLLOW_;

	return (int)syscall(NR_open_tree, fd, "", flags | (recursive ? AT_RECURSIVE_ : 0));
}

int set_attributes(int tree, bool recursive, uint64_t set, uint64_t clear)
{
	struct mount_attributes attributes = { .set = set, .clear = clear };

	return (int)syscall(NR_mount_setattr, tree, "", AT_EMPTY_PATH_ | (recursive ? AT_RECURSIVE_ : 0), &attributes, sizeof attributes);
}

int attach(int tree, int target)
{
	return (int)syscall(NR_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH_ | MOVE_MOUNT_T_EMPTY_PATH_);
}

int clone_with_effect(int fd, bool writable)
{
	int tree = clone_tree(fd, true);

	if (tree < 0)
		return -1;
	if (writable) {
		/* The kernel refuses to clear a flag that it locked, for the whole tree at once; then only the top is cleared, if even that
		 * may be. */
		if (set_attributes(tree, true, 0, MOUNT_ATTR_RDONLY_) != 0 &&
		    (errno != EPERM || (set_attributes(tree, false, 0, MOUNT_ATTR_RDONLY_) != 0 && errno != EPERM)))
			return close_keeping_errno(tree);
	} else if (set_attributes(tree, true, MOUNT_ATTR_RDONLY_, 0) != 0) {
		return close_keeping_errno(tree);
	}
	return tree;
}

int bind_over_itself(int fd, bool writable)
{
	int tree = clone_with_effect(fd, writable);
	int result = tree < 0 ? -1 : attach(tree, fd);

	close_keeping_errno(tree);
	return result;
}

int make_tmpfs(const char *mode, const char *size)
{
	int fs = (int)syscall(NR_fsopen, "tmpfs", 1 /* FSOPEN_CLOEXEC */);
	int mount = -1;

	if (fs < 0)
		return -1;
	if (syscall(NR_fsconfig, fs, FSCONFIG_SET_STRING_, "mode", mode, 0) == 0 &&
	    (size == NULL || syscall(NR_fsconfig, fs, FSCONFIG_SET_STRING_, "size", size, 0) == 0) &&
	    syscall(NR_fsconfig, fs, FSCONFIG_CMD_CREATE_, NULL, NULL, 0) == 0)
		mount = (int)syscall(NR_fsmount, fs, 1 /* FSMOUNT_CLOEXEC */, MOUNT_ATTR_NOSUID_ | MOUNT_ATTR_NODEV_);
	close_keeping_errno(fs);
	return mount;
}

int make_mount_point(int base, const char *path, bool directory)
{
	char part[PATH_MAX];
	struct open_how_ how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS_ };

	while (*path == '/')
		path++;
	for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
		if (mkdirat(base, part, 0111) != 0 && errno != EEXIST)
			return -1;
	}
	if (directory) {
		if (mkdirat(base, path, 0111) != 0 && errno != EEXIST)
			return -1;
	} else {
		int fd = openat(base, path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0);

		if (fd < 0 && errno != EEXIST)
			return -1;
		if (fd >= 0)
			close(fd);
	}
	return (int)syscall(NR_openat2, base, path, &how, sizeof how);
}
