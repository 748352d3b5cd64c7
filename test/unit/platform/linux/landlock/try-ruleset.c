/* Asks the kernel about one Landlock ruleset. Restricts nothing.
 *   version                             prints the ABI, 0 without Landlock
 *   create FS NET SCOPES                prints the errno of landlock_create_ruleset, 0 for success
 *   add FS PATH ALLOWED                 prints the errno of landlock_add_rule for a rule on PATH */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As of ABI 6; the kernel takes a longer structure than it knows if what it does not know is zero. */
struct ruleset { uint64_t fs, net, scopes; };
struct beneath { uint64_t allowed; int32_t fd; } __attribute__((packed));

static int create(const struct ruleset *ruleset) { return (int)syscall(444, ruleset, sizeof *ruleset, 0); }

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "version") == 0) {
		long abi = syscall(444, NULL, 0, 1);
		printf("%ld\n", abi < 0 ? 0 : abi);
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "create") == 0) {
		struct ruleset ruleset = { strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0) };
		printf("%d\n", create(&ruleset) < 0 ? errno : 0);
		return 0;
	}
	if (argc == 5 && strcmp(argv[1], "add") == 0) {
		struct ruleset ruleset = { strtoull(argv[2], NULL, 0), 0, 0 };
		struct beneath beneath = { strtoull(argv[4], NULL, 0), open(argv[3], O_PATH | O_CLOEXEC) };
		int fd = create(&ruleset);
		if (fd < 0 || beneath.fd < 0)
			return 1;
		printf("%d\n", syscall(445, fd, 1, &beneath, 0) < 0 ? errno : 0);
		return 0;
	}
	return 2;
}
