#include "identity.h"
#include "plan.h"
#include "reports.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/syscall.h>

enum kind { OWNER, USERS, GROUPS, LIST };

/* The arguments that are ids, from `first` on: of an owner the user and the group. */
static const struct { int number; enum kind kind; signed char first, count; const char *name; } CALLS[] = {
#ifdef SYS_chown
	{ SYS_chown, OWNER, 1, 2, "chown" }, { SYS_lchown, OWNER, 1, 2, "lchown" },
#endif
	{ SYS_fchown, OWNER, 1, 2, "fchown" }, { SYS_fchownat, OWNER, 2, 2, "fchownat" },
	{ SYS_setuid, USERS, 0, 1, "setuid" }, { SYS_setreuid, USERS, 0, 2, "setreuid" }, { SYS_setresuid, USERS, 0, 3, "setresuid" },
	{ SYS_setgid, GROUPS, 0, 1, "setgid" }, { SYS_setregid, GROUPS, 0, 2, "setregid" }, { SYS_setresgid, GROUPS, 0, 3, "setresgid" },
	{ SYS_setgroups, LIST, 0, 0, "setgroups" },
};
enum { N_CALLS = sizeof CALLS / sizeof CALLS[0], MOST_RANGES = 32 };

/* What else is done with the call; NULL: nothing. */
static struct answer (*otherwise[N_CALLS])(const struct call *call);

struct map { unsigned n; struct { uint32_t first, count; } ranges[MOST_RANGES]; };
static struct map users, groups;
static uint32_t own_user, own_group;
static bool carries_out;

/* Where it cannot be read nothing is said of it: all ids count as mapped. */
static void read_map(const char *path, struct map *map)
{
	FILE *file = fopen(path, "re");
	unsigned first, outside, count;

	map->n = 0;
	while (file != NULL && map->n < MOST_RANGES && fscanf(file, "%u %u %u", &first, &outside, &count) == 3) {
		map->ranges[map->n].first = first;
		map->ranges[map->n++].count = count;
	}
	if (file != NULL)
		fclose(file);
	if (map->n == 0) {
		map->ranges[0].first = 0;
		map->ranges[map->n++].count = UINT32_MAX;
	}
}

static bool is_mapped(const struct map *map, uint32_t id)
{
	for (unsigned i = 0; i < map->n; i++)
		if (id >= map->ranges[i].first && id - map->ranges[i].first < map->ranges[i].count)
			return true;
	return false;
}

void prepare_identity(const struct plan *plan)
{
	own_user = plan->uid;
	own_group = plan->gid;
	carries_out = (plan->flags & PLAN_SUPERVISED) != 0;
	read_map("/proc/self/uid_map", &users);
	read_map("/proc/self/gid_map", &groups);
}

/* To the kernel -1 is no id, and leaves what there is. */
static bool is_other(uint32_t id, uint32_t own)
{
	return id != own && id != UINT32_MAX;
}

struct id { uint32_t number; bool is_group; };

/* The first id that is not the caller's own; false where there is none. */
static bool find_other(const struct call *call, unsigned row, struct id *other)
{
	for (int i = 0; i < CALLS[row].count; i++) {
		other->number = (uint32_t)call->arguments[CALLS[row].first + i];
		other->is_group = CALLS[row].kind == GROUPS || (CALLS[row].kind == OWNER && i == 1);
		if (is_other(other->number, other->is_group ? own_group : own_user))
			return true;
	}
	return false;
}

/* `chown(group 1000, not mapped)`, `setgroups`. */
static void report_identity(const struct call *call, unsigned row, const struct id *other)
{
	char text[96];

	if (CALLS[row].kind == LIST)
		snprintf(text, sizeof text, "%s", CALLS[row].name);
	else
		snprintf(text, sizeof text, "%s(%s %u%s)", CALLS[row].name, other->is_group ? "group" : "user", other->number,
			 is_mapped(other->is_group ? &groups : &users, other->number) ? "" : ", not mapped");
	report_access(call, ACCESS_SYSTEM_CALL, text, REPORT_REFUSED);
}

static struct answer refuse_identity(const struct call *call)
{
	for (unsigned row = 0; row < N_CALLS; row++) {
		struct id other = { 0 };
		struct answer answer;

		if (CALLS[row].number != call->number)
			continue;
		if (CALLS[row].kind != LIST && !find_other(call, row, &other))
			return otherwise[row] != NULL ? otherwise[row](call) : let_continue();
		/* Without a user namespace there are the user's other groups, to which a file may be given. */
		if (CALLS[row].kind == OWNER && carries_out && otherwise[row] != NULL) {
			answer = otherwise[row](call);
			if (answer.kind != ANSWER_RESULT || (answer.result != -EPERM && answer.result != -EINVAL))
				return answer;
		}
		report_identity(call, row, &other);
		return give_result(-EPERM);
	}
	return give_result(-EPERM);
}

struct handled_call *tell_identity(struct handled_call *rows, struct handled_call *end)
{
	struct handled_call *last = end;

	for (unsigned i = 0; i < N_CALLS; i++) {
		struct handled_call *row = rows;

		while (row < end && row->number != CALLS[i].number)
			row++;
		if (row < end) {
			otherwise[i] = row->handle;
			row->handle = refuse_identity;
		} else {
			*last++ = (struct handled_call){ CALLS[i].number, false, refuse_identity };
		}
	}
	return last;
}
