#include "listed-folders.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { CLOCK_TICK_NS = 20 * 1000 * 1000 /* as coarse as the times of files may be, and more */ };

/* `fresh`: it changed so lately that another change need not show in its times. */
struct folder { int fd; dev_t device; ino_t inode; struct timespec changed; bool fresh; };

struct folders { struct folder *all; uint32_t n, size; };

static struct {
	pthread_mutex_t lock;		/* of `used` */
	struct folders used, noted;
} listed = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void empty(struct folders *folders)
{
	for (uint32_t i = 0; i < folders->n; i++)
		close(folders->all[i].fd);
	free(folders->all);
	*folders = (struct folders){ 0 };
}

void note_folders_anew(void)
{
	empty(&listed.noted);
}

static bool is_fresh(struct timespec changed)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - changed.tv_sec) * 1000000000LL + now.tv_nsec - changed.tv_nsec < CLOCK_TICK_NS;
}

int note_listed_folder(int fd)
{
	struct folders *folders = &listed.noted;
	struct stat found;
	int own;

	if (fstat(fd, &found) != 0)
		return -1;
	if (folders->n == folders->size) {
		uint32_t size = folders->size == 0 ? 16 : folders->size * 2;
		struct folder *grown = realloc(folders->all, size * sizeof *grown);

		if (grown == NULL)
			return -1;
		folders->all = grown;
		folders->size = size;
	}
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return -1;
	folders->all[folders->n++] = (struct folder){ own, found.st_dev, found.st_ino, found.st_ctim, is_fresh(found.st_ctim) };
	return 0;
}

void use_noted_folders(void)
{
	struct folders before = listed.used;

	pthread_mutex_lock(&listed.lock);
	listed.used = listed.noted;
	pthread_mutex_unlock(&listed.lock);
	listed.noted = (struct folders){ 0 };
	empty(&before);
}

bool is_listed_folder(const struct stat *folder)
{
	bool found = false;

	pthread_mutex_lock(&listed.lock);
	for (uint32_t i = 0; i < listed.used.n && !found; i++)
		found = listed.used.all[i].inode == folder->st_ino && listed.used.all[i].device == folder->st_dev;
	pthread_mutex_unlock(&listed.lock);
	return found;
}

bool have_listed_folders_changed(void)
{
	for (uint32_t i = 0; i < listed.used.n; i++) {
		const struct folder *folder = &listed.used.all[i];
		struct stat found;

		if (folder->fresh || fstat(folder->fd, &found) != 0 || found.st_ctim.tv_sec != folder->changed.tv_sec || found.st_ctim.tv_nsec != folder->changed.tv_nsec)
			return true;
	}
	return false;
}
