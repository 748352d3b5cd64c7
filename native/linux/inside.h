/* The launcher inside bwrap, which has made the namespaces and the mounts: reads back that they are what the plan says, before anything
 * of a command is there. */
#ifndef INSIDE_H
#define INSIDE_H

#include "plan.h"
#include "step.h"

/* `host`: a word for each namespace that must be another than the host's, "name:inode", with blanks between. This process must be
 * process 1 of its PID namespace, so that all others end with it. Returns 0, or -1 with `failure` filled. */
int check_namespaces(const struct plan *plan, const char *host, struct failure *failure);

/* Every step of the plan's is looked at where commands will look; and no other mount is writable, or lets set-user-ID programs or devices
 * through. Returns 0, or -1 with `failure` filled: the path where something else was found. */
int check_mounts(const struct plan *plan, struct failure *failure);

#endif
