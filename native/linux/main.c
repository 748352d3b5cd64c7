/* The launcher: started once a sandbox by Node, which speaks frames on descriptor 3. With --probe it tells what this host
 * offers and ends, with --peer who is connected to a socket. Three more words make it a helper: an ordinary command of a sandbox, as
 * restricted as any other. With --inside it runs in bwrap, with --keep beside it. */
#include "helper.h"
#include "keeper.h"
#include "kernel.h"
#include "monitor.h"
#include "peer.h"
#include "probe.h"
#include "step.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONTROL = 3, CHANNEL = 4, KEEPER = 5 /* --inside */, INSIDE = 4 /* --keep */ };

#ifdef FAULT_INJECTION
int injected_step = -1, injected_after;

void read_injected_step(void)
{
	static const char *const NAMES[] = {
#define STEP(name, role, text) #name,
#include "steps.def"
#undef STEP
	};
	const char *wanted = getenv("CODEX_SANDBOX_FAIL_STEP");
	size_t length = wanted == NULL ? 0 : strcspn(wanted, "@");

	for (int i = 0; wanted != NULL && i < STEP_COUNT; i++)
		if (strlen(NAMES[i]) == length && memcmp(wanted, NAMES[i], length) == 0)
			injected_step = i;
	if (wanted != NULL && wanted[length] == '@')
		injected_after = atoi(wanted + length + 1);
}
#endif

/* Standard descriptors lead nowhere: the launcher never prints, and no command may find the embedding process's own ones. */
static int detach_standard_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -1;
	for (int i = 0; i < 3; i++)
		if (dup2(null, i) < 0)
			return -1;
	return null > 2 ? close(null) : 0;
}

/* Node says by a variable that it has opened its channel for handles, and on which descriptor. */
static int find_channel(void)
{
	const char *text = getenv("NODE_CHANNEL_FD");

	return text != NULL && strcmp(text, "4") == 0 && fcntl(CHANNEL, F_SETFD, FD_CLOEXEC) == 0 ? CHANNEL : -1;
}

static bool is_socket(int fd)
{
	struct stat found;

	return fstat(fd, &found) == 0 && S_ISSOCK(found.st_mode);
}

/* It was started by a descriptor, whose number the kernel took for its name. */
static void take_own_name(void)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

	if (length <= 0)
		return;
	path[length] = 0;
	prctl(PR_SET_NAME, strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1, 0, 0, 0);
}

/* All but the control socket, the one at CHANNEL and the keeper's; -1: there is none. */
static long close_others(int channel, int keeper)
{
	if (channel < 0 && keeper < 0)
		return syscall(NR_close_range, CHANNEL, ~0U, 0);
	if (channel < 0)
		close(CHANNEL);
	else if (fcntl(channel, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	if (keeper >= 0 && fcntl(keeper, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	return syscall(NR_close_range, keeper < 0 ? CHANNEL + 1 : keeper + 1, ~0U, 0);
}

int main(int argc, char **argv)
{
	struct around around = { KEEPER, NULL };
	bool keep, inside;
	int channel;

	if (argc == 2 && strcmp(argv[1], "--probe") == 0)
		return run_probe();
	if (argc == 2 && strcmp(argv[1], "--serve-files") == 0)
		return serve_files();
	if (argc == 2 && strcmp(argv[1], "--peer") == 0)
		return tell_peer();
	if (argc == 3 && strcmp(argv[1], "--relay") == 0)
		return relay_to(argv[2]);
	if (argc == 4 && strcmp(argv[1], "--connect") == 0)
		return connect_through_proxy(argv[2], argv[3]);
	keep = argc == 2 && strcmp(argv[1], "--keep") == 0;
	inside = argc == 3 && strcmp(argv[1], "--inside") == 0;
	if ((argc != 1 && !keep && !inside) || !is_socket(CONTROL) || (keep && !is_socket(INSIDE)) || (inside && !is_socket(KEEPER))) {
		fputs("codex-sandbox-launcher: started by codex-sandbox only, with a socket as descriptor 3\n", stderr);
		return 125;
	}
#ifdef FAULT_INJECTION
	read_injected_step();
#endif
	channel = find_channel();
	if (keep)
		channel = INSIDE;
	if (detach_standard_streams() != 0 || close_others(channel, inside ? KEEPER : -1) != 0 || fcntl(CONTROL, F_SETFD, FD_CLOEXEC) != 0 || chdir("/") != 0)
		return 125;
	if (keep)
		return run_keeper(CONTROL, INSIDE);
	if (inside) {
		around.host_namespaces = argv[2];
		take_own_name();
	}
	return run_monitor(CONTROL, channel, inside ? &around : NULL);
}
