#include "handlers.h"
#include "connect.h"
#include "foreign.h"
#include "kernel.h"
#include "observe.h"
#include "refuse.h"
#include "signals.h"
#include "sockets.h"
#include "supervise.h"

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

enum { MOST_ROWS = 512 };

const struct handled_call FILE_CALLS[] = {
	{ SYS_openat, false, supervise_open },
	{ NR_openat2, false, supervise_open },
	{ SYS_mkdirat, false, supervise_names },
	{ SYS_mknodat, false, supervise_names },
	{ SYS_unlinkat, false, supervise_names },
	{ SYS_renameat2, false, supervise_names },
	{ SYS_linkat, false, supervise_names },
	{ SYS_symlinkat, false, supervise_names },
	{ SYS_truncate, true, supervise_truncate },
	{ SYS_fchmod, false, supervise_metadata },
	{ SYS_fchmodat, false, supervise_metadata },
	{ NR_fchmodat2, false, supervise_metadata },
	{ SYS_fchown, false, supervise_metadata },
	{ SYS_fchownat, false, supervise_metadata },
	{ SYS_utimensat, false, supervise_metadata },
	{ SYS_setxattr, false, supervise_metadata },
	{ SYS_lsetxattr, false, supervise_metadata },
	{ SYS_fsetxattr, false, supervise_metadata },
	{ NR_setxattrat, false, supervise_metadata },
	{ SYS_removexattr, false, supervise_metadata },
	{ SYS_lremovexattr, false, supervise_metadata },
	{ SYS_fremovexattr, false, supervise_metadata },
	{ NR_removexattrat, false, supervise_metadata },
#ifdef SYS_renameat
	{ SYS_renameat, false, supervise_names },
#endif
#ifdef SYS_open	/* not on arm64 */
	{ SYS_open, false, supervise_open },
	{ SYS_creat, false, supervise_open },
	{ SYS_mkdir, false, supervise_names },
	{ SYS_mknod, false, supervise_names },
	{ SYS_unlink, false, supervise_names },
	{ SYS_rmdir, false, supervise_names },
	{ SYS_rename, false, supervise_names },
	{ SYS_link, false, supervise_names },
	{ SYS_symlink, false, supervise_names },
	{ SYS_chmod, false, supervise_metadata },
	{ SYS_chown, false, supervise_metadata },
	{ SYS_lchown, false, supervise_metadata },
	{ SYS_utime, false, supervise_metadata },
	{ SYS_utimes, false, supervise_metadata },
	{ SYS_futimesat, false, supervise_metadata },
#endif
};

const unsigned N_FILE_CALLS = sizeof FILE_CALLS / sizeof FILE_CALLS[0];

const struct handled_call *handlers_for(const struct plan *plan, unsigned *n_rows)
{
	struct handled_call *all = calloc(MOST_ROWS, sizeof *all), *at = all;

	if (all == NULL)
		return NULL;
	/* Often called ones first, and what is judged before what is only looked at. */
	if (plan->flags & PLAN_SUPERVISED) {
		memcpy(at, FILE_CALLS, sizeof FILE_CALLS);
		at += N_FILE_CALLS;
		at = add_foreign_calls(at);
		at = add_signal_calls(at);
	}
	*at++ = (struct handled_call){ SYS_connect, true, handle_socket_address };
	if (!(plan->flags & PLAN_PRIVATE_NETWORK))
		*at++ = (struct handled_call){ SYS_bind, true, handle_socket_address };
	*at++ = (struct handled_call){ SYS_listen, false, handle_listen };
	if (plan->flags & PLAN_MAKE_SOCKETS)
		*at++ = (struct handled_call){ SYS_socket, false, make_socket };
	at = add_refused_calls(at);
	at = add_observed_calls(at);
	*n_rows = (unsigned)(at - all);
	return all;
}
