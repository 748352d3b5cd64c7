#include "terminals.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MOST_TERMINALS = 256, MAKER_MAJOR = 5, MAKER_MINOR = 2, FIRST_MAJOR = 136, LAST_MAJOR = 143 };

/* The other ends, opened for nothing. When its master is closed a terminal's name goes, and another one may get its number: then the
 * pinned one has no link. */
static struct {
	pthread_mutex_t lock;
	int pins[MOST_TERMINALS], n;
} terminals = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_alive(int pin, struct stat *found)
{
	return fstat(pin, found) == 0 && found->st_nlink > 0;
}

/* With the lock held. */
static void drop_dead(void)
{
	struct stat found;
	int left = 0;

	for (int i = 0; i < terminals.n; i++) {
		if (is_alive(terminals.pins[i], &found))
			terminals.pins[left++] = terminals.pins[i];
		else
			close(terminals.pins[i]);
	}
	terminals.n = left;
}

int note_terminal(int master)
{
	int pin = ioctl(master, TIOCGPTPEER, O_PATH | O_CLOEXEC);
	bool noted = false;

	if (pin < 0)
		return -1;
	pthread_mutex_lock(&terminals.lock);
	drop_dead();
	if (terminals.n < MOST_TERMINALS) {
		terminals.pins[terminals.n++] = pin;
		noted = true;
	}
	pthread_mutex_unlock(&terminals.lock);
	if (!noted) {
		close(pin);
		errno = ENOSPC;	/* as the kernel, where there are too many */
	}
	return noted ? 0 : -1;
}

static int open_object(int object, uint64_t flags)
{
	char path[OWN_PATH_BYTES];

	own_path(path, object);
	return open(path, (int)(flags & ~(uint64_t)(O_CREAT | O_EXCL | O_NOFOLLOW)) | O_NOCTTY | O_CLOEXEC);
}

/* The terminal at the place, if it was made inside. */
static int open_own(const struct place *place, uint64_t flags)
{
	int fd = -1;

	errno = EACCES;
	pthread_mutex_lock(&terminals.lock);
	for (int i = 0; i < terminals.n; i++) {
		struct stat found;

		if (!is_alive(terminals.pins[i], &found) || found.st_dev != place->status.st_dev || found.st_ino != place->status.st_ino)
			continue;
		fd = open_object(terminals.pins[i], flags);
		break;
	}
	pthread_mutex_unlock(&terminals.lock);
	return fd;
}

static struct answer give(const struct place *place, int fd, uint64_t flags)
{
	return fd < 0 ? give_result(-errno) : hand_descriptor_over(place->call, fd, (flags & O_CLOEXEC) != 0);
}

struct answer supervise_terminal(struct place *place, uint64_t flags)
{
	unsigned type = major(place->status.st_rdev);
	int fd;

	if (type == MAKER_MAJOR && minor(place->status.st_rdev) == MAKER_MINOR) {
		fd = open_object(place->object, flags);
		if (fd >= 0 && note_terminal(fd) != 0) {
			int error = errno;

			close(fd);
			return give_result(-error);
		}
		return give(place, fd, flags);
	}
	if (type < FIRST_MAJOR || type > LAST_MAJOR)
		return let_continue();
	fd = open_own(place, flags);
	if (fd < 0 && errno == EACCES)
		report_access(place->call, ACCESS_WRITE, place->path, REPORT_REFUSED);
	return give(place, fd, flags);
}
