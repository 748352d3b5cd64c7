#include "listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* As Node's own; and less than Node waits for the whole set-up. */
enum { BACKLOG = 511, ANSWER_MS = 8000 };

/* On 127.0.0.1 alone: on the host's loopback, where there is no namespace, no other machine reaches it. */
static int make_listener(struct listener *listener)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(listener->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, error;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
	    listen(fd, BACKLOG) == 0 && getsockname(fd, (struct sockaddr *)&address, &length) == 0) {
		listener->port = ntohs(address.sin_port);
		return fd;
	}
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static long now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Node's channel does not block. Waits until it is ready; -1 with errno. */
static int wait_for(int channel, short events, long until)
{
	struct pollfd polled = { .fd = channel, .events = events };

	for (;;) {
		long left = until - now_ms();
		int n = left <= 0 ? 0 : poll(&polled, 1, (int)left);

		if (n > 0)
			return 0;
		if (n == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
		if (errno != EINTR)
			return -1;
	}
}

/* One line with the descriptor on it; the form is that of cluster, old and unchanged. */
static int send_listener(int channel, int fd, unsigned index, long until)
{
	char line[128], control[CMSG_SPACE(sizeof fd)] = { 0 };
	int length = snprintf(line, sizeof line, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Server\",\"msg\":{\"listener\":%u}}\n", index);
	struct iovec bytes = { line, (size_t)length };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	for (;;) {
		ssize_t sent = sendmsg(channel, &message, MSG_NOSIGNAL);

		if (sent == length)
			return 0;
		if (sent >= 0)
			errno = EMSGSIZE;	/* a part of so short a line */
		if (sent >= 0 || (errno != EAGAIN && errno != EINTR) || wait_for(channel, POLLOUT, until) != 0)
			return -1;
	}
}

/* Node says NODE_HANDLE_ACK; anything else means that it has no listener. */
static int await_answer(int channel, long until)
{
	static const char GOOD[] = "{\"cmd\":\"NODE_HANDLE_ACK\"}";
	char line[256];
	size_t length = 0;

	while (length < sizeof line) {
		ssize_t got = read(channel, line + length, 1);

		if (got == 0) {
			errno = EPIPE;
			return -1;
		}
		if (got < 0) {
			if ((errno != EAGAIN && errno != EINTR) || wait_for(channel, POLLIN, until) != 0)
				return -1;
			continue;
		}
		if (line[length] != '\n') {
			length++;
			continue;
		}
		if (length == sizeof GOOD - 1 && memcmp(line, GOOD, length) == 0)
			return 0;
		break;
	}
	errno = EPROTO;
	return -1;
}

static int hand_over_all(const struct plan *plan, int channel, struct failure *failure)
{
	for (uint32_t i = 0; i < plan->n_listeners; i++) {
		long until = now_ms() + ANSWER_MS;
		int fd, result;

		/* A port of the host's own, where commands are on its loopback: it is there already. */
		if (plan->listeners[i].kind == LISTENER_LOCAL_PORT && !(plan->flags & PLAN_PRIVATE_NETWORK))
			continue;
		fd = INJECTED(make_listener) ? -1 : make_listener(&plan->listeners[i]);
		if (fd < 0)
			return fail(failure, STEP_make_listener, NULL);
		result = INJECTED(hand_over_listener) || send_listener(channel, fd, i, until) != 0 || await_answer(channel, until) != 0 ? fail(failure, STEP_hand_over_listener, NULL) : 0;
		close(fd);
		if (result != 0)
			return -1;
	}
	return 0;
}

int hand_listeners_over(const struct plan *plan, int channel, struct failure *failure)
{
	int result;

	errno = EBADF;
	result = plan->n_listeners > 0 && channel < 0 ? fail(failure, STEP_hand_over_listener, NULL) : hand_over_all(plan, channel, failure);
	if (channel >= 0)
		close(channel);
	return result;
}
