/* Every source and target is opened once, compared with the plan, and then used by descriptor: no path is walked twice, so a
 * host that swaps one meanwhile makes a step fail and never makes it land elsewhere. */
#include "mounts.h"
#include "devices.h"
#include "kernel.h"
#include "trees.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

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
		if (mounts->mask_directory >= 0 && mounts->mask_file >= 0 && set_attributes(tmpfs, false, MOUNT_ATTR_RDONLY_ | MOUNT_ATTR_NOEXEC_, 0) == 0)
			result = 0;
		close_keeping_errno(file);
	}
	close_keeping_errno(tmpfs);
	close_keeping_errno(dev);
	return result;
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
	struct kept *kept = calloc(plan->n_mounts + 1, sizeof *kept);
	int *devices;

	if (kept == NULL)
		return fail(failure, STEP_clone_devices, NULL);
	/* Private first: nothing that follows may reach the host. */
	if (INJECTED(make_mounts_private) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return fail(failure, STEP_make_mounts_private, "/");
	/* Devices before the tree becomes nodev, hidden trees before anything hides them. */
	devices = clone_devices(plan, failure);
	if (devices == NULL || make_tree_read_only(failure) != 0)
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
	return 0;
}
