/* The monitor: outside all filters. Talks to Node, makes the template and holds it, answers the listener; ends everything when
 * Node is gone. */
#ifndef MONITOR_H
#define MONITOR_H

/* Inside bwrap: the launcher's end of the keeper's socket (keeper.h), and the namespaces of the host (inside.h). */
struct around { int keeper; const char *host_namespaces; };

/* The exit code where it ended since the keeper is gone: nothing is lost but what ran. src/platform/linux/bwrap/enclosure.ts has it too. */
enum { KEEPER_IS_GONE = 3 };

/* Speaks frames on the socket `control` until it closes or a CLOSE frame comes. `channel`: Node's own, for handles; -1: there is none.
 * `around`: NULL where the launcher makes the namespaces itself. Returns the exit code of the launcher. */
int run_monitor(int control, int channel, const struct around *around);

#endif
