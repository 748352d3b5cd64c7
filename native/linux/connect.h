/* Connects to unix sockets on the commands' behalf: only to sockets made inside the sandbox, and to those
 * that the plan names. Where the network is off without a namespace
 * of its own, addresses of the network are refused here, but for the plan's: a rule of Landlock's is a port, not an address.
 *
 * A path can be changed by another thread between any look at it and the kernel's own (so CONTINUE is never an answer here): the
 * launcher copies the address once, opens what it names, decides by the inode, and connects the command's own socket to exactly
 * that inode. A socket's inode is never bound twice. */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>

#include "notifications.h"
#include "plan.h"

/* Before the first call; the plan stays. In a private network, what is inside is asked of the kernel (sock_diag lists the sockets of the
 * own network namespace); else binds are carried out too and remembered. With no network, no address is served, and none reached but the
 * plan's listeners. `abstract_scoped`: the kernel lets this process reach abstract names of the sandbox alone (Landlock ABI 6). */
void prepare_connecting(const struct plan *plan, bool abstract_scoped);

/* connect(2) and bind(2). May block: a full backlog, a far host. */
struct answer handle_socket_address(const struct call *call);

/* listen(2). */
struct answer handle_listen(const struct call *call);

#endif
