#include "refuse.h"
#include "kernel.h"
#include "plan.h"
#include "reports.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* The calls that are told by their name alone. */
struct named_call { int number; const char *name; };

static const struct named_call NAMES[] = {
	{ SYS_mount, "mount" }, { SYS_umount2, "umount2" }, { SYS_pivot_root, "pivot_root" }, { SYS_chroot, "chroot" }, { SYS_setns, "setns" },
	{ NR_open_tree, "open_tree" }, { NR_open_tree_attr, "open_tree_attr" }, { NR_move_mount, "move_mount" }, { NR_fsopen, "fsopen" },
	{ NR_fsconfig, "fsconfig" }, { NR_fsmount, "fsmount" }, { NR_fspick, "fspick" }, { NR_mount_setattr, "mount_setattr" }, { SYS_add_key, "add_key" },
	{ SYS_request_key, "request_key" }, { SYS_keyctl, "keyctl" }, { SYS_bpf, "bpf" }, { SYS_perf_event_open, "perf_event_open" },
	{ SYS_userfaultfd, "userfaultfd" }, { NR_io_uring_setup, "io_uring_setup" }, { NR_io_uring_enter, "io_uring_enter" },
	{ NR_io_uring_register, "io_uring_register" }, { SYS_fanotify_init, "fanotify_init" }, { SYS_open_by_handle_at, "open_by_handle_at" },
	{ SYS_kexec_load, "kexec_load" }, { NR_kexec_file_load, "kexec_file_load" }, { SYS_init_module, "init_module" },
	{ SYS_finit_module, "finit_module" }, { SYS_delete_module, "delete_module" }, { SYS_reboot, "reboot" }, { SYS_swapon, "swapon" },
	{ SYS_swapoff, "swapoff" }, { SYS_acct, "acct" }, { SYS_quotactl, "quotactl" }, { NR_quotactl_fd, "quotactl_fd" }, { SYS_vhangup, "vhangup" },
	{ SYS_syslog, "syslog" }, { SYS_lookup_dcookie, "lookup_dcookie" }, { SYS_settimeofday, "settimeofday" }, { SYS_clock_settime, "clock_settime" },
	{ SYS_sethostname, "sethostname" }, { SYS_setdomainname, "setdomainname" },
};

static struct answer refuse_named(const struct call *call)
{
	for (unsigned i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
		if (NAMES[i].number == call->number)
			report_access(call, ACCESS_SYSTEM_CALL, NAMES[i].name, REPORT_REFUSED);
	return give_result(-EPERM);
}

/* Where there is no ipc namespace: the calls that make something in the machine's, or look for it by its name. */
static const struct named_call IPC[] = { { SYS_shmget, "shmget" }, { SYS_semget, "semget" }, { SYS_msgget, "msgget" }, { SYS_mq_open, "mq_open" } };

static struct answer refuse_ipc(const struct call *call)
{
	for (unsigned i = 0; i < sizeof IPC / sizeof IPC[0]; i++)
		if (IPC[i].number == call->number)
			report_access(call, ACCESS_SYSTEM_CALL, IPC[i].name, REPORT_REFUSED);
	return give_result(-EACCES);
}

static const struct { uint32_t flag; const char *name; } NAMESPACES[] = {
	{ CLONE_NEWUSER, "CLONE_NEWUSER" }, { CLONE_NEWNS, "CLONE_NEWNS" }, { CLONE_NEWPID, "CLONE_NEWPID" }, { CLONE_NEWNET, "CLONE_NEWNET" },
	{ CLONE_NEWIPC, "CLONE_NEWIPC" }, { CLONE_NEWUTS, "CLONE_NEWUTS" }, { CLONE_NEWCGROUP, "CLONE_NEWCGROUP" },
};

/* unshare(2) and clone(2), with the namespaces that were wanted. */
static struct answer refuse_namespaces(const struct call *call)
{
	char text[160];
	int length = snprintf(text, sizeof text, "%s(", call->number == SYS_clone ? "clone" : "unshare");
	const char *between = "";

	for (unsigned i = 0; i < sizeof NAMESPACES / sizeof NAMESPACES[0]; i++) {
		if (!(call->arguments[0] & NAMESPACES[i].flag))
			continue;
		length += snprintf(text + length, sizeof text - (size_t)length, "%s%s", between, NAMESPACES[i].name);
		between = "|";
	}
	snprintf(text + length, sizeof text - (size_t)length, ")");
	report_access(call, ACCESS_SYSTEM_CALL, text, REPORT_REFUSED);
	return give_result(-EPERM);
}

struct named_number { uint32_t number; const char *name; };
static const struct named_number FAMILIES[] = {
	{ AF_UNIX, "AF_UNIX" }, { AF_INET, "AF_INET" }, { AF_INET6, "AF_INET6" }, { AF_NETLINK, "AF_NETLINK" }, { AF_PACKET, "AF_PACKET" }, { AF_ALG, "AF_ALG" },
	{ AF_VSOCK, "AF_VSOCK" }, { AF_BLUETOOTH, "AF_BLUETOOTH" }, { AF_CAN, "AF_CAN" }, { 44, "AF_XDP" },
};
static const struct named_number TYPES[] = { { SOCK_STREAM, "SOCK_STREAM" }, { SOCK_DGRAM, "SOCK_DGRAM" }, { SOCK_RAW, "SOCK_RAW" }, { SOCK_SEQPACKET, "SOCK_SEQPACKET" }, { SOCK_PACKET, "SOCK_PACKET" } };
static const struct named_number PROTOCOLS[] = { { IPPROTO_ICMP, "IPPROTO_ICMP" }, { IPPROTO_ICMPV6, "IPPROTO_ICMPV6" } };

static const char *name_of(const struct named_number *rows, size_t n_rows, uint32_t number, char room[16])
{
	for (size_t i = 0; i < n_rows; i++)
		if (rows[i].number == number)
			return rows[i].name;
	snprintf(room, 16, "%u", number);
	return room;
}
#define NAME_OF(rows, number, room) name_of(rows, sizeof (rows) / sizeof (rows)[0], number, room)

/* As the command filter's cases have it, for a kernel without the family or the type. */
static int socket_error(uint32_t family, uint32_t type)
{
	if (family == AF_UNIX || family == AF_NETLINK)
		return EPROTONOSUPPORT;
	if (family != AF_INET && family != AF_INET6)
		return EAFNOSUPPORT;
	return type == SOCK_STREAM || type == SOCK_DGRAM ? EACCES : type == SOCK_RAW || type == SOCK_PACKET ? EPERM : ESOCKTNOSUPPORT;
}

/* Which sockets of the network commands get, where the launcher makes them. */
static struct { bool streams, others; } network = { true, true };

void prepare_refusing(const struct plan *plan)
{
	network.others = !(plan->flags & PLAN_NO_NETWORK);
	/* Without a network Landlock refuses a stream its addresses, where it knows TCP; to the proxy it leads in any case. */
	network.streams = network.others || plan->handled_net != 0 || plan->n_listeners > 0;
}

/* As the command filter's cases have it; test/native/supervised-sockets.test.ts compares them. */
static bool is_let(uint32_t family, uint32_t type, uint32_t protocol)
{
	switch (family) {
	case AF_UNIX: return type == SOCK_STREAM || type == SOCK_SEQPACKET;
	case AF_NETLINK: return protocol == 0;
	case AF_INET:
	case AF_INET6:
		if (type == SOCK_STREAM)
			return network.streams && (protocol == 0 || protocol == IPPROTO_TCP);
		return network.others && type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6);
	default: return false;
	}
}

/* socket(2) and socketpair(2): family, type, and the protocol where it is what was refused. */
static struct answer refuse_socket(const struct call *call)
{
	uint32_t family = (uint32_t)call->arguments[0], type = (uint32_t)call->arguments[1] & 0xf, protocol = (uint32_t)call->arguments[2];
	char text[96], rooms[3][16];
	int length = snprintf(text, sizeof text, "%s(%s, %s", call->number == SYS_socket ? "socket" : "socketpair", NAME_OF(FAMILIES, family, rooms[0]), NAME_OF(TYPES, type, rooms[1]));

	if (protocol != 0)
		length += snprintf(text + length, sizeof text - (size_t)length, ", %s", NAME_OF(PROTOCOLS, protocol, rooms[2]));
	snprintf(text + length, sizeof text - (size_t)length, ")");
	report_access(call, ACCESS_SYSTEM_CALL, text, REPORT_REFUSED);
	return give_result(-socket_error(family, type));
}

bool refuses_socket(const struct call *call, struct answer *answer)
{
	if (is_let((uint32_t)call->arguments[0], (uint32_t)call->arguments[1] & 0xf, (uint32_t)call->arguments[2]))
		return false;
	*answer = refuse_socket(call);
	return true;
}

/* The kernel permits one listener in a chain of filters, and it is ours. */
static struct answer refuse_listener(const struct call *call)
{
	report_access(call, ACCESS_SYSTEM_CALL, "seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER)", REPORT_REFUSED);
	return give_result(-EBUSY);
}

struct handled_call *add_refused_calls(struct handled_call *at)
{
	for (unsigned i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
		*at++ = (struct handled_call){ NAMES[i].number, false, refuse_named };
	for (unsigned i = 0; i < sizeof IPC / sizeof IPC[0]; i++)
		*at++ = (struct handled_call){ IPC[i].number, false, refuse_ipc };
	*at++ = (struct handled_call){ SYS_unshare, false, refuse_namespaces };
	*at++ = (struct handled_call){ SYS_clone, false, refuse_namespaces };
	*at++ = (struct handled_call){ SYS_socket, false, refuse_socket };
	*at++ = (struct handled_call){ SYS_socketpair, false, refuse_socket };
	*at++ = (struct handled_call){ SYS_seccomp, false, refuse_listener };
	return at;
}

enum { NO_FLAGS = -1, TMPFILE_BIT = 020000000 /* O_TMPFILE without O_DIRECTORY */ };

/* The arguments of a mode, and of the flags without which there is none. */
static const struct { int number; signed char mode, flags; const char *name; } MODES[] = {
#ifdef SYS_open
	{ SYS_open, 2, 1, "open(S_ISUID)" }, { SYS_creat, 1, NO_FLAGS, "creat(S_ISUID)" },
	{ SYS_chmod, 1, NO_FLAGS, "chmod(S_ISUID)" }, { SYS_mknod, 1, NO_FLAGS, "mknod(S_ISUID)" },
#endif
	{ SYS_openat, 3, 2, "openat(S_ISUID)" }, { SYS_fchmod, 1, NO_FLAGS, "fchmod(S_ISUID)" }, { SYS_fchmodat, 2, NO_FLAGS, "fchmodat(S_ISUID)" },
	{ NR_fchmodat2, 2, NO_FLAGS, "fchmodat2(S_ISUID)" }, { SYS_mknodat, 2, NO_FLAGS, "mknodat(S_ISUID)" },
};
enum { N_MODES = sizeof MODES / sizeof MODES[0] };

/* What else is done with the call; NULL: nothing. */
static struct answer (*otherwise[N_MODES])(const struct call *call);

static struct answer refuse_mode(const struct call *call)
{
	for (unsigned i = 0; i < N_MODES; i++) {
		if (MODES[i].number != call->number)
			continue;
		if ((call->arguments[(int)MODES[i].mode] & S_ISUID) && (MODES[i].flags == NO_FLAGS || (call->arguments[(int)MODES[i].flags] & (O_CREAT | TMPFILE_BIT)))) {
			report_access(call, ACCESS_SYSTEM_CALL, MODES[i].name, REPORT_REFUSED);
			return give_result(-EPERM);
		}
		return otherwise[i] != NULL ? otherwise[i](call) : let_continue();
	}
	return give_result(-EPERM);
}

struct handled_call *refuse_set_user_id(struct handled_call *rows, struct handled_call *end)
{
	struct handled_call *last = end;

	for (unsigned i = 0; i < N_MODES; i++) {
		struct handled_call *row = rows;

		while (row < end && row->number != MODES[i].number)
			row++;
		if (row < end) {
			otherwise[i] = row->handle;
			row->handle = refuse_mode;
		} else {
			*last++ = (struct handled_call){ MODES[i].number, false, refuse_mode };
		}
	}
	return last;
}
