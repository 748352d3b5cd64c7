/* Tricks on a directory that is bound read-only over itself. After each, the program tries to change what is below it.
 * Usage: mounts TRICK VICTIM OWN: VICTIM is the protected directory, OWN a directory that may be written. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static const char *victim, *own;

static void write_at(int directory, const char *path)
{
	int fd = openat(directory, path, O_WRONLY | O_CREAT, 0755);

	if (fd >= 0) {
		if (write(fd, "evil", 4) < 0)
			perror(path);
		close(fd);
	}
}

/* With capabilities the tricks would work, and outside of a sandbox they would change this machine. */
static int has_capabilities(void)
{
	char text[4096] = "";
	int fd = open("/proc/self/status", O_RDONLY);
	const char *line;

	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		return 1;
	close(fd);
	line = strstr(text, "CapEff:");
	return line == NULL || strtoull(line + 7, NULL, 16) != 0;
}

/* What an attacker wants of a repository. */
static void poke(void)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/hooks/planted", victim);
	write_at(AT_FDCWD, path);
	snprintf(path, sizeof path, "%s/config", victim);
	write_at(AT_FDCWD, path);
	unlink(path);
	snprintf(path, sizeof path, "%s/made", victim);
	mkdir(path, 0755);
	snprintf(path, sizeof path, "%s.moved", victim);
	rename(victim, path);
	rename(own, victim);
}

static void remount(void)
{
	mount(NULL, victim, NULL, MS_REMOUNT | MS_BIND, NULL);
	mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, NULL);
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static void clear_read_only(void)
{
	struct { uint64_t set, clear, propagation, userns; } attributes = { 0, 1, 0, 0 };

	syscall(442, AT_FDCWD, victim, 0, &attributes, sizeof attributes);
	syscall(442, AT_FDCWD, "/", 0x8000, &attributes, sizeof attributes);
}

static void unmount(void)
{
	for (int i = 0; i < 4; i++)
		umount2(victim, i & 1 ? MNT_DETACH : 0);
	umount2(victim, MNT_FORCE);
}

static void mount_over(void)
{
	mount("none", victim, "tmpfs", 0, NULL);
	mount(own, victim, NULL, MS_BIND | MS_REC, NULL);
	mount(victim, own, NULL, MS_MOVE, NULL);
}

/* Another mount of the same place, with the flags that it had below the protected one. */
static void bind_elsewhere(void)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/..", victim);
	if (mount(path, own, NULL, MS_BIND, NULL) == 0) {
		snprintf(path, sizeof path, "%s/.git/hooks/planted", own);
		write_at(AT_FDCWD, path);
	}
}

static void open_tree_of_it(void)
{
	char parent[4096];
	int tree;

	snprintf(parent, sizeof parent, "%s/..", victim);
	for (int flags = 0; flags < 2; flags++) {
		tree = (int)syscall(428, AT_FDCWD, parent, 1 | O_CLOEXEC | (flags ? 0x8000 : 0));
		if (tree >= 0) {
			write_at(tree, ".git/hooks/planted");
			syscall(429, tree, "", AT_FDCWD, victim, 4);
		}
	}
	tree = (int)syscall(428, AT_FDCWD, victim, O_CLOEXEC);
	if (tree >= 0)
		write_at(tree, "hooks/planted");
	syscall(429, AT_FDCWD, victim, AT_FDCWD, own, 0);
}

static void change_root(void)
{
	if (chroot(own) == 0)
		chdir("/");
	syscall(SYS_pivot_root, own, own);
	syscall(SYS_pivot_root, ".", ".");
}

static void every_mount_trick(void)
{
	unmount();
	remount();
	clear_read_only();
	bind_elsewhere();
	open_tree_of_it();
	mount_over();
	poke();
	change_root();
}

static void in_user_namespace(void)
{
	pid_t child;
	uint64_t clone3[8] = { CLONE_NEWUSER | CLONE_NEWNS, 0, 0, 0, SIGCHLD };

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0)
		every_mount_trick();
	child = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		every_mount_trick();
		_exit(0);
	}
	child = (pid_t)syscall(435, clone3, sizeof clone3);
	if (child == 0) {
		every_mount_trick();
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
}

static void enter_namespaces_of_others(void)
{
	static const char *const NAMES[] = { "user", "mnt", "pid", "net", "pid_for_children" };
	char path[64];

	for (int pid = 0; pid < 64; pid++) {
		for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
			int fd;

			if (pid == 0)
				snprintf(path, sizeof path, "/proc/self/ns/%s", NAMES[i]);
			else
				snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, NAMES[i]);
			fd = open(path, O_RDONLY);
			if (fd >= 0 && setns(fd, 0) == 0 && pid != 0)
				every_mount_trick();
			/* NS_GET_USERNS, NS_GET_PARENT: the namespaces above. */
			for (int request = 1; fd >= 0 && request <= 2; request++) {
				int above = ioctl(fd, _IO(0xb7, request));

				if (above >= 0 && setns(above, 0) == 0)
					every_mount_trick();
			}
			if (fd >= 0)
				close(fd);
		}
		if (pid > 0) {
			int fd = (int)syscall(434, pid, 0);

			if (fd >= 0 && setns(fd, CLONE_NEWNS) == 0)
				every_mount_trick();
		}
	}
}

static void through_descriptors(void)
{
	static const char *const BASES[] = { "/proc/self/root", "/proc/thread-self/root", "/proc/1/root", "/proc/self/cwd", "/proc/1/cwd" };
	int directory = open(victim, O_PATH), config;
	char path[4096], other[4096];

	write_at(directory, "hooks/planted");
	for (size_t i = 0; i < sizeof BASES / sizeof BASES[0]; i++) {
		snprintf(path, sizeof path, "%s%s/hooks/planted", BASES[i], victim);
		write_at(AT_FDCWD, path);
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d/hooks/planted", directory);
	write_at(AT_FDCWD, path);
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof path, "/proc/1/fd/%d/hooks/planted", fd);
		write_at(AT_FDCWD, path);
	}
	snprintf(path, sizeof path, "%s/config", victim);
	config = open(path, O_RDONLY);
	snprintf(path, sizeof path, "/proc/self/fd/%d", config);
	write_at(AT_FDCWD, path);
	/* A file of our own given a name inside. */
	int file = open(own, O_TMPFILE | O_RDWR, 0755);

	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	snprintf(other, sizeof other, "%s/hooks/planted", victim);
	linkat(AT_FDCWD, path, AT_FDCWD, other, AT_SYMLINK_FOLLOW);
	linkat(file, "", AT_FDCWD, other, AT_EMPTY_PATH);
}

static void rename_and_link(void)
{
	char path[4096], mine[4096];

	syscall(SYS_renameat2, AT_FDCWD, own, AT_FDCWD, victim, RENAME_EXCHANGE);
	syscall(SYS_renameat2, AT_FDCWD, own, AT_FDCWD, victim, 0);
	syscall(SYS_renameat2, AT_FDCWD, victim, AT_FDCWD, own, 4 /* RENAME_WHITEOUT */);
	snprintf(path, sizeof path, "%s/config", victim);
	snprintf(mine, sizeof mine, "%s/linked", own);
	if (link(path, mine) == 0)
		write_at(AT_FDCWD, mine);
	snprintf(mine, sizeof mine, "%s/file", own);
	write_at(AT_FDCWD, mine);
	rename(mine, path);
	link(mine, path);
	syscall(SYS_renameat2, AT_FDCWD, mine, AT_FDCWD, path, RENAME_EXCHANGE);
	rmdir(victim);
}

static void change_metadata(void)
{
	char path[4096];
	int fd, flags = 0;
	struct { uint64_t xflags; uint32_t rest[4]; } file_attribute = { 0 };

	snprintf(path, sizeof path, "%s/config", victim);
	fd = open(path, O_RDONLY);
	chmod(path, 0666);
	fchmod(fd, 0666);
	syscall(452, AT_FDCWD, path, 0666, 0);	/* fchmodat2 */
	chown(path, getuid(), getgid());
	fchown(fd, getuid(), getgid());
	utimensat(AT_FDCWD, path, NULL, 0);
	futimens(fd, NULL);
	setxattr(path, "user.evil", "x", 1, 0);
	fsetxattr(fd, "user.evil", "x", 1, 0);
	syscall(463, AT_FDCWD, path, 0, "user.evil", "x", 16);	/* setxattrat */
	syscall(469, AT_FDCWD, path, &file_attribute, sizeof file_attribute, 0);	/* file_setattr */
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags ^= FS_NODUMP_FL;
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
	chmod(victim, 0777);
	truncate(path, 0);
	ftruncate(fd, 0);
	fallocate(fd, 0, 0, 4096);
}

/* A descriptor for reading, made to write. */
static void write_by_reading(void)
{
	char path[4096], mine[4096];
	int fd, source;
	off_t zero = 0;
	void *memory;

	snprintf(path, sizeof path, "%s/config", victim);
	snprintf(mine, sizeof mine, "%s/file", own);
	write_at(AT_FDCWD, mine);
	fd = open(path, O_RDONLY);
	source = open(mine, O_RDONLY);
	memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (memory != MAP_FAILED && mprotect(memory, 4096, PROT_READ | PROT_WRITE) == 0)
		memcpy(memory, "evil", 4);
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory != MAP_FAILED)
		memcpy(memory, "evil", 4);
	/* A write to a private copy by the kernel's hand. */
	memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	int self = open("/proc/self/mem", O_RDWR);

	if (memory != MAP_FAILED && self >= 0 && pwrite(self, "evil", 4, (off_t)(uintptr_t)memory) < 0)
		perror("mem");
	sendfile(fd, source, &zero, 4);
	copy_file_range(source, NULL, fd, NULL, 4, 0);
	ioctl(fd, FICLONE, source);
	fcntl(fd, F_SETFL, O_RDWR);
	if (write(fd, "evil", 4) < 0)
		perror("write");
}

static const struct { const char *name; void (*run)(void); } TRICKS[] = {
	{ "unmount", unmount }, { "remount", remount }, { "mount_setattr", clear_read_only }, { "mount-over", mount_over },
	{ "bind-elsewhere", bind_elsewhere }, { "open_tree", open_tree_of_it }, { "chroot", change_root }, { "user-namespace", in_user_namespace },
	{ "setns", enter_namespaces_of_others }, { "descriptors", through_descriptors }, { "rename", rename_and_link },
	{ "metadata", change_metadata }, { "read-only-descriptor", write_by_reading },
};

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (has_capabilities()) {
		write_at(AT_FDCWD, getenv("LEAK"));
		return 1;
	}
	victim = argv[2];
	own = argv[3];
	for (size_t i = 0; i < sizeof TRICKS / sizeof TRICKS[0]; i++) {
		if (strcmp(TRICKS[i].name, argv[1]) != 0)
			continue;
		TRICKS[i].run();
		poke();
		return 0;
	}
	fprintf(stderr, "there is no trick %s\n", argv[1]);
	return 2;
}
