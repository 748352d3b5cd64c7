/* One connection from outside to a port of the sandbox's own loopback: stdin goes to it, and what it says to stdout. What streams
 * alone cannot say is told on stderr: one byte 'o' when the connection is open, and 'e' with a u64, little-endian, when the other
 * side has said its last: how many bytes it said in all, since stderr may come before stdout.
 * Exit codes: 0 both sides are at their end; 1 nobody listens; 2 the connection broke. */
#include "helper.h"
#include "little-endian.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 64 << 10 };

/* One way of the two. */
struct way {
	int from, to;		/* -1: at its end */
	size_t at, end;
	uint64_t total;
	unsigned char bytes[BUFFER_BYTES];
};

static int connect_to(uint16_t port)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&four, sizeof four) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&six, sizeof six) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* False where a side is gone. */
static bool move(struct way *way, short readable, short writable)
{
	if (way->at == way->end && way->from >= 0 && readable) {
		ssize_t length = read(way->from, way->bytes, sizeof way->bytes);

		if (length < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (length == 0)
			way->from = -1;
		way->at = 0;
		way->end = length < 0 ? 0 : (size_t)length;
		writable = 1;
	}
	if (way->at < way->end && writable) {
		ssize_t length = write(way->to, way->bytes + way->at, way->end - way->at);

		if (length < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		way->at += length < 0 ? 0 : (size_t)length;
		way->total += length < 0 ? 0 : (uint64_t)length;
	}
	return true;
}

/* While it is set, the end of this process is a reset for the other side: where the one outside broke off, that is what happened. */
static void reset_when_closed(int connection, bool on)
{
	struct linger linger = { .l_onoff = on, .l_linger = 0 };

	setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static bool is_over(const struct way *way) { return way->from < 0 && way->at == way->end; }

static void tell_end(uint64_t total)
{
	unsigned char message[9] = { 'e' };

	put_u64(message + 1, total);
	if (write(2, message, sizeof message) < 0)
		_exit(2);
}

/* `tells`: what streams alone cannot say is told. */
static int carry(int connection, bool tells)
{
	static struct way in, out;
	bool in_told = false, out_told = false;

	in.from = 0;
	in.to = out.from = connection;
	out.to = 1;
	for (;;) {
		struct pollfd polled[3] = {
			{ .fd = in.at == in.end ? in.from : -1, .events = POLLIN },
			{ .fd = connection, .events = (short)((out.at == out.end && out.from >= 0 ? POLLIN : 0) | (in.at < in.end ? POLLOUT : 0)) },
			{ .fd = out.at < out.end ? 1 : -1, .events = POLLOUT },
		};

		if (is_over(&in) && !in_told) {
			in_told = true;
			shutdown(connection, SHUT_WR);
		}
		if (is_over(&out) && !out_told) {
			out_told = true;
			if (tells)
				tell_end(out.total);
			else
				close(1);
		}
		if (in_told && out_told) {
			reset_when_closed(connection, false);
			return 0;
		}
		/* A side that has nothing to say and is not written to would only report its end over and over. */
		if (polled[1].events == 0)
			polled[1].fd = -1;
		if (poll(polled, 3, -1) < 0 && errno != EINTR)
			return 2;
		if (!move(&in, polled[0].revents != 0, (polled[1].revents & (POLLOUT | POLLERR | POLLHUP)) != 0) ||
		    !move(&out, (polled[1].revents & (POLLIN | POLLERR | POLLHUP)) != 0, polled[2].revents != 0))
			return 2;
	}
}

static int set_non_blocking(int connection)
{
	for (int fd = 0; fd < 2; fd++)
		if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
			return -1;
	return fcntl(connection, F_SETFL, O_NONBLOCK);
}

int carry_streams(int connection)
{
	return set_non_blocking(connection) == 0 ? carry(connection, false) : 2;
}

int relay_to(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);
	int connection, one = 1;

	if (*text == 0 || *end != 0 || port == 0 || port > 65535)
		return 125;
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "sandbox-relay", 0, 0, 0);
	connection = connect_to((uint16_t)port);
	if (connection < 0)
		return 1;
	setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (set_non_blocking(connection) != 0 || write(2, "o", 1) != 1)
		return 2;
	reset_when_closed(connection, true);
	return carry(connection, true);
}
