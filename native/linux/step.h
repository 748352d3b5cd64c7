/* A step that failed: what the parent makes a sentence of. Only the outermost function of a role exits. */
#ifndef STEP_H
#define STEP_H

#include <errno.h>

enum step {
#define STEP(name, role, text) STEP_##name,
#include "steps.def"
#undef STEP
	STEP_COUNT
};

struct failure {
	enum step step;
	int error;
	const char *path;	/* NULL where the step concerns none; must outlive the failure */
};

/* Fills `failure` from errno and returns -1. */
static inline int fail(struct failure *failure, enum step step, const char *path)
{
	failure->step = step;
	failure->error = errno;
	failure->path = path;
	return -1;
}

/* With FAULT_INJECTION (never in what is shipped) CODEX_SANDBOX_FAIL_STEP=name makes that step fail with EIO, so that a
 * test can show that nothing runs then; name@n lets it succeed n times before, in each process that takes it. */
#ifdef FAULT_INJECTION
extern int injected_step, injected_after;
void read_injected_step(void);
static inline int is_injected(enum step step)
{
	if (injected_step != (int)step)
		return 0;
	if (injected_after == 0)
		return 1;
	injected_after--;
	return 0;
}
#define INJECTED(name) (is_injected(STEP_##name) && (errno = EIO, 1))
#define INJECTED_RAW(name) is_injected(STEP_##name)
#else
#define INJECTED(name) 0
#define INJECTED_RAW(name) 0
#endif

#endif
