#include "groups.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "codex-sandbox-"
#define LAUNCHER_GROUP "launcher"
#define MOUNT "/sys/fs/cgroup"

enum { REMOVE_TRIES = 200, REMOVE_PAUSE_NS = 5000000, MAKE_TRIES = 64 };

static int open_directory(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int write_file(int at, const char *name, const char *text)
{
	int fd = openat(at, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC), error;
	ssize_t length = (ssize_t)strlen(text), written = fd < 0 ? -1 : write(fd, text, (size_t)length);

	error = errno;
	if (fd >= 0)
		close(fd);
	errno = error;
	return written == length ? 0 : -1;
}

static int write_number(int at, const char *name, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, number);
	return write_file(at, name, text);
}

/* The number behind `key` in a file of lines "key number"; 0 where there is none. */
static long long read_count(int at, const char *name, const char *key)
{
	char text[1024], *line;
	int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	size_t key_length = strlen(key);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	for (line = text; line != NULL && *line != 0; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, key_length) == 0 && line[key_length] == ' ')
			return atoll(line + key_length + 1);
	}
	return 0;
}

static int enable_controllers(int at, uint32_t flags)
{
	if ((flags & PLAN_GROUP_MEMORY) && write_file(at, "cgroup.subtree_control", "+memory") != 0)
		return -1;
	return flags & PLAN_GROUP_PIDS ? write_file(at, "cgroup.subtree_control", "+pids") : 0;
}

static bool remove_directory(int at, const char *name, int tries)
{
	const struct timespec pause = { .tv_nsec = REMOVE_PAUSE_NS };

	while (unlinkat(at, name, AT_REMOVEDIR) != 0) {
		if (errno != EBUSY)
			return errno == ENOENT;
		if (--tries <= 0)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Removes the groups in the group `directory`, as far as nothing lives in them. */
static void remove_groups_in(int directory, int tries)
{
	int copy = open_directory(directory, ".");
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (entries == NULL)
		return;
	while ((entry = readdir(entries)) != NULL)
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			remove_directory(directory, entry->d_name, tries);
	closedir(entries);
}

/* Its launcher holds this lock as long as it lives, wherever that is: a number of a process says nothing in another PID namespace. */
static bool is_anybodys(int group)
{
	return flock(group, LOCK_EX | LOCK_NB) != 0;
}

/* Of launchers that are gone. A group in which something lives is not removed, whatever holds it: the kernel refuses it. */
static void sweep(int parent)
{
	int copy = open_directory(parent, ".");
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		int left;

		if (entry->d_type != DT_DIR || strncmp(entry->d_name, PREFIX, strlen(PREFIX)) != 0)
			continue;
		left = open_directory(parent, entry->d_name);
		if (left < 0)
			continue;
		if (!is_anybodys(left)) {
			remove_groups_in(left, 1);
			remove_directory(parent, entry->d_name, 1);
		}
		close(left);
	}
	if (entries != NULL)
		closedir(entries);
}

static bool is_there(int parent, const char *name, int group)
{
	struct stat own, found;

	return fstat(group, &own) == 0 && fstatat(parent, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_ino == own.st_ino && found.st_dev == own.st_dev;
}

/* Makes and locks a group that nobody has. A launcher of another PID namespace may have the same number, and one that sweeps may be faster than
 * the lock. */
static int make_own_group(struct groups *groups)
{
	for (int tries = 0; tries < MAKE_TRIES; tries++) {
		snprintf(groups->name, sizeof groups->name, tries == 0 ? PREFIX "%d" : PREFIX "%d-%d", (int)getpid(), tries);
		if (mkdirat(groups->parent, groups->name, 0755) != 0) {
			if (errno == EEXIST)
				continue;
			break;
		}
		groups->sandbox = open_directory(groups->parent, groups->name);
		if (groups->sandbox >= 0 && !is_anybodys(groups->sandbox) && is_there(groups->parent, groups->name, groups->sandbox))
			return 0;
		if (groups->sandbox >= 0)
			close(groups->sandbox);
		groups->sandbox = -1;
	}
	/* Another one's is not to be removed. */
	groups->name[0] = 0;
	return -1;
}

/* cgroup.procs of the group that this process is in, to come back: opened in the namespaces in which it may be written. */
static int open_home(void)
{
	char text[PATH_MAX + 64], path[sizeof text + sizeof MOUNT + 16], *own, *end;
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	own = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	if (own == NULL) {
		errno = ENOENT;
		return -1;
	}
	own += *own == '\n' ? 4 : 3;
	end = strchr(own, '\n');
	if (end != NULL)
		*end = 0;
	snprintf(path, sizeof path, MOUNT "%s/cgroup.procs", own);
	return open(path, O_WRONLY | O_CLOEXEC);
}

/* What the plan has groups for. */
static bool has_limits(const struct plan *plan)
{
	return (plan->flags & (PLAN_GROUP_MEMORY | PLAN_GROUP_PIDS)) != 0;
}

int enter_sandbox_group(const struct plan *plan, struct groups *groups, struct failure *failure)
{
	*groups = (struct groups){ .parent = -1, .sandbox = -1, .home = -1 };
	if (!has_limits(plan) && !(plan->flags & PLAN_GROUP_ENDS))
		return 0;
	if (INJECTED(enter_sandbox_group) || (groups->parent = open_directory(AT_FDCWD, plan->group)) < 0 ||
	    (has_limits(plan) && (groups->home = open_home()) < 0))
		return fail(failure, STEP_enter_sandbox_group, plan->group);
	sweep(groups->parent);
	if (enable_controllers(groups->parent, plan->flags) != 0 || make_own_group(groups) != 0 || (has_limits(plan) && write_file(groups->sandbox, "cgroup.procs", "0") != 0))
		return fail(failure, STEP_enter_sandbox_group, plan->group);
	return 0;
}

int divide_sandbox_group(const struct plan *plan, const struct groups *groups, struct failure *failure)
{
	if (!has_limits(plan))
		return 0;
	/* Out of it before it is divided: a group with processes of its own may not give memory to others. */
	if (INJECTED(divide_sandbox_group) || mkdirat(groups->sandbox, LAUNCHER_GROUP, 0755) != 0 ||
	    write_file(groups->sandbox, LAUNCHER_GROUP "/cgroup.procs", "0") != 0 || enable_controllers(groups->sandbox, plan->flags) != 0)
		return fail(failure, STEP_divide_sandbox_group, plan->group);
	return 0;
}

static int set_memory(int directory, uint64_t bytes)
{
	if (write_number(directory, "memory.max", bytes) != 0 || write_file(directory, "memory.oom.group", "1") != 0)
		return -1;
	/* Absent where the kernel counts no swap. */
	return write_file(directory, "memory.swap.max", "0") != 0 && errno != ENOENT ? -1 : 0;
}

/* The kernel's file is there from Linux 5.14 on. */
static int open_end(int directory)
{
	return openat(directory, "cgroup.kill", O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* PID_MAX_LIMIT: no kernel has more processes, and pids.max takes no higher number (EINVAL). */
enum { MOST_PIDS = 4 * 1024 * 1024 };

static int fill_command_group(const struct plan *plan, uint64_t memory_bytes, uint64_t pids, struct command_group *group)
{
	if (pids > MOST_PIDS)
		pids = MOST_PIDS;
	if ((memory_bytes != 0 && set_memory(group->directory, memory_bytes) != 0) || (pids != 0 && write_number(group->directory, "pids.max", pids) != 0))
		return -1;
	group->procs = openat(group->directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	if (group->procs < 0 || !(plan->flags & PLAN_GROUP_ENDS))
		return group->procs < 0 ? -1 : 0;
	group->end = open_end(group->directory);
	return group->end < 0 ? -1 : 0;
}

int make_command_group(const struct plan *plan, const struct groups *groups, uint32_t id, uint64_t memory_bytes, uint64_t pids, struct command_group *group, struct failure *failure)
{
	char name[16];

	snprintf(name, sizeof name, "%" PRIu32, id);
	*group = (struct command_group){ -1, -1, -1 };
	if (INJECTED(make_command_group) || mkdirat(groups->sandbox, name, 0755) != 0)
		return fail(failure, STEP_make_command_group, NULL);
	group->directory = open_directory(groups->sandbox, name);
	if (group->directory < 0 || fill_command_group(plan, memory_bytes, pids, group) != 0) {
		const int fds[] = { group->directory, group->procs, group->end };

		fail(failure, STEP_make_command_group, NULL);
		for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		*group = (struct command_group){ -1, -1, -1 };
		unlinkat(groups->sandbox, name, AT_REMOVEDIR);
		return -1;
	}
	return 0;
}

void end_group(int directory)
{
	write_file(directory, "cgroup.kill", "1");
}

int open_end_of_all(const struct groups *groups)
{
	return groups->sandbox < 0 ? -1 : open_end(groups->sandbox);
}

enum exceeded find_exceeded(int directory)
{
	/* `oom` is this group's own limit; `oom_kill` alone may be that of a group above, or the whole machine's. */
	if (read_count(directory, "memory.events", "oom") > 0 && read_count(directory, "memory.events", "oom_kill") > 0)
		return EXCEEDED_MEMORY;
	return read_count(directory, "pids.events", "max") > 0 ? EXCEEDED_PIDS : EXCEEDED_NOTHING;
}

static bool try_remove(const struct groups *groups, uint32_t id)
{
	char name[16];

	snprintf(name, sizeof name, "%" PRIu32, id);
	return remove_directory(groups->sandbox, name, 1);
}

void remove_command_group(struct groups *groups, uint32_t id)
{
	if (!try_remove(groups, id) && groups->n_left < sizeof groups->left / sizeof groups->left[0])
		groups->left[groups->n_left++] = id;
}

void remove_left_groups(struct groups *groups)
{
	uint32_t n = groups->n_left;

	groups->n_left = 0;
	for (uint32_t i = 0; i < n; i++)
		if (!try_remove(groups, groups->left[i]))
			groups->left[groups->n_left++] = groups->left[i];
}

void close_groups(const struct groups *groups)
{
	const int fds[] = { groups->parent, groups->sandbox, groups->home };

	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void leave_groups(struct groups *groups)
{
	if (groups->sandbox >= 0) {
		/* What cannot be removed is the next start's to remove. */
		if (groups->home < 0 || write(groups->home, "0", 1) == 1)
			remove_groups_in(groups->sandbox, REMOVE_TRIES);
		close(groups->sandbox);
		groups->sandbox = -1;
	}
	if (groups->parent >= 0 && groups->name[0] != 0)
		remove_directory(groups->parent, groups->name, REMOVE_TRIES);
}
