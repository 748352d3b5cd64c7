/* What the monitor reads of a process that waits in a system call: memory, paths, descriptors. All of it is a copy that may be
 * stale at once; judged only after `still_waits`, and never looked at a second time. */
#ifndef CALLER_H
#define CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether this process may do to callers what the functions below do, as far as filters and /proc go: tried on itself. `descriptors`: also
 * take_descriptor. Returns 0, or -1 with errno. */
int try_on_self(bool descriptors);

/* Copies exactly `length` bytes. Returns 0; -EFAULT; -EACCES where the caller may not be read (it is not dumpable). */
long copy_memory(pid_t thread, uint64_t address, void *bytes, size_t length);

/* Copies a path with its NUL into `path` of `size` bytes. Returns its length; -ENAMETOOLONG where it does not end; -EFAULT; -EACCES. */
long copy_path(pid_t thread, uint64_t address, char *path, size_t size);

/* Reads the beginning of a file of the caller's folder in /proc (`stat`, `fdinfo/3`) into `text`, and a NUL behind it. Returns its length;
 * -1, and then `text` is empty. */
ssize_t read_file_of(pid_t thread, const char *name, char *text, size_t size);

/* The process of a thread; -1 where it is gone. */
pid_t thread_group(pid_t thread);

/* The caller's own descriptor `fd`, as one of ours (pidfd_getfd). -1 with errno; EBADF is the caller's own mistake. */
int take_descriptor(pid_t thread, int fd);

/* The caller's working directory, opened with O_PATH; -1 with errno. */
int open_cwd(pid_t thread);

/* What the caller's descriptor `fd` is open on (AT_FDCWD: its working directory), opened anew with O_PATH and `flags`. -1 with errno:
 * EBADF is the caller's own mistake. */
int open_anew(pid_t thread, int fd, int flags);

/* Is the caller's descriptor `fd` neither open for reading nor for writing (O_PATH)? */
bool is_opened_for_nothing(pid_t thread, int fd);

/* 0077 where it is not known. */
mode_t umask_of(pid_t thread);

/* The name of the program, at most 15 characters and a NUL; empty where it is not known. */
void program_of(pid_t thread, char program[16]);

#endif
