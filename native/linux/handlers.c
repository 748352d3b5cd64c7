#include "handlers.h"
#include "connect.h"
#include "foreign.h"
#include "git-operations.h"
#include "identity.h"
#include "kernel.h"
#include "observe.h"
#include "refuse.h"
#include "signals.h"
#include "sockets.h"
#include "supervise.h"

#include <stdlib.h>
#include <sys/syscall.h>

enum { MOST_ROWS = 512 };

const struct handled_call *handlers_for(const struct plan *plan, unsigned *n_rows)
{
	struct handled_call *all = calloc(MOST_ROWS, sizeof *all), *at = all;

	if (all == NULL)
		return NULL;
	/* Often called ones first, and what is judged before what is only looked at. */
	if (plan->flags & PLAN_SUPERVISED) {
		at = add_file_calls(at);
		at = add_signal_calls(at);
	}
	if (shares_processes(plan))
		at = add_foreign_calls(at);
	if (has_git_operations(plan))
		at = add_git_operation_calls(at);
	*at++ = (struct handled_call){ SYS_connect, true, handle_socket_address };
	if (!(plan->flags & PLAN_PRIVATE_NETWORK) || (plan->flags & PLAN_MAKE_SOCKETS))
		*at++ = (struct handled_call){ SYS_bind, false, handle_socket_address };	/* makes a name, as the receiving thread alone does */
	*at++ = (struct handled_call){ SYS_listen, false, handle_listen };
	if (plan->flags & PLAN_MAKE_SOCKETS)
		*at++ = (struct handled_call){ SYS_socket, false, make_socket };
	at = add_refused_calls(at);
	if (plan->flags & PLAN_OBSERVE)
		observe_handled_calls(all, at);
	at = add_observed_calls(at);
	at = refuse_set_user_id(all, at);
	if (plan->flags & PLAN_OBSERVE)
		at = tell_identity(all, at);
	*n_rows = (unsigned)(at - all);
	return all;
}
