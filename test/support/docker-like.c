/* Runs a program in a container as Docker makes one: namespaces of its own but no user namespace, its mounts, /proc masked and
 * /sys read-only, Docker's default capabilities and (with a filter) its default seccomp profile. Needs root. The root directory is
 * the host's, so that the program finds what it found there.
 *
 *     docker-like FILTER PATHS UID CWD PROGRAM ARGUMENT…    FILTER: a file with struct sock_filter[]; - for none
 *                                                           PATHS: masked, or all as with --security-opt systempaths=unconfined
 *
 * Exits as the program does, 128+n where signal n ended it; 125 where the container could not be made. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_mount_setattr 442
enum { AT_RECURSIVE_ = 0x8000, MOUNT_ATTR_RDONLY_ = 1 };
struct mount_attributes { unsigned long long set, clear, propagation, userns_fd; };

static void check(int failed, const char *what)
{
	if (!failed)
		return;
	fprintf(stderr, "docker-like: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void mount_on(const char *type, const char *path, unsigned long flags, const char *data)
{
	check(mount(type, path, type, flags, data) != 0, path);
}

static void make_node(const char *path, mode_t mode, unsigned major, unsigned minor)
{
	check(mknod(path, S_IFCHR | mode, makedev(major, minor)) != 0 || chmod(path, mode) != 0, path);
}

static void make_dev(void)
{
	static const struct { const char *path; unsigned major, minor; } nodes[] = {
		{ "/dev/null", 1, 3 }, { "/dev/zero", 1, 5 }, { "/dev/full", 1, 7 }, { "/dev/random", 1, 8 }, { "/dev/urandom", 1, 9 }, { "/dev/tty", 5, 0 },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" }, { "/proc/self/fd/0", "/dev/stdin" }, { "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" },
		{ "pts/ptmx", "/dev/ptmx" }, { "/proc/kcore", "/dev/core" },
	};

	mount_on("tmpfs", "/dev", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
		make_node(nodes[i].path, 0666, nodes[i].major, nodes[i].minor);
	for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
		check(symlink(links[i][0], links[i][1]) != 0, links[i][1]);
	check(mkdir("/dev/pts", 0755) != 0 || mkdir("/dev/shm", 01777) != 0 || mkdir("/dev/mqueue", 0755) != 0, "/dev");
	mount_on("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	mount_on("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k");
	mount_on("mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static void hide(const char *path)
{
	struct stat found;

	if (lstat(path, &found) != 0)
		return;
	if (S_ISDIR(found.st_mode))
		mount_on("tmpfs", path, MS_RDONLY, NULL);
	else
		check(mount("/dev/null", path, NULL, MS_BIND, NULL) != 0, path);
}

static void make_read_only(const char *path)
{
	if (access(path, F_OK) != 0)
		return;
	check(mount(path, path, NULL, MS_BIND | MS_REC, NULL) != 0, path);
	check(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0, path);
}

/* As process 1 of the new PID namespace. */
static void make_mounts(int shows_all)
{
	static const char *const masked[] = { "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
					      "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap" };
	static const char *const read_only[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
	struct mount_attributes attributes = { .set = MOUNT_ATTR_RDONLY_ };

	check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0, "make the mounts private");
	check(mount("/", "/tmp", NULL, MS_BIND | MS_REC, NULL) != 0, "bind the root directory");
	check(chdir("/tmp") != 0 || syscall(SYS_pivot_root, ".", ".") != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0, "pivot_root");
	mount_on("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	check(syscall(NR_mount_setattr, AT_FDCWD, "/sys", AT_RECURSIVE_, &attributes, sizeof attributes) != 0, "/sys");
	make_dev();
	if (shows_all)
		return;
	for (size_t i = 0; i < sizeof masked / sizeof masked[0]; i++)
		hide(masked[i]);
	for (size_t i = 0; i < sizeof read_only / sizeof read_only[0]; i++)
		make_read_only(read_only[i]);
}

static void bring_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check(fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0, "the loopback");
	close(fd);
}

static void install_filter(const char *path)
{
	static struct sock_filter filter[4096];
	struct sock_fprog program = { .filter = filter };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, filter, sizeof filter);

	check(length <= 0 || length % (ssize_t)sizeof filter[0] != 0, path);
	close(fd);
	program.len = (unsigned short)(length / (ssize_t)sizeof filter[0]);
	/* Before the capabilities go, and without no_new_privs, as the runtime does it. */
	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0, "seccomp");
}

/* CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD, AUDIT_WRITE, SETFCAP. */
static const unsigned kept[] = { 0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31 };

static void take_identity(unsigned id)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };
	gid_t group = id;

	for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
		data[0].effective |= 1U << kept[i];
	data[0].permitted = data[0].effective;
	for (unsigned capability = 0; capability < 64; capability++)
		if ((capability >= 32 || !(data[0].effective & 1U << capability)) && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
			check(errno != EINVAL, "the bounding set");
	check(setgroups(1, &group) != 0 || setgid(group) != 0 || setuid(id) != 0, "the user");
	if (id == 0)
		check(syscall(SYS_capset, &header, data) != 0, "capset");
}

/* Passes signals on to `child`, reaps what becomes its own, and exits as the child does. */
static void wait_for(pid_t child)
{
	sigset_t every;

	sigfillset(&every);
	for (;;) {
		int status, signal = sigwaitinfo(&every, NULL);
		pid_t ended;

		if (signal > 0 && signal != SIGCHLD)
			kill(child, signal);
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0)
			if (ended == child)
				_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
	}
}

int main(int argc, char **argv)
{
	sigset_t every, before;
	pid_t child;

	if (argc < 6) {
		fputs("docker-like FILTER PATHS UID CWD PROGRAM ARGUMENT...\n", stderr);
		return 125;
	}
	sigfillset(&every);
	check(sigprocmask(SIG_BLOCK, &every, &before) != 0, "sigprocmask");
	check(unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP | CLONE_NEWNET) != 0, "unshare");
	check((child = fork()) < 0, "fork");
	if (child > 0)
		wait_for(child);
	/* Process 1, as Docker's --init. */
	check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0, "prctl");
	make_mounts(strcmp(argv[2], "all") == 0);
	bring_up_loopback();
	check(sethostname("container", 9) != 0, "sethostname");
	check((child = fork()) < 0, "fork");
	if (child > 0)
		wait_for(child);
	if (strcmp(argv[1], "-") != 0)
		install_filter(argv[1]);
	take_identity((unsigned)atoi(argv[3]));
	check(chdir(argv[4]) != 0, argv[4]);
	sigprocmask(SIG_SETMASK, &before, NULL);
	execvp(argv[5], argv + 5);
	check(1, argv[5]);
}
