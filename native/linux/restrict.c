#include "restrict.h"
#include "kernel.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int drop_capabilities(struct failure *failure)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = 1U << CAP_SYS_ADMIN, .permitted = 1U << CAP_SYS_ADMIN } };
	bool failed = INJECTED(drop_capabilities) || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0;

	/* The bounding set first: dropping from it needs CAP_SETPCAP, which the next call gives up. EINVAL ends the list of the
	 * capabilities that this kernel knows. */
	for (unsigned long capability = 0; !failed; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) {
			failed = errno != EINVAL || capability <= CAP_SYS_ADMIN;
			break;
		}
	}
	if (failed || syscall(SYS_capset, &header, data) != 0)
		return fail(failure, STEP_drop_capabilities, NULL);
	return 0;
}

/* The bounding set may be left where it cannot be dropped: without privileges to begin with, and with no_new_privs, no exec gains
 * anything from it. */
int give_up_privileges(struct failure *failure)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (INJECTED(drop_capabilities) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		return fail(failure, STEP_drop_capabilities, NULL);
	for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
		;
	if ((errno != EINVAL && errno != EPERM) || syscall(SYS_capset, &header, data) != 0)
		return fail(failure, STEP_drop_capabilities, NULL);
	return 0;
}

int create_ruleset(uint64_t fs, uint64_t net, uint64_t scopes)
{
	struct landlock_ruleset_attr_ attributes = { fs, net, scopes };
	size_t size = scopes != 0 ? sizeof attributes : net != 0 ? 16 : 8;

	return (int)syscall(NR_landlock_create_ruleset, &attributes, size, 0);
}

int restrict_once(const struct plan *plan, int fence, struct failure *failure)
{
	int ruleset;

	if (INJECTED(forker_landlock))
		return fail(failure, STEP_forker_landlock, NULL);
	if (shares_processes(plan))
		return syscall(NR_landlock_restrict_self, fence, 0) == 0 ? 0 : fail(failure, STEP_forker_landlock, NULL);
	if (!(plan->flags & PLAN_LANDLOCK) || (plan->flags & PLAN_LANDLOCK_FILES) || (plan->scopes == 0 && plan->handled_net == 0))
		return 0;
	ruleset = create_ruleset(0, plan->handled_net, plan->scopes);
	if (ruleset < 0 || syscall(NR_landlock_restrict_self, ruleset, 0) != 0)
		return fail(failure, STEP_forker_landlock, NULL);
	return close(ruleset);
}

int install_listener(const struct plan *plan, struct failure *failure)
{
	struct sock_fprog program = { (unsigned short)plan->listener_filter.length, (struct sock_filter *)plan->listener_filter.program };
	/* WAIT_KILLABLE_RECV: else every signal (Go's pre-emption) restarts a call that is being carried out. */
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER_ | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV_;
	int listener;

	if (program.len == 0 && !INJECTED(forker_listener))
		return -2;
	listener = INJECTED(forker_listener) ? -1 : (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, flags, &program);
	if (listener < 0)
		return fail(failure, STEP_forker_listener, NULL);
	return listener;
}

int make_file_ruleset(const struct plan *plan, const struct open_rule *rules, uint32_t n_rules)
{
	int ruleset = INJECTED(prepare_ruleset) ? -1 : create_ruleset(plan->handled_fs, plan->handled_net, plan->scopes);

	for (uint32_t i = 0; ruleset >= 0 && i < n_rules; i++) {
		struct landlock_path_beneath_attr_ rule = { rules[i].allowed, rules[i].fd };

		if (syscall(NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH_, &rule, 0) != 0) {
			int error = errno;

			close(ruleset);
			errno = error;
			return -1;
		}
	}
	return ruleset;
}
