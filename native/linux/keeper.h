/* The keeper: beside bwrap, on the host. What the plan has to put at missing names it makes before bwrap starts, and removes when nothing
 * runs any more; and it watches the names of held paths, as a mount that bwrap made follows its inode. */
#ifndef KEEPER_H
#define KEEPER_H

/* Speaks frames on the socket `control`: PLAN in, READY or FAILED out, until it closes or a CLOSE frame comes. When the host changes a
 * held path it writes that path to `inside`, the launcher's end of which ends all commands; when the keeper is gone, its end says so.
 * Returns the exit code. */
int run_keeper(int control, int inside);

#endif
