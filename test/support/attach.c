/* attach PROGRAM: starts the launcher PROGRAM, which waits for a plan, and tries to get into it as a debugger would. Prints the label
 * that it has, and what the kernel answers. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char label[128] = "", path[64];
	int sockets[2], fd;
	pid_t child;

	if (argc != 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0 || (child = fork()) < 0)
		return 125;
	if (child == 0) {
		dup2(sockets[1], 3);
		execl(argv[1], argv[1], (char *)0);
		_exit(127);
	}
	usleep(500000);
	snprintf(path, sizeof path, "/proc/%d/attr/current", child);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, label, sizeof label - 1) < 0)
		label[0] = 0;
	label[strcspn(label, "\n")] = 0;
	printf("label %s\n", label);
	snprintf(path, sizeof path, "/proc/%d/mem", child);
	printf("memory %s\n", open(path, O_RDWR) < 0 ? strerror(errno) : "opened");
	printf("attach %s\n", ptrace(PTRACE_ATTACH, child, 0, 0) != 0 ? strerror(errno) : "attached");
	kill(child, SIGKILL);
	return 0;
}
