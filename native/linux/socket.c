#include "socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { MOST_DESCRIPTORS = 4 };

static int send_rest(int socket, const char *data, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(socket, data, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -1;
		data += sent;
		length -= (size_t)sent;
	}
	return 0;
}

int send_message(int socket, struct message_header header, const void *data, int fd)
{
	union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = { 0 };
	struct iovec parts[2] = { { &header, sizeof header }, { (void *)data, header.length } };
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = header.length > 0 ? 2 : 1 };
	size_t total = sizeof header + header.length;
	ssize_t sent;

	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}
	do
		sent = sendmsg(socket, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return -1;
	if ((size_t)sent == total)
		return 0;
	if ((size_t)sent < sizeof header) {
		if (send_rest(socket, (const char *)&header + sent, sizeof header - (size_t)sent) != 0)
			return -1;
		sent = (ssize_t)sizeof header;
	}
	return send_rest(socket, (const char *)data + ((size_t)sent - sizeof header), total - (size_t)sent);
}

int receive_exactly(int socket, void *data, size_t length)
{
	char *at = data;

	while (length > 0) {
		ssize_t received = recv(socket, at, length, MSG_WAITALL);

		if (received < 0 && errno == EINTR)
			continue;
		if (received <= 0)
			return -1;
		at += received;
		length -= (size_t)received;
	}
	return 0;
}

int receive_header(int socket, struct message_header *header, int *fds, int most)
{
	union { struct cmsghdr header; char bytes[CMSG_SPACE(MOST_DESCRIPTORS * sizeof(int))]; } control;
	struct iovec part = { header, sizeof *header };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes };
	ssize_t received;
	int n = 0;

	for (int i = 0; i < most; i++)
		fds[i] = -1;
	do
		received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
	while (received < 0 && errno == EINTR);
	if (received <= 0)
		return (int)received;
	for (struct cmsghdr *at = CMSG_FIRSTHDR(&message); at != NULL; at = CMSG_NXTHDR(&message, at)) {
		int count = at->cmsg_level == SOL_SOCKET && at->cmsg_type == SCM_RIGHTS ? (int)((at->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;

		for (int i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(at) + (size_t)i * sizeof(int), sizeof fd);
			if (n < most)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	if (message.msg_flags & MSG_CTRUNC) {
		errno = EMFILE;
		return -1;
	}
	if ((size_t)received < sizeof *header && receive_exactly(socket, (char *)header + received, sizeof *header - (size_t)received) != 0)
		return -1;
	return 1;
}
