/* /dev/shm on the supervised rung, where it is the host's: objects of the host are neither seen nor reached, and what commands make lies in
 * a folder of their sandbox's. The paths of both are /dev/shm/NAME: what leads there is led into that folder (supervised-path.c). */
#ifndef SHARED_MEMORY_H
#define SHARED_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#define SHARED_MEMORY "/dev/shm"

/* A path is the folder itself, or below it. */
bool is_shared_memory(const char *path);

/* The sandbox's own folder, opened for nothing, as a descriptor of the caller's; it is made when it is first asked for. -1 with errno. */
int open_shared_memory(void);

/* Where `path` (of `size` bytes) is in the sandbox's folder, writes it as commands see it. */
void show_shared_memory(char *path);

/* With all in it; at the end of the sandbox. What a launcher that was killed left, the next one removes. */
void remove_shared_memory(void);

#endif
