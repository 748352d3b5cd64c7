/* System calls by which a caller takes another user or group, or gives a file away. Commands have the ids of one user and no capability,
 * and in a user namespace of the sandbox's own no others are mapped: such a call fails in any case, and is refused here so that it is told. */
#ifndef IDENTITY_H
#define IDENTITY_H

#include "notifications.h"

struct plan;

/* Before the first call: whose ids commands have, and which others are mapped where they run. */
void prepare_identity(const struct plan *plan);

/* Puts the refusal before what `rows` do with these calls; rows that are missing are appended at `end`. Returns what is behind the last one. */
struct handled_call *tell_identity(struct handled_call *rows, struct handled_call *end);

#endif
