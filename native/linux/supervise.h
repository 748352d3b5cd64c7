/* Changes of files, performed by the monitor: on hosts without a mount namespace of one's own.
 *
 * Commands live in a Landlock domain that may not write in a root with closed paths below; the monitor's own domain, around it, may. So
 * each call that changes something comes here first (src/platform/linux/seccomp/filters.ts, `supervise`). What leads into such a root is
 * judged by the rules and performed on the very descriptors that were judged; everything else goes on in the kernel, under the
 * command's own domain: there a path that changes after the look meets the same refusal as without one.
 *
 * Names are changed by one thread at a time (the receiving one), and commands cannot change any in such a root. So between a look and
 * an act no directory comes to lie, or to have lain, at a closed place.
 *
 * Landlock does not know mode, owner, times and attributes. These calls never go on in the kernel: allowed is what the rules let write,
 * and the monitor does it. */
#ifndef SUPERVISE_H
#define SUPERVISE_H

#include "kernel.h"
#include "notifications.h"
#include "reports.h"
#include "supervised-path.h"

/* Appends the rows of all calls that change files; returns what is behind the last one. */
struct handled_call *add_file_calls(struct handled_call *at);

/* open, openat, creat. openat2 is refused: COMMAND_FILTER. */
struct answer supervise_open(const struct call *call);

/* Those of them that only read. */
struct answer supervise_read(const struct call *call, int directory_fd, uint64_t address, uint64_t flags);

/* Opens what stands at a place that has been looked at and judged, and gives it to the caller. */
struct answer open_on_behalf(struct place *place, uint64_t flags);

/* mkdir, mknod, unlink, rmdir, rename, link, symlink, in all their forms. */
struct answer supervise_names(const struct call *call);

/* bind(2) to a path, as far as a name is made. Returns 0: the name may be made, and is the monitor's to make; LEAVE_TO_INNER: the kernel is
 * to judge it by commands' own domain; or -errno. `leave` must follow. */
enum { LEAVE_TO_INNER = 1 };
long judge_socket_file(struct place *place, const struct call *call, const char *path);

/* Mode, owner, times, extended attributes, in all their forms. */
struct answer supervise_metadata(const struct call *call);

/* truncate. May block: a lease that another process holds, a large file. */
struct answer supervise_truncate(const struct call *call);

/* Before the first call. The plan must stay. */
void prepare_supervising(const struct plan *plan, struct supervised_rules *rules, mode_t umask_of_commands);

/* Whenever a command is about to begin and no other one is there: all that is inside then has the umask that it was given. */
void expect_first_umask(void);

/* Does commands' domain handle `truncate` (Landlock ABI 3)? */
bool truncation_is_covered(void);

/* Are all opens for reading judged in writable roots, or only those of folders on the way to what is closed, and of shared memory? */
bool reads_are_judged_in_roots(void);

/* Are opens for reading observed? */
bool reads_are_observed(void);

/* A device that commands' own domain opens by a rule of its own, spelled as the rule has it. */
bool is_granted_device(const char *path);

/* The kernel carries out what is not the monitor's, in a place that was looked at. */
struct answer leave_to_kernel(const struct place *place);

/* Tells that `operation` was refused. Returns the errno as the rung with mounts has it: EACCES where reads are denied or the mode itself
 * refuses it, else EROFS. */
long refuse(const struct place *place, enum access_operation operation);

/* Is a name that is not the monitor's closed by the rules? Then commands' own domain would refuse it too; but this process says it in the
 * words of a read-only file system, and tells. What /dev and /proc hold, the domain alone knows. */
bool is_closed_elsewhere(const struct place *place);

/* From here to `end_making` this thread makes files with the caller's umask. */
void begin_making(const struct call *call);
void end_making(void);

#endif
