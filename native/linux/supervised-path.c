#include "supervised-path.h"
#include "caller.h"
#include "file-systems.h"
#include "kernel.h"
#include "paths.h"
#include "shared-memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_LINKS = 40, MOST_STEPS = 4096 /* up from a directory that no path names */ };

static struct supervised_rules *rules;

void set_rules(struct supervised_rules *indexed)
{
	rules = indexed;
}

const struct supervised_rules *get_rules(void)
{
	return rules;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void leave(struct place *place)
{
	close_one(&place->directory);
	close_one(&place->object);
	if (place->base != AT_FDCWD)
		close_one(&place->base);
}

/* Where `path` begins with the whole names of `prefix`: what follows. */
static const char *after(const char *path, const char *prefix)
{
	return is_at_or_below(path, prefix) ? path + strlen(prefix) : NULL;
}

static const struct { const char *path; int fd; } STREAMS[] = { { "/dev/stdin", 0 }, { "/dev/stdout", 1 }, { "/dev/stderr", 2 } };
static const char *const DIRECTORIES[] = { "/proc/self/cwd", "/proc/thread-self/cwd" };
static const char *const DESCRIPTORS[] = { "/dev/fd", "/proc/self/fd", "/proc/thread-self/fd" };

/* What the path begins with, as a descriptor number of the caller's, and what follows; NULL where it is an ordinary path. */
static const char *callers_own(const char *path, int *fd)
{
	const char *left;

	for (size_t i = 0; i < sizeof STREAMS / sizeof STREAMS[0]; i++) {
		*fd = STREAMS[i].fd;
		if ((left = after(path, STREAMS[i].path)) != NULL)
			return left;
	}
	for (size_t i = 0; i < sizeof DIRECTORIES / sizeof DIRECTORIES[0]; i++) {
		*fd = AT_FDCWD;
		if ((left = after(path, DIRECTORIES[i])) != NULL)
			return left;
	}
	for (size_t i = 0; i < sizeof DESCRIPTORS / sizeof DESCRIPTORS[0]; i++) {
		size_t digits;

		left = after(path, DESCRIPTORS[i]);
		if (left == NULL || *left == 0)
			continue;
		digits = strspn(left + 1, "0123456789");
		if (digits == 0 || digits > 9 || (left[1 + digits] != 0 && left[1 + digits] != '/'))
			continue;
		*fd = 0;
		for (size_t k = 1; k <= digits; k++)
			*fd = *fd * 10 + (left[k] - '0');
		return left + 1 + digits;
	}
	return NULL;
}

/* Opens a directory from `base` on. Returns 0, PATH_UNKNOWN or -errno. */
static long open_directory(const struct place *place, const char *path, int *fd)
{
	struct open_how_ how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS_ };

	*fd = (int)syscall(NR_openat2, place->base, path, &how, sizeof how);
	/* ELOOP: too many links, or one that leads to where its reader stands. The kernel's own walk tells these apart. */
	return *fd >= 0 ? 0 : errno == ELOOP ? PATH_UNKNOWN : -errno;
}

ssize_t path_of(int fd, char path[PATH_MAX])
{
	char own[OWN_PATH_BYTES];
	ssize_t length;

	own_path(own, fd);
	length = readlink(own, path, PATH_MAX);
	if (length < 0 || length == PATH_MAX)
		return length < 0 ? -errno : -ENAMETOOLONG;
	path[length] = 0;
	return length;
}

/* A directory that lies so deep that no path names it: writes the path of the nearest one above it that has one. All below that is as it
 * is, where no rule lies below it. */
static ssize_t read_path_above(int fd, char path[PATH_MAX])
{
	ssize_t length = -ENAMETOOLONG;
	int above = fd;

	for (int step = 0; step < MOST_STEPS && length == -ENAMETOOLONG; step++) {
		int next = openat(above, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (above != fd)
			close(above);
		if (next < 0)
			return 0;
		above = next;
		length = path_of(above, path);
	}
	if (above != fd)
		close(above);
	if (length <= 0 || path[0] != '/')
		return 0;
	return is_above_closed(rules, path) ? 0 : length;
}

/* Writes the real path of `fd` into `path`, with `name` behind it. Returns 0 or PATH_UNKNOWN. */
static long write_path(struct place *place, int *fd, const char *name)
{
	ssize_t length = path_of(*fd, place->path);

	if (length == -ENAMETOOLONG)
		length = read_path_above(*fd, place->path);
	if (length <= 0)
		return PATH_UNKNOWN;
	if (strcmp(place->path, SHARED_MEMORY) == 0) {
		/* The host's becomes that of the sandbox. */
		close_one(fd);
		*fd = open_shared_memory();
		if (*fd < 0)
			return PATH_UNKNOWN;
	} else if (is_shared_memory(place->path)) {
		show_shared_memory(place->path);
		length = (ssize_t)strlen(place->path);
	}
	if (length > 1 || place->path[0] != '/')
		place->path[length++] = '/';
	place->name = place->path + length;
	strcpy(place->name, name);
	return 0;
}

/* `object` is named by itself. */
static long stay_at(struct place *place)
{
	long result = write_path(place, &place->object, "");

	if (result == 0 && place->name - place->path > 1)
		place->name[-1] = 0;	/* the slash before no name */
	if (result == 0 && fstat(place->object, &place->status) != 0)
		result = -errno;
	return result;
}

/* From `base` and `rest` to the directory of the last name. */
static long step(struct place *place)
{
	char *path = place->rest, *end, *name;
	const char *left;
	long result;
	int fd;

	close_one(&place->directory);
	close_one(&place->object);
	left = place->base == AT_FDCWD ? callers_own(path, &fd) : NULL;
	if (left != NULL && (*left != 0 || place->follows)) {
		path += left - path;
		path += strspn(path, "/");
		place->base = open_anew(place->call->thread, fd, *path == 0 ? 0 : O_DIRECTORY);
		if (place->base < 0)
			return errno == EBADF ? -ENOENT : errno == ENOTDIR ? -ENOTDIR : PATH_UNKNOWN;
		if (*path == 0) {
			place->must_be_directory |= *left == '/';
			place->object = place->base;
			place->base = -1;
			return stay_at(place);
		}
	}
	if (place->base == AT_FDCWD && is_shared_memory(path) && !goes_up(path)) {
		path += strlen(SHARED_MEMORY);
		path += strspn(path, "/");
		place->base = open_shared_memory();
		if (place->base < 0)
			return PATH_UNKNOWN;
		if (*path == 0)
			path = strcpy(place->rest, ".");
	}
	end = path + strlen(path);
	while (end > path + 1 && end[-1] == '/')
		*--end = 0, place->must_be_directory = true;
	name = strrchr(path, '/');
	name = name == NULL ? path : name + 1;
	if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		result = open_directory(place, path, &place->object);
		return result != 0 ? result : stay_at(place);
	}
	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	if (name == path) {
		place->directory = place->base;
		place->base = -1;
	} else {
		char kept = *name;

		*name = 0;
		result = open_directory(place, path, &place->directory);
		*name = kept;
		if (result != 0)
			return result;
	}
	if (write_path(place, &place->directory, name) != 0)
		return PATH_UNKNOWN;
	return place->path[0] == '/' ? 0 : PATH_UNKNOWN;
}

static void start(struct place *place, const struct call *call, unsigned way)
{
	place->directory = place->object = place->base = -1;
	place->must_be_directory = false;
	place->follows = (way & WAY_FOLLOW) != 0;
	place->name = place->path;
	place->path[0] = 0;
	place->call = call;
	place->n_links = 0;
}

long go_to_descriptor(struct place *place, const struct call *call, int fd)
{
	start(place, call, 0);
	place->object = open_anew(call->thread, fd, 0);
	if (place->object < 0)
		return errno == EBADF ? -EBADF : PATH_UNKNOWN;
	return still_waits(call) ? stay_at(place) : -EPERM;
}

/* From the path in `rest`. */
static long set_out(struct place *place, int directory_fd, unsigned way)
{
	if (place->rest[0] == 0)
		return (way & WAY_EMPTY_IS_DESCRIPTOR) ? go_to_descriptor(place, place->call, directory_fd) : -ENOENT;
	if (place->rest[0] == '/') {
		place->base = AT_FDCWD;
	} else {
		place->base = open_anew(place->call->thread, directory_fd, O_DIRECTORY);
		if (place->base < 0)
			return errno == EBADF || errno == ENOTDIR ? -errno : PATH_UNKNOWN;
	}
	/* All that was read of the caller was its own, if it is still there. */
	return still_waits(place->call) ? step(place) : -EPERM;
}

long go_to(struct place *place, const struct call *call, int directory_fd, uint64_t address, unsigned way)
{
	long length;

	start(place, call, way);
	length = copy_path(call->thread, address, place->rest, sizeof place->rest);
	if (length < 0)
		return length == -EACCES ? PATH_UNKNOWN : length;
	return set_out(place, directory_fd, way);
}

long go_to_copied(struct place *place, const struct call *call, int directory_fd, const char *path, unsigned way)
{
	start(place, call, way);
	if (strlen(path) >= sizeof place->rest)
		return -ENAMETOOLONG;
	strcpy(place->rest, path);
	return set_out(place, directory_fd, way);
}

long look(struct place *place)
{
	if (place->directory < 0)
		return 0;
	close_one(&place->object);
	place->object = openat(place->directory, place->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (place->object < 0 || fstat(place->object, &place->status) != 0)
		return -errno;
	return 0;
}

/* fs.protected_symlinks: in a directory where all may write and only remove their own (/tmp), others' links are not followed. The
 * kernel asks that of who walks; this walk is not the kernel's. */
static bool is_others_link(const struct place *place)
{
	struct stat directory;

	if (fstat(place->directory, &directory) != 0)
		return true;
	return (directory.st_mode & (S_ISVTX | S_IWOTH)) == (S_ISVTX | S_IWOTH) && place->status.st_uid != geteuid() && place->status.st_uid != directory.st_uid;
}

long follow_link(struct place *place)
{
	char target[PATH_MAX];
	ssize_t length;

	if (place->n_links++ >= MOST_LINKS)
		return -ELOOP;
	if (is_kernels_own(place->object) || is_others_link(place))
		return PATH_UNKNOWN;
	length = readlinkat(place->object, "", target, sizeof target);
	if (length <= 0)
		return length == 0 ? -ENOENT : -errno;
	if (length == sizeof target)
		return -ENAMETOOLONG;
	target[length] = 0;
	if (place->base != AT_FDCWD)
		close_one(&place->base);
	if (target[0] == '/') {
		place->base = AT_FDCWD;
	} else {
		place->base = place->directory;
		place->directory = -1;
	}
	if ((size_t)length >= sizeof place->rest)
		return -ENAMETOOLONG;
	memcpy(place->rest, target, (size_t)length + 1);
	return step(place);
}

bool is_link_to_follow(const struct place *place)
{
	return place->directory >= 0 && S_ISLNK(place->status.st_mode) && (place->follows || place->must_be_directory);
}

long find(struct place *place, const struct call *call, int directory_fd, uint64_t address, unsigned way)
{
	long result = go_to(place, call, directory_fd, address, way);

	while (result == 0) {
		result = look(place);
		if (result != 0 || !is_link_to_follow(place))
			break;
		result = follow_link(place);
	}
	return result == 0 && place->must_be_directory && !S_ISDIR(place->status.st_mode) ? -ENOTDIR : result;
}

bool is_plain_way(const struct place *place, int base, const char *path)
{
	struct open_how_ how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS_ };
	const char *name = strrchr(path, '/');
	char directory[PATH_MAX];
	struct stat found, meant;
	bool same;
	int fd;

	if (goes_up(path) || strlen(path) >= sizeof directory)
		return false;
	strcpy(directory, path);
	directory[name == NULL ? 0 : name - path + 1] = 0;
	fd = (int)syscall(NR_openat2, base, name == NULL ? "." : directory, &how, sizeof how);
	same = fd >= 0 && fstat(fd, &found) == 0 && fstat(place->directory, &meant) == 0 && found.st_dev == meant.st_dev && found.st_ino == meant.st_ino;
	close_one(&fd);
	return same;
}

static bool is_still_there(const struct granted *granted)
{
	struct stat found;

	return fstatat(AT_FDCWD, granted->path, &found, AT_SYMLINK_NOFOLLOW) == 0 && found.st_dev == granted->device && found.st_ino == granted->inode;
}

bool is_monitors(const char *directory)
{
	const struct granted *granted;

	if (is_shared_memory(directory))
		return true;
	if (!is_supervised(rules, directory))
		return false;
	granted = granted_above(rules, directory);
	return granted == NULL || !is_still_there(granted);
}

bool holds_monitors_name(const struct place *place)
{
	char *name = place->name, *cut = name - 1;
	bool monitors;

	/* What is named by itself lies in the directory above, unless it is one. */
	if (place->directory < 0)
		cut = S_ISDIR(place->status.st_mode) ? NULL : strrchr(place->path, '/');
	if (place->path[0] != '/')
		return false;
	if (cut == NULL)
		return is_monitors(place->path);
	if (cut == place->path)
		return is_monitors("/");
	*cut = 0;
	monitors = is_monitors(place->path);
	*cut = '/';
	return monitors;
}

bool is_empty_folder(int directory, const char *name)
{
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), n = 0;
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);

	while (entries != NULL && n < 3 && readdir(entries) != NULL)
		n++;
	if (entries != NULL)
		closedir(entries);
	else if (fd >= 0)
		close(fd);
	return n < 3;		/* . and .. */
}
