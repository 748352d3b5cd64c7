/* Commands' sockets in the monitor's hands. Where the host lets it, one is copied from its owner when it is needed (pidfd_getfd). Where
 * not (Docker's profile), the monitor makes each socket itself, gives the command a copy, and finds its own by the inode.
 *
 * A copy keeps what it refers to alive. So the monitor's own is closed as soon as nothing can be asked of it any more: when the socket
 * is connected, or listens. What does neither is looked after: within a second of its last owner's end it is closed too where it is
 * bound, and at once where its address is wanted again; within a few seconds where it is not. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>

#include "notifications.h"

enum socket_use {
	SOCKET_CONNECTED,
	SOCKET_CONNECTING,	/* connect(2) said EINPROGRESS */
	SOCKET_BOUND,		/* or a datagram socket with a peer: it may get another one */
	SOCKET_LISTENS,
};

/* Before the first call. `made`: commands' sockets are made here. Their owners are below `forker`. */
void prepare_sockets(bool made, pid_t forker);

/* socket(2), where sockets are made. */
struct answer make_socket(const struct call *call);

/* The caller's socket `fd`, as a descriptor that is ours to close. -1 with errno: EBADF and ENOTSOCK are the caller's own mistakes. */
int take_socket(const struct call *call, int fd);

/* What became of a socket that was taken as `fd`. */
void note_socket(int fd, enum socket_use use);

/* Closes what no command holds any more, so that its address is free. */
void drop_unheld_sockets(void);

#endif
