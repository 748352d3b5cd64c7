/* Every source and target is opened once, compared with the plan, and then used by descriptor: no path is walked twice, so a
 * host that swaps one meanwhile makes a step fail and never makes it land elsewhere. */
#include "mounts.h"
#include "git-operations.h"
#include "kernel.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

int open_exact(const char *path)
{
	struct open_how_ how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS_ };

	return (int)syscall(NR_openat2, AT_FDCWD, path, &how, sizeof how);
}

int identify(int fd, const char *path, struct identity *identity, bool *mount_root, bool *is_directory)
{
	struct statx_ buffer;
	int flags = AT_SYMLINK_NOFOLLOW_ | (path[0] == 0 ? AT_EMPTY_PATH_ : 0);

	if (syscall(SYS_statx, fd, path, flags, STATX_INO_ | STATX_TYPE_MODE_, &buffer) != 0)
		return -1;
	identity->device = device_number(buffer.dev_major, buffer.dev_minor);
	identity->inode = buffer.ino;
	if (mount_root != NULL)
		*mount_root = (buffer.attributes & STATX_ATTR_MOUNT_ROOT_) != 0;
	if (is_directory != NULL)
		*is_directory = S_ISDIR(buffer.mode);
	return 0;
}

static int close_keeping_errno(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

/* Opens `path` and compares it with what the plan meant. ESTALE: the host swapped it since. */
static int open_identical(const char *path, struct identity expected)
{
	struct identity found;
	int fd = open_exact(path);

	if (fd < 0)
		return -1;
	if (identify(fd, "", &found, NULL, NULL) != 0)
		return close_keeping_errno(fd);
	if (!same_identity(found, expected)) {
		errno = ESTALE;
		return close_keeping_errno(fd);
	}
	return fd;
}

static int clone_tree(int fd, bool recursive)
{
	unsigned flags = OPEN_TREE_CLONE_ | O_CLOEXEC | AT_EMPTY_PATH_ | AT_SYMLINK_NOFOLLOW_;

	return (int)syscall(NR_open_tree, fd, "", flags | (recursive ? AT_RECURSIVE_ : 0));
}

static int set_attributes(int tree, bool recursive, uint64_t set, uint64_t clear)
{
	struct mount_attributes attributes = { .set = set, .clear = clear };

	return (int)syscall(NR_mount_setattr, tree, "", AT_EMPTY_PATH_ | (recursive ? AT_RECURSIVE_ : 0), &attributes, sizeof attributes);
}

static int attach(int tree, int target)
{
	return (int)syscall(NR_move_mount, tree, "", target, "", MOVE_MOUNT_F_EMPTY_PATH_ | MOVE_MOUNT_T_EMPTY_PATH_);
}

/* A detached clone of the tree at `fd`, writable or not. What the host itself mounted read-only stays so: the kernel refuses
 * (EPERM) to clear a flag that it locked, for the whole tree at once; then only the top is cleared, if even that may be. */
static int clone_with_effect(int fd, bool writable)
{
	int tree = clone_tree(fd, true);

	if (tree < 0)
		return -1;
	if (writable) {
		if (set_attributes(tree, true, 0, MOUNT_ATTR_RDONLY_) != 0 &&
		    (errno != EPERM || (set_attributes(tree, false, 0, MOUNT_ATTR_RDONLY_) != 0 && errno != EPERM)))
			return close_keeping_errno(tree);
	} else if (set_attributes(tree, true, MOUNT_ATTR_RDONLY_, 0) != 0) {
		return close_keeping_errno(tree);
	}
	return tree;
}

static int bind_over_itself(int fd, bool writable)
{
	int tree = clone_with_effect(fd, writable);
	int result = tree < 0 ? -1 : attach(tree, fd);

	close_keeping_errno(tree);
	return result;
}

/* A file system of its own in memory, detached. Sizes are small: it only carries mount points. */
static int make_tmpfs(const char *mode, const char *size)
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

/* Makes a mount point of the kind of `like` at `path` below the directory `base`, with the directories between.
 * Used only inside file systems of our own. Returns it opened with O_PATH. */
static int make_mount_point(int base, const char *path, bool directory)
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

/* What denied paths are hidden below: a directory and a file of mode 0, on a tmpfs that stays mounted beneath the small /dev,
 * where no path leads. (A detached mount cannot be cloned before Linux 6.15.) "Empty" is what protects; mode 0 gives the
 * better error. */
static int make_masks(struct mounts *mounts)
{
	int tmpfs = make_tmpfs("0755", "64k");
	int dev = open_exact("/dev");
	int result = -1;

	if (tmpfs >= 0 && dev >= 0 && attach(tmpfs, dev) == 0 && mkdirat(tmpfs, "directory", 0) == 0) {
		int file = openat(tmpfs, "file", O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0);

		mounts->mask_directory = openat(tmpfs, "directory", O_PATH | O_CLOEXEC);
		mounts->mask_file = file < 0 ? -1 : openat(tmpfs, "file", O_PATH | O_CLOEXEC);
		if (mounts->mask_directory >= 0 && mounts->mask_file >= 0 && set_attributes(tmpfs, false, MOUNT_ATTR_RDONLY_ | MOUNT_ATTR_NOEXEC_, 0) == 0 &&
		    identify(mounts->mask_directory, "", &mounts->mask_directory_identity, NULL, NULL) == 0 &&
		    identify(mounts->mask_file, "", &mounts->mask_file_identity, NULL, NULL) == 0)
			result = 0;
		close_keeping_errno(file);
	}
	close_keeping_errno(tmpfs);
	close_keeping_errno(dev);
	return result;
}

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

static int clone_devices(const struct plan *plan, int *trees, struct failure *failure)
{
	for (uint32_t i = 0; i < N_CORE_DEVICES + plan->n_devices; i++) {
		const char *path = i < N_CORE_DEVICES ? CORE_DEVICES[i] : plan->devices[i - N_CORE_DEVICES];

		trees[i] = INJECTED(clone_devices) ? -1 : clone_device(path);
		/* A device that the policy names must be there; the core ones are the host's business. */
		if (trees[i] == -2 && i >= N_CORE_DEVICES) {
			errno = ENOENT;
			trees[i] = -1;
		}
		if (trees[i] == -1)
			return fail(failure, STEP_clone_devices, path);
	}
	return 0;
}

static int mount_dev(const struct plan *plan, const int *trees)
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
	return close(tmpfs);
}

int hold_object(const struct mounts *mounts, int fd, enum effect effect, bool is_directory)
{
	int tree, result;

	if (effect != EFFECT_DENY)
		return bind_over_itself(fd, false);
	tree = clone_tree(is_directory ? mounts->mask_directory : mounts->mask_file, false);
	result = tree < 0 ? -1 : attach(tree, fd);
	close_keeping_errno(tree);
	return result;
}

/* Hides a directory but for `openings`: their trees are taken before it disappears, and put back into an own tmpfs whose
 * directories can be passed through and not listed. */
static int mask_with_openings(const struct mount_step *step, int fd)
{
	int *trees = calloc(step->n_openings, sizeof *trees);
	int tmpfs = make_tmpfs("0111", "1m");
	int result = trees == NULL || tmpfs < 0 ? -1 : 0;

	for (uint32_t i = 0; trees != NULL && i < step->n_openings; i++) {
		int source = result == 0 ? open_identical(step->openings[i].path, step->openings[i].identity) : -1;

		trees[i] = source < 0 ? -1 : clone_with_effect(source, step->openings[i].effect == EFFECT_WRITE);
		if (trees[i] < 0)
			result = -1;
		close_keeping_errno(source);
	}
	if (result == 0)
		result = attach(tmpfs, fd);
	for (uint32_t i = 0; trees != NULL && i < step->n_openings; i++) {
		struct identity identity;
		bool directory;
		int point = -1;

		if (result == 0 && (identify(trees[i], "", &identity, NULL, &directory) != 0 ||
				    (point = make_mount_point(tmpfs, step->openings[i].path + strlen(step->path), directory)) < 0 ||
				    attach(trees[i], point) != 0))
			result = -1;
		close_keeping_errno(point);
		close_keeping_errno(trees[i]);
	}
	if (result == 0)
		result = set_attributes(tmpfs, false, MOUNT_ATTR_RDONLY_ | MOUNT_ATTR_NOEXEC_, 0);
	close_keeping_errno(tmpfs);
	free(trees);
	return result;
}

/* An empty file system over `path`. Later steps whose path lies in it get their mount point made. */
static int mount_private_directory(const char *path)
{
	int fd = open_exact(path);
	int tmpfs = fd < 0 ? -1 : make_tmpfs("1777", NULL);
	int result = tmpfs < 0 ? -1 : attach(tmpfs, fd);

	close_keeping_errno(fd);
	close_keeping_errno(tmpfs);
	return result;
}

/* A tree that a private directory is about to hide, and that a later step wants to show again. */
struct kept { const char *path; int tree; };

static const struct mount_step *inside_private(const struct plan *plan, const char *path)
{
	for (uint32_t i = 0; i < plan->n_mounts; i++) {
		size_t length = strlen(plan->mounts[i].path);

		if (plan->mounts[i].kind == MOUNT_PRIVATE_DIRECTORY && strncmp(path, plan->mounts[i].path, length) == 0 && path[length] == '/')
			return &plan->mounts[i];
	}
	return NULL;
}

static int keep_hidden_trees(const struct plan *plan, struct kept *kept, struct failure *failure)
{
	for (uint32_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];
		int fd;

		kept[i].tree = -1;
		if (step->kind != MOUNT_BIND_WRITABLE || inside_private(plan, step->path) == NULL)
			continue;
		fd = open_identical(step->path, step->identity);
		kept[i].tree = fd < 0 ? -1 : clone_with_effect(fd, true);
		close_keeping_errno(fd);
		if (kept[i].tree < 0)
			return fail(failure, STEP_bind_writable, step->path);
	}
	return 0;
}

static int show_again(const struct plan *plan, const struct mount_step *step, int tree)
{
	const struct mount_step *outer = inside_private(plan, step->path);
	int base = open(outer->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool directory;
	struct identity identity;
	int point = -1, result = -1;

	/* Already there: an outer root below the same private directory shows it, writable. */
	if ((point = open_identical(step->path, step->identity)) >= 0)
		result = bind_over_itself(point, true);
	else if (base >= 0 && identify(tree, "", &identity, NULL, &directory) == 0 &&
		 (point = make_mount_point(base, step->path + strlen(outer->path), directory)) >= 0)
		result = attach(tree, point);
	close_keeping_errno(point);
	close_keeping_errno(base);
	close_keeping_errno(tree);
	return result;
}

static int carry_out(const struct mounts *mounts, const struct mount_step *step, struct failure *failure)
{
	static const enum step STEP_OF[] = {
		[MOUNT_BIND_WRITABLE] = STEP_bind_writable, [MOUNT_BIND_READ_ONLY] = STEP_bind_read_only, [MOUNT_MASK] = STEP_mask,
		[MOUNT_PIN] = STEP_pin, [MOUNT_PRIVATE_DIRECTORY] = STEP_private_directory,
	};
	bool injected = (step->kind == MOUNT_BIND_WRITABLE && INJECTED(bind_writable)) || (step->kind == MOUNT_MASK && INJECTED(mask)) ||
			(step->kind == MOUNT_BIND_READ_ONLY && INJECTED(bind_read_only)) || (step->kind == MOUNT_PIN && INJECTED(pin)) ||
			(step->kind == MOUNT_PRIVATE_DIRECTORY && INJECTED(private_directory));
	int fd, result = -1;

	if (step->kind == MOUNT_PRIVATE_DIRECTORY) {
		result = injected ? -1 : mount_private_directory(step->path);
		return result == 0 ? 0 : fail(failure, STEP_private_directory, step->path);
	}
	fd = injected ? -1 : open_identical(step->path, step->identity);
	if (fd < 0 && errno == ENOENT && (step->kind == MOUNT_BIND_READ_ONLY || (step->kind == MOUNT_MASK && step->n_openings == 0)))
		return 0;	/* gone since the plan was made, as another sandbox's placeholder goes: held.c holds what is missing */
	if (fd >= 0) {
		switch (step->kind) {
		case MOUNT_BIND_WRITABLE:
		case MOUNT_PIN:
			result = bind_over_itself(fd, true);
			break;
		case MOUNT_BIND_READ_ONLY:
			result = hold_object(mounts, fd, EFFECT_READ, step->entry == ENTRY_DIRECTORY);
			break;
		case MOUNT_MASK:
			result = step->n_openings > 0 ? mask_with_openings(step, fd) : hold_object(mounts, fd, EFFECT_DENY, step->entry == ENTRY_DIRECTORY);
			break;
		default:
			errno = EINVAL;
		}
		close_keeping_errno(fd);
	}
	return result == 0 ? 0 : fail(failure, STEP_OF[step->kind], step->path);
}

/* Commands have no business with the journal: a lock that one of them took there would hold up every other sandbox. */
static int hide_state_directory(const struct plan *plan, const struct mounts *mounts)
{
	int fd = open_exact(plan->state_directory);
	int result;

	if (fd < 0)	/* hidden already, by the policy or the host */
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? 0 : -1;
	result = hold_object(mounts, fd, EFFECT_DENY, true);
	close_keeping_errno(fd);
	return result;
}

static int make_tree_read_only(struct failure *failure)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int result = INJECTED(make_tree_read_only) || root < 0 ? -1 : set_attributes(root, true, MOUNT_ATTR_RDONLY_ | MOUNT_ATTR_NOSUID_ | MOUNT_ATTR_NODEV_, 0);

	close_keeping_errno(root);
	return result == 0 ? 0 : fail(failure, STEP_make_tree_read_only, "/");
}

int make_template(const struct plan *plan, struct mounts *mounts, struct failure *failure)
{
	int *devices = calloc(N_CORE_DEVICES + plan->n_devices, sizeof *devices);
	struct kept *kept = calloc(plan->n_mounts + 1, sizeof *kept);

	if (devices == NULL || kept == NULL)
		return fail(failure, STEP_clone_devices, NULL);
	/* Private first: nothing that follows may reach the host. */
	if (INJECTED(make_mounts_private) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return fail(failure, STEP_make_mounts_private, "/");
	/* Devices before the tree becomes nodev, hidden trees before anything hides them. */
	if (clone_devices(plan, devices, failure) != 0 || make_tree_read_only(failure) != 0)
		return -1;
	if (INJECTED(make_devices) || make_masks(mounts) != 0 || mount_dev(plan, devices) != 0)
		return fail(failure, STEP_make_devices, "/dev");
	if (keep_hidden_trees(plan, kept, failure) != 0)
		return -1;
	for (uint32_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		if (step->kind == MOUNT_PLACEHOLDER || step->kind == MOUNT_WATCH)
			continue;	/* while commands run only: see held.c */
		if (kept[i].tree >= 0) {
			if (show_again(plan, step, kept[i].tree) != 0)
				return fail(failure, STEP_bind_writable, step->path);
		} else if (carry_out(mounts, step, failure) != 0) {
			return -1;
		}
	}
	if (hide_state_directory(plan, mounts) != 0)
		return fail(failure, STEP_mask, plan->state_directory);
	if (INJECTED(make_mounts_shared) || mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) != 0)
		return fail(failure, STEP_make_mounts_shared, "/");
	free(kept);
	free(devices);
	return 0;
}
