/* The monitor: outside all filters. Talks to Node, makes the template and holds it, answers the listener; ends everything when
 * Node is gone. */
#ifndef MONITOR_H
#define MONITOR_H

/* Speaks frames on the socket `control` until it closes or a CLOSE frame comes. `channel`: Node's own, for handles; -1: there is none.
 * Returns the exit code of the launcher. */
int run_monitor(int control, int channel);

#endif
