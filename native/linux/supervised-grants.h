/* Directories in a supervised root that are open and have nothing closed below: commands' own domain opens them, so that what is made
 * in them costs no help of the monitor's. It is a matter of speed alone: what is not granted, the monitor performs. */
#ifndef SUPERVISED_GRANTS_H
#define SUPERVISED_GRANTS_H

#include <stdint.h>

#include "supervised-rules.h"

struct grants { uint32_t n; int *fds; /* O_PATH */ };

/* Opens those that are there now and grants them in `rules`, up to a bound. `given` are the rules that were indexed. Returns 0, or -1
 * where there is no memory. */
int open_grants(struct supervised_rules *rules, const struct supervised_rule *given, uint32_t n_given, struct grants *grants);

void close_grants(struct grants *grants);

#endif
