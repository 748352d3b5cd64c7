/* From a plan to a sandbox in which commands can start: the order of the steps, and the forker's start. */
#include "monitor-state.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "caller.h"
#include "connect.h"
#include "domains.h"
#include "git-operations.h"
#include "guardian.h"
#include "handlers.h"
#include "identity.h"
#include "inside.h"
#include "kernel.h"
#include "listeners.h"
#include "namespaces.h"
#include "notifications.h"
#include "process-tree.h"
#include "refuse.h"
#include "reports.h"
#include "seen-path.h"
#include "signals.h"
#include "socket.h"
#include "sockets.h"
#include "supervise.h"

static int save_descriptor_limit(struct failure *failure)
{
	struct rlimit limit;

	/* The launcher needs descriptors for each command; commands get what the embedding process had. */
	if (INJECTED(raise_descriptor_limit) || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fail(failure, STEP_raise_descriptor_limit, NULL);
	shared.max_descriptors[0] = limit.rlim_cur;
	shared.max_descriptors[1] = limit.rlim_max;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return fail(failure, STEP_raise_descriptor_limit, NULL);
	return 0;
}

/* What of /proc acts on the host or tells it what to do, where the file's owner may write without a capability. */
static const char *const PROC_READ_ONLY[] = { "/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi", "/proc/mtrr", "/proc/dynamic_debug" };

static const char *const *existing_proc_paths(void)
{
	static const char *paths[sizeof PROC_READ_ONLY / sizeof PROC_READ_ONLY[0] + 2];
	size_t n = 0;

	/* Init's own: it is not dumpable, so they are root's files, and root's commands could write to them. */
	if (geteuid() == 0)
		paths[n++] = "/proc/1";
	for (size_t i = 0; i < sizeof PROC_READ_ONLY / sizeof PROC_READ_ONLY[0]; i++)
		if (access(PROC_READ_ONLY[i], F_OK) == 0)
			paths[n++] = PROC_READ_ONLY[i];
	return paths;
}

static int open_rules(const struct plan *plan, struct open_rule **rules, struct failure *failure)
{
	*rules = calloc(plan->n_rules + 1, sizeof **rules);
	if (*rules == NULL)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	for (uint32_t i = 0; i < plan->n_rules; i++) {
		(*rules)[i].allowed = plan->rules[i].allowed;
		(*rules)[i].fd = INJECTED(compile_landlock_rules) ? -1 : open_exact(plan->rules[i].path);
		if ((*rules)[i].fd < 0)
			return fail(failure, STEP_compile_landlock_rules, plan->rules[i].path);
	}
	return 0;
}

/* The raw call, as fork has no flags; and no unshare, after which this process could start no thread. */
static pid_t fork_forker(const struct plan *plan)
{
	return (pid_t)syscall(SYS_clone, (long)(shares_processes(plan) ? SIGCHLD : CLONE_NEWPID | SIGCHLD), 0, 0, 0, 0);
}

/* After the fork, so that the forker has one thread, and its commands none of these. */
static int answer_listener(struct monitor *monitor, int listener, struct failure *failure)
{
	const struct handled_call *handlers;
	unsigned n_handlers;

	/* A plan may be for what a probe found before a filter was there. */
	if (try_on_self((monitor->plan.flags & PLAN_MAKE_SOCKETS) == 0) != 0)
		return fail(failure, STEP_forker_listener, NULL);
	monitor->access_reports = prepare_reports(shared.init_pids, INIT_PIDS);
	if (monitor->access_reports < 0)
		return fail(failure, STEP_forker_listener, NULL);
	if (shares_processes(&monitor->plan))
		expect_no_namespaces(monitor->forker);
	if (monitor->plan.flags & PLAN_SUPERVISED)
		prepare_signals(monitor->forker);
	prepare_refusing(&monitor->plan);
	prepare_sockets((monitor->plan.flags & PLAN_MAKE_SOCKETS) != 0, monitor->forker);
	prepare_connecting(&monitor->plan, (monitor->plan.flags & PLAN_SUPERVISED) && (monitor->plan.scopes & LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET_));
	prepare_seen_paths(&monitor->plan);
	prepare_identity(&monitor->plan);
	handlers = handlers_for(&monitor->plan, &n_handlers);
	if (handlers == NULL || start_answering(listener, handlers, n_handlers) != 0)
		return fail(failure, STEP_forker_listener, NULL);
	return 0;
}

static int start_forker(struct monitor *monitor, const struct open_rule *rules, struct failure *failure)
{
	int pair[2], starts[2], reports[2];

	if (INJECTED(start_forker) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, starts) != 0 || pipe2(reports, O_CLOEXEC) != 0 || fcntl(reports[0], F_SETFL, O_NONBLOCK) != 0 ||
	    (monitor->forker = fork_forker(&monitor->plan)) < 0)
		return fail(failure, STEP_start_forker, NULL);
	if (monitor->forker == 0) {
		close(pair[0]);
		close(starts[0]);
		close(reports[0]);
		shared.starts = starts[1];
		shared.reports = reports[1];
		close(monitor->control);
		close(monitor->journal);
		close_groups(&monitor->groups);
		if (monitor->guardian >= 0)
			close(monitor->guardian);
		if (monitor->held.watch.inotify >= 0)
			close(monitor->held.watch.inotify);
		if (monitor->around != NULL)
			close(monitor->around->keeper);
		run_forker(&monitor->plan, pair[1], rules, monitor->plan.n_rules);
	}
	if (monitor->guardian >= 0 && tell_guardian(monitor->guardian, monitor->forker) != 0)
		return fail(failure, STEP_start_guardian, NULL);
	close(pair[1]);
	close(starts[1]);
	close(reports[1]);
	monitor->forker_socket = pair[0];
	monitor->starts = starts[0];
	monitor->reports = reports[0];
	return 0;
}

/* Until it is restricted, its calls are answered, and the first command could be taken. */
static int await_forker(struct monitor *monitor, struct failure *failure)
{
	struct message_header header;
	bool answered = false;
	int fds[1];

	do {
		struct forker_failure reported;

		if (receive_header(monitor->forker_socket, &header, fds, 1) != 1) {
			errno = EPIPE;
			return fail(failure, STEP_start_forker, NULL);
		}
		/* At once: inits on their way to READY may make calls that wait for an answer. */
		if (header.type == FORKER_LISTENER && answer_listener(monitor, fds[0], failure) != 0)
			return -1;
		answered = answered || header.type == FORKER_LISTENER;
		if (header.type == FORKER_FAILED) {
			if (header.length != sizeof reported || receive_exactly(monitor->forker_socket, &reported, sizeof reported) != 0)
				return fail(failure, STEP_start_forker, NULL);
			*failure = (struct failure){ (enum step)reported.step, reported.error, NULL };
			return -1;
		}
	} while (header.type != FORKER_READY);
	/* A plan with a listener filter and no listener would leave its calls to nobody. */
	if (!answered && monitor->plan.listener_filter.length > 0) {
		errno = EBADF;
		return fail(failure, STEP_forker_listener, NULL);
	}
	return 0;
}

static int open_devnull(struct monitor *monitor, struct failure *failure)
{
	monitor->devnull = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return monitor->devnull < 0 ? fail(failure, STEP_make_devices, "/dev/null") : 0;
}

/* Before anything of a command is forked: who has Node's channel can send it handles. */
static int hand_over(struct monitor *monitor, struct failure *failure)
{
	int channel = monitor->channel;

	monitor->channel = -1;
	return hand_listeners_over(&monitor->plan, channel, failure);
}

static int set_up_in_namespaces(struct monitor *monitor, struct failure *failure)
{
	struct open_rule *rules;
	const char *changed;

	/* The host's files are swept and the state directory opened before the mount namespace makes them read-only. */
	monitor->journal = INJECTED(open_journal) ? -1 : open_journal(monitor->plan.state_directory);
	if (monitor->journal < 0)
		return fail(failure, STEP_open_journal, monitor->plan.state_directory);
	sweep_journal(monitor->journal);
	if (enter_sandbox_group(&monitor->plan, &monitor->groups, failure) != 0)
		return -1;
	shared.proc_read_only = existing_proc_paths();
	if (enter_namespaces(&monitor->plan, failure) != 0 || divide_sandbox_group(&monitor->plan, &monitor->groups, failure) != 0 ||
	    make_template(&monitor->plan, &monitor->mounts, failure) != 0)
		return -1;
	/* The template's, not the host's: commands get it as stdin, and could change the node's mode through it. */
	if (open_devnull(monitor, failure) != 0)
		return -1;
	if ((monitor->plan.flags & PLAN_PRIVATE_NETWORK) && bring_up_loopback(failure) != 0)
		return -1;
	if (hand_over(monitor, failure) != 0)
		return -1;
	if (open_rules(&monitor->plan, &rules, failure) != 0)
		return -1;
	/* From here on with no more rights over files than commands have: placeholders are made only where they could. */
	if (drop_capabilities(failure) != 0)
		return -1;
	/* After the id maps are written: a process that is not dumpable may not write its own. */
	if (INJECTED(make_not_dumpable) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(failure, STEP_make_not_dumpable, NULL);
	if (INJECTED(git_operations) || prepare_git_operations(&monitor->plan) != 0)
		return fail(failure, STEP_git_operations, GIT_OPERATIONS);
	/* While the forker restricts itself what is held is looked at. A change that the look finds is bound again, and what is bound
	 * reaches the inits that are there by then as it reaches commands. */
	monitor->held.watch.inotify = -1;
	if (start_forker(monitor, rules, failure) != 0 ||
	    start_holding(&monitor->plan, &monitor->mounts, monitor->journal, &monitor->held, failure) != 0 ||
	    recheck_held(&monitor->held, &changed, failure) < 0)
		return -1;
	return await_forker(monitor, failure);
}

/* Devices that the policy names must be there; Landlock's rules would leave out what is not. */
static int check_devices(const struct plan *plan, struct failure *failure)
{
	for (uint32_t i = 0; i < plan->n_devices; i++)
		if (access(plan->devices[i], F_OK) != 0)
			return fail(failure, STEP_clone_devices, plan->devices[i]);
	return 0;
}

static int start_guardian_of(const struct monitor *monitor)
{
	int end = monitor->plan.flags & PLAN_GROUP_ENDS ? open_end_of_all(&monitor->groups) : -1, guardian, error;

	if (end < 0 && (monitor->plan.flags & PLAN_GROUP_ENDS))
		return -1;
	guardian = start_guardian(end);
	error = errno;
	if (end >= 0)
		close(end);
	errno = error;
	return guardian;
}

/* What is protected or denied is judged by its path with every call: nothing is put on the host, and nothing has to be held there. */
static int set_up_supervised(struct monitor *monitor, struct failure *failure)
{
	struct supervised_rules *rules;
	struct domains domains;

	monitor->held.watch.inotify = -1;
	monitor->held.watch.reliable = true;
	if (enter_sandbox_group(&monitor->plan, &monitor->groups, failure) != 0 || divide_sandbox_group(&monitor->plan, &monitor->groups, failure) != 0)
		return -1;
	if (open_devnull(monitor, failure) != 0 || check_devices(&monitor->plan, failure) != 0)
		return -1;
	/* From here on with no more rights over files than commands have; then the domain in which all of them will be. */
	if (give_up_privileges(failure) != 0)
		return -1;
	if (INJECTED(make_not_dumpable) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(failure, STEP_make_not_dumpable, NULL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
		return fail(failure, STEP_adopt_orphans, NULL);
	/* Before the domain that lets nobody listen; it then knows which ports are the proxy's. */
	if (hand_over(monitor, failure) != 0)
		return -1;
	rules = index_path_rules(&monitor->plan);
	if (rules == NULL)
		return fail(failure, STEP_compile_landlock_rules, NULL);
	if (enter_outer_domain(&monitor->plan, rules, &domains, failure) != 0)
		return -1;
	prepare_supervising(&monitor->plan, rules, shared.umask);
	shared.inner = domains.inner;
	shared.fence = domains.fence;
	if (!signals_are_fenced(&monitor->plan) && (INJECTED(start_guardian) || (monitor->guardian = start_guardian_of(monitor)) < 0))
		return fail(failure, STEP_start_guardian, NULL);
	return start_forker(monitor, NULL, failure) != 0 ? -1 : await_forker(monitor, failure);
}

/* bwrap has made the namespaces and the mounts, and the keeper holds what is on the host. No capability is left in here, so commands share
 * these, as they do on the supervised rung. */
static int set_up_inside(struct monitor *monitor, struct failure *failure)
{
	struct domains domains;

	monitor->held.watch.inotify = -1;
	monitor->held.watch.reliable = true;
	if (check_namespaces(&monitor->plan, monitor->around->host_namespaces, failure) != 0 || check_mounts(&monitor->plan, failure) != 0)
		return -1;
	if (open_devnull(monitor, failure) != 0 || check_devices(&monitor->plan, failure) != 0 || hand_over(monitor, failure) != 0)
		return -1;
	if (give_up_privileges(failure) != 0)
		return -1;
	if (INJECTED(make_not_dumpable) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return fail(failure, STEP_make_not_dumpable, NULL);
	/* Without a fence commands could signal the forker and each other. */
	if (!signals_are_fenced(&monitor->plan) || !(monitor->plan.flags & PLAN_LANDLOCK_FILES)) {
		errno = EOPNOTSUPP;
		return fail(failure, STEP_compile_landlock_rules, NULL);
	}
	if (make_domains_inside(&monitor->plan, &domains, failure) != 0)
		return -1;
	shared.inner = domains.inner;
	shared.fence = domains.fence;
	return start_forker(monitor, NULL, failure) != 0 ? -1 : await_forker(monitor, failure);
}

int set_up(struct monitor *monitor, const struct frame *frame, struct failure *failure)
{
	int result = INJECTED(decode_plan) ? -EIO : decode_plan(frame->payload, frame->length, &monitor->plan);

	if (result != 0) {
		errno = -result;
		return fail(failure, STEP_decode_plan, NULL);
	}
	if (save_descriptor_limit(failure) != 0)
		return -1;
	shared.plan = &monitor->plan;
	shared.init_pids = mmap(NULL, INIT_PIDS * sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared.init_pids == MAP_FAILED)
		return fail(failure, STEP_start_forker, NULL);
	/* A plan for one way is never carried out another way. */
	if ((monitor->around != NULL) != ((monitor->plan.flags & PLAN_INSIDE) != 0)) {
		errno = EINVAL;
		return fail(failure, STEP_decode_plan, NULL);
	}
	if (monitor->around != NULL)
		return set_up_inside(monitor, failure);
	return monitor->plan.flags & PLAN_SUPERVISED ? set_up_supervised(monitor, failure) : set_up_in_namespaces(monitor, failure);
}

/* Ends all commands; returns when the kernel has ended the last process of them. */
void end_commands(const struct monitor *monitor)
{
	if (monitor->forker <= 0)
		return;
	if (monitor->plan.flags & PLAN_GROUP_ENDS)
		for (const struct running *command = monitor->commands; command != NULL; command = command->next)
			if (!command->dead && command->group >= 0)
				end_group(command->group);
	if (monitor->plan.flags & PLAN_SUPERVISED) {
		end_descendants(signals_are_fenced(&monitor->plan));
		return;
	}
	/* This is process 1: all others in its PID namespace are below it. */
	if (monitor->around != NULL) {
		kill(-1, SIGKILL);
		while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
			;
		return;
	}
	kill(monitor->forker, SIGKILL);
	while (waitpid(monitor->forker, NULL, 0) < 0 && errno == EINTR)
		;
}
