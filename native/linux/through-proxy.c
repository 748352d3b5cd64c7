/* `--connect HOST PORT`: what ssh calls a ProxyCommand. Its standard streams lead through the sandbox's proxy (SOCKS5, so that the name is
 * resolved there) to HOST. The proxy's address, and who this is, it takes from the environment, where they are not seen by other users.
 * Exit codes: 0 both sides are at their end; 1 refused, with a sentence on stderr; 2 the connection broke; 125 called in another way. */
#include "helper.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VARIABLE "CODEX_SANDBOX_SOCKS_PROXY"

enum { MOST_TEXT = 255 };

struct proxy { uint16_t port; char user[MOST_TEXT + 1], password[MOST_TEXT + 1]; };

static int complain(const char *what, const char *host, const char *port)
{
	fprintf(stderr, "codex-sandbox: connection to %s:%s: %s\n", host, port, what);
	return 1;
}

static bool copy_until(const char **at, char end, char *text)
{
	const char *stop = strchr(*at, end);
	size_t length = stop == NULL ? MOST_TEXT + 1 : (size_t)(stop - *at);

	if (length == 0 || length > MOST_TEXT)
		return false;
	memcpy(text, *at, length);
	text[length] = 0;
	*at = stop + 1;
	return true;
}

static bool parse_port(const char *text, uint16_t *port)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end != 0 || number == 0 || number > UINT16_MAX)
		return false;
	*port = (uint16_t)number;
	return true;
}

/* socks5h://USER:PASSWORD@127.0.0.1:PORT, as the sandbox writes it, and nothing else. */
static bool read_proxy(struct proxy *proxy)
{
	static const char SCHEME[] = "socks5h://", HOST[] = "127.0.0.1:";
	const char *at = getenv(VARIABLE);

	if (at == NULL || strncmp(at, SCHEME, sizeof SCHEME - 1) != 0)
		return false;
	at += sizeof SCHEME - 1;
	if (!copy_until(&at, ':', proxy->user) || !copy_until(&at, '@', proxy->password) || strncmp(at, HOST, sizeof HOST - 1) != 0)
		return false;
	return parse_port(at + sizeof HOST - 1, &proxy->port);
}

static bool send_all(int fd, const unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

/* No byte more: what follows is the other side's. */
static bool receive_all(int fd, unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t got = recv(fd, bytes, length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		bytes += got;
		length -= (size_t)got;
	}
	return true;
}

static unsigned char *put_text(unsigned char *at, const char *text)
{
	size_t length = strlen(text);

	*at++ = (unsigned char)length;
	memcpy(at, text, length);
	return at + length;
}

/* RFC 1928, RFC 1929. Returns the proxy's answer, 0 for success; -1 where it is no SOCKS5 proxy, or the user is not believed. */
static int ask(int fd, const struct proxy *proxy, const char *host, uint16_t port)
{
	unsigned char bytes[3 + 2 * (MOST_TEXT + 1) + 4], *at = bytes;

	if (!send_all(fd, (const unsigned char[]){ 5, 1, 2 }, 3) || !receive_all(fd, bytes, 2) || bytes[0] != 5 || bytes[1] != 2)
		return -1;
	*at++ = 1;
	at = put_text(put_text(at, proxy->user), proxy->password);
	if (!send_all(fd, bytes, (size_t)(at - bytes)) || !receive_all(fd, bytes, 2) || bytes[1] != 0)
		return -1;
	at = bytes;
	memcpy(at, (const unsigned char[]){ 5, 1, 0, 3 }, 4);
	at = put_text(at + 4, host);
	*at++ = (unsigned char)(port >> 8);
	*at++ = (unsigned char)port;
	if (!send_all(fd, bytes, (size_t)(at - bytes)) || !receive_all(fd, bytes, 4) || bytes[0] != 5)
		return -1;
	if (bytes[1] != 0)
		return bytes[1];
	/* The address that the proxy has, which is of no use here. */
	switch (bytes[3]) {
	case 1: return receive_all(fd, bytes, 4 + 2) ? 0 : -1;
	case 4: return receive_all(fd, bytes, 16 + 2) ? 0 : -1;
	default: return -1;
	}
}

static const char *explain(int answer)
{
	switch (answer) {
	case 2: return "the sandbox's rules for the network do not allow it";
	case 4: return "it has no address, or cannot be reached";
	case 5: return "it refuses connections";
	default: return "the sandbox's proxy did not answer as it should";
	}
}

int connect_through_proxy(const char *host, const char *port_text)
{
	struct proxy proxy;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint16_t port;
	int fd, answer;

	if (*host == 0 || strlen(host) > MOST_TEXT || !parse_port(port_text, &port))
		return 125;
	signal(SIGPIPE, SIG_IGN);
	if (!read_proxy(&proxy))
		return complain(VARIABLE " does not say where the sandbox's proxy is", host, port_text);
	address.sin_port = htons(proxy.port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		return complain("the sandbox's proxy cannot be reached", host, port_text);
	answer = ask(fd, &proxy, host, port);
	if (answer != 0)
		return complain(explain(answer), host, port_text);
	return carry_streams(fd);
}
