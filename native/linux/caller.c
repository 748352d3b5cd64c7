#include "caller.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096 };	/* the smallest page of any architecture: a read may stop earlier than it has to */

static long copy_some(pid_t thread, uint64_t address, void *bytes, size_t length)
{
	struct iovec here = { bytes, length }, there = { (void *)(uintptr_t)address, length };
	ssize_t copied = process_vm_readv(thread, &here, 1, &there, 1, 0);

	if (copied < 0)
		return errno == EPERM ? -EACCES : -EFAULT;
	return copied;
}

/* Another PID namespace's /proc shows other processes under the same numbers. */
static bool is_own_proc(void)
{
	char target[16] = { 0 };

	if (readlink("/proc/self", target, sizeof target - 1) < 0)
		return false;
	errno = ESRCH;
	return atol(target) == getpid();
}

int try_on_self(bool descriptors)
{
	int value = 42, seen = 0, taken, error;

	if (!is_own_proc() || copy_memory(getpid(), (uint64_t)(uintptr_t)&value, &seen, sizeof seen) != 0)
		return -1;
	if (!descriptors)
		return 0;
	/* 0 may be closed: that it was looked for is what counts. */
	taken = take_descriptor(getpid(), 0);
	error = errno;
	if (taken >= 0)
		close(taken);
	errno = error;
	return taken >= 0 || error == EBADF ? 0 : -1;
}

long copy_memory(pid_t thread, uint64_t address, void *bytes, size_t length)
{
	long copied = copy_some(thread, address, bytes, length);

	return copied < 0 ? copied : (size_t)copied == length ? 0 : -EFAULT;
}

/* Page by page: what lies behind the path may not be there. */
long copy_path(pid_t thread, uint64_t address, char *path, size_t size)
{
	size_t length = 0;

	while (length < size) {
		size_t page = PAGE_BYTES - (address + length) % PAGE_BYTES, wanted = page < size - length ? page : size - length;
		long copied = copy_some(thread, address + length, path + length, wanted);
		const char *end;

		if (copied <= 0)
			return copied == 0 ? -EFAULT : copied;
		end = memchr(path + length, 0, (size_t)copied);
		if (end != NULL)
			return end - path;
		length += (size_t)copied;
	}
	return -ENAMETOOLONG;
}

ssize_t read_file_of(pid_t thread, const char *name, char *text, size_t size)
{
	char path[48];
	ssize_t length;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/%s", thread, name);
	fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);	/* musl's open(3) sets O_CLOEXEC by a second call */
	length = fd < 0 ? -1 : read(fd, text, size - 1);
	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	return length;
}

pid_t thread_group(pid_t thread)
{
	char text[2048];
	const char *line;

	read_file_of(thread, "status", text, sizeof text);
	line = strstr(text, "\nTgid:");
	return line == NULL ? -1 : (pid_t)atoi(line + 6);
}

int take_descriptor(pid_t thread, int fd)
{
	int pidfd = (int)syscall(NR_pidfd_open, thread, PIDFD_THREAD_), taken, error;

	if (pidfd < 0)		/* before Linux 6.9: only thread groups */
		pidfd = (int)syscall(NR_pidfd_open, thread_group(thread), 0);
	if (pidfd < 0)
		return -1;
	taken = (int)syscall(NR_pidfd_getfd, pidfd, fd, 0);
	error = errno;
	close(pidfd);
	errno = error;
	return taken;
}

int open_cwd(pid_t thread)
{
	char path[48];

	snprintf(path, sizeof path, "/proc/%d/cwd", thread);
	return openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

int open_anew(pid_t thread, int fd, int flags)
{
	char path[48];
	int opened;

	if (fd == AT_FDCWD)
		snprintf(path, sizeof path, "/proc/%d/cwd", thread);
	else
		snprintf(path, sizeof path, "/proc/%d/fd/%d", thread, fd);
	opened = openat(AT_FDCWD, path, O_PATH | O_CLOEXEC | flags);
	if (opened < 0 && errno == ENOENT)
		errno = EBADF;
	return opened;
}

/* The link's own mode tells for what the descriptor is open. */
bool is_opened_for_nothing(pid_t thread, int fd)
{
	char path[48];
	struct stat link;

	snprintf(path, sizeof path, "/proc/%d/fd/%d", thread, fd);
	return lstat(path, &link) == 0 && (link.st_mode & 0700) == 0;
}

mode_t umask_of(pid_t thread)
{
	char text[512];
	const char *line;

	read_file_of(thread, "status", text, sizeof text);
	line = strstr(text, "Umask:");
	return line == NULL ? 0077 : (mode_t)strtoul(line + 6, NULL, 8);
}

void program_of(pid_t thread, char program[16])
{
	ssize_t length = read_file_of(thread, "comm", program, 16);

	if (length > 0 && program[length - 1] == '\n')
		program[length - 1] = 0;
}
