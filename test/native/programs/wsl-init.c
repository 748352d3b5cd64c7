/* Stands for WSL's /init, as which the kernel starts a program of Windows: asks the host by the socket that WSL_INTEROP names and by each in
 * /run/WSL, and by the virtual machine's own. Prints what comes of it. (strace of the real one: github.com/microsoft/WSL/issues/11920) */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef AF_VSOCK
#define AF_VSOCK 40
#endif

static void ask(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || write(fd, "start it\n", 9) != 9)
		printf("%s: %s\n", path, strerror(errno));
	else
		printf("%s: connected\n", path);
	close(fd);
}

int main(int argc, char **argv)
{
	const char *named = getenv("WSL_INTEROP");
	glob_t found = { 0 };
	int fd;

	printf("started for %s\n", argc > 1 ? argv[1] : "nothing");
	if (named != NULL)
		ask(named);
	if (glob("/run/WSL/*_interop", 0, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			ask(found.gl_pathv[i]);
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	printf("vsock: %s\n", fd < 0 ? strerror(errno) : "made");
	return 0;
}
