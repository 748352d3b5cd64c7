/* Makes the system calls that it reads, and prints what each returned: so that the same calls can be made inside and outside.
 *
 * A line is `[=SLOT] NUMBER ARGUMENT…`; an argument is a number, `s:HEX` (a string), `b:HEX` (bytes), or `f:SLOT`: the descriptor that an
 * earlier call left in that slot, or `p:SLOT`: its path in /proc/self/fd. One line of output each: the result, or minus the errno. Descriptors are told as `fd`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLOTS = 16, LINE_BYTES = 65536 };

static long parse(const char *word, const long *slots)
{
	unsigned char *bytes;
	unsigned byte;
	size_t length;

	if (word[1] != ':')
		return (long)strtoull(word, NULL, 0);
	if (word[0] == 'f')
		return slots[atoi(word + 2) % SLOTS];
	if (word[0] == 'p') {
		char *path = malloc(32);

		snprintf(path, 32, "/proc/self/fd/%ld", slots[atoi(word + 2) % SLOTS]);
		return (long)path;
	}
	length = strlen(word + 2) / 2;
	bytes = calloc(1, length + 1);
	for (size_t i = 0; i < length; i++) {
		sscanf(word + 2 + i * 2, "%2x", &byte);
		bytes[i] = (unsigned char)byte;
	}
	return (long)bytes;
}

int main(void)
{
	static char line[LINE_BYTES];
	long slots[SLOTS];

	for (int i = 0; i < SLOTS; i++)
		slots[i] = -1;
	while (fgets(line, sizeof line, stdin) != NULL) {
		long arguments[7] = { 0 }, result;
		int slot = -1, n = 0;

		for (char *word = strtok(line, " \n"); word != NULL && n < 7; word = strtok(NULL, " \n")) {
			if (word[0] == '=')
				slot = atoi(word + 1) % SLOTS;
			else
				arguments[n++] = parse(word, slots);
		}
		result = syscall(arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5], arguments[6]);
		/* A file that was made has the flag outside where O_EXCL was given, and inside always. */
		if (arguments[0] == SYS_fcntl && arguments[2] == F_GETFL && result >= 0)
			result &= ~(long)O_NOFOLLOW;
		if (slot >= 0) {
			if (slots[slot] >= 0)
				close((int)slots[slot]);
			slots[slot] = result;
		}
		if (result < 0)
			printf("%s\n", strerrorname_np(errno));
		else if (slot >= 0)
			printf("fd\n");
		else
			printf("%ld\n", result);
	}
	return 0;
}
