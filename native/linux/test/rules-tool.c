/* Answers what supervised-rules.c says of paths, for tests that hold it against `decide`. Built by test/native/c-tool.ts; never part of
 * the launcher.
 *
 * stdin: lines of words; a path is hexadecimal. `policy BASE` begins one, `rule EFFECT FOLDS PATH` adds to it, `grant PATH` grants,
 * `ask PATH` answers one line: the effect there, and which of create, remove, above_closed, supervised, granted hold. */
#include "../supervised-rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RULES = 4096, LINE_BYTES = 16384 };

static const char *const EFFECTS[] = { "", "write", "read", "deny" };

static enum effect effect_named(const char *name)
{
	for (int i = EFFECT_WRITE; i <= EFFECT_DENY; i++)
		if (strcmp(EFFECTS[i], name) == 0)
			return (enum effect)i;
	exit(2);
}

/* In a block of exactly its size, so that a read beyond it is found. */
static char *decode_path(const char *hex)
{
	size_t length = strlen(hex) / 2;
	char *path = malloc(length + 1);
	unsigned byte;

	for (size_t i = 0; i < length; i++) {
		if (sscanf(hex + i * 2, "%2x", &byte) != 1)
			exit(2);
		path[i] = (char)byte;
	}
	path[length] = 0;
	return path;
}

int main(void)
{
	static struct supervised_rule rules[MOST_RULES];
	static char line[LINE_BYTES];
	struct supervised_rules *indexed = NULL;
	enum effect base = EFFECT_READ;
	uint32_t n = 0;

	while (fgets(line, sizeof line, stdin) != NULL) {
		char *words[4] = { 0 };
		int count = 0;

		for (char *word = strtok(line, " \n"); word != NULL && count < 4; word = strtok(NULL, " \n"))
			words[count++] = word;
		if (count == 2 && strcmp(words[0], "policy") == 0) {
			base = effect_named(words[1]);
			n = 0;
			indexed = NULL;
			continue;
		}
		if (count == 4 && n < MOST_RULES && strcmp(words[0], "rule") == 0) {
			rules[n++] = (struct supervised_rule){ effect_named(words[1]), decode_path(words[3]), words[2][0] == '1' };
			continue;
		}
		if (indexed == NULL) {
			indexed = index_rules(base, rules, n);
			/* They need not stay. */
			memset(rules, 0xa5, sizeof rules);
		}
		if (indexed == NULL)
			return 2;
		if (count == 2 && strcmp(words[0], "grant") == 0) {
			printf("%s\n", grant(indexed, (struct granted){ decode_path(words[1]), 1, 2 }) ? "granted" : "refused");
		} else if (count == 2 && strcmp(words[0], "ask") == 0) {
			char *path = decode_path(words[1]);

			printf("%s%s%s%s%s%s\n", EFFECTS[effect_at(indexed, path)], may_create(indexed, path) ? " create" : "", may_remove(indexed, path) ? " remove" : "",
			       is_above_closed(indexed, path) ? " above_closed" : "", is_supervised(indexed, path) ? " supervised" : "", granted_above(indexed, path) != NULL ? " granted" : "");
			free(path);
		} else {
			return 2;
		}
		fflush(stdout);
	}
	return 0;
}
