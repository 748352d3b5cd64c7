#include "domains.h"
#include "kernel.h"
#include "listed-folders.h"
#include "objects.h"
#include "restrict.h"
#include "supervised-grants.h"
#include "supervised-path.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A rule takes some memory of the kernel's, and is copied for every command. */
enum { MOST_RULES = 1 << 16 };

/* A tree on its way into a ruleset. */
struct granting {
	int ruleset;
	const struct plan *plan;
	const struct readable_tree *tree;
	struct failure *failure;
	uint32_t n_rules;
	char path[PATH_MAX];	/* of the folder that is looked at, for comparisons and errors */
};

static int fail_at(struct failure *failure, const char *path)
{
	int error = errno;
	char *copy = strdup(path);

	errno = error;
	return fail(failure, STEP_compile_landlock_rules, copy);
}

/* The kernel refuses rights on a file that only a directory can have, and a rule that allows nothing. */
static int add_rule(int ruleset, int fd, uint64_t allowed)
{
	struct landlock_path_beneath_attr_ rule = { allowed, fd };
	struct stat found;

	if (fstat(fd, &found) != 0)
		return -1;
	if (!S_ISDIR(found.st_mode))
		rule.allowed_access &= LANDLOCK_ON_FILE_;
	/* About a link's own inode, which nothing ever opens. */
	if (S_ISLNK(found.st_mode) || rule.allowed_access == 0)
		return 0;
	return (int)syscall(NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH_, &rule, 0);
}

/* What a rule is about, as it was meant. -1 with errno; -2: it is not there, and grants nothing. `again`: nor does what came in its place
 * since the start. */
static int open_meant(const struct landlock_rule *rule, bool again)
{
	bool compared = rule->identity.inode != 0;
	struct identity found;
	int fd = open_exact(rule->path);

	if (fd < 0)
		return (again || !compared) && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EACCES) ? -2 : -1;
	if (compared && (identify(fd, "", &found, NULL, NULL) != 0 || !same_identity(found, rule->identity))) {
		close(fd);
		errno = ESTALE;
		return again ? -2 : -1;
	}
	return fd;
}

static int add_rules(int ruleset, const struct landlock_rule *rules, uint32_t n_rules, bool again, struct failure *failure)
{
	for (uint32_t i = 0; i < n_rules; i++) {
		int fd = open_meant(&rules[i], again), result = fd >= 0 ? add_rule(ruleset, fd, rules[i].allowed) : fd == -2 ? 0 : -1;

		if (fd >= 0)
			close(fd);
		if (result != 0)
			return fail(failure, STEP_compile_landlock_rules, rules[i].path);
	}
	return 0;
}

static bool folds_case(const struct plan *plan, const char *path)
{
	for (uint32_t i = 0; i < plan->n_path_rules; i++)
		if (plan->path_rules[i].folds_case && strcmp(plan->path_rules[i].path, path) == 0)
			return true;
	return false;
}

enum closeness { OPEN, LEADS_TO_CLOSED, CLOSED };

/* `name` in the folder at granting->path, which is `length` long. */
static enum closeness judge_entry(const struct granting *granting, const char *name, size_t length)
{
	size_t name_length = strlen(name);
	enum closeness result = OPEN;
	char path[PATH_MAX + NAME_MAX + 2];

	snprintf(path, sizeof path, "%s/%s", granting->path, name);
	for (uint32_t i = 0; i < granting->tree->n_closed; i++) {
		const char *closed = granting->tree->closed[i], *rest = closed + length + 1;
		bool folds = folds_case(granting->plan, closed);
		struct relation relation = folds ? relate_folded(closed, path) : (struct relation){ 0 };

		if (relation.at_or_above)
			return CLOSED;
		if (relation.below)
			result = LEADS_TO_CLOSED;
		if (folds || strncmp(closed, granting->path, length) != 0 || closed[length] != '/' || strncmp(rest, name, name_length) != 0)
			continue;
		if (rest[name_length] == 0)
			return CLOSED;
		if (rest[name_length] == '/')
			result = LEADS_TO_CLOSED;
	}
	return result;
}

static int grant_entries(struct granting *granting, int folder, size_t length);

/* What cannot be opened or has gone meanwhile stays closed. */
static int grant_entry(struct granting *granting, int folder, const char *name, size_t length)
{
	enum closeness closeness = judge_entry(granting, name, length);
	size_t end = length + 1 + strlen(name);
	int fd, result = 0;

	if (closeness == CLOSED || end >= sizeof granting->path)
		return 0;
	fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC | (closeness == OPEN ? 0 : O_DIRECTORY));
	if (fd < 0)
		return 0;
	if (closeness == LEADS_TO_CLOSED) {
		granting->path[length] = '/';
		memcpy(granting->path + length + 1, name, end - length);
		result = grant_entries(granting, fd, end);
		granting->path[length] = 0;
	} else if (++granting->n_rules > MOST_RULES) {
		errno = E2BIG;
		result = fail_at(granting->failure, granting->path);
	} else if (add_rule(granting->ruleset, fd, granting->tree->rule.allowed) != 0 && errno == ENOMEM) {
		result = fail_at(granting->failure, granting->path);
	}
	close(fd);
	return result;
}

/* A rule on every entry of a folder that leads to a closed path, but for those that lead there themselves. */
static int grant_entries(struct granting *granting, int folder, size_t length)
{
	const struct dirent *entry;
	int fd, result = 0;
	DIR *entries;

	if (note_listed_folder(folder) != 0)
		return fail_at(granting->failure, granting->path);
	fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Its names cannot be known: nothing in it is readable. */
	if (fd < 0)
		return 0;
	entries = fdopendir(fd);
	if (entries == NULL) {
		close(fd);
		return fail_at(granting->failure, granting->path);
	}
	while (result == 0 && (entry = readdir(entries)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = grant_entry(granting, folder, entry->d_name, length);
	closedir(entries);
	return result;
}

static int grant_tree(int ruleset, const struct plan *plan, const struct readable_tree *tree, bool again, struct failure *failure)
{
	struct granting granting = { .ruleset = ruleset, .plan = plan, .tree = tree, .failure = failure };
	size_t length = strlen(tree->rule.path);
	int fd = open_meant(&tree->rule, again), result;

	if (fd == -2)
		return 0;
	if (fd < 0 || length >= sizeof granting.path) {
		if (fd >= 0)
			close(fd);
		return fail(failure, STEP_compile_landlock_rules, tree->rule.path);
	}
	memcpy(granting.path, tree->rule.path, length + 1);
	/* The root directory's path has no slash that is not its entries'. */
	if (length == 1)
		granting.path[length = 0] = 0;
	if (tree->n_closed > 0)
		result = grant_entries(&granting, fd, length);
	else
		result = add_rule(ruleset, fd, tree->rule.allowed) == 0 ? 0 : fail(failure, STEP_compile_landlock_rules, tree->rule.path);
	close(fd);
	return result;
}

static struct supervised_rule *supervised_rules_of(const struct plan *plan)
{
	struct supervised_rule *rules = calloc(plan->n_path_rules + 1, sizeof *rules);

	for (uint32_t i = 0; rules != NULL && i < plan->n_path_rules; i++)
		rules[i] = (struct supervised_rule){ plan->path_rules[i].effect, plan->path_rules[i].path, plan->path_rules[i].folds_case };
	return rules;
}

struct supervised_rules *index_path_rules(const struct plan *plan)
{
	struct supervised_rule *given = supervised_rules_of(plan);
	struct supervised_rules *rules = given == NULL ? NULL : index_rules(plan->base, given, plan->n_path_rules);

	free(given);
	return rules;
}

/* Writable folders of roots in which something else is closed: there the kernel alone is faster. */
static int add_grants(int ruleset, const struct plan *plan, struct supervised_rules *rules)
{
	struct supervised_rule *given = supervised_rules_of(plan);
	struct grants grants = { 0 };
	int result = given == NULL ? -1 : open_grants(rules, given, plan->n_path_rules, &grants);

	for (uint32_t i = 0; result == 0 && i < grants.n; i++)
		result = add_rule(ruleset, grants.fds[i], plan->handled_fs);
	close_grants(&grants);
	free(given);
	return result;
}

/* Only those of the start, as far as they are still there: the monitor leaves to the kernel what lies in them, and in no other. */
static int add_grants_again(int ruleset, const struct plan *plan)
{
	uint32_t n;
	const struct granted *grants = grants_of(get_rules(), &n);

	for (uint32_t i = 0; i < n; i++) {
		struct landlock_rule rule = { plan->handled_fs, (char *)grants[i].path, { grants[i].device, grants[i].inode } };
		int fd = open_meant(&rule, true), result = fd < 0 ? 0 : add_rule(ruleset, fd, rule.allowed);

		if (fd >= 0)
			close(fd);
		if (result != 0)
			return -1;
	}
	return 0;
}

/* `rules`: what is granted is noted in them. NULL: again, for a later command. Returns the ruleset, or -1 with `failure` filled. */
static int make_inner(const struct plan *plan, struct supervised_rules *rules, struct failure *failure)
{
	bool again = rules == NULL;
	int ruleset = create_ruleset(plan->handled_fs, plan->handled_net, plan->scopes), result;

	if (ruleset < 0)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	note_folders_anew();
	result = add_rules(ruleset, plan->rules, plan->n_rules, again, failure);
	for (uint32_t i = 0; result == 0 && i < plan->n_trees; i++)
		result = grant_tree(ruleset, plan, &plan->trees[i], again, failure);
	if (result == 0 && (again ? add_grants_again(ruleset, plan) : add_grants(ruleset, plan, rules)) != 0)
		result = fail(failure, STEP_compile_landlock_rules, NULL);
	if (result != 0) {
		note_folders_anew();
		close(ruleset);
		return -1;
	}
	use_noted_folders();
	return ruleset;
}

int refresh_inner(const struct plan *plan, int inner, struct failure *failure)
{
	int ruleset;

	if (INJECTED(refresh_rules))
		return fail(failure, STEP_refresh_rules, NULL);
	if (!have_listed_folders_changed())
		return 0;
	ruleset = make_inner(plan, NULL, failure);
	if (ruleset < 0) {
		failure->step = STEP_refresh_rules;
		return -1;
	}
	/* Under the number by which all know it. */
	if (dup3(ruleset, inner, O_CLOEXEC) < 0) {
		int error = errno;

		close(ruleset);
		errno = error;
		return fail(failure, STEP_refresh_rules, NULL);
	}
	close(ruleset);
	return 1;
}

/* One right has to be handled, and is given on everything. `refer`: under a layer without it each rename and link between two directories
 * is EXDEV; Landlock's ABI 1 knows no other way, and then it may be any right. */
static int make_fence(const struct plan *plan, struct failure *failure)
{
	uint64_t right = plan->handled_fs & LANDLOCK_REFER_ ? LANDLOCK_REFER_ : LANDLOCK_EXECUTE_;
	struct landlock_rule everything = { right, (char *)"/", { 0, 0 } };
	int ruleset = create_ruleset(right, 0, plan->scopes & LANDLOCK_SCOPE_SIGNAL_);

	if (ruleset < 0)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	if (add_rules(ruleset, &everything, 1, false, failure) == 0)
		return ruleset;
	close(ruleset);
	return -1;
}

int make_domains_inside(const struct plan *plan, struct domains *domains, struct failure *failure)
{
	struct landlock_rule proc = { plan->proc_rights, (char *)"/proc", { 0, 0 } };

	domains->inner = INJECTED(compile_landlock_rules) ? -1 : create_ruleset(plan->handled_fs, plan->handled_net, plan->scopes);
	if (domains->inner < 0)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	if (add_rules(domains->inner, plan->rules, plan->n_rules, false, failure) != 0 || (proc.allowed != 0 && add_rules(domains->inner, &proc, 1, false, failure) != 0))
		return -1;
	domains->fence = make_fence(plan, failure);
	return domains->fence < 0 ? -1 : 0;
}

bool signals_are_fenced(const struct plan *plan)
{
	return (plan->scopes & LANDLOCK_SCOPE_SIGNAL_) != 0;
}

/* Which address it is, `connect.c` sees to: only ports can be said here. */
static int add_reachable_ports(int ruleset, const struct plan *plan)
{
	if (!(plan->outer_handled_net & LANDLOCK_CONNECT_TCP_))
		return 0;
	for (uint32_t i = 0; i < plan->n_listeners; i++) {
		struct landlock_net_port_attr_ rule = { LANDLOCK_CONNECT_TCP_, plan->listeners[i].port };

		if (syscall(NR_landlock_add_rule, ruleset, LANDLOCK_RULE_NET_PORT_, &rule, 0) != 0)
			return -1;
	}
	return 0;
}

int enter_outer_domain(const struct plan *plan, struct supervised_rules *rules, struct domains *domains, struct failure *failure)
{
	int outer = INJECTED(compile_landlock_rules) ? -1 : create_ruleset(plan->handled_fs, plan->outer_handled_net, plan->scopes);

	if (outer < 0)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	if (add_reachable_ports(outer, plan) != 0)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	if (add_rules(outer, plan->outer_rules, plan->n_outer_rules, false, failure) != 0 || (domains->inner = make_inner(plan, rules, failure)) < 0 ||
	    (domains->fence = make_fence(plan, failure)) < 0)
		return -1;
	if (INJECTED(outer_domain) || syscall(NR_landlock_restrict_self, outer, 0) != 0)
		return fail(failure, STEP_outer_domain, NULL);
	return close(outer);
}
