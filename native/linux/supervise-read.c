/* Opening to read on behalf: what the policy lets commands read, and no rule of Landlock's. Folders on the way to a denied path, which a
 * rule would list with all below; and what came to lie in one of them after the rules were made. All else is the kernel's to judge. */
#include "supervise.h"
#include "caller.h"
#include "file-systems.h"
#include "listed-folders.h"
#include "paths.h"
#include "shared-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool lies_in_listed_folder(const struct place *place)
{
	struct stat folder;

	return place->directory >= 0 && fstat(place->directory, &folder) == 0 && is_listed_folder(&folder);
}

/* What a root with something in it that is closed to reading holds, and what is left to the kernel there: where commands' own domain reads
 * too. In all other roots that domain reads. */
static bool is_in_roots_to_read(const struct place *place)
{
	if (is_shared_memory(place->path))
		return true;
	return reads_are_judged_in_roots() && ((S_ISDIR(place->status.st_mode) && is_monitors(place->path)) || holds_monitors_name(place));
}

static bool is_monitors_to_read(const struct place *place)
{
	if (S_ISDIR(place->status.st_mode))
		return is_in_roots_to_read(place) || is_listed_folder(&place->status);
	return is_in_roots_to_read(place) || (S_ISREG(place->status.st_mode) && lies_in_listed_folder(place));
}

/* Neither a folder nor shared memory, which has "shm" in each spelling of its path: what else is opened without following links comes here
 * only because the filter cannot see paths. */
static bool is_kernels_to_read(const char *path, uint64_t flags)
{
	return !reads_are_judged_in_roots() && !reads_are_observed() && (flags & (O_DIRECTORY | O_NOFOLLOW)) == O_NOFOLLOW && strstr(path, "shm") == NULL;
}

/* An ordinary folder in a place where the kernel judges by itself, which most are. Nothing is decided by what this finds but whether to look
 * more closely: the kernel goes the way again, under commands' own domain. So it may go by the path as it is, and ask of nobody whether the
 * caller is still there. Of what cannot be opened the other look knows more. */
static bool is_ordinary_folder(const struct call *call, int directory_fd, const char *path, uint64_t flags)
{
	char way[40 + PATH_MAX], found[PATH_MAX];
	struct stat status;
	int fd, start = 0;
	bool ordinary;

	if (reads_are_judged_in_roots() || reads_are_observed() || !(flags & O_DIRECTORY) || is_at_or_below(path, "/proc") || is_at_or_below(path, "/dev"))
		return false;
	if (path[0] != '/')
		start = directory_fd == AT_FDCWD ? sprintf(way, "/proc/%d/cwd/", call->thread) : sprintf(way, "/proc/%d/fd/%d/", call->thread, directory_fd);
	strcpy(way + start, path);
	fd = openat(AT_FDCWD, way, O_PATH | O_DIRECTORY | O_CLOEXEC | (int)(flags & O_NOFOLLOW));
	if (fd < 0)
		return false;
	ordinary = fstat(fd, &status) == 0 && !is_listed_folder(&status) && path_of(fd, found) > 0 && found[0] == '/' && !is_shared_memory(found) && effect_at(get_rules(), found) != EFFECT_DENY;
	close(fd);
	return ordinary;
}

/* Not a mistake of the caller's, nor what depends on who opens it. */
static bool may_be_opened(const struct place *place, uint64_t flags)
{
	mode_t type = place->status.st_mode & S_IFMT;

	return type == S_IFDIR || ((type == S_IFREG || type == S_IFIFO) && !place->must_be_directory && !(flags & O_DIRECTORY));
}

struct answer supervise_read(const struct call *call, int directory_fd, uint64_t address, uint64_t flags)
{
	struct place place;
	struct answer answer = let_continue();
	char path[PATH_MAX];
	long length = copy_path(call->thread, address, path, sizeof path), result;

	/* The kernel says what is wrong with it. */
	if (length < 0)
		return answer;
	answer.nothing_to_tell = is_kernels_to_read(path, flags) || is_ordinary_folder(call, directory_fd, path, flags);
	if (answer.nothing_to_tell)
		return answer;
	result = go_to_copied(&place, call, directory_fd, path, flags & O_NOFOLLOW ? 0 : WAY_FOLLOW);
	for (; result == 0; result = follow_link(&place)) {
		result = look(&place);
		if (result != 0 || !is_link_to_follow(&place))
			break;
	}
	if (result == 0 && place.path[0] == '/' && may_be_opened(&place, flags)) {
		bool denied = effect_at(get_rules(), place.path) == EFFECT_DENY;

		if (!denied && !is_monitors_to_read(&place))
			answer.nothing_to_tell = true;
		else if (!is_kernels_own(place.object))
			answer = denied ? give_result(refuse(&place, ACCESS_READ)) : open_on_behalf(&place, flags);
	}
	leave(&place);
	return answer;
}
