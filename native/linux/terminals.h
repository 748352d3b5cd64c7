/* Terminals on the supervised rung, where /dev/pts is the host's: commands make new ones, and open those of their sandbox by name. The
 * launcher opens both; commands' own domain gives no right to any. */
#ifndef TERMINALS_H
#define TERMINALS_H

#include "supervised-path.h"

/* `place` is a device. CONTINUE where it is neither a terminal nor what makes them. */
struct answer supervise_terminal(struct place *place, uint64_t flags);

/* A terminal that the launcher made for a command. Returns 0, or -1 with errno. */
int note_terminal(int master);

#endif
