/* The watch over the names on the way to paths: tells cheaply whether one of them may lead elsewhere since it was last asked. */
#ifndef WATCHED_NAMES_H
#define WATCHED_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct watched_names {
	int inotify;			/* -1: not to be had */
	bool reliable;			/* every name on the way is watched, on file systems that tell of all changes */
	struct watched_name *names;	/* hash table of (watch, name) */
	uint32_t n_names, names_size;
};

/* Room for the names of paths with `parts` parts in all. Returns 0, or -1 where memory ran out. */
int make_watch(struct watched_names *watched, uint32_t parts);

/* Forgets all names. What is watched from now on is reliable, as far as the kernel has a watch at all. */
void forget_names(struct watched_names *watched);

/* Watches each directory on the way to `path` (absolute) for the name that leads on. */
void watch_path(struct watched_names *watched, const char *path);

/* Reads what the kernel has told since; true where a watched name may have changed. */
bool has_watch_told(struct watched_names *watched);

#endif
