#include "supervise.h"
#include "caller.h"
#include "kernel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct plan *plan;
static mode_t first_umask;		/* with which each command begins */
static bool umasks_differ;		/* may; set by the thread that receives, and unset by the one that starts commands */

void prepare_supervising(const struct plan *its_plan, struct supervised_rules *rules, mode_t umask_of_commands)
{
	plan = its_plan;
	first_umask = umask_of_commands;
	set_rules(rules);
}

void expect_first_umask(void)
{
	__atomic_store_n(&umasks_differ, false, __ATOMIC_RELAXED);
}

/* Where no command has set another, none need be asked for its own: /proc takes as long for that as the rest of making a file. The call has
 * not been carried out yet, and what its process makes after it comes here after it. */
static struct answer notice_umask(const struct call *call)
{
	struct answer answer = let_continue();

	if ((call->arguments[0] & 0777) != first_umask)
		__atomic_store_n(&umasks_differ, true, __ATOMIC_RELAXED);
	answer.nothing_to_tell = true;
	return answer;
}

bool truncation_is_covered(void)
{
	return (plan->handled_fs & LANDLOCK_TRUNCATE_) != 0;
}

bool reads_are_judged_in_roots(void)
{
	return (plan->flags & PLAN_READS_IN_ROOTS) != 0;
}

bool reads_are_observed(void)
{
	return (plan->flags & PLAN_OBSERVE_READS) != 0;
}

bool is_granted_device(const char *path)
{
	bool found = false;

	/* Of terminals the monitor must know which were made inside, whatever the policy names. */
	if (strncmp(path, "/dev/", 5) != 0 || strcmp(path, "/dev/ptmx") == 0 || is_at_or_below(path, "/dev/pts"))
		return false;
	for (uint32_t i = 0; i < plan->n_rules && !found; i++)
		found = strcmp(plan->rules[i].path, path) == 0;
	return found;
}

struct answer leave_to_kernel(const struct place *place)
{
	struct answer answer = let_continue();

	answer.nothing_to_tell = place->path[0] == '/' && effect_at(get_rules(), place->path) == EFFECT_WRITE;
	return answer;
}

/* Does the mode let it? What is made or removed is the directory's matter. */
static bool mode_permits(const struct place *place, enum access_operation operation)
{
	int fd = operation == ACCESS_WRITE && place->object >= 0 ? place->object : place->directory;
	char path[OWN_PATH_BYTES];

	own_path(path, fd);
	return fd < 0 || access(path, fd == place->directory ? W_OK | X_OK : W_OK) == 0;
}

long refuse(const struct place *place, enum access_operation operation)
{
	bool permitted = mode_permits(place, operation);

	report_access(place->call, operation, place->path, REPORT_REFUSED | (permitted ? 0 : REPORT_MODE_REFUSES));
	return permitted && effect_at(get_rules(), place->path) != EFFECT_DENY ? -EROFS : -EACCES;
}

bool is_closed_elsewhere(const struct place *place)
{
	/* A descriptor of what has no name any more (a memory file): its holder's. */
	if (place->directory < 0 && place->status.st_nlink == 0)
		return false;
	return place->path[0] == '/' && !may_create(get_rules(), place->path) && !holds_monitors_name(place) && !is_at_or_below(place->path, "/dev") && !is_at_or_below(place->path, "/proc");
}

void begin_making(const struct call *call)
{
	umask(__atomic_load_n(&umasks_differ, __ATOMIC_RELAXED) ? umask_of(call->thread) : first_umask);
}

/* The launcher's own files have the modes that it names. */
void end_making(void)
{
	umask(0);
}

static const struct handled_call FILE_CALLS[] = {
	{ SYS_openat, false, supervise_open },
	{ SYS_umask, false, notice_umask },
	{ SYS_mkdirat, false, supervise_names },
	{ SYS_mknodat, false, supervise_names },
	{ SYS_unlinkat, false, supervise_names },
	{ SYS_renameat2, false, supervise_names },
	{ SYS_linkat, false, supervise_names },
	{ SYS_symlinkat, false, supervise_names },
	{ SYS_truncate, true, supervise_truncate },
	{ SYS_fchmod, false, supervise_metadata },
	{ SYS_fchmodat, false, supervise_metadata },
	{ NR_fchmodat2, false, supervise_metadata },
	{ SYS_fchown, false, supervise_metadata },
	{ SYS_fchownat, false, supervise_metadata },
	{ SYS_utimensat, false, supervise_metadata },
	{ SYS_setxattr, false, supervise_metadata },
	{ SYS_lsetxattr, false, supervise_metadata },
	{ SYS_fsetxattr, false, supervise_metadata },
	{ NR_setxattrat, false, supervise_metadata },
	{ SYS_removexattr, false, supervise_metadata },
	{ SYS_lremovexattr, false, supervise_metadata },
	{ SYS_fremovexattr, false, supervise_metadata },
	{ NR_removexattrat, false, supervise_metadata },
#ifdef SYS_renameat
	{ SYS_renameat, false, supervise_names },
#endif
#ifdef SYS_open	/* not on arm64 */
	{ SYS_open, false, supervise_open },
	{ SYS_creat, false, supervise_open },
	{ SYS_mkdir, false, supervise_names },
	{ SYS_mknod, false, supervise_names },
	{ SYS_unlink, false, supervise_names },
	{ SYS_rmdir, false, supervise_names },
	{ SYS_rename, false, supervise_names },
	{ SYS_link, false, supervise_names },
	{ SYS_symlink, false, supervise_names },
	{ SYS_chmod, false, supervise_metadata },
	{ SYS_chown, false, supervise_metadata },
	{ SYS_lchown, false, supervise_metadata },
	{ SYS_utime, false, supervise_metadata },
	{ SYS_utimes, false, supervise_metadata },
	{ SYS_futimesat, false, supervise_metadata },
#endif
};

struct handled_call *add_file_calls(struct handled_call *at)
{
	memcpy(at, FILE_CALLS, sizeof FILE_CALLS);
	return at + sizeof FILE_CALLS / sizeof FILE_CALLS[0];
}
