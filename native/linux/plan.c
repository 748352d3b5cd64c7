/* Decodes the plan and commands from bytes. Trusts no length: everything is checked against what is left. */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/filter.h>

enum { MOST_INSTRUCTIONS = 4096 };

struct reader { const unsigned char *at, *end; char *copy; bool broken; };

/* Strings are copied with a NUL into one block; each takes its bytes and one more, and has 4 bytes of length in the input,
 * so `size` bytes of input never need more than `size` bytes of block. Pointers are counted against the input likewise. */
static uint64_t number(struct reader *r, size_t bytes)
{
	uint64_t value = 0;

	if ((size_t)(r->end - r->at) < bytes) {
		r->broken = true;
		r->at = r->end;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)r->at[i] << (8 * i);
	r->at += bytes;
	return value;
}

static const unsigned char *bytes_of(struct reader *r, uint32_t *length)
{
	const unsigned char *start;

	*length = (uint32_t)number(r, 4);
	start = r->at;
	if ((size_t)(r->end - r->at) < *length) {
		r->broken = true;
		*length = 0;
		return r->end;
	}
	r->at += *length;
	return start;
}

static char *string(struct reader *r)
{
	uint32_t length;
	const unsigned char *start = bytes_of(r, &length);
	char *copy = r->copy;

	if (r->broken || memchr(start, 0, length) != NULL) {
		r->broken = true;
		return NULL;
	}
	memcpy(copy, start, length);
	copy[length] = 0;
	r->copy += length + 1;
	return copy;
}

/* How many rows follow; each takes at least `smallest` bytes, so a forged count cannot ask for more memory than was sent. */
static uint32_t count(struct reader *r, size_t smallest)
{
	uint32_t n = (uint32_t)number(r, 4);

	if (n > (size_t)(r->end - r->at) / smallest) {
		r->broken = true;
		return 0;
	}
	return n;
}

static struct identity identity(struct reader *r)
{
	struct identity identity = { .device = number(r, 8) };

	identity.inode = number(r, 8);
	return identity;
}

static uint8_t within(struct reader *r, uint8_t least, uint8_t most)
{
	uint8_t value = (uint8_t)number(r, 1);

	if (value < least || value > most)
		r->broken = true;
	return value;
}

static struct filter filter(struct reader *r)
{
	uint32_t length;
	const unsigned char *start = bytes_of(r, &length);

	if (length % sizeof(struct sock_filter) != 0 || length / sizeof(struct sock_filter) > MOST_INSTRUCTIONS)
		r->broken = true;
	return (struct filter){ length / sizeof(struct sock_filter), start };
}

static int finish(const struct reader *r)
{
	return r->broken || r->at != r->end ? -EBADMSG : 0;
}

static void *array(struct reader *r, size_t n, size_t size)
{
	void *rows = calloc(n + 1, size);

	if (rows == NULL)
		r->broken = true;
	return rows;
}

static void read_mounts(struct reader *r, struct plan *plan)
{
	plan->n_mounts = count(r, 31);
	plan->mounts = array(r, plan->n_mounts, sizeof *plan->mounts);
	for (uint32_t i = 0; i < plan->n_mounts && !r->broken; i++) {
		struct mount_step *step = &plan->mounts[i];

		step->kind = within(r, MOUNT_BIND_WRITABLE, MOUNT_PRIVATE_DIRECTORY);
		step->entry = within(r, ENTRY_MISSING, ENTRY_DEVICE);
		step->effect = within(r, EFFECT_WRITE, EFFECT_DENY);
		step->path = string(r);
		step->identity = identity(r);
		step->text = string(r);
		step->n_openings = count(r, 21);
		step->openings = array(r, step->n_openings, sizeof *step->openings);
		for (uint32_t k = 0; k < step->n_openings && !r->broken; k++) {
			step->openings[k].effect = within(r, EFFECT_WRITE, EFFECT_DENY);
			step->openings[k].path = string(r);
			step->openings[k].identity = identity(r);
		}
	}
}

static void read_rule(struct reader *r, struct landlock_rule *rule)
{
	rule->allowed = number(r, 8);
	rule->path = string(r);
	rule->identity = identity(r);
}

static struct landlock_rule *read_rules(struct reader *r, uint32_t *n)
{
	struct landlock_rule *rules;

	*n = count(r, 28);
	rules = array(r, *n, sizeof *rules);
	for (uint32_t i = 0; i < *n && !r->broken; i++)
		read_rule(r, &rules[i]);
	return rules;
}

static void read_supervision(struct reader *r, struct plan *plan)
{
	plan->base = within(r, EFFECT_READ, EFFECT_DENY);
	plan->n_path_rules = count(r, 6);
	plan->path_rules = array(r, plan->n_path_rules, sizeof *plan->path_rules);
	for (uint32_t i = 0; i < plan->n_path_rules && !r->broken; i++) {
		plan->path_rules[i].effect = within(r, EFFECT_WRITE, EFFECT_DENY);
		plan->path_rules[i].path = string(r);
		plan->path_rules[i].folds_case = within(r, 0, 1) != 0;
	}
	plan->outer_handled_net = number(r, 8);
	plan->outer_rules = read_rules(r, &plan->n_outer_rules);
	plan->n_trees = count(r, 32);
	plan->trees = array(r, plan->n_trees, sizeof *plan->trees);
	for (uint32_t i = 0; i < plan->n_trees && !r->broken; i++) {
		struct readable_tree *tree = &plan->trees[i];

		read_rule(r, &tree->rule);
		tree->n_closed = count(r, 4);
		tree->closed = array(r, tree->n_closed, sizeof *tree->closed);
		for (uint32_t k = 0; k < tree->n_closed && !r->broken; k++)
			tree->closed[k] = string(r);
	}
}

static void read_network(struct reader *r, struct plan *plan)
{
	plan->n_listeners = count(r, 5);
	plan->listeners = array(r, plan->n_listeners, sizeof *plan->listeners);
	for (uint32_t i = 0; i < plan->n_listeners && !r->broken; i++) {
		uint64_t port;

		plan->listeners[i].kind = within(r, LISTENER_PROXY, LISTENER_LOCAL_PORT);
		port = number(r, 4);
		if (port > UINT16_MAX || (port == 0 && plan->listeners[i].kind == LISTENER_LOCAL_PORT))
			r->broken = true;
		plan->listeners[i].port = (uint16_t)port;
	}
	plan->socket_flags = within(r, 0, SOCKETS_ALL | SOCKETS_OF_ROOT);
	plan->n_sockets = count(r, 20);
	plan->sockets = array(r, plan->n_sockets, sizeof *plan->sockets);
	for (uint32_t i = 0; i < plan->n_sockets && !r->broken; i++) {
		plan->sockets[i].path = string(r);
		plan->sockets[i].identity = identity(r);
	}
}

int decode_plan(const void *data, size_t size, struct plan *plan)
{
	struct reader r = { data, (const unsigned char *)data + size, malloc(size + 1), false };

	memset(plan, 0, sizeof *plan);
	if (r.copy == NULL)
		return -ENOMEM;
	if (number(&r, 4) != PLAN_MAGIC || number(&r, 4) != PLAN_VERSION)
		r.broken = true;
	plan->flags = (uint32_t)number(&r, 4);
	plan->uid = (uint32_t)number(&r, 4);
	plan->gid = (uint32_t)number(&r, 4);
	plan->state_directory = string(&r);
	plan->cwd = string(&r);
	plan->cwd_identity = identity(&r);
	read_mounts(&r, plan);
	plan->n_devices = count(&r, 4);
	plan->devices = array(&r, plan->n_devices, sizeof *plan->devices);
	for (uint32_t i = 0; i < plan->n_devices && !r.broken; i++)
		plan->devices[i] = string(&r);
	plan->scopes = number(&r, 8);
	plan->handled_net = number(&r, 8);
	plan->handled_fs = number(&r, 8);
	plan->proc_rights = number(&r, 8);
	plan->rules = read_rules(&r, &plan->n_rules);
	plan->command_filter = filter(&r);
	plan->listener_filter = filter(&r);
	plan->group = string(&r);
	read_supervision(&r, plan);
	read_network(&r, plan);
	/* A plan without a filter would run commands unfiltered: not a plan. Nor is one that nobody would supervise. */
	if (plan->command_filter.length == 0 || ((plan->flags & PLAN_SUPERVISED) && (plan->listener_filter.length == 0 || plan->handled_fs == 0)))
		r.broken = true;
	/* Connects are made on behalf, to these ports and to no others: without a listener filter nobody would. */
	if (plan->n_listeners > 0 && ((plan->flags & (PLAN_PRIVATE_NETWORK | PLAN_NO_NETWORK)) == 0 || ((plan->flags & PLAN_NO_NETWORK) && plan->listener_filter.length == 0)))
		r.broken = true;
	return finish(&r);
}

static char **strings(struct reader *r, char ***rows, uint32_t n)
{
	char **start = *rows;

	for (uint32_t i = 0; i < n && !r->broken; i++)
		*(*rows)++ = string(r);
	*(*rows)++ = NULL;
	return start;
}

size_t command_memory(size_t size)
{
	/* Each string has 4 bytes of length before it and needs a pointer in argv or envp, and another in `script`; each array ends
	 * with NULL, and `script` has a shell in front. */
	return 2 * (size / 4 + 2) * sizeof(char *) + size + 1;
}

int decode_command(const void *data, size_t size, struct command *command, void *memory, const char ***script)
{
	char **rows = memory;
	struct reader r = { data, (const unsigned char *)data + size, (char *)memory + 2 * (size / 4 + 2) * sizeof(char *), false };

	memset(command, 0, sizeof *command);
	command->flags = (uint32_t)number(&r, 4);
	command->rows = (uint16_t)number(&r, 2);
	command->columns = (uint16_t)number(&r, 2);
	command->cwd = string(&r);
	command->cwd_identity = identity(&r);
	command->limits.memory_bytes = number(&r, 8);
	command->limits.pids = number(&r, 8);
	command->limits.cpu_seconds = number(&r, 8);
	command->limits.open_files = number(&r, 8);
	command->limits.file_size_bytes = number(&r, 8);
	command->argc = count(&r, 4);
	command->argv = strings(&r, &rows, command->argc);
	command->envc = count(&r, 4);
	command->envp = strings(&r, &rows, command->envc);
	*script = (const char **)rows;
	if (command->argc == 0)
		r.broken = true;
	return finish(&r);
}
