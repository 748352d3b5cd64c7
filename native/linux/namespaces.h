/* The namespaces that all commands of a sandbox share, made once by the monitor. */
#ifndef NAMESPACES_H
#define NAMESPACES_H

#include "plan.h"
#include "step.h"

/* Moves the caller into new user, mount, ipc, uts, cgroup and (PLAN_PRIVATE_NETWORK) network namespaces, with its own uid and
 * gid mapped to themselves and nothing else. Afterwards it has every capability there and none outside.
 * Must run before any thread is started. Returns 0, or -1 with `failure` filled. */
int enter_namespaces(const struct plan *plan, struct failure *failure);

/* Brings `lo` up in the caller's network namespace. */
int bring_up_loopback(struct failure *failure);

#endif
