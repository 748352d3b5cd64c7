/* Runs a program on a host that lacks layers of enforcement. Each word takes one away from the program and from all that it starts, as
 * a kernel, a container or another sandbox would, so that what is left answers for itself; the words add up. Needs root.
 *
 *     poor-host WORD… -- PROGRAM ARGUMENT…
 *
 * Words are those of the table below, and
 *
 *     landlock-abi=N    an older Landlock: its version, its rights (EINVAL for others), the length of its struct (E2BIG for more)
 *     foreign-proc      a PID namespace of its own, and the /proc of the one around it
 *     listener          a listener for system calls is there already, and the kernel permits one (EBUSY)
 *     uid=N             not as root
 *
 * An older Landlock needs somebody who answers calls with more than an errno. A listener could, but then there is none for the program;
 * so it is a tracer, which the calls in question stop for. Whoever is traced may still trace its own children.
 *
 * Exits as the program does, 128+n where signal n ended it; 125 where the host could not be made. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	NR_open_tree = 428, NR_move_mount = 429, NR_fsopen = 430, NR_fsmount = 432, NR_clone3 = 435, NR_pidfd_getfd = 438, NR_mount_setattr = 442,
	NR_landlock_create_ruleset = 444, NR_landlock_add_rule = 445, NR_landlock_restrict_self = 446,
	/* Of these NEW_LISTENER came with 5.0, WAIT_KILLABLE_RECV with 5.19. */
	NEW_LISTENER = 8, WAIT_KILLABLE_RECV = 32,
	GET_SECCOMP = 21, SET_SECCOMP = 22,
	SET_INTERFACE_FLAGS = 0x8914,
};

static void check(int failed, const char *what)
{
	if (!failed)
		return;
	fprintf(stderr, "poor-host: %s: %s\n", what, strerror(errno));
	_exit(125);
}

/* The argument of a call has one of these bits; with no bits, whatever the arguments are. */
struct refused { int call, argument; unsigned bits; };

static void install(struct sock_filter *filter, unsigned length, unsigned flags, int *listener)
{
	struct sock_fprog program = { .len = (unsigned short)length, .filter = filter };
	/* As root without no_new_privs: the program is to find what a program finds. */
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);

	check(result < 0, "seccomp");
	if (listener != NULL)
		*listener = (int)result;
}

static void answer_call(struct refused each, unsigned action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)each.call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offsetof(struct seccomp_data, args) + 8U * (unsigned)each.argument)),
		each.bits == 0 ? (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0) : (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, each.bits, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install(filter, sizeof filter / sizeof filter[0], 0, NULL);
}

static void refuse(const struct refused *calls, size_t n, int error)
{
	for (size_t i = 0; i < n; i++)
		answer_call(calls[i], SECCOMP_RET_ERRNO | (unsigned)error);
}

/* clone3 hides its flags in memory: what judges flags answers as a kernel without it, and libraries then take clone. */
static void refuse_namespaces(unsigned flags, int error)
{
	const struct refused calls[] = { { SYS_unshare, 0, flags }, { SYS_clone, 0, flags } }, clone3[] = { { NR_clone3, 0, 0 } };

	refuse(clone3, 1, ENOSYS);
	refuse(calls, 2, error);
}

#define REFUSE(error, ...)                                                                        \
	do {                                                                                      \
		const struct refused calls[] = { __VA_ARGS__ };                                   \
		refuse(calls, sizeof calls / sizeof calls[0], error);                             \
	} while (0)

/* prctl tells by its first argument, which is compared as a whole. */
static void refuse_prctl(unsigned option, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, option, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install(filter, sizeof filter / sizeof filter[0], 0, NULL);
}

static void refuse_interface_flags(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + 8),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SET_INTERFACE_FLAGS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};

	install(filter, sizeof filter / sizeof filter[0], 0, NULL);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	check(fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text), path);
	close(fd);
}

/* With every id, as itself: only the limits of this one are its own. A process outside writes the maps, as the kernel wants it. */
static int enter_user_namespace(void)
{
	char path[64];
	int ready[2], status, made;
	pid_t parent = getpid(), helper = -1;
	char byte = 0;

	check(pipe2(ready, O_CLOEXEC) != 0 || (helper = fork()) < 0, "fork");
	if (helper == 0) {
		close(ready[1]);
		if (read(ready[0], &byte, 1) == 1) {
			snprintf(path, sizeof path, "/proc/%d/uid_map", parent);
			write_file(path, "0 0 4294967295");
			snprintf(path, sizeof path, "/proc/%d/gid_map", parent);
			write_file(path, "0 0 4294967295");
		}
		_exit(0);
	}
	made = unshare(CLONE_NEWUSER) == 0;
	if (made)
		check(write(ready[1], &byte, 1) != 1, "pipe");
	close(ready[0]);
	close(ready[1]);
	check(waitpid(helper, &status, 0) != helper || status != 0, "the map of ids");
	return made;
}

static void bind(const char *source, const char *target)
{
	check(mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0, target);
}

static void make_read_only(const char *path)
{
	bind(path, path);
	check(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0, path);
}

static void no_proc(void) { check(umount2("/proc", MNT_DETACH) != 0, "/proc"); }
static void masked_proc(void) { check(mount("tmpfs", "/proc/fs", "tmpfs", MS_RDONLY, NULL) != 0, "/proc/fs"); }
static void read_only_proc_sys(void) { make_read_only("/proc/sys"); }
static void read_only_proc(void) { make_read_only("/proc"); }
static void no_cgroup(void) { check(umount2("/sys/fs/cgroup", MNT_DETACH) != 0, "/sys/fs/cgroup"); }

/* Not a namespace's own root. The whole tree is there again, /tmp with it: the bind was made of what lay there before. */
static void chrooted(void)
{
	char *here = getcwd(NULL, 0);

	bind("/", "/tmp");
	check(here == NULL || chroot("/tmp") != 0 || chdir(here) != 0, "chroot");
	free(here);
}

/* The setting of Ubuntu's kernels, which this one may not have: a folder over that of the settings, with what is read of it. */
static void apparmor_setting(void)
{
	int settings = open("/proc/sys/kernel/random", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", settings);
	check(settings < 0 || mount("tmpfs", "/proc/sys/kernel", "tmpfs", 0, "mode=755,size=64k") != 0 || mkdir("/proc/sys/kernel/random", 0755) != 0, "/proc/sys/kernel");
	bind(path, "/proc/sys/kernel/random");
	close(open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644));
	write_file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n");
}

static void limit_namespaces(const char *path)
{
	check(!enter_user_namespace(), "unshare");
	write_file(path, "0");
}

static void no_user_namespaces_limit(void) { limit_namespaces("/proc/sys/user/max_user_namespaces"); }
static void no_network_namespaces_limit(void) { limit_namespaces("/proc/sys/user/max_net_namespaces"); }
static void no_pid_namespaces_limit(void) { limit_namespaces("/proc/sys/user/max_pid_namespaces"); }

static void nested_too_deep(void)
{
	while (enter_user_namespace())
		;
}

enum { NAMESPACES = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP };
#define MOUNT_CALLS \
	{ SYS_mount, 0, 0 }, { SYS_umount2, 0, 0 }, { SYS_pivot_root, 0, 0 }, { NR_open_tree, 0, 0 }, { NR_move_mount, 0, 0 }, { NR_fsopen, 0, 0 }, { NR_fsmount, 0, 0 }, { NR_mount_setattr, 0, 0 }
#define LANDLOCK_CALLS { NR_landlock_create_ruleset, 0, 0 }, { NR_landlock_add_rule, 0, 0 }, { NR_landlock_restrict_self, 0, 0 }

static void no_user_namespaces(void) { refuse_namespaces(CLONE_NEWUSER, EPERM); }
static void no_network_namespaces(void) { refuse_namespaces(CLONE_NEWNET, EINVAL); }
static void no_mounts(void) { REFUSE(EPERM, MOUNT_CALLS); }
static void no_landlock(void) { REFUSE(ENOSYS, LANDLOCK_CALLS); }
static void landlock_off(void) { REFUSE(EOPNOTSUPP, LANDLOCK_CALLS); }
static void no_notification(void) { REFUSE(EINVAL, { SYS_seccomp, 1, NEW_LISTENER }); }
static void old_notification(void) { REFUSE(EINVAL, { SYS_seccomp, 1, WAIT_KILLABLE_RECV }); }
static void no_memory_reads(void) { REFUSE(EPERM, { SYS_process_vm_readv, 0, 0 }); }
static void no_descriptor_copies(void) { REFUSE(ENOSYS, { NR_pidfd_getfd, 0, 0 }); }

/* The namespace is made, and nothing may be done in it. */
static void no_power_in_namespaces(void)
{
	refuse_interface_flags();
	REFUSE(EACCES, MOUNT_CALLS, { SYS_sethostname, 0, 0 });
}

static void no_seccomp(void)
{
	refuse_prctl(GET_SECCOMP, EINVAL);
	refuse_prctl(SET_SECCOMP, EINVAL);
	REFUSE(ENOSYS, { SYS_seccomp, 0, 0 });
}

/* A domain as another sandbox makes one: what is in it may mount nothing, and write nothing below /proc. */
static void landlock_domain(void)
{
	static const char *const writable[] = { "/tmp", "/var", "/dev", "/root", "/home", "/run" };
	struct { uint64_t files; } handled = { 2 /* write_file */ };
	int ruleset = (int)syscall(NR_landlock_create_ruleset, &handled, sizeof handled, 0);

	check(ruleset < 0, "landlock_create_ruleset");
	for (size_t i = 0; i < sizeof writable / sizeof writable[0]; i++) {
		struct { uint64_t allowed; int fd; } __attribute__((packed)) rule = { 2, open(writable[i], O_PATH | O_CLOEXEC) };

		if (rule.fd < 0)
			continue;
		check(syscall(NR_landlock_add_rule, ruleset, 1, &rule, 0) != 0, writable[i]);
		close(rule.fd);
	}
	check(syscall(NR_landlock_restrict_self, ruleset, 0) != 0, "landlock_restrict_self");
	close(ruleset);
}

/* In the order in which they are done: a mount cannot follow the filter that refuses mounts, and no filter the one that is seccomp's end. */
static const struct { const char *word; void (*take)(void); int mounts; } words[] = {
	{ "no-proc", no_proc, 1 },
	{ "masked-proc", masked_proc, 1 },
	{ "read-only-proc-sys", read_only_proc_sys, 1 },
	{ "read-only-proc", read_only_proc, 1 },
	{ "no-cgroup", no_cgroup, 1 },
	{ "apparmor-setting", apparmor_setting, 1 },
	{ "chroot", chrooted, 1 },
	{ "max_user_namespaces=0", no_user_namespaces_limit, 0 },
	{ "max_net_namespaces=0", no_network_namespaces_limit, 0 },
	{ "max_pid_namespaces=0", no_pid_namespaces_limit, 0 },
	{ "nested-32-deep", nested_too_deep, 0 },
	{ "landlock-domain", landlock_domain, 0 },
	{ "no-user-namespaces", no_user_namespaces, 0 },
	{ "no-network-namespaces", no_network_namespaces, 0 },
	{ "no-mounts", no_mounts, 0 },
	{ "no-power-in-namespaces", no_power_in_namespaces, 0 },
	{ "no-landlock", no_landlock, 0 },
	{ "landlock-off", landlock_off, 0 },
	{ "no-memory-reads", no_memory_reads, 0 },
	{ "no-descriptor-copies", no_descriptor_copies, 0 },
	{ "no-notification", no_notification, 0 },
	{ "old-notification", old_notification, 0 },
	{ "no-seccomp", no_seccomp, 0 },
};
enum { N_WORDS = sizeof words / sizeof words[0] };

static struct {
	int taken[N_WORDS], mounts, foreign_proc, listener, abi;
	unsigned uid;
} host;

static int number_of(const char *word, const char *name, unsigned *number)
{
	size_t length = strlen(name);

	if (strncmp(word, name, length) != 0)
		return 0;
	*number = (unsigned)atoi(word + length);
	return 1;
}

static void read_word(const char *word)
{
	unsigned abi;

	if (number_of(word, "uid=", &host.uid))
		return;
	if (number_of(word, "landlock-abi=", &abi) && abi >= 1) {
		host.abi = (int)abi;
		return;
	}
	if (strcmp(word, "listener") == 0) {
		host.listener = 1;
		return;
	}
	if (strcmp(word, "foreign-proc") == 0) {
		host.foreign_proc = 1;
		return;
	}
	for (size_t i = 0; i < N_WORDS; i++) {
		if (strcmp(word, words[i].word) != 0)
			continue;
		host.taken[i] = 1;
		host.mounts |= words[i].mounts;
		return;
	}
	fprintf(stderr, "poor-host: %s is no word of this host\n", word);
	_exit(125);
}

/* The parent shares the descriptors until exec, so that it has the listener, and goes on having it. */
static void install_listener(void)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	int listener;

	install(allow, 1, NEW_LISTENER, &listener);
	check(fcntl(listener, F_SETFD, FD_CLOEXEC) != 0, "the listener");
}

static void take_layers(void)
{
	gid_t group = host.uid;

	if (host.mounts)
		check(unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0, "the mounts");
	for (size_t i = 0; i < N_WORDS; i++) {
		/* Before the ones that end what it needs. */
		if (words[i].take == no_notification && host.listener)
			install_listener();
		if (words[i].take == no_notification && host.abi > 0)
			answer_call((struct refused){ NR_landlock_create_ruleset, 0, 0 }, SECCOMP_RET_TRACE);
		if (host.taken[i])
			words[i].take();
	}
	if (host.uid != 0)
		check(setgroups(1, &group) != 0 || setgid(group) != 0 || setuid(host.uid) != 0, "the user");
}

/* What Landlock of an ABI has: the rights about files, and the length of its struct. */
static const struct { uint64_t files, net, scopes; uint64_t length; } landlock[] = {
	{ 0, 0, 0, 0 },
	{ 0x1fff, 0, 0, 8 }, { 0x3fff, 0, 0, 8 }, { 0x7fff, 0, 0, 8 }, { 0x7fff, 3, 0, 16 }, { 0xffff, 3, 0, 16 }, { 0xffff, 3, 3, 24 }, { 0xffff, 3, 3, 24 }, { 0xffff, 3, 3, 24 },
	{ 0x1ffff, 3, 3, 24 }, { 0x1ffff, 15, 3, 24 },
};
enum { LAST_ABI = sizeof landlock / sizeof landlock[0] - 1 };

/* 1: let the kernel answer, which knows all of it. */
static long answer_of_landlock(pid_t caller, uint64_t attributes, uint64_t size, uint64_t flags)
{
	uint64_t asked[16] = { 0 };
	struct iovec here = { asked, size < sizeof asked ? size : sizeof asked }, there = { (void *)attributes, here.iov_len };

	if (flags != 0)
		return flags == 1 && attributes == 0 && size == 0 ? host.abi : -EINVAL;
	if (size < 8 || size > sizeof asked || process_vm_readv(caller, &here, 1, &there, 1, 0) != (ssize_t)here.iov_len)
		return 1;
	for (uint64_t i = landlock[host.abi].length / 8; i < size / 8; i++)
		if (asked[i] != 0)
			return -E2BIG;
	return (asked[0] & ~landlock[host.abi].files) != 0 || (asked[1] & ~landlock[host.abi].net) != 0 || (asked[2] & ~landlock[host.abi].scopes) != 0 ? -EINVAL : 1;
}

/* `caller` stands before the call. */
static void answer_stopped(pid_t caller)
{
	long answer;
#if defined __x86_64__
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, caller, NULL, &registers) != 0)
		return;
	answer = answer_of_landlock(caller, registers.rdi, registers.rsi, registers.rdx);
	if (answer == 1 && registers.rdx == 0)
		return;
	registers.orig_rax = (unsigned long long)-1;
	registers.rax = (unsigned long long)answer;
	ptrace(PTRACE_SETREGS, caller, NULL, &registers);
#elif defined __aarch64__
	struct user_regs_struct registers;
	struct iovec all = { &registers, sizeof registers };
	int none = -1;
	struct iovec call = { &none, sizeof none };

	if (ptrace(PTRACE_GETREGSET, caller, (void *)1 /* NT_PRSTATUS */, &all) != 0)
		return;
	answer = answer_of_landlock(caller, registers.regs[0], registers.regs[1], registers.regs[2]);
	if (answer == 1 && registers.regs[2] == 0)
		return;
	registers.regs[0] = (unsigned long long)answer;
	ptrace(PTRACE_SETREGSET, caller, (void *)0x404 /* NT_ARM_SYSTEM_CALL */, &call);
	ptrace(PTRACE_SETREGSET, caller, (void *)1, &all);
#endif
}

static void go_on(pid_t stopped, int status)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	if (event == PTRACE_EVENT_SECCOMP)
		answer_stopped(stopped);
	/* Stopped by job control: it stays so until it is continued. */
	if (event == PTRACE_EVENT_STOP && (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU))
		ptrace(PTRACE_LISTEN, stopped, NULL, NULL);
	else
		ptrace(PTRACE_CONT, stopped, NULL, (void *)(long)(event == 0 ? signal : 0));
}

static pid_t program;

static void pass_on(int signal)
{
	kill(program, signal);
}

static void pass_signals(void)
{
	static const int passed[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
	struct sigaction action = { .sa_handler = pass_on, .sa_flags = SA_RESTART };

	for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++)
		sigaction(passed[i], &action, NULL);
}

static int run(void *argument)
{
	char **argv = argument, go;

	check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0, "prctl");
	/* Once the tracer is there. */
	check(read(0x3f, &go, 1) != 1, "start");
	close(0x3f);
	take_layers();
	execvp(argv[0], argv);
	check(1, argv[0]);
	return 125;
}

int main(int argc, char **argv)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	int start[2], first = 1, status;
	pid_t ended;

	while (first < argc && strcmp(argv[first], "--") != 0)
		read_word(argv[first++]);
	if (first + 1 >= argc || host.abi > LAST_ABI) {
		fprintf(stderr, "poor-host WORD... -- PROGRAM ARGUMENT...   (Landlock's ABI up to %d)\n", LAST_ABI);
		return 125;
	}
	check(pipe(start) != 0 || fcntl(start[1], F_SETFD, FD_CLOEXEC) != 0 || dup2(start[0], 0x3f) < 0 || close(start[0]) != 0, "pipe");
	program = clone(run, stack + sizeof stack, (host.listener ? CLONE_FILES : 0) | (host.foreign_proc ? CLONE_NEWPID : 0) | SIGCHLD, argv + first + 1);
	check(program < 0, "clone");
	pass_signals();
	if (host.abi > 0)
		check(ptrace(PTRACE_SEIZE, program, NULL, (void *)(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL)) != 0, "ptrace");
	check(write(start[1], "", 1) != 1, "start");
	while ((ended = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (ended <= 0)
			continue;
		if (WIFSTOPPED(status))
			go_on(ended, status);
		else if (ended == program)
			return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	}
	check(1, "wait");
}
