#include "git-operations.h"
#include "caller.h"
#include "journal.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PREFIX_BYTES = 48 };

/* An operation is under way where its folder is there. */
static const char *const OPERATIONS[] = { "rebase-merge", "sequencer" };

/* Git writes it after each commit of its own making wherever the name of its folder stands, even if that leads nowhere. */
static const char SAFETY[] = "/abort-safety";

static int operations = -1;	/* GIT_OPERATIONS, with O_PATH */

/* A folder of one operation: its parent, open, and its name in it. */
struct folder { int parent; const char *name; };

static const char *operation_named(const char *name)
{
	for (size_t i = 0; i < sizeof OPERATIONS / sizeof OPERATIONS[0]; i++)
		if (strcmp(OPERATIONS[i], name) == 0)
			return OPERATIONS[i];
	return NULL;
}

/* Opens what a link with this text leads to. Commands can put links of their own on the way: none is followed. Returns false where
 * it leads elsewhere. */
static bool open_folder(struct folder *folder, const char *text)
{
	struct open_how_ how = { .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS_ };
	char parent[MOST_PLACEHOLDER_TEXT];
	const char *slash;

	if (strncmp(text, GIT_OPERATIONS "/", sizeof GIT_OPERATIONS) != 0 || strlen(text) >= sizeof parent)
		return false;
	strcpy(parent, text + sizeof GIT_OPERATIONS);
	slash = strchr(parent, '/');
	folder->name = slash == NULL ? NULL : operation_named(slash + 1);
	if (folder->name == NULL || parent[0] == '.')
		return false;
	parent[slash - parent] = 0;
	if (mkdirat(operations, parent, 0777) != 0 && errno != EEXIST)
		return false;
	folder->parent = (int)syscall(NR_openat2, operations, parent, &how, sizeof how);
	return folder->parent >= 0;
}

static const char *link_text(const struct mount_step *step)
{
	return step->entry == ENTRY_SYMLINK && strncmp(step->text, GIT_OPERATIONS "/", sizeof GIT_OPERATIONS) == 0 ? step->text : NULL;
}

bool has_git_operations(const struct plan *plan)
{
	bool found = false;

	for (uint32_t i = 0; i < plan->n_mounts && !found; i++)
		found = link_text(&plan->mounts[i]) != NULL;
	return found;
}

int prepare_git_operations(const struct plan *plan)
{
	if (!has_git_operations(plan))
		return 0;
	operations = open(GIT_OPERATIONS, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (uint32_t i = 0; operations >= 0 && i < plan->n_mounts; i++) {
		const char *text = link_text(&plan->mounts[i]);
		struct folder folder;

		if (text == NULL)
			continue;
		if (!open_folder(&folder, text))
			return -1;
		close(folder.parent);
	}
	return operations < 0 ? -1 : 0;
}

static bool is_under_way(const struct folder *folder)
{
	struct stat found;

	return fstatat(folder->parent, folder->name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

const char *next_git_operation(const struct plan *plan, uint32_t *at)
{
	while (operations >= 0 && *at < plan->n_mounts) {
		const struct mount_step *step = &plan->mounts[(*at)++];
		const char *text = link_text(step);
		struct folder folder;
		bool found;

		if (text == NULL || !open_folder(&folder, text))
			continue;
		found = is_under_way(&folder);
		close(folder.parent);
		if (found)
			return step->path;
	}
	return NULL;
}

static struct answer make(const struct call *call, const struct folder *folder)
{
	(void)call;
	return give_result(mkdirat(folder->parent, folder->name, 0777) == 0 ? 0 : -errno);
}

static struct answer take_away(const struct call *call, const struct folder *folder)
{
	(void)call;
	return give_result(unlinkat(folder->parent, folder->name, AT_REMOVEDIR) == 0 ? 0 : -errno);
}

/* A file without a name, so that no folder appears for it. */
static struct answer open_safety(const struct call *call, const struct folder *folder)
{
	int fd = is_under_way(folder) ? -1 : openat(operations, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

	return fd < 0 ? let_continue() : hand_descriptor_over(call, fd, true);
}

/* Reads the link at the caller's path, or where `below` it, where it is one that is held. */
static bool read_held_link(const struct call *call, int at, uint64_t address, const char *below, char text[MOST_PLACEHOLDER_TEXT])
{
	char path[PREFIX_BYTES + PATH_MAX], *bytes = path + PREFIX_BYTES;
	long length = copy_path(call->thread, address, bytes, PATH_MAX);
	struct statx_ found;
	const char *name;

	while (length > 1 && bytes[length - 1] == '/')
		bytes[--length] = 0;
	if (length <= (long)strlen(below) || strcmp(bytes + length - strlen(below), below) != 0)
		return false;
	length -= (long)strlen(below);
	bytes[length] = 0;
	name = strrchr(bytes, '/');
	if (operation_named(name == NULL ? bytes : name + 1) == NULL)
		return false;
	if (bytes[0] == '/') {
		memmove(path, bytes, (size_t)length + 1);
	} else {
		int prefix = at == AT_FDCWD ? snprintf(path, PREFIX_BYTES, "/proc/%d/cwd/", call->thread) : snprintf(path, PREFIX_BYTES, "/proc/%d/fd/%d/", call->thread, at);

		memmove(path + prefix, bytes, (size_t)length + 1);
	}
	if (syscall(SYS_statx, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW_, STATX_TYPE_MODE_, &found) != 0 || (found.attributes & STATX_ATTR_MOUNT_ROOT_) == 0)
		return false;
	length = readlink(path, text, MOST_PLACEHOLDER_TEXT - 1);
	text[length > 0 ? length : 0] = 0;
	return length > 0;
}

static struct answer answer(const struct call *call, int at, uint64_t address, const char *below, struct answer (*act)(const struct call *call, const struct folder *folder))
{
	char text[MOST_PLACEHOLDER_TEXT];
	struct folder folder;
	struct answer result;

	if (!read_held_link(call, at, address, below, text) || !open_folder(&folder, text))
		return let_continue();
	result = still_waits(call) ? act(call, &folder) : let_continue();
	close(folder.parent);
	return result;
}

#ifdef SYS_mkdir
static struct answer handle_mkdir(const struct call *call)
{
	return answer(call, AT_FDCWD, call->arguments[0], "", make);
}

static struct answer handle_rmdir(const struct call *call)
{
	return answer(call, AT_FDCWD, call->arguments[0], "", take_away);
}

static struct answer handle_open(const struct call *call)
{
	return (call->arguments[1] & O_CREAT) ? answer(call, AT_FDCWD, call->arguments[0], SAFETY, open_safety) : let_continue();
}
#endif

static struct answer handle_mkdirat(const struct call *call)
{
	return answer(call, (int)call->arguments[0], call->arguments[1], "", make);
}

static struct answer handle_unlinkat(const struct call *call)
{
	return (call->arguments[2] & AT_REMOVEDIR) ? answer(call, (int)call->arguments[0], call->arguments[1], "", take_away) : let_continue();
}

static struct answer handle_openat(const struct call *call)
{
	return (call->arguments[2] & O_CREAT) ? answer(call, (int)call->arguments[0], call->arguments[1], SAFETY, open_safety) : let_continue();
}

struct handled_call *add_git_operation_calls(struct handled_call *at)
{
#ifdef SYS_mkdir
	*at++ = (struct handled_call){ SYS_mkdir, false, handle_mkdir };
	*at++ = (struct handled_call){ SYS_rmdir, false, handle_rmdir };
	*at++ = (struct handled_call){ SYS_open, false, handle_open };
#endif
	*at++ = (struct handled_call){ SYS_mkdirat, false, handle_mkdirat };
	*at++ = (struct handled_call){ SYS_unlinkat, false, handle_unlinkat };
	*at++ = (struct handled_call){ SYS_openat, false, handle_openat };
	return at;
}
