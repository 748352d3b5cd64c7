/* Runs a program as the supervised rung does, in two Landlock domains and under the listener filter, with nothing else of the launcher
 * around: for tests of the handlers alone, and as the control of them (`--open`: no domain, no filter). Never part of the launcher.
 *
 * supervise-tool CONFIG PROGRAM [ARGUMENT…]. CONFIG has lines of words; a path is hexadecimal:
 *   base EFFECT, rule EFFECT FOLDS PATH   the rules
 *   outer PATH, inner PATH                writable in the monitor's domain; in both
 *   grants                                existing open directories are granted
 *   filter BYTES                          the listener filter, hexadecimal
 * CONFIG `--open` runs the program as it is. Exits with its status, 125 where something of the above failed. */
#include "../kernel.h"
#include "../reports.h"
#include "../socket.h"
#include "../supervise.h"
#include "../supervised-grants.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_RULES = 256, FILE_RIGHTS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15, READ_RIGHTS = 1 << 0 | 1 << 2 | 1 << 3 };

static struct supervised_rule rules[MOST_RULES];
static uint32_t n_rules;
static enum effect base = EFFECT_READ;
static char *outer[MOST_RULES], *inner[MOST_RULES];
static int n_outer, n_inner;
static bool wants_grants;
static struct sock_fprog filter;

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "supervise-tool: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void *decode_hex(const char *hex, size_t *length)
{
	unsigned char *bytes = calloc(1, strlen(hex) / 2 + 1);
	unsigned byte;

	*length = strlen(hex) / 2;
	for (size_t i = 0; i < *length; i++) {
		if (sscanf(hex + i * 2, "%2x", &byte) != 1)
			give_up("hex");
		bytes[i] = (unsigned char)byte;
	}
	return bytes;
}

static enum effect effect_named(const char *name)
{
	return name[0] == 'w' ? EFFECT_WRITE : name[0] == 'r' ? EFFECT_READ : EFFECT_DENY;
}

static void read_config(const char *path)
{
	static char line[1 << 20];
	FILE *file = fopen(path, "re");
	size_t length;

	while (file != NULL && fgets(line, sizeof line, file) != NULL) {
		char *words[4] = { 0 };
		int n = 0;

		for (char *word = strtok(line, " \n"); word != NULL && n < 4; word = strtok(NULL, " \n"))
			words[n++] = word;
		if (n == 2 && strcmp(words[0], "base") == 0)
			base = effect_named(words[1]);
		else if (n == 4 && strcmp(words[0], "rule") == 0 && n_rules < MOST_RULES)
			rules[n_rules++] = (struct supervised_rule){ effect_named(words[1]), decode_hex(words[3], &length), words[2][0] == '1' };
		else if (n == 2 && strcmp(words[0], "outer") == 0 && n_outer < MOST_RULES)
			outer[n_outer++] = decode_hex(words[1], &length);
		else if (n == 2 && strcmp(words[0], "inner") == 0 && n_inner < MOST_RULES)
			inner[n_inner++] = decode_hex(words[1], &length);
		else if (n == 1 && strcmp(words[0], "grants") == 0)
			wants_grants = true;
		else if (n == 2 && strcmp(words[0], "filter") == 0)
			filter.filter = decode_hex(words[1], &length), filter.len = (unsigned short)(length / sizeof *filter.filter);
		else
			give_up("config");
	}
	if (file == NULL || filter.len == 0)
		give_up(path);
	fclose(file);
}

static void add_rule(int ruleset, int fd, uint64_t allowed)
{
	struct landlock_path_beneath_attr_ rule = { allowed, fd };

	if (syscall(NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH_, &rule, 0) == 0)
		return;
	rule.allowed_access &= FILE_RIGHTS;
	if (syscall(NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH_, &rule, 0) != 0)
		give_up("landlock_add_rule");
}

static void add_path(int ruleset, const char *path, uint64_t allowed)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return;
	add_rule(ruleset, fd, allowed);
	close(fd);
}

static void enter_domain(uint64_t handled, char **writable, int n_writable, char **also, int n_also, const struct grants *grants)
{
	struct landlock_ruleset_attr_ attributes = { handled, 0, 0 };
	int ruleset = (int)syscall(NR_landlock_create_ruleset, &attributes, 8, 0);

	if (ruleset < 0)
		give_up("landlock_create_ruleset");
	add_path(ruleset, "/", READ_RIGHTS & handled);
	add_path(ruleset, "/dev/null", handled & FILE_RIGHTS);
	for (int i = 0; i < n_writable; i++)
		add_path(ruleset, writable[i], handled);
	for (int i = 0; i < n_also; i++)
		add_path(ruleset, also[i], handled);
	for (uint32_t i = 0; grants != NULL && i < grants->n; i++)
		add_rule(ruleset, grants->fds[i], handled);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(NR_landlock_restrict_self, ruleset, 0) != 0)
		give_up("landlock_restrict_self");
	close(ruleset);
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
		;
	if (syscall(SYS_capset, &header, data) != 0)
		give_up("capset");
}

static void send_listener(int socket, int listener)
{
	char byte = 0, control[CMSG_SPACE(sizeof listener)] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof listener) };
	memcpy(CMSG_DATA(header), &listener, sizeof listener);
	if (sendmsg(socket, &message, 0) != 1)
		give_up("sendmsg");
}

static int receive_listener(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	int listener;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == NULL)
		_exit(125);	/* the other side has said why */
	memcpy(&listener, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof listener);
	return listener;
}

int main(int argc, char **argv)
{
	static const uint64_t HANDLED[] = { 0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff };
	static struct handled_call calls[64];
	static struct plan plan = { .flags = PLAN_READS_IN_ROOTS };	/* all reads are judged, as the more is then tried */
	struct supervised_rules *indexed;
	struct grants grants = { 0 };
	int abi = (int)syscall(NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION_), sockets[2], status;
	uint64_t handled = abi < 1 ? 0 : HANDLED[abi < 5 ? abi : 5];
	pid_t child;

	if (argc < 3)
		return 125;
	drop_capabilities();
	if (strcmp(argv[1], "--open") == 0) {
		execvp(argv[2], argv + 2);
		give_up(argv[2]);
	}
	read_config(argv[1]);
	indexed = index_rules(base, rules, n_rules);
	if (abi < 1 || indexed == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
		give_up("start");
	if (wants_grants && open_grants(indexed, rules, n_rules, &grants) != 0)
		give_up("grants");
	/* Not readable for others, as the launcher is. Its children must be, by this process. */
	enter_domain(handled, outer, n_outer, inner, n_inner, NULL);
	child = fork();
	if (child == 0) {
		int listener;

		enter_domain(handled, inner, n_inner, NULL, 0, &grants);
		listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER_, SECCOMP_FILTER_FLAG_NEW_LISTENER_ | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV_, &filter);
		if (listener < 0)
			give_up("seccomp");
		send_listener(sockets[1], listener);
		close(listener);
		execvp(argv[2], argv + 2);
		give_up(argv[2]);
	}
	close(sockets[1]);
	close_grants(&grants);
	plan.handled_fs = handled;
	prepare_supervising(&plan, indexed, umask(0));
	if (child < 0 || prepare_reports(NULL, 0) < 0 || start_answering(receive_listener(sockets[0]), calls, (unsigned)(add_file_calls(calls) - calls)) != 0)
		give_up("start_answering");
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
