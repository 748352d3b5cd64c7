#include "namespaces.h"
#include "objects.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text);

	if (fd < 0)
		return -1;
	if (write(fd, text, (size_t)length) != length)
		return close_keeping_errno(fd);
	return close(fd);
}

static int write_map(const char *path, uint32_t id)
{
	char line[32];

	snprintf(line, sizeof line, "%u %u 1", id, id);
	return write_text(path, line);
}

int enter_namespaces(const struct plan *plan, struct failure *failure)
{
	int flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (plan->flags & PLAN_PRIVATE_NETWORK)
		flags |= CLONE_NEWNET;
	if (INJECTED(unshare_namespaces) || unshare(flags) != 0)
		return fail(failure, STEP_unshare_namespaces, NULL);
	/* setgroups first: the kernel refuses a gid map of an unprivileged writer while it is allowed. */
	if (INJECTED(write_id_maps) || write_text("/proc/self/setgroups", "deny") != 0 ||
	    write_map("/proc/self/uid_map", plan->uid) != 0 || write_map("/proc/self/gid_map", plan->gid) != 0)
		return fail(failure, STEP_write_id_maps, NULL);
	/* Commands have no capability, but nobody else has a port in here. Where it fails (containers mount /proc/sys read-only),
	 * ports below 1024 stay closed, and nothing else. */
	if (plan->flags & PLAN_PRIVATE_NETWORK)
		(void)write_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
	return 0;
}

int bring_up_loopback(struct failure *failure)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (INJECTED(bring_up_loopback) || fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		return fail(failure, STEP_bring_up_loopback, NULL);
	return close(fd);
}
