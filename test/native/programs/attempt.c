/* Makes system calls as a test names them, each by its number, and prints its errno (0: it worked): attempt CALL PATH [PATH2]. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NR_fchmodat2 452
#define NR_setxattrat 463
#define NR_removexattrat 466

struct how { uint64_t flags, mode, resolve; };
struct xattr_arguments { uint64_t value; uint32_t size, flags; };

static const char *path, *path2;
static int folder = AT_FDCWD;		/* of the *at calls: `folder=PATH` opens one */

static long openat_with(long flags) { return syscall(SYS_openat, folder, path, flags | O_CLOEXEC, 0600L); }
static long do_wronly(void) { return openat_with(O_WRONLY); }
static long do_rdwr(void) { return openat_with(O_RDWR); }
static long do_creat_flag(void) { return openat_with(O_WRONLY | O_CREAT); }
static long do_excl(void) { return openat_with(O_WRONLY | O_CREAT | O_EXCL); }
static long do_trunc(void) { return openat_with(O_RDONLY | O_TRUNC); }
static long do_append(void) { return openat_with(O_WRONLY | O_APPEND); }
static long do_read_creat(void) { return openat_with(O_RDONLY | O_CREAT); }
static long do_tmpfile(void) { return openat_with(O_TMPFILE | O_WRONLY); }
static long do_nofollow(void) { return openat_with(O_WRONLY | O_NOFOLLOW); }
static long do_rdonly(void) { return openat_with(O_RDONLY); }
static long do_directory(void) { return openat_with(O_RDONLY | O_DIRECTORY); }
static long do_path(void) { return openat_with(O_PATH); }
static long do_mkdirat(void) { return syscall(SYS_mkdirat, folder, path, 0700L); }
static long do_mknodat(void) { return syscall(SYS_mknodat, folder, path, S_IFIFO | 0600L, 0L); }
static long do_symlinkat(void) { return syscall(SYS_symlinkat, "/nowhere", folder, path); }
static long do_linkat(void) { return syscall(SYS_linkat, AT_FDCWD, path2, folder, path, 0L); }
static long do_unlinkat(void) { return syscall(SYS_unlinkat, folder, path, 0L); }
static long do_rmdirat(void) { return syscall(SYS_unlinkat, folder, path, (long)AT_REMOVEDIR); }
static long do_renameat2(void) { return syscall(SYS_renameat2, folder, path, AT_FDCWD, path2, 0L); }
static long do_renameat2_onto(void) { return syscall(SYS_renameat2, AT_FDCWD, path2, folder, path, 0L); }
static long do_exchange(void) { return syscall(SYS_renameat2, AT_FDCWD, path2, folder, path, 2L); }
static long do_truncate(void) { return syscall(SYS_truncate, path, 0L); }
static long do_fchmodat(void) { return syscall(SYS_fchmodat, folder, path, 0640L); }
static long do_fchmodat2(void) { return syscall(NR_fchmodat2, folder, path, 0640L, 0L); }
static long do_fchownat(void) { return syscall(SYS_fchownat, folder, path, (long)getuid(), (long)getgid(), 0L); }
static long do_fchownat_link(void) { return syscall(SYS_fchownat, folder, path, (long)getuid(), (long)getgid(), (long)AT_SYMLINK_NOFOLLOW); }
static long do_utimensat(void) { return syscall(SYS_utimensat, folder, path, NULL, 0L); }
static long do_utimensat_link(void) { return syscall(SYS_utimensat, folder, path, NULL, (long)AT_SYMLINK_NOFOLLOW); }
static long do_setxattr(void) { return syscall(SYS_setxattr, path, "user.x", "1", 1L, 0L); }
static long do_lsetxattr(void) { return syscall(SYS_lsetxattr, path, "user.x", "1", 1L, 0L); }
static long do_setxattrat(void) { struct xattr_arguments arguments = { (uintptr_t)"1", 1, 0 }; return syscall(NR_setxattrat, folder, path, 0L, "user.x", &arguments, sizeof arguments); }
static long do_removexattr(void) { return syscall(SYS_removexattr, path, "user.x"); }
static long do_lremovexattr(void) { return syscall(SYS_lremovexattr, path, "user.x"); }
static long do_removexattrat(void) { return syscall(NR_removexattrat, folder, path, 0L, "user.x"); }
static long do_bind(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(address.sun_path, path, sizeof address.sun_path - 1);
	return bind(fd, (struct sockaddr *)&address, sizeof address);
}
static long do_execve(void)
{
	char *const arguments[] = { (char *)path, NULL };
	pid_t child = fork();
	int status;

	if (child == 0) {
		syscall(SYS_execve, path, arguments, NULL);
		_exit(errno == 0 ? 255 : errno);
	}
	waitpid(child, &status, 0);
	errno = WEXITSTATUS(status);
	return errno == 0 ? 0 : -1;
}
#ifdef SYS_open
static long do_open(void) { return syscall(SYS_open, path, (long)(O_WRONLY | O_CREAT), 0600L); }
static long do_creat(void) { return syscall(SYS_creat, path, 0600L); }
static long do_mkdir(void) { return syscall(SYS_mkdir, path, 0700L); }
static long do_mknod(void) { return syscall(SYS_mknod, path, S_IFIFO | 0600L, 0L); }
static long do_symlink(void) { return syscall(SYS_symlink, "/nowhere", path); }
static long do_link(void) { return syscall(SYS_link, path2, path); }
static long do_unlink(void) { return syscall(SYS_unlink, path); }
static long do_rmdir(void) { return syscall(SYS_rmdir, path); }
static long do_rename(void) { return syscall(SYS_rename, path, path2); }
static long do_renameat(void) { return syscall(SYS_renameat, folder, path, AT_FDCWD, path2); }
static long do_chmod(void) { return syscall(SYS_chmod, path, 0640L); }
static long do_chown(void) { return syscall(SYS_chown, path, (long)getuid(), (long)getgid()); }
static long do_lchown(void) { return syscall(SYS_lchown, path, (long)getuid(), (long)getgid()); }
static long do_utime(void) { return syscall(SYS_utime, path, NULL); }
static long do_utimes(void) { return syscall(SYS_utimes, path, NULL); }
static long do_futimesat(void) { return syscall(SYS_futimesat, folder, path, NULL); }
#endif

static long open_at(const void *address) { return syscall(SYS_openat, AT_FDCWD, address, (long)(O_WRONLY | O_CREAT), 0600L); }
static long do_bad_address(void) { return open_at((const void *)1); }
static long do_unterminated(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(memory + page, page);
	memset(memory, 'a', page);
	return open_at(memory + page - 16);
}
static long do_too_long(void)
{
	char *text = malloc(8192);

	memset(text, 'a', 8191);
	text[8191] = 0;
	return open_at(text);
}
static long do_empty(void) { return open_at(""); }
/* The path crosses a page. */
static long do_across(void)
{
	long page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return open_at(strcpy(memory + page - strlen(path) / 2, path));
}
static long do_undumpable(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	return do_creat_flag();
}

static long status_of(pid_t child)
{
	int status;

	waitpid(child, &status, __WALL);
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
	return errno == 0 ? 0 : -1;
}
static long do_vforked(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(syscall(SYS_openat, AT_FDCWD, path, (long)(O_WRONLY | O_CREAT), 0600L) < 0 ? errno : 0);
	return status_of(child);
}
static int in_clone(void *unused)
{
	(void)unused;
	return syscall(SYS_openat, AT_FDCWD, path, (long)(O_WRONLY | O_CREAT), 0600L) < 0 ? errno : 0;
}
static long do_cloned(void)
{
	char *stack = malloc(65536);

	return status_of(clone(in_clone, stack + 65536, CLONE_VM | SIGCHLD, NULL));
}
static void *in_thread(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)(do_creat_flag() < 0 ? errno : 0);
}
static long do_threaded(void)
{
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, in_thread, NULL);
	pthread_join(thread, &result);
	errno = (int)(intptr_t)result;
	return errno == 0 ? 0 : -1;
}
/* A process of its own session whose parent is gone. */
static long do_daemon(void)
{
	int ends[2], error = 0;

	if (pipe(ends) != 0)
		return -1;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			usleep(20000);
			error = do_creat_flag() < 0 ? errno : 0;
			if (write(ends[1], &error, sizeof error) < 0)
				_exit(1);
		}
		_exit(0);
	}
	wait(NULL);
	if (read(ends[0], &error, sizeof error) != sizeof error)
		return -1;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* As Go does to its threads. Each open must come to its end, and be made once. */
static void ignore(int signal) { (void)signal; }
static long do_storm(void)
{
	struct sigaction action = { .sa_handler = ignore, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 100 }, { 0, 100 } };

	sigaction(SIGURG, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 500; i++) {
		char name[512];

		snprintf(name, sizeof name, "%s-%d", path, i);
		/* Made once: a call that was carried out twice would find its own file. */
		if (syscall(SYS_mkdirat, AT_FDCWD, name, 0700L) != 0 || syscall(SYS_unlinkat, AT_FDCWD, name, (long)AT_REMOVEDIR) != 0)
			return -1;
	}
	return 0;
}
static long do_many(void)
{
	int n = atoi(path2);

	for (int i = 0; i < n; i++) {
		char name[512];

		snprintf(name, sizeof name, "%s-%d", path, i);
		if (syscall(SYS_openat, AT_FDCWD, name, (long)(O_WRONLY | O_CREAT), 0600L) >= 0) {
			errno = 0;
			return -1;
		}
	}
	return 0;
}
/* Callers that are killed in the middle of their call. */
static long do_dying(void)
{
	for (int i = 0; i < 100; i++) {
		pid_t child = fork();

		if (child == 0)
			for (;;)
				do_creat_flag();
		usleep(i % 10 * 50);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return 0;
}

static long install(unsigned long flags)
{
	struct sock_filter instructions[] = { { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } };
	struct sock_fprog program = { 1, instructions };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}
static long do_own_filter(void) { return install(0); }
static long do_own_listener(void) { return install(SECCOMP_FILTER_FLAG_NEW_LISTENER); }

static const struct { const char *name; long (*make)(void); } CALLS[] = {
	{ "wronly", do_wronly }, { "rdwr", do_rdwr }, { "o_creat", do_creat_flag }, { "o_excl", do_excl }, { "o_trunc", do_trunc }, { "o_append", do_append },
	{ "rdonly|o_creat", do_read_creat }, { "o_tmpfile", do_tmpfile }, { "o_nofollow", do_nofollow }, { "rdonly", do_rdonly }, { "o_directory", do_directory }, { "o_path", do_path },
	{ "mkdirat", do_mkdirat }, { "mknodat", do_mknodat }, { "symlinkat", do_symlinkat }, { "linkat", do_linkat },
	{ "unlinkat", do_unlinkat }, { "rmdirat", do_rmdirat }, { "renameat2", do_renameat2 }, { "renameat2-onto", do_renameat2_onto }, { "exchange", do_exchange },
	{ "truncate", do_truncate }, { "fchmodat", do_fchmodat }, { "fchmodat2", do_fchmodat2 }, { "fchownat", do_fchownat }, { "fchownat-link", do_fchownat_link },
	{ "utimensat", do_utimensat }, { "utimensat-link", do_utimensat_link }, { "setxattr", do_setxattr }, { "lsetxattr", do_lsetxattr }, { "setxattrat", do_setxattrat },
	{ "removexattr", do_removexattr }, { "lremovexattr", do_lremovexattr }, { "removexattrat", do_removexattrat }, { "bind", do_bind }, { "execve", do_execve },
#ifdef SYS_open
	{ "open", do_open }, { "creat", do_creat }, { "mkdir", do_mkdir }, { "mknod", do_mknod }, { "symlink", do_symlink }, { "link", do_link }, { "unlink", do_unlink },
	{ "rmdir", do_rmdir }, { "rename", do_rename }, { "renameat", do_renameat }, { "chmod", do_chmod }, { "chown", do_chown }, { "lchown", do_lchown },
	{ "utime", do_utime }, { "utimes", do_utimes }, { "futimesat", do_futimesat },
#endif
	{ "bad-address", do_bad_address }, { "unterminated", do_unterminated }, { "too-long", do_too_long }, { "empty", do_empty }, { "across-pages", do_across },
	{ "undumpable", do_undumpable }, { "vforked", do_vforked }, { "cloned", do_cloned }, { "threaded", do_threaded }, { "daemon", do_daemon },
	{ "storm", do_storm }, { "many", do_many }, { "dying", do_dying }, { "own-filter", do_own_filter }, { "own-listener", do_own_listener },
};

static int attempt(const char *name)
{
	long numbers[7] = { 0 };
	char *end = (char *)name;

	for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
		if (strcmp(CALLS[i].name, name) != 0)
			continue;
		errno = 0;
		return CALLS[i].make() < 0 ? errno : 0;
	}
	/* `NUMBER,ARGUMENT,…`: any call. */
	for (int i = 0; i < 7 && *end != 0; i++) {
		numbers[i] = (long)strtoull(end, &end, 0);
		if (*end == ',')
			end++;
		else if (*end != 0)
			return -1;
	}
	errno = 0;
	return syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]) < 0 ? errno : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strncmp(argv[1], "folder=", 7) == 0) {
		folder = open(argv[1] + 7, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		argv++;
		argc--;
	}
	/* Several calls without a path: one line each. */
	if (argc > 1 && strcmp(argv[1], "calls") == 0) {
		for (int i = 2; i < argc; i++)
			printf("%d\n", attempt(argv[i]));
		return 0;
	}
	path = argc > 2 ? argv[2] : "";
	path2 = argc > 3 ? argv[3] : "";
	printf("%d\n", argc > 1 ? attempt(argv[1]) : -1);
	return 0;
}
