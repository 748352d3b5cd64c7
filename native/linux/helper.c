#include "helper.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/memfd.h, linux/fcntl.h. */
enum { MFD_CLOEXEC_ = 1, MFD_ALLOW_SEALING_ = 2, MFD_EXEC_ = 0x10 };
enum { F_ADD_SEALS_ = 1033, ALL_SEALS = 1 | 2 | 4 | 8 };

static int make_memory_file(void)
{
	int fd = (int)syscall(SYS_memfd_create, "codex-sandbox-launcher", MFD_CLOEXEC_ | MFD_ALLOW_SEALING_ | MFD_EXEC_);

	/* Before Linux 6.3 every memory file may be executed, and the word for it is unknown. */
	return fd < 0 && errno == EINVAL ? (int)syscall(SYS_memfd_create, "codex-sandbox-launcher", MFD_CLOEXEC_ | MFD_ALLOW_SEALING_) : fd;
}

static int copy_all(int from, int to)
{
	struct stat state;
	off_t at = 0;

	if (fstat(from, &state) != 0)
		return -1;
	while (at < state.st_size)
		if (sendfile(to, from, &at, (size_t)(state.st_size - at)) <= 0)
			return -1;
	return fcntl(to, F_ADD_SEALS_, ALL_SEALS);
}

/* What is open for writing cannot be executed (ETXTBSY), sealed or not. */
static int open_again(int fd)
{
	char path[OWN_PATH_BYTES];

	own_path(path, fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

int open_helper(void)
{
	int own = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), file = own < 0 ? -1 : make_memory_file();
	int again = file < 0 || copy_all(own, file) != 0 ? -1 : open_again(file), error = errno;

	if (own >= 0)
		close(own);
	if (file >= 0)
		close(file);
	errno = error;
	return again;
}
