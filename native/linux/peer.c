/* Who is at the other end of a unix socket that Node has accepted: Node cannot ask the kernel itself. Asked once a connection, before
 * anything is read from it. Answers with a line "UID PID"; the process is the one that called connect(2), as this pid namespace has it,
 * and 0 where it has none. */
#include "peer.h"

#include <stdio.h>
#include <sys/socket.h>

enum { PEER_SOCKET = 3 };

int tell_peer(void)
{
	struct ucred peer;
	socklen_t length = sizeof peer;

	if (getsockopt(PEER_SOCKET, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || length != sizeof peer)
		return 1;
	return printf("%u %d\n", (unsigned)peer.uid, (int)peer.pid) < 0 || fflush(stdout) != 0;
}
