#include "inside.h"
#include "kernel.h"
#include "objects.h"
#include "paths.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { TMPFS = 0x01021994, NULL_MAJOR = 1, NULL_MINOR = 3 };

/* In the order of the words; without a network of its own, commands have the host's. */
static const struct { const char *name; bool always; } NAMESPACES[] = {
	{ "user", true }, { "mnt", true }, { "pid", true }, { "ipc", true }, { "uts", true }, { "net", false },
};

/* Whether `host` has a word for `name`, and another number than this process. */
static bool differs(const char *host, const char *name)
{
	char path[64], word[64];
	struct stat found;
	const char *at;

	snprintf(path, sizeof path, "/proc/self/ns/%s", name);
	if (stat(path, &found) != 0)
		return false;
	snprintf(word, sizeof word, "%s:", name);
	at = strstr(host, word);
	return at != NULL && (at == host || at[-1] == ' ') && strtoull(at + strlen(word), NULL, 10) != 0 && strtoull(at + strlen(word), NULL, 10) != (unsigned long long)found.st_ino;
}

int check_namespaces(const struct plan *plan, const char *host, struct failure *failure)
{
	bool wrong = getpid() != 1;

	if (INJECTED(check_namespaces))
		return fail(failure, STEP_check_namespaces, NULL);
	for (size_t i = 0; !wrong && i < sizeof NAMESPACES / sizeof NAMESPACES[0]; i++)
		if ((NAMESPACES[i].always || (plan->flags & PLAN_PRIVATE_NETWORK)) && !differs(host, NAMESPACES[i].name))
			wrong = true;
	if (!wrong)
		return 0;
	errno = ENXIO;
	return fail(failure, STEP_check_namespaces, NULL);
}

static int wrong_mount(struct failure *failure, const char *path, int error)
{
	errno = error;
	return fail(failure, STEP_check_mounts, path);
}

/* The last mount at `path` begins there and lets nothing be written. */
static bool is_closed_mount(int fd, bool mount_root)
{
	struct statvfs flags;

	return mount_root && fstatvfs(fd, &flags) == 0 && (flags.f_flag & ST_RDONLY);
}

/* What bwrap hides paths below: an empty file system that may not be listed, or a device that cannot be opened. */
static bool is_mask(int fd, bool mount_root)
{
	struct statfs file_system;
	struct statvfs flags;
	struct stat found;

	if (!is_closed_mount(fd, mount_root) || fstat(fd, &found) != 0 || fstatfs(fd, &file_system) != 0 || fstatvfs(fd, &flags) != 0)
		return false;
	if (S_ISDIR(found.st_mode))
		return (unsigned long)file_system.f_type == TMPFS && (found.st_mode & 0666) == 0;
	return S_ISCHR(found.st_mode) && major(found.st_rdev) == NULL_MAJOR && minor(found.st_rdev) == NULL_MINOR && (flags.f_flag & ST_NODEV);
}

static bool may_be_gone(const struct mount_step *step)
{
	return step->kind == MOUNT_WATCH || (step->kind == MOUNT_BIND_READ_ONLY && step->entry == ENTRY_MISSING);
}

/* Neither this user's commands nor anybody who may change the folder could make something there. */
static bool nobody_can_make(const char *path)
{
	const char *slash = strrchr(path, '/');
	char parent[PATH_MAX];
	struct stat found;

	snprintf(parent, sizeof parent, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	if (access(parent, W_OK) == 0)
		return false;
	return errno == EROFS || errno == EPERM || (errno == EACCES && stat(parent, &found) == 0 && found.st_uid != geteuid());
}

static bool is_opened(const struct opening *opening)
{
	struct identity found;
	bool mount_root;
	int fd = open_exact(opening->path);
	bool good = fd >= 0 && identify(fd, "", &found, &mount_root, NULL) == 0 && mount_root && same_identity(found, opening->identity) &&
		    (opening->effect == EFFECT_WRITE || is_closed_mount(fd, mount_root));

	if (fd >= 0)
		close(fd);
	return good;
}

static int check_step(const struct mount_step *step, struct failure *failure)
{
	struct statfs file_system;
	struct identity found;
	bool mount_root, good = false;
	int fd = open_exact(step->path);

	if (fd < 0) {
		int error = errno;

		if (may_be_gone(step) && (error == ENOENT || error == ENOTDIR || error == EACCES))
			return 0;
		return step->kind == MOUNT_PLACEHOLDER && error == ENOENT && nobody_can_make(step->path) ? 0 : wrong_mount(failure, step->path, error);
	}
	if (identify(fd, "", &found, &mount_root, NULL) != 0) {
		close(fd);
		return wrong_mount(failure, step->path, errno);
	}
	switch (step->kind) {
	case MOUNT_BIND_WRITABLE:
	case MOUNT_PIN:
		good = mount_root && same_identity(found, step->identity);
		break;
	/* Not by its identity: what the host had put there by the time is held as well. */
	case MOUNT_BIND_READ_ONLY:
		good = is_closed_mount(fd, mount_root);
		break;
	case MOUNT_PLACEHOLDER:
		good = step->effect == EFFECT_DENY ? is_mask(fd, mount_root) : is_closed_mount(fd, mount_root);
		break;
	case MOUNT_MASK:
	case MOUNT_WATCH:
		good = is_mask(fd, mount_root);
		break;
	case MOUNT_PRIVATE_DIRECTORY:
		good = mount_root && fstatfs(fd, &file_system) == 0 && (unsigned long)file_system.f_type == TMPFS;
		break;
	}
	close(fd);
	for (uint32_t i = 0; good && i < step->n_openings; i++)
		if (!is_opened(&step->openings[i]))
			return wrong_mount(failure, step->openings[i].path, ESTALE);
	return good ? 0 : wrong_mount(failure, step->path, ESTALE);
}

/* What has the last word on a path: the longest of those that hold it, and of equal ones the later. */
struct nearest { size_t length; bool writable; };

static void consider(struct nearest *nearest, const char *path, const char *holder, bool writable)
{
	if (is_at_or_below(path, holder) && strlen(holder) >= nearest->length)
		*nearest = (struct nearest){ strlen(holder), writable };
}

/* Whether a mount at `path` may be writable: what a step opens is nearer to it than what one closes, or it is one of the sandbox's own places. */
static bool may_be_writable(const struct plan *plan, const char *path)
{
	struct nearest nearest = { 0 };
	struct stat found;

	if (strcmp(path, "/dev/shm") == 0 || strcmp(path, "/dev/pts") == 0)
		return true;
	/* Device nodes, which bwrap mounts no other way. */
	if (is_at_or_below(path, "/dev") && stat(path, &found) == 0 && S_ISCHR(found.st_mode))
		return true;
	for (uint32_t i = 0; i < plan->n_devices; i++)
		if (is_at_or_below(path, plan->devices[i]))
			return true;
	for (uint32_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		consider(&nearest, path, step->path, step->kind == MOUNT_BIND_WRITABLE || step->kind == MOUNT_PIN || step->kind == MOUNT_PRIVATE_DIRECTORY);
		for (uint32_t j = 0; j < step->n_openings; j++)
			consider(&nearest, path, step->openings[j].path, step->openings[j].effect == EFFECT_WRITE);
	}
	return nearest.writable;
}

static bool has_option(const char *options, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = options; at != NULL; at = strchr(at, ',') == NULL ? NULL : strchr(at, ',') + 1)
		if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == 0))
			return true;
	return false;
}

/* "\040" and the like, in place. */
static void decode_octal(char *text)
{
	char *to = text;

	for (const char *from = text; *from != 0; to++) {
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = 0;
}

/* A mount that another one lies over cannot be reached; bwrap leaves such ones of the host's alone, as it cannot look at them either. By its
 * number: btrfs shows another device to stat(2) than in mountinfo. */
static bool is_reached(const char *path, unsigned long long mount_id)
{
	struct statx_ found;

	if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW_ | AT_NO_AUTOMOUNT_, STATX_MNT_ID_, &found) != 0)
		return false;
	return !(found.mask & STATX_MNT_ID_) || found.mount_id == mount_id;
}

/* One line of mountinfo. */
static int check_line(const struct plan *plan, char *line, struct failure *failure)
{
	char *fields[6], *save = NULL, *text = line, *point;
	unsigned long long mount_id;
	bool device;

	for (int i = 0; i < 6; i++, text = NULL)
		if ((fields[i] = strtok_r(text, " ", &save)) == NULL)
			return wrong_mount(failure, "/proc/self/mountinfo", EBADMSG);
	decode_octal(fields[4]);
	point = fields[4];
	device = is_at_or_below(point, "/dev");
	if (sscanf(fields[0], "%llu", &mount_id) != 1)
		return wrong_mount(failure, "/proc/self/mountinfo", EBADMSG);
	if (has_option(fields[5], "nosuid") && (device || has_option(fields[5], "nodev")) && (has_option(fields[5], "ro") || may_be_writable(plan, point)))
		return 0;
	if (!is_reached(point, mount_id))
		return 0;
	point = strdup(point);
	return wrong_mount(failure, point, EROFS);
}

static int check_every_mount(const struct plan *plan, struct failure *failure)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	size_t size = 0, n_lines = 0;
	char *line = NULL;
	int result = 0;

	while (result == 0 && file != NULL && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		result = check_line(plan, line, failure);
		n_lines++;
	}
	if (file != NULL)
		fclose(file);
	free(line);
	return result != 0 || n_lines > 0 ? result : wrong_mount(failure, "/proc/self/mountinfo", ENOENT);
}

/* Commands have no business with the journal. */
static int check_state_directory(const struct plan *plan, struct failure *failure)
{
	bool mount_root, hidden;
	struct identity found;
	int fd = open_exact(plan->state_directory);

	if (fd < 0)
		return 0;	/* hidden already, by what lies above it */
	hidden = identify(fd, "", &found, &mount_root, NULL) == 0 && is_mask(fd, mount_root);
	close(fd);
	return hidden ? 0 : wrong_mount(failure, plan->state_directory, ESTALE);
}

int check_mounts(const struct plan *plan, struct failure *failure)
{
	if (INJECTED(check_mounts))
		return fail(failure, STEP_check_mounts, NULL);
	for (uint32_t i = 0; i < plan->n_mounts; i++)
		if (check_step(&plan->mounts[i], failure) != 0)
			return -1;
	return check_state_directory(plan, failure) != 0 ? -1 : check_every_mount(plan, failure);
}
