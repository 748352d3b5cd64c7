#include "connect.h"
#include "caller.h"
#include "reports.h"
#include "socket-files.h"
#include "sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	const struct plan *plan;
	bool private_network, off, abstract_scoped;
} state;

/* "1.2.3.4:80" or "[::1]:80". */
static void print_address(const struct sockaddr_storage *address, char text[64])
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN] = "";

	if (address->ss_family == AF_INET)
		snprintf(text, 64, "%s:%u", inet_ntop(AF_INET, &in->sin_addr, host, sizeof host), ntohs(in->sin_port));
	else
		snprintf(text, 64, "[%s]:%u", inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host), ntohs(in6->sin6_port));
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;

	if (address->ss_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(six) || (IN6_IS_ADDR_V4MAPPED(six) && six->s6_addr[12] == 127);
}

enum { PORT_OF_NAMES = 53 };

/* The private network has a loopback and nothing else. A resolver of the host's that listens on the loopback (127.0.0.53) is none of
 * this one's: the connection works, and nobody answers. */
static void report_unreachable(const struct call *call, const struct sockaddr_storage *address, long result)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	char text[64];

	if (address->ss_family != AF_INET && address->ss_family != AF_INET6)
		return;
	if (result != -ENETUNREACH && (address->ss_family == AF_INET6 || !is_loopback(address) || ntohs(in->sin_port) != PORT_OF_NAMES))
		return;
	print_address(address, text);
	report_access(call, ACCESS_CONNECT, text, result == -ENETUNREACH ? REPORT_REFUSED : 0);
}

/* 127.0.0.1, in IPv6's way of writing it too; or ::1. */
static bool is_address_of_loopback(const struct sockaddr_storage *address, bool six_too)
{
	static const struct in6_addr MAPPED = { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1 } } };
	const struct in6_addr *six = &((const struct sockaddr_in6 *)address)->sin6_addr;

	if (address->ss_family == AF_INET)
		return ((const struct sockaddr_in *)address)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
	return memcmp(six, &MAPPED, sizeof MAPPED) == 0 || (six_too && IN6_IS_ADDR_LOOPBACK(six));
}

/* Without a namespace: the proxy's listener, and the ports of the host that were asked for. */
static bool is_reachable(const struct sockaddr_storage *address, socklen_t length)
{
	uint16_t port = ntohs(((const struct sockaddr_in *)address)->sin_port);

	if (length < (address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)))
		return false;
	for (uint32_t i = 0; i < state.plan->n_listeners; i++)
		if (state.plan->listeners[i].port == port && is_address_of_loopback(address, state.plan->listeners[i].kind == LISTENER_LOCAL_PORT))
			return true;
	return false;
}

/* As a machine without a network answers, and without a server. */
static long refuse_network(const struct call *call, const struct sockaddr_storage *address, socklen_t length)
{
	bool whole = length >= (address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	char text[64], told[80];

	if (!whole)
		return -EINVAL;
	print_address(address, text);
	if (call->number == SYS_connect) {
		report_access(call, ACCESS_CONNECT, text, REPORT_REFUSED);
		return is_loopback(address) ? -ECONNREFUSED : -ENETUNREACH;
	}
	snprintf(told, sizeof told, "bind(%s)", text);
	report_access(call, ACCESS_SYSTEM_CALL, told, REPORT_REFUSED);
	return -EACCES;
}

static bool is_abstract(const struct sockaddr_un *address, socklen_t length)
{
	return address->sun_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0] == 0;
}

static long connect_to_abstract(const struct call *call, int fd, const struct sockaddr_un *address, socklen_t length)
{
	char name[sizeof address->sun_path + 1] = "@";
	size_t name_length = length - offsetof(struct sockaddr_un, sun_path) - 1;

	if (state.private_network)
		return connect(fd, (const struct sockaddr *)address, length) == 0 ? 0 : -errno;
	/* Abstract names belong to a network namespace, and this one is the host's. */
	if (state.abstract_scoped) {
		if (connect(fd, (const struct sockaddr *)address, length) == 0)
			return 0;
		if (errno != EPERM)
			return -errno;
	}
	memcpy(name + 1, address->sun_path + 1, name_length < sizeof name - 2 ? name_length : sizeof name - 2);
	report_access(call, ACCESS_UNIX_CONNECT, name, REPORT_REFUSED);
	return -EACCES;
}

static bool is_stream(int fd)
{
	int type = 0;
	socklen_t length = sizeof type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type != SOCK_DGRAM;
}

static void note_outcome(int fd, bool is_bind, long result)
{
	if (is_bind && result == 0)
		note_socket(fd, SOCKET_BOUND);
	if (!is_bind && result == 0)
		note_socket(fd, is_stream(fd) ? SOCKET_CONNECTED : SOCKET_BOUND);
	if (!is_bind && result == -EINPROGRESS)
		note_socket(fd, SOCKET_CONNECTING);
}

/* An address of the network, or a name that is no path. */
static long use_address(const struct call *call, int fd, const struct sockaddr *address, socklen_t length)
{
	bool is_bind = call->number == SYS_bind;
	int result = is_bind ? bind(fd, address, length) : connect(fd, address, length);

	if (result != 0 && is_bind && errno == EADDRINUSE) {
		/* Perhaps by our copy of a socket that its owner has closed. */
		drop_unheld_sockets();
		result = bind(fd, address, length);
	}
	return result == 0 ? 0 : -errno;
}

/* Carries connect or bind out. Returns 0 or -errno, which is the call's result. */
static long carry_out(const struct call *call)
{
	union { struct sockaddr any; struct sockaddr_un local; struct sockaddr_storage storage; char bytes[128]; } address = { 0 };
	char path[sizeof address.local.sun_path + 1] = { 0 };
	uint64_t length = call->arguments[2];
	bool is_bind = call->number == SYS_bind;
	long result;
	int fd;

	if (length < sizeof(sa_family_t) || length > sizeof address)
		return -EINVAL;
	result = copy_memory(call->thread, call->arguments[1], &address, length);
	if (result != 0)
		return result;
	fd = take_socket(call, (int)call->arguments[0]);
	if (fd < 0)
		return errno == EBADF || errno == ENOTSOCK || errno == EISCONN ? -errno : -EACCES;
	/* Still the same call: else memory and descriptor may have been another process's with a reused id. */
	if (!still_waits(call)) {
		close(fd);
		return -EPERM;
	}
	if (state.off && is_bind && address.any.sa_family == AF_UNSPEC) {
		/* The kernel takes it for AF_INET and any address. */
		result = -EAFNOSUPPORT;
	} else if (state.off && (address.any.sa_family == AF_INET || address.any.sa_family == AF_INET6) &&
		   (is_bind || !is_reachable(&address.storage, (socklen_t)length))) {
		result = refuse_network(call, &address.storage, (socklen_t)length);
	} else if (!is_bind && is_abstract(&address.local, (socklen_t)length)) {
		result = connect_to_abstract(call, fd, &address.local, (socklen_t)length);
	} else if (address.any.sa_family == AF_UNIX && length > offsetof(struct sockaddr_un, sun_path) && address.local.sun_path[0] != 0) {
		memcpy(path, address.local.sun_path, length - offsetof(struct sockaddr_un, sun_path) < sizeof path ? length - offsetof(struct sockaddr_un, sun_path) : sizeof path - 1);
		result = is_bind ? bind_to_path(call, fd, &address.local, (socklen_t)length, path) : connect_to_path(call, fd, path);
	} else {
		result = use_address(call, fd, &address.any, (socklen_t)length);
		if (!is_bind && state.private_network)
			report_unreachable(call, &address.storage, result);
	}
	note_outcome(fd, is_bind, result);
	close(fd);
	return result;
}

/* Carried out, not left to the kernel: another thread can put a socket of the network in the place of the one that was looked at. */
struct answer handle_listen(const struct call *call)
{
	int domain = 0, fd = take_socket(call, (int)call->arguments[0]);
	socklen_t length = sizeof domain;
	long result;

	if (fd < 0)
		return give_result(errno == EBADF || errno == ENOTSOCK ? -errno : errno == EISCONN ? -EINVAL : -EACCES);
	if (!still_waits(call) || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0) {
		result = -EPERM;
	} else if (domain == AF_UNIX || !state.off) {
		result = listen(fd, (int)call->arguments[1]) == 0 ? 0 : -errno;
		if (result == 0)
			note_socket(fd, SOCKET_LISTENS);
	} else {
		report_access(call, ACCESS_SYSTEM_CALL, "listen", REPORT_REFUSED);
		result = -EACCES;
	}
	close(fd);
	return give_result(result);
}

struct answer handle_socket_address(const struct call *call)
{
	return give_result(carry_out(call));
}

void prepare_connecting(const struct plan *plan, bool abstract_scoped)
{
	prepare_socket_files(plan);
	state.plan = plan;
	state.private_network = (plan->flags & PLAN_PRIVATE_NETWORK) != 0;
	state.off = (plan->flags & PLAN_NO_NETWORK) != 0;
	state.abstract_scoped = abstract_scoped;
}
