#include "supervise.h"
#include "caller.h"

#include <errno.h>
#include <sys/stat.h>

static bool truncation_covered;

void prepare_supervising(struct supervised_rules *rules, bool covered)
{
	set_rules(rules);
	truncation_covered = covered;
}

bool truncation_is_covered(void)
{
	return truncation_covered;
}

long refuse(const struct place *place, enum access_operation operation)
{
	report_access(place->call, operation, place->path, REPORT_REFUSED);
	return effect_at(get_rules(), place->path) == EFFECT_DENY ? -EACCES : -EROFS;
}

void begin_making(const struct call *call)
{
	umask(umask_of(call->thread));
}

/* The launcher's own files have the modes that it names. */
void end_making(void)
{
	umask(0);
}
