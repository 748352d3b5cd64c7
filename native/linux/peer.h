/* peer.c: tells Node who is at the other end of the socket at descriptor 3. Returns an exit code. */
#ifndef PEER_H
#define PEER_H

int tell_peer(void);

#endif
