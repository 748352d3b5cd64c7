/* Opening to read on behalf: what the policy lets commands read, and no rule of Landlock's. Folders on the way to a denied path, which a
 * rule would list with all below; and what came to lie in one of them after the rules were made. All else is the kernel's to judge. */
#include "supervise.h"
#include "file-systems.h"
#include "listed-folders.h"

#include <errno.h>
#include <fcntl.h>

static bool lies_in_listed_folder(const struct place *place)
{
	struct stat folder;

	return place->directory >= 0 && fstat(place->directory, &folder) == 0 && is_listed_folder(&folder);
}

/* What a root with a closed path in it holds, and what is left to the kernel there: where commands' own domain reads too. */
static bool is_monitors_to_read(const struct place *place)
{
	if (S_ISDIR(place->status.st_mode))
		return is_listed_folder(&place->status) || is_monitors(place->path) || holds_monitors_name(place);
	return holds_monitors_name(place) || (S_ISREG(place->status.st_mode) && lies_in_listed_folder(place));
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
	long result = go_to(&place, call, directory_fd, address, flags & O_NOFOLLOW ? 0 : WAY_FOLLOW);

	for (; result == 0; result = follow_link(&place)) {
		result = look(&place);
		if (result != 0 || !is_link_to_follow(&place))
			break;
	}
	if (result == 0 && place.path[0] == '/' && may_be_opened(&place, flags) && !is_kernels_own(place.object)) {
		if (effect_at(get_rules(), place.path) == EFFECT_DENY)
			answer = give_result(refuse(&place, ACCESS_READ));
		else if (is_monitors_to_read(&place))
			answer = open_on_behalf(&place, flags);
	}
	leave(&place);
	return answer;
}
