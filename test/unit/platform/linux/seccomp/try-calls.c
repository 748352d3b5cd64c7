/* Installs the seccomp filter on its standard input, then makes the system calls that its arguments name and prints
 * the errno of each, 0 for success, one a line. `listener` as the first argument installs it with a listener.
 *   number[,argument]...   a system call, in any base of strtoull
 *   fork, thread           by the C library, and waits for it
 *   i386                   getpid by int 0x80 in a child: prints the signal that ended it, or 0
 * Exits 1 where the filter could not be installed. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int install(unsigned flags)
{
	static struct sock_filter code[4096];
	size_t count = fread(code, sizeof code[0], sizeof code / sizeof code[0], stdin);
	struct sock_fprog program = { .len = (unsigned short)count, .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int try_call(const char *text)
{
	unsigned long value[7] = { 0 };
	char *rest = (char *)text;

	for (int i = 0; i < 7 && *rest != '\0'; i++) {
		value[i] = strtoull(rest, &rest, 0);
		if (*rest == ',')
			rest++;
	}
	errno = 0;
	return syscall((long)value[0], value[1], value[2], value[3], value[4], value[5], value[6]) == -1 ? errno : 0;
}

static int try_fork(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid == -1 || waitpid(pid, &status, 0) == -1 ? errno : status;
}

static void *run_thread(void *argument) { return argument; }

static int try_thread(void)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, run_thread, NULL);

	return error != 0 ? error : pthread_join(thread, NULL);
}

static int try_i386(void)
{
#ifdef __x86_64__
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		long result;
		__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
#else
	return 0;
#endif
}

int main(int argc, char **argv)
{
	int listen = argc > 1 && strcmp(argv[1], "listener") == 0;

	if (install(listen ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0) < 0) {
		perror("seccomp");
		return 1;
	}
	for (int i = 1 + listen; i < argc; i++) {
		int error = strcmp(argv[i], "fork") == 0 ? try_fork()
			: strcmp(argv[i], "thread") == 0 ? try_thread()
			: strcmp(argv[i], "i386") == 0 ? try_i386()
			: try_call(argv[i]);
		printf("%d\n", error);
	}
	return 0;
}
