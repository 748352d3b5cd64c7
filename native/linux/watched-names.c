#include "watched-names.h"
#include "file-systems.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

struct watched_name { int watch; uint32_t hash; };

enum { WATCHED_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW };

static uint32_t hash_name(int watch, const char *name, size_t length)
{
	uint32_t value = 2166136261U ^ (uint32_t)watch;

	for (size_t i = 0; i < length; i++)
		value = (value ^ (unsigned char)name[i]) * 16777619U;
	return value == 0 ? 1 : value;
}

static bool is_watched(const struct watched_names *watched, int watch, uint32_t hash)
{
	for (uint32_t i = hash & (watched->names_size - 1); watched->names[i].hash != 0; i = (i + 1) & (watched->names_size - 1))
		if (watched->names[i].hash == hash && watched->names[i].watch == watch)
			return true;
	return false;
}

static void remember_name(struct watched_names *watched, int watch, uint32_t hash)
{
	uint32_t i = hash & (watched->names_size - 1);

	while (watched->names[i].hash != 0)
		i = (i + 1) & (watched->names_size - 1);
	watched->names[i] = (struct watched_name){ watch, hash };
	watched->n_names++;
}

/* Watches of one directory are one watch. */
void watch_path(struct watched_names *watched, const char *path)
{
	char directory[PATH_MAX];

	if (watched->inotify < 0)
		return;
	for (const char *slash = path; slash != NULL; slash = strchr(slash + 1, '/')) {
		const char *name = slash + 1;
		size_t length = strcspn(name, "/");
		uint32_t hash;
		int watch;

		if (slash == path)
			strcpy(directory, "/");
		else
			memcpy(directory, path, (size_t)(slash - path)), directory[slash - path] = 0;
		watch = inotify_add_watch(watched->inotify, directory, WATCHED_EVENTS);
		if (watch < 0) {
			/* A part that is missing is seen through the watch above it. */
			if (errno != ENOENT && errno != ENOTDIR)
				watched->reliable = false;
			return;
		}
		hash = hash_name(watch, name, length);
		if (is_watched(watched, watch, hash))
			continue;
		if (watched->n_names * 2 >= watched->names_size) {
			watched->reliable = false;
			return;
		}
		remember_name(watched, watch, hash);
		if (is_served_at(directory))
			watched->reliable = false;
	}
}

int make_watch(struct watched_names *watched, uint32_t parts)
{
	*watched = (struct watched_names){ .inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .names_size = 64 };
	while (watched->names_size < 4 * (parts + 1))
		watched->names_size *= 2;
	watched->names = calloc(watched->names_size, sizeof *watched->names);
	return watched->names == NULL ? -1 : 0;
}

void forget_names(struct watched_names *watched)
{
	memset(watched->names, 0, watched->names_size * sizeof *watched->names);
	watched->n_names = 0;
	watched->reliable = watched->inotify >= 0;
}

bool has_watch_told(struct watched_names *watched)
{
	char buffer[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool told = false;
	ssize_t length;

	if (watched->inotify < 0)
		return false;
	while ((length = read(watched->inotify, buffer, sizeof buffer)) > 0) {
		const struct inotify_event *event;

		for (char *at = buffer; at < buffer + length; at += sizeof *event + event->len) {
			event = (const struct inotify_event *)at;
			if (event->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
				told = true;
			else if (event->len > 0 && is_watched(watched, event->wd, hash_name(event->wd, event->name, strlen(event->name))))
				told = true;
		}
	}
	return told;
}
