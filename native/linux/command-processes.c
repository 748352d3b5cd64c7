/* All processes of a command, as its init sees them: names what is left, signals and ends them. Raw system calls only: see init.h. */
#include "init.h"
#include "domains.h"
#include "little-endian.h"

#include <fcntl.h>
#include <sys/wait.h>

enum { MOST_PARENTS = 1000 };

struct directory_entry { uint64_t ino; int64_t off; uint16_t length; uint8_t type; char name[]; };

static uint32_t number_of(const char *text, const char **end)
{
	uint32_t number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + (uint32_t)(*text - '0');
	*end = text;
	return number;
}

/* Writes "/proc/<pid>" and `rest` to `path`. */
static void make_proc_path(char *path, uint32_t pid, const char *rest)
{
	char digits[10];
	size_t n = 0, at = 6, length = length_of(rest);

	copy(path, "/proc/", 6);
	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10) != 0);
	while (n > 0)
		path[at++] = digits[--n];
	copy(path + at, rest, length + 1);
}

static long read_text(const char *path, char *text, size_t size)
{
	long fd = RAW_MARKED(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0), length = fd < 0 ? fd : RAW(SYS_read, fd, text, size, 0, 0);

	if (fd >= 0)
		RAW(SYS_close, fd, 0, 0, 0, 0);
	return length;
}

static void add_ended(struct job *job, uint32_t pid)
{
	unsigned char *at = job->ended + job->ended_length;
	char path[32], name[16];
	size_t name_length;
	long read;

	make_proc_path(path, pid, "/comm");
	read = read_text(path, name, sizeof name);
	if (read > 0 && name[read - 1] == '\n')
		read--;
	name_length = read < 0 ? 0 : (size_t)read;
	if (job->n_ended == MOST_ENDED || job->ended_length + 5 + name_length > sizeof job->ended)
		return;
	put_u32(at, pid);
	at[4] = (unsigned char)name_length;
	copy((char *)at + 5, name, name_length);
	job->ended_length += 5 + name_length;
	job->n_ended++;
}

/* Children that a file of /proc lists. */
static void add_children(struct job *job, const char *path)
{
	char text[4096];
	long length = read_text(path, text, sizeof text - 1);
	const char *at = text;

	if (length <= 0)
		return;
	text[length] = 0;
	while (*at >= '0' && *at <= '9') {
		add_ended(job, number_of(at, &at));
		while (*at == ' ')
			at++;
	}
}

/* Calls `use` with each name in a folder that is a number. */
static void for_each_number(const char *path, void (*use)(struct job *job, uint32_t folder, uint32_t number), struct job *job, uint32_t folder)
{
	char entries[2048] __attribute__((aligned(8)));
	long length, directory = RAW_MARKED(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0);

	while (directory >= 0 && (length = RAW(SYS_getdents64, directory, entries, sizeof entries, 0, 0)) > 0) {
		for (long at = 0; at < length; at += ((struct directory_entry *)(entries + at))->length) {
			const char *name = ((struct directory_entry *)(entries + at))->name, *end;
			uint32_t number = number_of(name, &end);

			if (*end == 0 && number > 0)
				use(job, folder, number);
		}
	}
	if (directory >= 0)
		RAW(SYS_close, directory, 0, 0, 0, 0);
}

static void add_unless_init(struct job *job, uint32_t folder, uint32_t number)
{
	(void)folder;
	if (number != 1)
		add_ended(job, number);
}

static void add_children_of_thread(struct job *job, uint32_t process, uint32_t thread)
{
	char rest[32], path[64];

	/* "/proc/" and "/task/" are equally long. */
	make_proc_path(rest, thread, "/children");
	copy(rest, "/task/", 6);
	make_proc_path(path, process, rest);
	add_children(job, path);
}

void list_what_is_left(struct job *job)
{
	if (!without_namespaces()) {
		for_each_number("/proc", add_unless_init, job, 0);
		return;
	}
	/* This process's children, and then those of each that is in the list. */
	add_children(job, "/proc/thread-self/children");
	for (size_t at = 0; at < job->ended_length; at += 5 + job->ended[at + 4]) {
		uint32_t pid = get_u32(job->ended + at);
		char path[32];

		make_proc_path(path, pid, "/task");
		for_each_number(path, add_children_of_thread, job, pid);
	}
}

/* Whether signals of this process stay inside, where there is no PID namespace: the parent, whoever it is by now, is outside of the fence and
 * cannot be signalled. When the forker ends, and whoever takes its children, there is another one, and ESRCH says nothing of the fence.
 * Before Landlock's ABI 6 the monitor answers the call. */
static bool is_fenced_in(void)
{
	long result = -ESRCH;

	if (!signals_are_fenced(shared.plan))
		return RAW(SYS_kill, shared.forker, 0, 0, 0, 0) == -EPERM;
	for (int tries = 0; result == -ESRCH && tries < MOST_PARENTS; tries++)
		result = RAW(SYS_kill, RAW_1(SYS_getppid), 0, 0, 0, 0);
	return result == -EPERM;
}

void signal_all(int signal)
{
	if (!without_namespaces() || is_fenced_in())
		RAW(SYS_kill, -1, signal, 0, 0, 0);
}

bool kill_group(const struct job *job)
{
	return (shared.plan->flags & PLAN_GROUP_ENDS) && RAW(SYS_write, job->group_end, "1", 1, 0, 0) == 1;
}

void end_what_is_left(const struct job *job)
{
	const struct timespec pause = { 0, 1000000 };
	long child;

	for (bool again = false; ; again = true) {
		if (!kill_group(job) || again)
			signal_all(SIGKILL);
		while ((child = RAW(SYS_wait4, -1, NULL, signals_are_fenced(shared.plan) ? __WALL : __WALL | WNOHANG, NULL, 0)) > 0)
			;
		if (child < 0)
			return;
		RAW(SYS_nanosleep, &pause, NULL, 0, 0, 0);
	}
}

bool is_anything_left(void)
{
	/* Signal 0 to everything but this process. */
	if (!without_namespaces())
		return RAW(SYS_kill, -1, 0, 0, 0, 0) == 0;
	/* All that the command started and is left has become this process's, or is below what has. */
	while (RAW(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL, 0) > 0)
		;
	return RAW(SYS_wait4, -1, NULL, WNOHANG | __WALL, NULL, 0) != -ECHILD;
}
