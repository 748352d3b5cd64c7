#include "objects.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

int close_keeping_errno(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

int open_identical(const char *path, struct identity expected)
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
