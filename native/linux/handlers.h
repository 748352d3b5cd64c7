/* Which calls come to which handler. The listener filter (src/platform/linux/seccomp/filters.ts) traps these and no others. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include "notifications.h"

/* The rows of all calls that change files, where the monitor supervises them. */
extern const struct handled_call FILE_CALLS[];
extern const unsigned N_FILE_CALLS;

#endif
