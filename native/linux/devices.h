/* The small /dev that commands see: the devices that every program may expect, those that the policy names, and terminals, shared memory
 * and links of its own. */
#ifndef DEVICES_H
#define DEVICES_H

#include "plan.h"
#include "step.h"

/* The host's devices, detached, for `mount_dev`: before the tree becomes nodev. NULL with `failure` filled. */
int *clone_devices(const struct plan *plan, struct failure *failure);

/* Mounts it; `trees` are those of `clone_devices`, and used up. Returns 0, or -1 with errno. */
int mount_dev(const struct plan *plan, int *trees);

#endif
