#include "process-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEEPEST = 256, MOST_PROCESSES = 8192, MOST_PARENTS = 1000 };

/* The forker whose children are inits; 0: they are process 1 of namespaces of their own. */
static pid_t plain_forker;

void expect_no_namespaces(pid_t forker)
{
	plain_forker = forker;
}

static ssize_t read_text(const char *path, char *text, size_t size)
{
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[length > 0 ? length : 0] = 0;
	return length;
}

/* The number behind a line's name; 0 where there is no such line. */
static pid_t number_at(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line == NULL ? 0 : (pid_t)atoi(line + strlen(name));
}

/* The last two numbers behind a line's name, one for each PID namespace from the reader's on. Returns how many there are. */
static int innermost(const char *text, const char *name, pid_t *outer, pid_t *inner)
{
	const char *line = strstr(text, name);
	int n = 0;

	for (char *at = line == NULL ? "" : (char *)line + strlen(name), *end; *at != '\n' && *at != 0; at = end, n++) {
		long value = strtol(at, &end, 10);

		if (end == at)
			break;
		*outer = *inner;
		*inner = (pid_t)value;
	}
	return n;
}

/* A name as the first line has it: a line's end and a backslash are written as two characters. */
static void read_name(const char *text, char name[16])
{
	const char *at = strncmp(text, "Name:\t", 6) == 0 ? text + 6 : "";
	int length = 0;

	for (; *at != '\n' && *at != 0 && length < 15; at++) {
		if (*at == '\\' && (at[1] == 'n' || at[1] == '\\'))
			name[length++] = *++at == 'n' ? '\n' : '\\';
		else
			name[length++] = *at;
	}
	name[length] = 0;
}

int read_ids(pid_t thread, struct ids *ids)
{
	char path[48], text[2048];
	pid_t session = 0;

	snprintf(path, sizeof path, "/proc/%d/status", thread);
	if (read_text(path, text, sizeof text) <= 0)
		return -1;
	*ids = (struct ids){ .process = number_at(text, "\nTgid:"), .session = number_at(text, "\nNSsid:"), .parent = number_at(text, "\nPPid:") };
	if (innermost(text, "\nNSpid:", &ids->outer, &ids->inner) == 0)
		return -1;
	if (innermost(text, "\nNSsid:", &ids->outer_session, &session) == 1)
		ids->outer_session = session;
	read_name(text, ids->name);
	return 0;
}

pid_t first_child(pid_t parent)
{
	char path[64], text[4096];

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
	return read_text(path, text, sizeof text) > 0 ? (pid_t)atoi(text) : 0;
}

pid_t host_pid_of_init(pid_t forker, pid_t outer)
{
	char path[64], text[65536];

	if (plain_forker != 0)
		return outer;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", forker, forker);
	read_text(path, text, sizeof text);
	for (char *at = text, *end; ; at = end) {
		long child = strtol(at, &end, 10);
		struct ids ids;

		if (end == at)
			return 0;
		if (read_ids((pid_t)child, &ids) == 0 && ids.outer == outer)
			return (pid_t)child;
	}
}

pid_t init_above_ids(const struct ids *first)
{
	struct ids ids = *first;

	for (int depth = 0; depth < DEEPEST; depth++) {
		/* A parent's list of children has processes, not threads. */
		if (plain_forker != 0 ? ids.parent == plain_forker : ids.inner == 1)
			return plain_forker != 0 ? ids.process : ids.outer;
		if (ids.parent <= 0 || read_ids(ids.parent, &ids) != 0)
			return 0;
	}
	return 0;
}

pid_t init_above(pid_t thread)
{
	struct ids ids;

	return read_ids(thread, &ids) == 0 ? init_above_ids(&ids) : 0;
}

int list_children(pid_t parent, pid_t *children, int most)
{
	char path[64], text[65536];
	const struct dirent *entry;
	int n_children = 0;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/task", parent);
	threads = opendir(path);
	if (threads == NULL)
		return 0;
	while ((entry = readdir(threads)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", parent, entry->d_name);
		read_text(path, text, sizeof text);
		for (char *at = text, *end; n_children < most; at = end) {
			long child = strtol(at, &end, 10);

			if (end == at)
				break;
			children[n_children++] = (pid_t)child;
		}
	}
	closedir(threads);
	return n_children;
}

int collect_below(pid_t root, pid_t *processes, int most)
{
	int n_processes = list_children(root, processes, most);

	for (int i = 0; i < n_processes && n_processes < most; i++)
		n_processes += list_children(processes[i], processes + n_processes, most - n_processes);
	return n_processes;
}

void kill_below(pid_t root)
{
	pid_t *processes = malloc(MOST_PROCESSES * sizeof *processes);
	int n_processes = processes == NULL ? 0 : collect_below(root, processes, MOST_PROCESSES);

	/* Parents first: what they fork in between is found in the next look, as it becomes the subreaper's own. */
	for (int i = 0; i < n_processes; i++)
		kill(processes[i], SIGKILL);
	free(processes);
}

/* The parent, whoever it is, is outside and cannot be signalled. It may end and be taken away between the two calls; then there is
 * another one, and ESRCH says nothing of the domain. */
static bool is_fenced_in(void)
{
	for (int tries = 0; tries < MOST_PARENTS; tries++) {
		if (kill(getppid(), 0) == 0)
			return false;
		if (errno != ESRCH)
			return errno == EPERM;
	}
	return false;
}

void end_descendants(bool fenced)
{
	/* Never without a proof: to everybody is what this signal would go, if the domain did not hold. */
	bool to_all = fenced && is_fenced_in();
	pid_t child;

	for (;;) {
		if (to_all)
			kill(-1, SIGKILL);
		else
			kill_below(getpid());
		do
			child = waitpid(-1, NULL, to_all ? __WALL : __WALL | WNOHANG);
		while (child > 0 || (child < 0 && errno == EINTR));
		if (child < 0)
			return;
		poll(NULL, 0, 1);
	}
}

static void add_process(pid_t process, struct tree_usage *usage, int depth)
{
	char path[64], text[65536];
	const struct dirent *entry;
	DIR *threads;

	snprintf(path, sizeof path, "/proc/%d/statm", process);
	if (read_text(path, text, sizeof text) > 0) {
		unsigned long size, resident;

		if (sscanf(text, "%lu %lu", &size, &resident) == 2)
			usage->rss_bytes += (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
	}
	snprintf(path, sizeof path, "/proc/%d/task", process);
	threads = opendir(path);
	if (threads == NULL)
		return;
	while ((entry = readdir(threads)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		usage->threads++;
		snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", process, entry->d_name);
		read_text(path, text, sizeof text);
		for (char *at = text, *end; depth < DEEPEST; at = end) {
			long child = strtol(at, &end, 10);

			if (end == at)
				break;
			add_process((pid_t)child, usage, depth + 1);
		}
	}
	closedir(threads);
}

void add_tree_usage(pid_t root, struct tree_usage *usage)
{
	add_process(root, usage, 0);
}
