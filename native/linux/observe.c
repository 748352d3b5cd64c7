#include "observe.h"
#include "caller.h"
#include "kernel.h"
#include "reports.h"
#include "seen-path.h"
#include "supervised-path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

enum { TMPFILE_BIT = 0x400000, WRITE_INTENT = O_ACCMODE | O_CREAT | O_TRUNC | TMPFILE_BIT, MOST_NUMBERS = 512 };
enum { RIGHT_EXECUTE = 1, RIGHT_READ = 1 << 2 | 1 << 3 };	/* LANDLOCK_ACCESS_FS_EXECUTE, READ_FILE and READ_DIR */

/* Looks at what is about to be made; as all that look: false where the call fails for another reason. `flags`: REPORT_MISSING, where no
 * link stands there either, through which it would be made elsewhere. */
static bool look_at_missing(struct seen *seen, unsigned flags)
{
	int result = ask_folder(seen);

	tell_refusal_with(seen, result, ACCESS_CREATE, MISSING, flags);
	return result == 0;
}

static bool look_at_new(struct seen *seen)
{
	struct statx_ found;
	int result = stat_name(seen->text, &found);

	if (result == -ENOENT)
		return look_at_missing(seen, REPORT_MISSING);
	/* What stands there may be the sandbox's own, in the place of a name that nobody may make. */
	if (result == 0 && is_mount_point(&found))
		tell_path(seen, ACCESS_CREATE, ITSELF, 0);
	tell_refusal(seen, result, ACCESS_CREATE, ITSELF);
	return false;
}

/* `as`: S_IFDIR for rmdir(2), which fails for a file and for a folder that is not empty; S_IFREG for unlink(2), which fails for a
 * folder; 0 for a name that is moved away. */
static bool look_at_removed(struct seen *seen, unsigned as)
{
	struct statx_ found;
	int result = stat_name(seen->text, &found);

	if (result == 0 && as != 0 && (S_ISDIR(found.mode) != (as == S_IFDIR) || (as == S_IFDIR && !is_empty_folder(AT_FDCWD, seen->text))))
		return false;
	if (result == 0 && is_mount_point(&found))
		result = -EROFS;
	else if (result == 0)
		result = ask_folder(seen);
	tell_refusal(seen, result, ACCESS_REMOVE, ITSELF);
	return result != -ENOENT && result != -ENOTDIR;
}

/* The new name of a rename. */
static bool look_at_replaced(struct seen *seen)
{
	struct statx_ found;
	int result = stat_name(seen->text, &found);

	if (result == -ENOENT)
		return look_at_missing(seen, REPORT_MISSING);
	if (result == 0)
		result = is_mount_point(&found) ? -EROFS : ask_folder(seen);
	tell_refusal(seen, result, ACCESS_WRITE, ITSELF);
	return result == 0;
}

static bool look_at_written(struct seen *seen)
{
	int result = ask_path(seen, W_OK);

	tell_refusal(seen, result, ACCESS_WRITE, FOLLOWED);
	return result == 0;
}

static bool look_at_metadata(struct seen *seen, bool follow)
{
	struct statx_ found;
	int result;

	if (follow) {
		result = ask_path(seen, W_OK);
		/* Its mode does not matter to its owner. */
		if (result == -EACCES && is_read_only(seen->text) && stat_name(seen->text, &found) == 0 && found.uid == geteuid())
			result = -EROFS;
	} else {
		char *last = strrchr(seen->text, '/'), first = last[1];

		result = stat_name(seen->text, &found);
		last[1] = 0;
		if (result == 0 && is_read_only(seen->text))
			result = -EROFS;
		last[1] = first;
	}
	tell_refusal(seen, result, ACCESS_WRITE, follow ? FOLLOWED : ITSELF);
	return result == 0;
}

static bool look_at_read(struct seen *seen, enum access_operation operation, int mode, uint64_t rights)
{
	int result = ask_path(seen, mode);

	tell_refusal(seen, result, operation, FOLLOWED);
	if (result == 0)
		tell_unreadable(seen, operation, rights);
	return result == 0;
}

static bool look_at_opened(struct seen *seen, uint64_t flags)
{
	struct stat found;
	int result;

	if (flags & O_PATH)
		return true;
	if (!(flags & WRITE_INTENT))
		return look_at_read(seen, ACCESS_READ, R_OK, RIGHT_READ);
	if (flags & TMPFILE_BIT)
		return look_at_written(seen);
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return look_at_new(seen);
	result = ask_path(seen, flags & (O_ACCMODE | O_TRUNC) ? W_OK : F_OK);
	if (result == -ENOENT && (flags & O_CREAT))
		return look_at_missing(seen, 0);
	/* No folder is opened for writing, whatever the mount: at most one stands in the place of a name that nobody may make. */
	tell_refusal(seen, result, result == -EROFS && stat(seen->text, &found) == 0 && S_ISDIR(found.st_mode) ? ACCESS_CREATE : ACCESS_WRITE, FOLLOWED);
	return result == 0;
}

enum look { LOOK_NONE, LOOK_OPEN, LOOK_CREAT, LOOK_NEW, LOOK_REMOVED, LOOK_REMOVED_FOLDER, LOOK_MOVED, LOOK_REPLACED, LOOK_WRITTEN, LOOK_METADATA, LOOK_METADATA_OF_LINK, LOOK_EXECUTED };
enum { CWD = -1, NO_FLAGS = -1 };

/* One path of a call: the arguments that say where it starts and what it is, and the one that has flags. */
struct operand { enum look look; signed char at, path, flags; };
struct observed { int number; struct operand operands[2]; };

static const struct observed OBSERVED[] = {
#ifdef SYS_open		/* x64 has the forms without a folder's descriptor too */
	{ SYS_open,       { { LOOK_OPEN, CWD, 0, 1 } } },
	{ SYS_creat,      { { LOOK_CREAT, CWD, 0, NO_FLAGS } } },
	{ SYS_mkdir,      { { LOOK_NEW, CWD, 0, NO_FLAGS } } },
	{ SYS_mknod,      { { LOOK_NEW, CWD, 0, NO_FLAGS } } },
	{ SYS_symlink,    { { LOOK_NEW, CWD, 1, NO_FLAGS } } },
	{ SYS_link,       { { LOOK_NEW, CWD, 1, NO_FLAGS } } },
	{ SYS_unlink,     { { LOOK_REMOVED, CWD, 0, NO_FLAGS } } },
	{ SYS_rmdir,      { { LOOK_REMOVED_FOLDER, CWD, 0, NO_FLAGS } } },
	{ SYS_rename,     { { LOOK_MOVED, CWD, 0, NO_FLAGS }, { LOOK_REPLACED, CWD, 1, NO_FLAGS } } },
	{ SYS_chmod,      { { LOOK_METADATA, CWD, 0, NO_FLAGS } } },
	{ SYS_chown,      { { LOOK_METADATA, CWD, 0, NO_FLAGS } } },
	{ SYS_lchown,     { { LOOK_METADATA_OF_LINK, CWD, 0, NO_FLAGS } } },
	{ SYS_utime,      { { LOOK_METADATA, CWD, 0, NO_FLAGS } } },
	{ SYS_utimes,     { { LOOK_METADATA, CWD, 0, NO_FLAGS } } },
	{ SYS_futimesat,  { { LOOK_METADATA, 0, 1, NO_FLAGS } } },
#endif
#ifdef SYS_renameat
	{ SYS_renameat,   { { LOOK_MOVED, 0, 1, NO_FLAGS }, { LOOK_REPLACED, 2, 3, NO_FLAGS } } },
#endif
	{ SYS_openat,     { { LOOK_OPEN, 0, 1, 2 } } },
	{ SYS_mkdirat,    { { LOOK_NEW, 0, 1, NO_FLAGS } } },
	{ SYS_mknodat,    { { LOOK_NEW, 0, 1, NO_FLAGS } } },
	{ SYS_symlinkat,  { { LOOK_NEW, 1, 2, NO_FLAGS } } },
	{ SYS_linkat,     { { LOOK_NEW, 2, 3, NO_FLAGS } } },
	{ SYS_unlinkat,   { { LOOK_REMOVED, 0, 1, 2 } } },
	{ SYS_renameat2,  { { LOOK_MOVED, 0, 1, NO_FLAGS }, { LOOK_REPLACED, 2, 3, NO_FLAGS } } },
	{ SYS_truncate,   { { LOOK_WRITTEN, CWD, 0, NO_FLAGS } } },
	{ SYS_fchmodat,   { { LOOK_METADATA, 0, 1, NO_FLAGS } } },
	{ NR_fchmodat2,   { { LOOK_METADATA, 0, 1, 3 } } },
	{ SYS_fchownat,   { { LOOK_METADATA, 0, 1, 4 } } },
	{ SYS_utimensat,  { { LOOK_METADATA, 0, 1, 3 } } },
	{ SYS_setxattr,   { { LOOK_METADATA, CWD, 0, NO_FLAGS } } },
	{ SYS_lsetxattr,  { { LOOK_METADATA_OF_LINK, CWD, 0, NO_FLAGS } } },
	{ NR_setxattrat,  { { LOOK_METADATA, 0, 1, 2 } } },
	{ SYS_removexattr,  { { LOOK_METADATA, CWD, 0, NO_FLAGS } } },
	{ SYS_lremovexattr, { { LOOK_METADATA_OF_LINK, CWD, 0, NO_FLAGS } } },
	{ NR_removexattrat, { { LOOK_METADATA, 0, 1, 2 } } },
	{ SYS_execve,     { { LOOK_EXECUTED, CWD, 0, NO_FLAGS } } },
	{ SYS_execveat,   { { LOOK_EXECUTED, 0, 1, 4 } } },
};

static enum access_operation operation_of(enum look look)
{
	switch (look) {
	case LOOK_NEW: return ACCESS_CREATE;
	case LOOK_REMOVED:
	case LOOK_REMOVED_FOLDER:
	case LOOK_MOVED: return ACCESS_REMOVE;
	case LOOK_EXECUTED: return ACCESS_EXECUTE;
	default: return ACCESS_WRITE;
	}
}

static bool look_at(struct seen *seen, const struct operand *operand)
{
	const uint64_t *arguments = seen->call->arguments;
	uint64_t flags = operand->flags == NO_FLAGS ? 0 : arguments[operand->flags];

	switch (operand->look) {
	case LOOK_OPEN:
		return look_at_opened(seen, flags & 0xffffffff);
	case LOOK_CREAT:
		return look_at_opened(seen, O_WRONLY | O_CREAT | O_TRUNC);
	case LOOK_NEW:
		return drop_last_slashes(seen) && look_at_new(seen);
	case LOOK_REMOVED:
		return drop_last_slashes(seen) && look_at_removed(seen, flags & AT_REMOVEDIR ? S_IFDIR : S_IFREG);
	case LOOK_REMOVED_FOLDER:
		return drop_last_slashes(seen) && look_at_removed(seen, S_IFDIR);
	case LOOK_MOVED:
		return drop_last_slashes(seen) && look_at_removed(seen, 0);
	case LOOK_REPLACED:
		return drop_last_slashes(seen) && look_at_replaced(seen);
	case LOOK_WRITTEN:
		return look_at_written(seen);
	case LOOK_METADATA:
		return look_at_metadata(seen, !(flags & AT_SYMLINK_NOFOLLOW_));
	case LOOK_METADATA_OF_LINK:
		return look_at_metadata(seen, false);
	case LOOK_EXECUTED:
		return look_at_read(seen, ACCESS_EXECUTE, X_OK, RIGHT_EXECUTE);
	case LOOK_NONE:
		break;
	}
	return false;
}

static const struct observed *observed_with(int number)
{
	for (unsigned i = 0; i < sizeof OBSERVED / sizeof OBSERVED[0]; i++)
		if (OBSERVED[i].number == number)
			return &OBSERVED[i];
	return NULL;
}

static struct answer observe(const struct call *call)
{
	const struct observed *observed = observed_with(call->number);
	bool goes_on = observed != NULL;

	for (int i = 0; goes_on && i < 2 && observed->operands[i].look != LOOK_NONE; i++) {
		const struct operand *operand = &observed->operands[i];
		struct seen seen;
		char *bytes = seen.text + PREFIX_BYTES;
		long length = copy_path(call->thread, call->arguments[(int)operand->path], bytes, PATH_MAX);

		seen.call = call;
		if (length == -EACCES)
			report_access(call, operation_of(operand->look), "", REPORT_PATH_UNKNOWN);
		goes_on = length > 0 && place_path(&seen, bytes, operand->at == CWD ? AT_FDCWD : (int)call->arguments[(int)operand->at]) && look_at(&seen, operand);
	}
	return let_continue();
}

/* bind(2) makes a file where the address is a path. */
static struct answer observe_bind(const struct call *call)
{
	union { struct sockaddr any; struct sockaddr_un local; } address = { 0 };
	struct seen seen = { .call = call };
	uint64_t length = call->arguments[2];
	char *bytes = seen.text + PREFIX_BYTES;

	if (length > offsetof(struct sockaddr_un, sun_path) && length <= sizeof address.local &&
	    copy_memory(call->thread, call->arguments[1], &address, length) == 0 && address.any.sa_family == AF_UNIX && address.local.sun_path[0] != 0) {
		snprintf(bytes, PATH_MAX, "%.*s", (int)(length - offsetof(struct sockaddr_un, sun_path)), address.local.sun_path);
		if (place_path(&seen, bytes, AT_FDCWD) && drop_last_slashes(&seen))
			look_at_new(&seen);
	}
	return let_continue();
}

static struct answer (*handlers[MOST_NUMBERS])(const struct call *call);

static struct answer handle_and_observe(const struct call *call)
{
	struct answer answer = handlers[call->number](call);

	/* What it carries out is done by now; only a refusal is looked at. */
	if (call->number == SYS_bind && answer.kind == ANSWER_RESULT && (answer.result == -EROFS || answer.result == -EACCES))
		observe_bind(call);
	return answer.kind == ANSWER_CONTINUE && !answer.nothing_to_tell ? observe(call) : answer;
}

void observe_handled_calls(struct handled_call *rows, const struct handled_call *end)
{
	for (; rows < end; rows++) {
		if ((rows->number != SYS_bind && observed_with(rows->number) == NULL) || handlers[rows->number] != NULL)
			continue;
		handlers[rows->number] = rows->handle;
		rows->handle = handle_and_observe;
	}
}

struct handled_call *add_observed_calls(struct handled_call *at)
{
	for (unsigned i = 0; i < sizeof OBSERVED / sizeof OBSERVED[0]; i++)
		*at++ = (struct handled_call){ OBSERVED[i].number, false, observe };
	*at++ = (struct handled_call){ SYS_bind, false, observe_bind };
	return at;
}
