#include "reports.h"
#include "caller.h"
#include "process-tree.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* One wake-up has all reports of a while, and what a command's end is told with needs none: a program that is over in a few milliseconds
 * would else pay with its own time for Node's on the processor beside it. The very first goes at once, as what judges it is loaded for it. */
enum { PASS_NS = 10 * 1000 * 1000, FULL_BYTES = 64 << 10 };

enum { BUFFER_BYTES = 256 << 10, MOST_FOLDED = 4096, WAYS = 4, MOST_LOSERS = 64, MOST_SESSIONS = 64 };

/* A report that was made, by a hash of all that it says; `init` so that it goes with its command. */
struct folded { uint64_t hash; pid_t init; };
struct loser { pid_t init; uint32_t count; };
/* Whose a session is: every init begins one, and looking up all parents of each caller is dear. */
struct session { pid_t id, init; };

static int wake = -1;

/* Every first value is zero: with another one all of this would stand in the launcher's file, which is read and hashed before it is started. */
static struct {
	const volatile pid_t *inits;
	int n_inits;
	pthread_mutex_t lock;
	_Alignas(8) unsigned char buffers[2][BUFFER_BYTES];
	unsigned filling;			/* the buffer that takes new ones; the loop reads the other */
	size_t used;				/* of that */
	struct folded folded[MOST_FOLDED];	/* WAYS for each hash: one more takes the place of one of them, and may come again */
	unsigned n_folded, turn;
	struct session sessions[MOST_SESSIONS];	/* by their id */
	bool any_taken;
	struct loser losers[MOST_LOSERS];	/* more commands at once than this lose reports without a word */
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

int prepare_reports(const volatile pid_t *inits, int n_inits)
{
	state.inits = inits;
	state.n_inits = n_inits;
	wake = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return wake;
}

/* 0: not at all. */
static void wake_after(long ns)
{
	const struct itimerspec when = { .it_value = { .tv_nsec = ns } };

	timerfd_settime(wake, 0, &when, NULL);
}

/* FNV-1a. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3;
	return hash;
}

static uint64_t hash_report(const struct report *report, const char *path)
{
	uint64_t hash = hash_bytes(0xcbf29ce484222325, &report->init, sizeof report->init);

	hash = hash_bytes(hash, &report->operation, 2);
	return hash_bytes(hash, path, report->path_length);
}

static struct folded *set_of(uint64_t hash)
{
	return &state.folded[hash % (MOST_FOLDED / WAYS) * WAYS];
}

/* With the lock held. Was this report made before? */
static bool is_folded(uint64_t hash, pid_t init)
{
	const struct folded *set = set_of(hash);
	bool found = false;

	for (int i = 0; i < WAYS && !found; i++)
		found = set[i].hash == hash && set[i].init == init;
	return found;
}

/* With the lock held. Remembers a report that is not folded yet. */
static void fold(uint64_t hash, pid_t init)
{
	struct folded *set = set_of(hash);
	int free = -1;

	for (int i = 0; i < WAYS; i++)
		if (set[i].hash == 0)
			free = i;
	state.n_folded += free >= 0;
	set[free >= 0 ? free : (int)(state.turn++ % WAYS)] = (struct folded){ hash, init };
}

/* With the lock held. */
static void count_lost(pid_t init)
{
	struct loser *free = NULL;

	for (int i = 0; i < MOST_LOSERS; i++) {
		if (state.losers[i].count != 0 && state.losers[i].init == init) {
			state.losers[i].count++;
			return;
		}
		if (state.losers[i].count == 0)
			free = &state.losers[i];
	}
	if (free != NULL)
		*free = (struct loser){ init, 1 };
}

/* With the lock held. Sees to it that the loop is woken. */
static void keep(const struct report *report, const char *path)
{
	if (state.used + report->size > BUFFER_BYTES) {
		count_lost(report->init);
		return;
	}
	if (state.used == 0)
		wake_after(state.any_taken ? PASS_NS : 1);
	else if (state.used < FULL_BYTES && state.used + report->size >= FULL_BYTES)
		wake_after(1);
	memcpy(state.buffers[state.filling] + state.used, report, sizeof *report);
	memcpy(state.buffers[state.filling] + state.used + sizeof *report, path, report->path_length);
	state.used += report->size;
}

/* Every init begins a session, and no other process can enter one: mostly its id is the init's. */
static bool is_init_of_command(pid_t process)
{
	bool found = false;

	for (int i = 0; i < state.n_inits && !found; i++)
		found = state.inits[i] == process;
	return found;
}

/* 0: not known. */
static pid_t init_of_session(pid_t id)
{
	const struct session *session = &state.sessions[(unsigned)id % MOST_SESSIONS];
	pid_t init = 0;

	pthread_mutex_lock(&state.lock);
	if (id > 0 && session->id == id)
		init = session->init;
	pthread_mutex_unlock(&state.lock);
	return init;
}

static pid_t init_of(const struct ids *ids)
{
	pid_t id = ids->session, init = init_of_session(id);

	if (init != 0)
		return init;
	init = ids->outer_session != 0 && is_init_of_command(ids->outer_session) ? ids->outer_session : init_above_ids(ids);
	if (id == 0 || init == 0)
		return init;
	pthread_mutex_lock(&state.lock);
	state.sessions[(unsigned)id % MOST_SESSIONS] = (struct session){ id, init };
	pthread_mutex_unlock(&state.lock);
	return init;
}

/* Who the caller is. A look at its status costs as much as all else that a report needs: only where its session is not known yet, or
 * where it is not the first thread of its process. The name of its program is left out where this does not show it. Returns 0, or -1 where it
 * is gone, or nobody's: then there is no command to tell it of. */
static int find_caller(pid_t thread, struct report *report)
{
	struct ids ids;

	report->process = thread;
	report->init = init_of_session(getsid(thread));
	if (report->init != 0 && syscall(SYS_tgkill, thread, thread, 0) == 0)
		return 0;
	if (read_ids(thread, &ids) != 0)
		return -1;
	report->process = ids.process;
	report->init = init_of(&ids);
	if (ids.process == thread)
		memcpy(report->program, ids.name, sizeof ids.name);
	return report->init != 0 ? 0 : -1;
}

void report_access(const struct call *call, enum access_operation operation, const char *path, unsigned flags)
{
	struct report report = { .operation = (uint8_t)operation, .flags = (uint8_t)flags };
	uint64_t hash;
	bool known;

	if (find_caller(call->thread, &report) != 0)
		return;
	report.path_length = (uint16_t)(flags & REPORT_PATH_UNKNOWN ? 0 : strnlen(path, PATH_MAX));
	report.size = (uint32_t)((sizeof report + report.path_length + 7) & ~(size_t)7);
	hash = hash_report(&report, path) | 1;
	pthread_mutex_lock(&state.lock);
	known = is_folded(hash, report.init);
	pthread_mutex_unlock(&state.lock);
	if (known)
		return;
	if (report.program[0] == 0)
		program_of(report.process, report.program);
	/* Its thread's id may have been another's by now, and so may all that was read of it. */
	if (!still_waits(call))
		return;
	/* Folded only now that it is told: a caller that is killed meanwhile would else silence all who try the same after it. */
	pthread_mutex_lock(&state.lock);
	if (!is_folded(hash, report.init)) {
		fold(hash, report.init);
		keep(&report, path);
	}
	pthread_mutex_unlock(&state.lock);
}

size_t take_reports(const struct report **first)
{
	size_t used;

	pthread_mutex_lock(&state.lock);
	*first = (const struct report *)state.buffers[state.filling];
	used = state.used;
	if (used > 0) {
		/* Also takes back that it is readable. Where nothing waits it is not set. */
		wake_after(0);
		state.filling ^= 1;
		state.any_taken = true;
	}
	state.used = 0;
	pthread_mutex_unlock(&state.lock);
	return used;
}

uint32_t forget_reports(pid_t init)
{
	uint32_t lost = 0;

	pthread_mutex_lock(&state.lock);
	for (int i = 0; i < MOST_LOSERS; i++) {
		if (state.losers[i].count == 0 || state.losers[i].init != init)
			continue;
		lost = state.losers[i].count;
		state.losers[i].count = 0;
	}
	for (int i = 0; i < MOST_SESSIONS; i++)
		if (state.sessions[i].init == init)
			state.sessions[i].id = 0;
	for (int i = 0; i < MOST_FOLDED && state.n_folded > 0; i++) {
		if (state.folded[i].hash == 0 || state.folded[i].init != init)
			continue;
		state.folded[i].hash = 0;
		state.n_folded--;
	}
	pthread_mutex_unlock(&state.lock);
	return lost;
}
