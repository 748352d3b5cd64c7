#include "devices.h"
#include "git-operations.h"
#include "kernel.h"
#include "objects.h"
#include "trees.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* The devices that every program may expect. */
static const char *const CORE_DEVICES[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty" };
enum { N_CORE_DEVICES = sizeof CORE_DEVICES / sizeof CORE_DEVICES[0] };

static const struct { const char *name, *target; } DEVICE_LINKS[] = {
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
	{ "/dev/core", "/proc/kcore" },
	{ "/dev/ptmx", "pts/ptmx" },
};

/* One device node or directory of nodes of the host, detached. Missing ones are left out (a container without /dev/tty).
 * Read-only: a device takes writes all the same, but its mode, owner and times are the host's, and root owns most of them. */
static int clone_device(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	int tree;

	if (fd < 0)
		return errno == ENOENT ? -2 : -1;
	tree = clone_tree(fd, true);
	close_keeping_errno(fd);
	if (tree >= 0 && set_attributes(tree, true, MOUNT_ATTR_RDONLY_ | MOUNT_ATTR_NOSUID_ | MOUNT_ATTR_NOEXEC_, 0) != 0)
		return close_keeping_errno(tree);
	return tree;
}

int *clone_devices(const struct plan *plan, struct failure *failure)
{
	int *trees = calloc(N_CORE_DEVICES + plan->n_devices, sizeof *trees);

	if (trees == NULL) {
		fail(failure, STEP_clone_devices, NULL);
		return NULL;
	}
	for (uint32_t i = 0; i < N_CORE_DEVICES + plan->n_devices; i++) {
		const char *path = i < N_CORE_DEVICES ? CORE_DEVICES[i] : plan->devices[i - N_CORE_DEVICES];

		trees[i] = INJECTED(clone_devices) ? -1 : clone_device(path);
		/* A device that the policy names must be there; the core ones are the host's business. */
		if (trees[i] == -2 && i >= N_CORE_DEVICES) {
			errno = ENOENT;
			trees[i] = -1;
		}
		if (trees[i] == -1) {
			fail(failure, STEP_clone_devices, path);
			return NULL;
		}
	}
	return trees;
}

int mount_dev(const struct plan *plan, int *trees)
{
	int dev = open_exact("/dev");
	int tmpfs = make_tmpfs("0755", "1m");
	bool directory;
	struct identity identity;

	if (dev < 0 || tmpfs < 0 || attach(tmpfs, dev) != 0)
		return -1;
	close(dev);
	for (uint32_t i = 0; i < N_CORE_DEVICES + plan->n_devices; i++) {
		const char *path = i < N_CORE_DEVICES ? CORE_DEVICES[i] : plan->devices[i - N_CORE_DEVICES];
		int point;

		if (trees[i] < 0)
			continue;
		if (identify(trees[i], "", &identity, NULL, &directory) != 0 || (point = make_mount_point(tmpfs, path + strlen("/dev/"), directory)) < 0)
			return -1;
		if (attach(trees[i], point) != 0)
			return -1;
		close(point);
		close(trees[i]);
	}
	for (size_t i = 0; i < sizeof DEVICE_LINKS / sizeof DEVICE_LINKS[0]; i++)
		if (symlinkat(DEVICE_LINKS[i].target, tmpfs, DEVICE_LINKS[i].name + strlen("/dev/")) != 0)
			return -1;
	if (mkdirat(tmpfs, "pts", 0755) != 0 || mkdirat(tmpfs, "shm", 01777) != 0 ||
	    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") != 0 ||
	    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") != 0)
		return -1;
	/* Only where links lead there: else commands see the devices that they see elsewhere. */
	if (has_git_operations(plan) && (mkdirat(tmpfs, "git-operations", 01777) != 0 ||
	    mount("tmpfs", GIT_OPERATIONS, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m,nr_inodes=4096") != 0))
		return -1;
	if (set_attributes(tmpfs, false, MOUNT_ATTR_RDONLY_, 0) != 0)
		return -1;
	free(trees);
	return close(tmpfs);
}
