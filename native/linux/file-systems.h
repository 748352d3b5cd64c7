/* What kind of file system holds something, where that decides what may be done with it. */
#ifndef FILE_SYSTEMS_H
#define FILE_SYSTEMS_H

#include <stdbool.h>

/* One with a server behind it, on a network or in a process: opening a file there may wait for somebody else's word, and inotify hears of
 * no change that another machine makes. Where it cannot be known, it is taken for one. */
bool is_served(int fd);
bool is_served_at(const char *path);

/* One of the kernel's own (procfs, sysfs, …), where what a file holds depends on who opens it. Where it cannot be known, it is taken for
 * one. */
bool is_kernels_own(int fd);

#endif
