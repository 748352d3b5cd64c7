/* Which calls come to which handler. The listener filter (src/platform/linux/seccomp/filters.ts) traps these and no others. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "notifications.h"
#include "plan.h"

/* All rows for a plan; of two with one number the first counts. They stay as long as the process. */
const struct handled_call *handlers_for(const struct plan *plan, unsigned *n_rows);

#endif
