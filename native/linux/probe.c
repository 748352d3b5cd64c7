#include "probe.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

/* What was not tried, as an earlier step failed. */
enum { NOT_TRIED = -1000 };

/* Filled by child processes: shared memory. */
struct tried {
	int setgroups, uid_map, mount_slave, mount_setattr, mount_tmpfs, netns, mount_proc, pid_max;
	int seccomp, user_notification, process_vm_readv, caller_files, pidfd_getfd;
};

static int outcome(long result)
{
	return result < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int result;

	if (fd < 0)
		return -errno;
	result = outcome(write(fd, text, strlen(text)));
	close(fd);
	return result;
}

static long read_number(const char *path)
{
	char text[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	if (length <= 0)
		return -1;
	text[length] = 0;
	return atol(text);
}

static int set_read_only(void)
{
	struct mount_attributes attributes = { .set = MOUNT_ATTR_RDONLY_ | MOUNT_ATTR_NOSUID_ | MOUNT_ATTR_NODEV_ };

	return outcome(syscall(NR_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE_, &attributes, sizeof attributes));
}

static int bring_up_lo(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	request.ifr_flags = IFF_UP | IFF_RUNNING;
	return fd < 0 ? -errno : outcome(ioctl(fd, SIOCSIFFLAGS, &request));
}

static void in_pid_namespace(struct tried *tried)
{
	tried->mount_proc = outcome(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	/* A value that leaves room; refused where pid_max belongs to the whole host. */
	if (tried->mount_proc == 0)
		tried->pid_max = write_file("/proc/sys/kernel/pid_max", "4000");
	_exit(0);
}

static void in_namespaces(struct tried *tried, unsigned uid, unsigned gid)
{
	char map[32];
	pid_t child;

	tried->setgroups = write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "%u %u 1", uid, uid);
	tried->uid_map = write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "%u %u 1", gid, gid);
	if (tried->uid_map == 0)
		tried->uid_map = write_file("/proc/self/gid_map", map);
	tried->mount_slave = outcome(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (tried->mount_slave == 0) {
		tried->mount_setattr = set_read_only();
		tried->mount_tmpfs = outcome(mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "size=64k"));
	}
	/* Where there is none, this is the loopback of the host. */
	if (tried->netns == NOT_TRIED)
		tried->netns = bring_up_lo();
	child = fork();
	if (child == 0)
		in_pid_namespace(tried);
	if (child > 0)
		waitpid(child, NULL, 0);
	_exit(0);
}

/* The raw call: its first process in the new PID namespace shares nothing with this one. */
static int try_namespaces(struct tried *tried, long flags, unsigned uid, unsigned gid)
{
	long child = syscall(SYS_clone, flags, 0, 0, 0, 0);
	int result = outcome(child);

	if (child == 0)
		in_namespaces(tried, uid, gid);
	if (child > 0)
		waitpid((pid_t)child, NULL, 0);
	return result;
}

static void try_filters(struct tried *tried)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, allow };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	tried->user_notification = outcome(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, SECCOMP_FILTER_FLAG_NEW_LISTENER_ | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV_, &program));
	tried->seccomp = outcome(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, 0, &program));
	_exit(0);
}

/* Its working directory, by the number that it has here: another PID namespace's /proc shows other processes under it. */
static int try_files_of(pid_t child)
{
	char path[32], self[16] = { 0 };
	int fd;

	if (readlink("/proc/self", self, sizeof self - 1) < 0)
		return -errno;
	if (atol(self) != getpid())
		return -ESRCH;
	snprintf(path, sizeof path, "/proc/%d/cwd", child);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return close(fd);
}

/* Looks into a process as the monitor does: a child that waits, dumpable and of the same user; and without the capabilities that root has
 * here and the monitor has not, one of which (CAP_SYS_PTRACE) overcomes Yama. */
static void try_looking(struct tried *tried)
{
	static int value = 42;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0 } };
	int seen = 0, pipes[2], pidfd, taken;
	struct iovec here = { &seen, sizeof seen }, there = { &value, sizeof value };
	pid_t child;
	char end;

	if (syscall(SYS_capset, &header, none) != 0 || pipe2(pipes, O_CLOEXEC) != 0 || (child = fork()) < 0)
		_exit(1);
	if (child == 0) {
		close(pipes[1]);
		_exit(read(pipes[0], &end, 1) < 0);
	}
	close(pipes[0]);
	tried->process_vm_readv = outcome(process_vm_readv(child, &here, 1, &there, 1, 0));
	tried->caller_files = try_files_of(child);
	pidfd = (int)syscall(NR_pidfd_open, child, 0);
	taken = pidfd < 0 ? -1 : (int)syscall(NR_pidfd_getfd, pidfd, 0, 0);
	/* 0 may be closed: that it could look is what counts. */
	tried->pidfd_getfd = taken < 0 && errno == EBADF && pidfd >= 0 ? 0 : outcome(taken);
	close(pipes[1]);
	waitpid(child, NULL, 0);
	_exit(0);
}

/* Asks for the unix sockets that are in none of their states: there are none, and a kernel that cannot tell of such sockets says so. */
static int try_unix_diag(void)
{
	struct { struct nlmsghdr header; struct unix_diag_req request; } query = {
		{ sizeof query, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { .sdiag_family = AF_UNIX },
	};
	struct { struct nlmsghdr header; struct nlmsgerr error; char rest[8192]; } answer = { .error.error = -EPROTO };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), result;

	if (fd < 0)
		return outcome(fd);
	if (send(fd, &query, sizeof query, 0) != (ssize_t)sizeof query || recv(fd, &answer, sizeof answer, 0) < (ssize_t)sizeof answer.header)
		result = outcome(-1);
	else
		result = answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : 0;
	close(fd);
	return result;
}

int run_probe(void)
{
	const long flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | SIGCHLD;
	struct tried *tried = mmap(NULL, sizeof *tried, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned uid = getuid(), gid = getgid();
	static const char *const limits[] = { "max_user_namespaces", "max_mnt_namespaces", "max_pid_namespaces", "max_net_namespaces", "max_ipc_namespaces", "max_uts_namespaces",
					      "max_cgroup_namespaces" };
	char path[64];
	struct utsname name;
	long abi, errata, child;
	int clone_result;

	if (tried == MAP_FAILED || uname(&name) != 0)
		return 1;
	for (size_t i = 0; i < sizeof *tried / sizeof(int); i++)
		((int *)tried)[i] = NOT_TRIED;
	abi = syscall(NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION_);
	abi = abi < 0 ? -errno : abi;
	errata = syscall(NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_ERRATA_);
	errata = errata < 0 ? 0 : errata;
	clone_result = try_namespaces(tried, flags, uid, gid);
	if (clone_result < 0) {
		int error = clone_result;

		/* An open network goes without a namespace of its own: whether only that one is missing. */
		tried->netns = error;
		clone_result = try_namespaces(tried, flags & ~CLONE_NEWNET, uid, gid);
		if (clone_result < 0) {
			tried->netns = NOT_TRIED;
			clone_result = error;
		}
	}
	child = fork();
	if (child == 0)
		try_filters(tried);
	if (child > 0)
		waitpid((pid_t)child, NULL, 0);
	child = fork();
	if (child == 0)
		try_looking(tried);
	if (child > 0)
		waitpid((pid_t)child, NULL, 0);
	printf("kernel %s\nmachine %s\nlandlock_abi %ld\nlandlock_errata %ld\n", name.release, name.machine, abi, errata);
	printf("seccomp %d\nseccomp_mode %d\nuser_notification %d\nprocess_vm_readv %d\ncaller_files %d\npidfd_getfd %d\nunix_diag %d\n", tried->seccomp, prctl(PR_GET_SECCOMP, 0, 0, 0, 0),
	       tried->user_notification, tried->process_vm_readv, tried->caller_files, tried->pidfd_getfd, try_unix_diag());
	printf("clone %d\nsetgroups %d\nuid_map %d\nmount_slave %d\nmount_setattr %d\nmount_tmpfs %d\nnetns %d\nmount_proc %d\n", clone_result, tried->setgroups,
	       tried->uid_map, tried->mount_slave, tried->mount_setattr, tried->mount_tmpfs, tried->netns, tried->mount_proc);
	for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
		snprintf(path, sizeof path, "/proc/sys/user/%s", limits[i]);
		printf("%s %ld\n", limits[i], read_number(path));
	}
	printf("apparmor_restrict %ld\nuserns_clone %ld\n", read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"), read_number("/proc/sys/kernel/unprivileged_userns_clone"));
	printf("proc_mounted %d\npid_max_namespaced %d\n", access("/proc/self/status", F_OK) == 0, tried->pid_max == 0);
	return 0;
}
