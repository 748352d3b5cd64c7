#include "socket-files.h"
#include "caller.h"
#include "forker.h"
#include "kernel.h"
#include "paths.h"
#include "raw.h"
#include "reports.h"
#include "shared-memory.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_REMEMBERED = 4096, LISTENING_STATES = 1 << 10 /* LISTEN */ | 1 << 7 /* CLOSE: bound, not yet listening */ };

/* A socket file that the launcher bound for a command. The descriptor pins the inode, so its number is not used again. */
struct remembered { dev_t device; ino_t inode; int fd; };

static struct {
	const struct plan *plan;
	pthread_mutex_t lock;
	struct remembered remembered[MOST_REMEMBERED];	/* a ring: the oldest is forgotten, and then counts as outside */
	unsigned n_remembered;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool is_remembered(const struct stat *found)
{
	bool inside = false;

	pthread_mutex_lock(&state.lock);
	for (unsigned i = 0; i < state.n_remembered && i < MOST_REMEMBERED && !inside; i++)
		inside = state.remembered[i].inode == found->st_ino && state.remembered[i].device == found->st_dev;
	pthread_mutex_unlock(&state.lock);
	return inside;
}

static void remember(int fd, const struct stat *found)
{
	struct remembered *row;

	pthread_mutex_lock(&state.lock);
	row = &state.remembered[state.n_remembered % MOST_REMEMBERED];
	if (state.n_remembered++ >= MOST_REMEMBERED)
		close(row->fd);
	*row = (struct remembered){ found->st_dev, found->st_ino, fd };
	pthread_mutex_unlock(&state.lock);
}

/* Does one message of a dump list the socket file? 1 yes, 0 no, -1 the dump is over or failed. */
static int message_lists(const struct nlmsghdr *message, const struct stat *found)
{
	const struct nlattr *attribute;
	long left;

	if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
		return -1;
	attribute = (const struct nlattr *)((const char *)NLMSG_DATA(message) + NLMSG_ALIGN(sizeof(struct unix_diag_msg)));
	left = (long)message->nlmsg_len - (long)NLMSG_LENGTH(sizeof(struct unix_diag_msg));
	while (left >= (long)sizeof *attribute && attribute->nla_len >= sizeof *attribute && attribute->nla_len <= left) {
		if (attribute->nla_type == UNIX_DIAG_VFS && attribute->nla_len >= sizeof *attribute + sizeof(struct unix_diag_vfs)) {
			const struct unix_diag_vfs *file = (const struct unix_diag_vfs *)(attribute + 1);

			/* The kernel's own dev_t (20 bits of minor), and the low half of the inode number. */
			if (file->udiag_vfs_ino == (uint32_t)found->st_ino && device_number(file->udiag_vfs_dev >> 20, file->udiag_vfs_dev & 0xfffff) == found->st_dev)
				return 1;
		}
		left -= NLMSG_ALIGN(attribute->nla_len);
		attribute = (const struct nlattr *)((const char *)attribute + NLMSG_ALIGN(attribute->nla_len));
	}
	return 0;
}

/* Asks the kernel whether a socket of this network namespace is bound to the file: the socket with this inode, or (0) any.
 * Where it cannot say, none is. */
static bool is_bound_to(const struct stat *found, uint32_t socket_inode)
{
	bool any = socket_inode == 0;
	struct { struct nlmsghdr header; struct unix_diag_req request; } query = {
		{ sizeof query, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | (any ? NLM_F_DUMP : 0), 1, 0 },
		{ .sdiag_family = AF_UNIX, .udiag_states = LISTENING_STATES, .udiag_show = UDIAG_SHOW_VFS, .udiag_ino = socket_inode, .udiag_cookie = { ~0U, ~0U } },
	};
	char answer[32768] __attribute__((aligned(8)));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	bool inside = false, more = fd >= 0 && send(fd, &query, sizeof query, 0) == (ssize_t)sizeof query;

	while (more) {
		long length = recv(fd, answer, sizeof answer, 0);

		more = length > 0;
		for (const struct nlmsghdr *message = (const struct nlmsghdr *)answer; more && NLMSG_OK(message, length); message = NLMSG_NEXT(message, length)) {
			int lists = message_lists(message, found);

			inside = inside || lists == 1;
			more = any && lists >= 0;
		}
	}
	if (fd >= 0)
		close(fd);
	return inside;
}

/* Whoever may speak to one of these is root on this machine, or as good as. The same list as in src/policy/unix-socket-rules.ts. */
static const char *const ROOT_SOCKETS[] = { "docker.sock", "podman.sock", "containerd.sock", "crio.sock", "dockershim.sock", "buildkitd.sock", "docker-containerd.sock" };

static bool is_root_socket(const char *path)
{
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < sizeof ROOT_SOCKETS / sizeof ROOT_SOCKETS[0]; i++)
		if (slash != NULL && strcmp(slash + 1, ROOT_SOCKETS[i]) == 0)
			return true;
	return false;
}

/* Made outside, and allowed by the place at which it really lies, whatever link led there; where commands can put another socket in that
 * place, by being the one that was there at the start. */
static bool is_allowed(int target, const struct stat *found)
{
	const struct plan *plan = state.plan;
	char link[OWN_PATH_BYTES], path[PATH_MAX];
	ssize_t length;

	if (plan->n_sockets == 0 && (plan->socket_flags & SOCKETS_ALL) == 0)
		return false;
	own_path(link, target);
	length = readlink(link, path, sizeof path - 1);
	if (length <= 0)
		return false;
	path[length] = 0;
	if (!(plan->socket_flags & SOCKETS_OF_ROOT) && is_root_socket(path))
		return false;
	if (plan->socket_flags & SOCKETS_ALL)
		return true;
	for (uint32_t i = 0; i < plan->n_sockets; i++) {
		const struct allowed_socket *allowed = &plan->sockets[i];

		if (allowed->identity.inode == 0 ? is_at_or_below(path, allowed->path) : allowed->identity.inode == found->st_ino && allowed->identity.device == found->st_dev)
			return true;
	}
	return false;
}

int connect_to_path(const struct call *call, int fd, const char *path)
{
	/* A magic link below /proc would be this process's, which holds what commands do not. */
	struct open_how_ how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS_ };
	struct sockaddr_un through = { .sun_family = AF_UNIX };
	struct stat found;
	int base = open_cwd(call->thread), target, error = 0;

	if (base < 0)
		return -EACCES;
	target = (int)syscall(NR_openat2, base, path, &how, sizeof how);
	if (target < 0)
		error = -errno;
	close(base);
	if (target < 0)
		return error;
	if (fstat(target, &found) != 0 || !S_ISSOCK(found.st_mode)) {
		error = -ECONNREFUSED;
	} else if (!is_allowed(target, &found) && ((state.plan->flags & PLAN_PRIVATE_NETWORK) ? !is_bound_to(&found, 0) : !is_remembered(&found))) {
		report_access(call, ACCESS_UNIX_CONNECT, path, REPORT_REFUSED);
		error = -EACCES;
	} else {
		/* The open descriptor is the address: what the path leads to meanwhile does not matter. */
		own_path(through.sun_path, target);
		error = connect(fd, (struct sockaddr *)&through, sizeof through) == 0 ? 0 : -errno;
	}
	close(target);
	return error;
}

struct bind_call { int fd, base, domain; mode_t umask; const struct sockaddr_un *address; socklen_t length; long result; };

/* Runs while its parent waits, in the parent's memory: raw system calls only. */
static void run_bind(void *argument)
{
	struct bind_call *call = argument;

	call->result = RAW(SYS_fchdir, call->base, 0, 0, 0, 0);
	if (call->result == 0 && call->domain >= 0)
		call->result = RAW(NR_landlock_restrict_self, call->domain, 0, 0, 0, 0);
	RAW(SYS_umask, call->umask, 0, 0, 0, 0);
	if (call->result == 0 && call->fd > 0)
		call->result = RAW(NR_close_range, 0, call->fd - 1, 0, 0, 0);
	if (call->result == 0)
		call->result = RAW(NR_close_range, call->fd + 1, ~0U, 0, 0, 0);
	if (call->result == 0)
		call->result = RAW(SYS_bind, call->fd, call->address, call->length, 0, 0);
	for (;;)
		RAW(SYS_exit, 0, 0, 0, 0, 0);
}

/* Binds to `address` from the directory `base`, with the command's umask and with no more rights over files than it has; with `domain`, a
 * ruleset, with those that it leaves. In a process of its own that holds the socket and nothing else: the kernel walks the path,
 * /proc/self/fd in it would be this process's, and some of its descriptors lead to the host's own mounts. */
static int bind_from(int base, int domain, pid_t thread, int fd, const struct sockaddr_un *address, socklen_t length, const char *path)
{
	unsigned char stack[16384] __attribute__((aligned(16)));
	struct bind_call call = { fd, base, domain, umask_of(thread), address, length, -EACCES };
	struct stat own, found;
	long child = raw_clone(CLONE_VM | CLONE_VFORK, stack + sizeof stack, run_bind, &call, NULL);
	int made;

	if (child > 0)
		waitpid((pid_t)child, NULL, __WALL);
	made = child > 0 && call.result == 0 ? openat(base, path, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
	/* Another thread may have put a socket of the host's in its place by now: only the one that this socket is bound to is inside. */
	if (made >= 0 && fstat(fd, &own) == 0 && fstat(made, &found) == 0 && is_bound_to(&found, (uint32_t)own.st_ino))
		remember(made, &found);
	else if (made >= 0)
		close(made);
	return child < 0 ? (int)child : (int)call.result;
}

/* Where files are supervised, this process may make them where the command may not. A name that is the monitor's to make is made by the
 * thread that makes all names, so that nobody changes the way to it meanwhile; any other is left to the domain of commands. */
static int bind_supervised(const struct call *call, int base, int fd, const struct sockaddr_un *address, socklen_t length, const char *path)
{
	struct sockaddr_un real = { .sun_family = AF_UNIX };
	struct place place;
	int result = (int)judge_socket_file(&place, call, path);

	/* Their addresses would be the host's. */
	if (result == 0 && is_shared_memory(place.path))
		result = -EACCES;
	if (result == LEAVE_TO_INNER) {
		result = bind_from(base, shared.inner, call->thread, fd, address, length, path);
	} else if (result == 0 && is_plain_way(&place, base, path)) {
		/* As it was written: the socket tells its address to its own program and to others. */
		result = bind_from(base, -1, call->thread, fd, address, length, path);
	} else if (result == 0) {
		const char *text = strlen(place.path) < sizeof real.sun_path ? place.path : place.name;

		memcpy(real.sun_path, text, strnlen(text, sizeof real.sun_path));
		result = bind_from(place.directory, -1, call->thread, fd, &real, sizeof real, text);
	}
	leave(&place);
	return result;
}

int bind_to_path(const struct call *call, int fd, const struct sockaddr_un *address, socklen_t length, const char *path)
{
	int base = open_cwd(call->thread), result;

	if (base < 0)
		return -EACCES;
	result = get_rules() == NULL ? bind_from(base, -1, call->thread, fd, address, length, path) : bind_supervised(call, base, fd, address, length, path);
	close(base);
	return result;
}

void prepare_socket_files(const struct plan *plan)
{
	state.plan = plan;
}
