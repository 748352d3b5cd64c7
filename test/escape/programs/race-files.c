/* Tries to change files that it may not, while other threads and processes change what its calls mean: the string of a path, the working
 * directory, the descriptor that a path is relative to, links and directories on the way. And looks at files from outside.
 *
 * race-files attack ATTEMPTS SECONDS   in the working directory: `src` is a folder of its own, `.git`, `secret` and `outs` (a link to one
 *                                      outside) hold a `config` that it may not change, `.codex` it may not make. Stops at what comes
 *                                      first. Prints one line of JSON: attempts, those that succeeded, and those that reached a file.
 * race-files look PATH…                one line for each file at and below: all that a change could show in. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

enum { WORKERS = 3, DIRECTORY_FD = 100, FILE_FD = 101, PREFIX_BYTES = 8, EXCHANGE = 2 };

enum operation {
	OPEN_WRITE, OPEN_APPEND, OPEN_EMPTY, OPEN_CREATE, OPEN_2, OPEN_PROC, CREATE_OLD, OPEN_NAMELESS, OPEN_FIFO, MAKE_DIRECTORY, MAKE_FIFO, MAKE_SYMLINK, REMOVE, REMOVE_DIRECTORY,
	RENAME_FROM, RENAME_TO, RENAME_EXCHANGE_, LINK_FROM, LINK_TO, LINK_DESCRIPTOR, TRUNCATE, MODE, MODE_AT, MODE_DESCRIPTOR, MODE_PROC, OWNER, OWNER_AT, OWNER_DESCRIPTOR, TIMES, TIMES_OLD,
	TIMES_DESCRIPTOR, ATTRIBUTE, ATTRIBUTE_DESCRIPTOR, REMOVE_ATTRIBUTE, BIND, OPERATIONS,
};
static const char *const NAMES[OPERATIONS] = {
	"open for writing", "open to append", "open to empty", "open to create", "openat2", "open through /proc/self/fd", "creat", "O_TMPFILE, published", "open a FIFO", "mkdir", "mkfifo", "symlink",
	"unlink", "rmdir", "rename from", "rename to", "rename exchange", "link from", "link to", "link a descriptor", "truncate", "chmod", "fchmodat", "fchmod", "chmod through /proc/self/fd", "chown",
	"fchownat", "fchown", "utimensat", "utimes", "futimens", "setxattr", "fsetxattr", "removexattr", "bind",
};

struct shared { long attempts[OPERATIONS], succeeded[OPERATIONS], reached, exchanges; bool stop; };
static struct shared *shared;

/* Files that may not be changed. */
static const char *const VICTIMS[] = { ".git", "secret", "outs" };
static struct stat victims[6];
static int n_victims;

static bool is_victim(int fd)
{
	struct stat found;

	for (int i = 0; fstat(fd, &found) == 0 && i < n_victims; i++)
		if (victims[i].st_ino == found.st_ino && victims[i].st_dev == found.st_dev)
			return true;
	return false;
}

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_RELAXED);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Eight bytes, so that one store changes the whole: `src/////config` becomes `.git////config`. The first is the attacker's own. */
static const char PREFIXES[][PREFIX_BYTES + 1] = { "src/////", ".git////", "secret//", "outs////", "sw//////", "sl//////", "dx/in///", "./././//", ".codex//" };
enum { N_PREFIXES = sizeof PREFIXES / sizeof PREFIXES[0] };

/* Names for FIFOs are only those: opened otherwise, one would wait for ever. */
struct worker { _Alignas(8) char file[64], fresh[64], fifo[64]; int index; uint64_t random; bool by_descriptor; };
static struct worker workers[WORKERS];

static void set_prefix(char *path, int which)
{
	uint64_t bytes;

	memcpy(&bytes, PREFIXES[which], sizeof bytes);
	__atomic_store_n((uint64_t *)path, bytes, __ATOMIC_RELAXED);
}

static void *flip_strings(void *unused)
{
	uint64_t random = (uint64_t)getpid() * 2654435761U + 1;

	(void)unused;
	while (!stopped()) {
		struct worker *worker = &workers[next_random(&random) % WORKERS];
		int which = next_random(&random) % 3 == 0 ? 0 : (int)(next_random(&random) % N_PREFIXES);

		set_prefix(worker->file, which);
		set_prefix(worker->fresh, next_random(&random) % 2 == 0 ? 0 : which);
		set_prefix(worker->fifo, which);
	}
	return NULL;
}

/* The working directory is the process's: all threads of it stand there. */
static void *flip_cwd(void *root)
{
	int fd = *(int *)root;
	uint64_t random = (uint64_t)getpid() + 7;

	while (!stopped()) {
		uint64_t which = next_random(&random) % 6;

		if (fchdir(fd) != 0 || chdir(which < 3 ? VICTIMS[which] : which == 3 ? "sw" : "src") != 0)
			continue;
		usleep((useconds_t)(next_random(&random) % 60));
	}
	return NULL;
}

/* What descriptors 100 and 101 are open on. */
static void *flip_descriptors(void *unused)
{
	uint64_t random = (uint64_t)getpid() + 11;
	int directories[4], files[4];

	(void)unused;
	for (int i = 0; i < 4; i++) {
		char path[64];

		directories[i] = open(i == 3 ? "src" : VICTIMS[i], O_RDONLY | O_DIRECTORY);
		snprintf(path, sizeof path, "%s/config", i == 3 ? "src" : VICTIMS[i]);
		files[i] = open(path, O_RDONLY);
	}
	while (!stopped()) {
		int which = next_random(&random) % 2 == 0 ? 3 : (int)(next_random(&random) % 4);

		if (directories[which] >= 0)
			dup2(directories[which], DIRECTORY_FD);
		if (files[which] >= 0)
			dup2(files[which], FILE_FD);
	}
	return NULL;
}

static long rename_2(const char *from, const char *to, unsigned flags)
{
	return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

/* A process of its own: links and directories change places, and directories are carried across. */
static void exchange(void)
{
	while (!stopped()) {
		long n = rename_2("sw", "sl", EXCHANGE) == 0;

		n += rename_2("dx", "dy", EXCHANGE) == 0;
		n += rename_2("src/carried", "sw/carried", 0) == 0;
		n += rename_2("sw/carried", "src/carried", 0) == 0;
		n += rename_2("src/carried", "sl/carried", 0) == 0;
		n += rename_2("sl/carried", "src/carried", 0) == 0;
		n += rename_2("dx/in", "dx/out", 0) == 0;
		n += rename_2("dx/out", "dx/in", 0) == 0;
		__atomic_add_fetch(&shared->exchanges, n, __ATOMIC_RELAXED);
	}
}

/* Writes to what was opened, and tells where it is a file that may not be changed. */
static long use(int fd)
{
	if (fd < 0)
		return -1;
	if (is_victim(fd))
		__atomic_add_fetch(&shared->reached, 1, __ATOMIC_RELAXED);
	if (write(fd, "P", 1) < 0 && errno == EBADF)
		errno = 0;
	close(fd);
	return 0;
}

static long try_nameless(int at, const struct worker *worker)
{
	char own[32];
	int fd = openat(at, at == AT_FDCWD ? worker->fresh : ".", O_TMPFILE | O_RDWR, 0600);
	long result;

	if (fd < 0 && at == AT_FDCWD)
		fd = open("src", O_TMPFILE | O_RDWR, 0600);
	if (fd < 0)
		return -1;
	snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
	result = linkat(AT_FDCWD, own, at, worker->fresh, AT_SYMLINK_FOLLOW);
	close(fd);
	unlinkat(at, worker->fresh, 0);
	return result;
}

static long try_link_from(int at, const char *file, const char *fresh)
{
	long result = linkat(at, file, AT_FDCWD, fresh, 0);

	if (result == 0) {
		use(open(fresh, O_WRONLY));
		unlink(fresh);
	}
	return result;
}

static long try_bind(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long result;

	strcpy(address.sun_path, path);
	result = bind(fd, (struct sockaddr *)&address, sizeof address);
	close(fd);
	unlink(path);
	return result;
}

static long try_operation(enum operation operation, struct worker *worker, const char *got, const char *hard)
{
	static const struct timespec times[2] = { { 1, 2 }, { 3, 4 } };
	static const struct timeval old_times[2] = { { 1, 2 }, { 3, 4 } };
	struct { uint64_t flags, mode, resolve; } how = { O_WRONLY | O_CREAT, 0600, 0 };
	int at = worker->by_descriptor ? DIRECTORY_FD : AT_FDCWD;
	const char *file = worker->file, *fresh = worker->fresh;
	char own[32];
	long result;

	snprintf(own, sizeof own, "/proc/self/fd/%d", FILE_FD);
	switch (operation) {
	case OPEN_WRITE: return use(openat(at, file, O_WRONLY));
	case OPEN_APPEND: return use(openat(at, file, O_RDWR | O_APPEND));
	case OPEN_EMPTY: return use(openat(at, file, O_RDONLY | O_TRUNC));
	case OPEN_CREATE: return use(openat(at, file, O_WRONLY | O_CREAT | O_TRUNC, 0600));
	case OPEN_2: return use((int)syscall(437, at, file, &how, sizeof how));
	case OPEN_PROC: return use(open(own, O_WRONLY));
	case CREATE_OLD:
		result = use(at == AT_FDCWD ? creat(fresh, 0600) : openat(at, fresh, O_CREAT | O_EXCL | O_RDWR, 0600));
		unlinkat(at, fresh, 0);
		return result;
	case OPEN_NAMELESS: return try_nameless(at, worker);
	case OPEN_FIFO:
		return use(openat(at, next_random(&worker->random) % 2 ? worker->fifo : file, O_RDWR | O_NONBLOCK));
	case MAKE_DIRECTORY:
		result = mkdirat(at, fresh, 0700);
		unlinkat(at, fresh, AT_REMOVEDIR);
		return result;
	case MAKE_FIFO:
		unlinkat(at, worker->fifo, 0);
		return mkfifoat(at, worker->fifo, 0600);
	case MAKE_SYMLINK:
		result = symlinkat("config", at, fresh);
		unlinkat(at, fresh, 0);
		return result;
	case REMOVE: return unlinkat(at, file, 0);
	case REMOVE_DIRECTORY: return unlinkat(at, at == AT_FDCWD ? file : ".", AT_REMOVEDIR);
	case RENAME_FROM: return renameat(at, file, AT_FDCWD, got);
	case RENAME_TO: return renameat(AT_FDCWD, got, at, file);
	case RENAME_EXCHANGE_: return syscall(SYS_renameat2, at, file, AT_FDCWD, got, EXCHANGE);
	case LINK_FROM: return try_link_from(at, file, hard);
	case LINK_TO:
		result = linkat(AT_FDCWD, got, at, fresh, 0);
		unlinkat(at, fresh, 0);
		return result;
	case LINK_DESCRIPTOR:
		result = linkat(FILE_FD, "", AT_FDCWD, hard, AT_EMPTY_PATH) != 0 ? linkat(AT_FDCWD, own, AT_FDCWD, hard, AT_SYMLINK_FOLLOW) : 0;
		if (result == 0) {
			use(open(hard, O_WRONLY));
			unlink(hard);
		}
		return result;
	case TRUNCATE: return truncate(worker->by_descriptor ? "src/config" : file, 3);
	case MODE: return chmod(worker->by_descriptor ? own : file, 0777);
	case MODE_AT: return fchmodat(at, file, 0640, 0);
	case MODE_DESCRIPTOR: return fchmod(FILE_FD, 0777);
	case MODE_PROC: return chmod(own, 0700);
	case OWNER: return chown(worker->by_descriptor ? own : file, getuid(), getgid());
	case OWNER_AT: return fchownat(at, file, getuid(), getgid(), AT_SYMLINK_NOFOLLOW);
	case OWNER_DESCRIPTOR: return fchown(FILE_FD, getuid(), getgid());
	case TIMES: return utimensat(at, file, times, 0);
	case TIMES_OLD: return utimes(worker->by_descriptor ? own : file, old_times);
	case TIMES_DESCRIPTOR: return futimens(FILE_FD, NULL);
	case ATTRIBUTE: return setxattr(worker->by_descriptor ? own : file, "user.race", "x", 1, 0);
	case ATTRIBUTE_DESCRIPTOR: return fsetxattr(FILE_FD, "user.race", "y", 1, 0);
	case REMOVE_ATTRIBUTE: return removexattr(worker->by_descriptor ? own : file, "user.race");
	case BIND: return worker->by_descriptor ? -1 : try_bind(fresh);
	case OPERATIONS: break;
	}
	return -1;
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	char got[64], hard[64];

	/* Where calls by path are relative to a working directory that changes, these stay with the attacker's own. */
	snprintf(got, sizeof got, "%s/src/got%d-%d", getenv("RACE_ROOT"), getpid(), worker->index);
	snprintf(hard, sizeof hard, "%s/src/hard%d-%d", getenv("RACE_ROOT"), getpid(), worker->index);
	while (!stopped()) {
		enum operation operation = (enum operation)(next_random(&worker->random) % OPERATIONS);
		bool succeeded = try_operation(operation, worker, got, hard) == 0;

		__atomic_add_fetch(&shared->attempts[operation], 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&shared->succeeded[operation], succeeded, __ATOMIC_RELAXED);
		/* What was taken away is made again. */
		if (operation == REMOVE || operation == RENAME_FROM || operation == RENAME_TO || operation == LINK_TO) {
			char own[64];
			int fd;

			snprintf(own, sizeof own, "%s/src/config", getenv("RACE_ROOT"));
			fd = open(own, O_RDWR | O_CREAT, 0600);
			if (fd >= 0)
				close(fd);
			fd = open(got, O_RDWR | O_CREAT, 0600);
			if (fd >= 0)
				close(fd);
		}
	}
	return NULL;
}

/* One process of the attack. Paths begin with a prefix that changes; or stand in a directory that does. */
static void attack(void *(*flip)(void *), void *argument, bool by_prefix, bool by_descriptor)
{
	pthread_t threads[WORKERS + 1];

	for (int i = 0; i < WORKERS; i++) {
		workers[i].index = i;
		workers[i].by_descriptor = by_descriptor;
		workers[i].random = (uint64_t)getpid() * 1000003 + (uint64_t)i * 7919 + (uint64_t)time(NULL);
		snprintf(workers[i].file, sizeof workers[i].file, "%sconfig", by_prefix ? PREFIXES[0] : "");
		snprintf(workers[i].fresh, sizeof workers[i].fresh, "%sfresh%d-%d", by_prefix ? PREFIXES[0] : "", getpid(), i);
		snprintf(workers[i].fifo, sizeof workers[i].fifo, "%sfifo%d-%d", by_prefix ? PREFIXES[0] : "", getpid(), i);
	}
	pthread_create(&threads[WORKERS], NULL, flip, argument);
	for (int i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, work, &workers[i]);
	for (int i = 0; i <= WORKERS; i++)
		pthread_join(threads[i], NULL);
}

static void make_folders(void)
{
	static const char *const FOLDERS[] = { "src", "src/carried", "sw", "dx", "dx/in", "dy" };

	for (size_t i = 0; i < sizeof FOLDERS / sizeof FOLDERS[0]; i++)
		mkdir(FOLDERS[i], 0700);
	if ((symlink(".git", "sl") != 0 || symlink("../.git", "dy/in") != 0) && errno != EEXIST)
		fprintf(stderr, "race-files: %s\n", strerror(errno));
	close(open("src/config", O_CREAT | O_WRONLY, 0600));
	close(open("sw/config", O_CREAT | O_WRONLY, 0600));
	close(open("dx/in/config", O_CREAT | O_WRONLY, 0600));
	for (size_t i = 0; i < sizeof VICTIMS / sizeof VICTIMS[0]; i++) {
		char path[64];

		snprintf(path, sizeof path, "%s/config", VICTIMS[i]);
		n_victims += stat(VICTIMS[i], &victims[n_victims]) == 0;
		n_victims += stat(path, &victims[n_victims]) == 0;
	}
}

static long sum(const long *numbers)
{
	long all = 0;

	for (int i = 0; i < OPERATIONS; i++)
		all += numbers[i];
	return all;
}

static int run_attack(long attempts, long seconds)
{
	time_t start = time(NULL);
	char root[PATH_MAX];
	int root_fd = open(".", O_PATH), status, failed = 0;
	pid_t processes[4];

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (getcwd(root, sizeof root) == NULL || shared == MAP_FAILED)
		return 2;
	setenv("RACE_ROOT", root, 1);
	make_folders();
	for (int i = 0; i < 4; i++) {
		processes[i] = fork();
		if (processes[i] != 0)
			continue;
		if (i == 0)
			attack(flip_strings, NULL, true, false);
		else if (i == 1)
			attack(flip_cwd, &root_fd, false, false);
		else if (i == 2)
			attack(flip_descriptors, NULL, false, true);
		else
			exchange();
		_exit(0);
	}
	while (sum(shared->attempts) < attempts && time(NULL) - start < seconds)
		usleep(10000);
	shared->stop = true;
	for (int i = 0; i < 4; i++)
		failed |= waitpid(processes[i], &status, 0) < 0 || status != 0;
	printf("{\"attempts\":%ld,\"succeeded\":%ld,\"reached\":%ld,\"exchanges\":%ld,\"failed\":%s,\"operations\":{", sum(shared->attempts), sum(shared->succeeded), shared->reached, shared->exchanges,
	       failed ? "true" : "false");
	for (int i = 0; i < OPERATIONS; i++)
		printf("%s\"%s\":[%ld,%ld]", i == 0 ? "" : ",", NAMES[i], shared->attempts[i], shared->succeeded[i]);
	printf("}}\n");
	return 0;
}

static uint64_t hash_more(uint64_t hash, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
	return hash;
}

static uint64_t hash_attributes(const char *path)
{
	char names[4096], value[4096];
	ssize_t length = llistxattr(path, names, sizeof names);
	uint64_t hash = 0xcbf29ce484222325;

	for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
		ssize_t size = lgetxattr(path, names + at, value, sizeof value);

		hash = hash_more(hash_more(hash, names + at, strlen(names + at) + 1), value, size > 0 ? (size_t)size : 0);
	}
	return hash;
}

static uint64_t hash_content(const char *path, mode_t mode)
{
	char bytes[65536];
	uint64_t hash = 0xcbf29ce484222325;
	ssize_t length;
	int fd;

	if (S_ISLNK(mode)) {
		length = readlink(path, bytes, sizeof bytes);
		return hash_more(hash, bytes, length > 0 ? (size_t)length : 0);
	}
	fd = S_ISREG(mode) ? open(path, O_RDONLY) : -1;
	while (fd >= 0 && (length = read(fd, bytes, sizeof bytes)) > 0)
		hash = hash_more(hash, bytes, (size_t)length);
	if (fd >= 0)
		close(fd);
	return hash;
}

static void look_at(const char *path)
{
	struct dirent **entries;
	struct stat found;
	int n;

	if (lstat(path, &found) != 0) {
		printf("%s %s\n", path, strerror(errno));
		return;
	}
	printf("%s mode %o owner %u:%u links %ju inode %ju size %jd changed %jd.%09ld modified %jd.%09ld content %016" PRIx64 " attributes %016" PRIx64 "\n", path, found.st_mode, found.st_uid, found.st_gid,
	       (uintmax_t)found.st_nlink, (uintmax_t)found.st_ino, (intmax_t)found.st_size, (intmax_t)found.st_ctim.tv_sec, found.st_ctim.tv_nsec, (intmax_t)found.st_mtim.tv_sec, found.st_mtim.tv_nsec,
	       hash_content(path, found.st_mode), hash_attributes(path));
	n = S_ISDIR(found.st_mode) ? scandir(path, &entries, NULL, alphasort) : 0;
	for (int i = 0; i < n; i++) {
		char child[PATH_MAX];

		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0 && snprintf(child, sizeof child, "%s/%s", path, entries[i]->d_name) < (int)sizeof child)
			look_at(child);
		free(entries[i]);
	}
	if (n > 0)
		free(entries);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "attack") == 0)
		return run_attack(atol(argv[2]), atol(argv[3]));
	if (argc < 3 || strcmp(argv[1], "look") != 0)
		return 2;
	for (int i = 2; i < argc; i++)
		look_at(argv[i]);
	return 0;
}
