/* Files of unix sockets: which of them the sandbox made itself, which of the others it may connect to, and the calls that go there. */
#ifndef SOCKET_FILES_H
#define SOCKET_FILES_H

#include <sys/socket.h>
#include <sys/un.h>

#include "notifications.h"
#include "plan.h"

/* Before the first call; `plan` must stay. */
void prepare_socket_files(const struct plan *plan);

/* Connects the caller's socket, here open as `fd`, to what stands at `path` for the caller. Returns 0 or -errno, which is the call's
 * result. */
int connect_to_path(const struct call *call, int fd, const char *path);

/* Binds it where the command stands, through its own mounts (its cwd). */
int bind_to_path(const struct call *call, int fd, const struct sockaddr_un *address, socklen_t length, const char *path);

#endif
