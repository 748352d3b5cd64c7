/* Connects to unix sockets on the commands' behalf: only to sockets made inside the sandbox. Where the network is off without a namespace
 * of its own, addresses of the network are refused here.
 *
 * A path can be changed by another thread between any look at it and the kernel's own (so CONTINUE is never an answer here): the
 * launcher copies the address once, opens what it names, decides by the inode, and connects the command's own socket to exactly
 * that inode. A socket's inode is never bound twice. */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>

#include "notifications.h"

/* Before the first call. With `private_network`, what is inside is asked of the kernel (sock_diag lists the sockets of the own
 * network namespace); else binds are carried out too and remembered. `off`: no address of the network is reached or served.
 * `abstract_scoped`: the kernel lets this process reach abstract names of the sandbox alone (Landlock ABI 6). */
void prepare_connecting(bool private_network, bool off, bool abstract_scoped);

/* connect(2) and bind(2). May block: a full backlog, a far host. */
struct answer handle_socket_address(const struct call *call);

/* listen(2). */
struct answer handle_listen(const struct call *call);

#endif
