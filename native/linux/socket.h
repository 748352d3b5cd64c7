/* Messages between monitor and forker over a stream socket, with descriptors riding on the header. */
#ifndef SOCKET_H
#define SOCKET_H

#include <stddef.h>
#include <stdint.h>

struct message_header { uint32_t type, id, length; };

/* Sends header and data, blocking; `fd` rides on it unless -1. Returns 0, or -1 with errno. */
int send_message(int socket, struct message_header header, const void *data, int fd);

/* Receives a header and up to `most` descriptors, close-on-exec. Returns 1; 0 at the end; -1 with errno. */
int receive_header(int socket, struct message_header *header, int *fds, int most);

/* Receives exactly `length` bytes. Returns 0, or -1 where the peer is gone. */
int receive_exactly(int socket, void *data, size_t length);

#endif
