/* Asks libseccomp, where its run-time library is installed, for the number of each system call that is named on standard
 * input; prints it or -1, one a line. Argument: AUDIT_ARCH_* of the architecture. Exits 77 without the library. */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	void *library = dlopen("libseccomp.so.2", RTLD_NOW);
	int (*resolve)(uint32_t, const char *);
	char name[64];

	if (library == NULL || argc != 2)
		return 77;
	*(void **)&resolve = dlsym(library, "seccomp_syscall_resolve_name_arch");
	if (resolve == NULL)
		return 77;
	while (scanf("%63s", name) == 1)
		printf("%d\n", resolve((uint32_t)strtoul(argv[1], NULL, 0), name));
	return 0;
}
