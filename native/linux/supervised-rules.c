#include "supervised-rules.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_GRANTS = 1024 };

/* What is known of one path. Rules, the directories above closed ones, and grants have such a row. */
struct row {
	const char *path;		/* of which `length` bytes count; NULL: no row */
	uint32_t length;
	enum effect effect;		/* 0: no rule stands here */
	bool above_closed, supervised;
	const struct granted *granted;
};

struct supervised_rules {
	enum effect base;
	uint32_t size;			/* of the table, a power of two, more than twice the rows */
	uint32_t n_folding, n_grants;
	struct supervised_rule *folding;	/* copies: what was given need not stay, but for its paths */
	struct granted *grants;
	struct row rows[];
};

static const uint64_t FIRST_HASH = 0xcbf29ce484222325;

/* FNV-1a, so that a path's hash goes on where its parent's ended. */
static uint64_t hash_more(uint64_t hash, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)bytes[i]) * 0x100000001b3;
	return hash;
}

/* The row of a path, or the free one where it would stand. */
static struct row *find_row(const struct supervised_rules *rules, uint64_t hash, const char *path, uint32_t length)
{
	uint32_t at = (uint32_t)(hash ^ hash >> 32);

	for (;; at++) {
		const struct row *row = &rules->rows[at & (rules->size - 1)];

		if (row->path == NULL || (row->length == length && memcmp(row->path, path, length) == 0))
			return (struct row *)row;
	}
}

static uint32_t length_of(const char *path)
{
	return path[1] == 0 ? 0 : (uint32_t)strlen(path);	/* "/" has length 0, as what stands before the first name */
}

static const struct row *row_of(const struct supervised_rules *rules, const char *path)
{
	return find_row(rules, hash_more(FIRST_HASH, path, length_of(path)), path, length_of(path));
}

static struct row *make_row(struct supervised_rules *rules, const char *path, uint32_t length)
{
	struct row *row = find_row(rules, hash_more(FIRST_HASH, path, length), path, length);

	row->path = path;
	row->length = length;
	return row;
}

/* The rows at a path and above it, from `/` down. */
struct descent { const struct supervised_rules *rules; const char *path; uint32_t length, end; uint64_t hash; bool started; };

static struct descent descend(const struct supervised_rules *rules, const char *path)
{
	return (struct descent){ .rules = rules, .path = path, .length = length_of(path), .hash = FIRST_HASH };
}

/* Goes one name down. Returns false at the end; `row` is NULL where nothing is known of that path. */
static bool next_row(struct descent *descent, const struct row **row)
{
	uint32_t end = descent->end;
	const struct row *found;

	if (descent->started) {
		if (end >= descent->length)
			return false;
		for (end++; end < descent->length && descent->path[end] != '/'; end++)
			;
		descent->hash = hash_more(descent->hash, descent->path + descent->end, end - descent->end);
		descent->end = end;
	}
	descent->started = true;
	found = find_row(descent->rules, descent->hash, descent->path, descent->end);
	*row = found->path == NULL ? NULL : found;
	return true;
}

/* What of Unicode folds to ASCII: canonical decomposition, then upper and lower case, as foldName (src/policy/letter-case.ts) has it. */
static const struct { uint32_t code; const char *folded; } FOLDED[] = {
	{ 0xdf, "ss" }, { 0x17f, "s" }, { 0x37e, ";" }, { 0x1e9e, "ss" }, { 0x1fef, "`" }, { 0x212a, "k" },
	{ 0xfb00, "ff" }, { 0xfb01, "fi" }, { 0xfb02, "fl" }, { 0xfb03, "ffi" }, { 0xfb04, "ffl" }, { 0xfb05, "st" }, { 0xfb06, "st" },
};

/* Default_Ignorable_Code_Point: what such file systems leave out of a name. */
static const struct { uint32_t first, last; } IGNORED[] = {
	{ 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x200b, 0x200f },
	{ 0x202a, 0x202e }, { 0x2060, 0x206f }, { 0x3164, 0x3164 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
	{ 0xfff0, 0xfff8 }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
};

/* One character of UTF-8; its length goes to `length`. 0xffffffff where it is none. */
static uint32_t decode(const unsigned char *bytes, uint32_t left, uint32_t *length)
{
	static const uint32_t LEAST[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t n = bytes[0] < 0x80 ? 1 : bytes[0] < 0xc0 ? 0 : bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : bytes[0] < 0xf8 ? 4 : 0;
	uint32_t code = n == 1 ? bytes[0] : n == 0 ? 0 : bytes[0] & (0x7fU >> n);

	*length = 1;
	if (n == 0 || n > left)
		return UINT32_MAX;
	for (uint32_t i = 1; i < n; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return UINT32_MAX;
		code = code << 6 | (bytes[i] & 0x3f);
	}
	if (code < LEAST[n])
		return UINT32_MAX;
	*length = n;
	return code;
}

/* What is left of a name to be compared, one byte at a time. */
struct folding { const unsigned char *at; uint32_t left; const char *pending; };

enum { END_OF_NAME = -1, OTHER_LETTER = -2 /* one that does not fold to ASCII */ };

static int next_folded(struct folding *name)
{
	while (name->left > 0 || *name->pending != 0) {
		uint32_t length, code;

		if (*name->pending != 0)
			return *name->pending++;
		code = decode(name->at, name->left, &length);
		name->at += length;
		name->left -= length;
		if (code < 0x80)
			return code >= 'A' && code <= 'Z' ? (int)code + 32 : (int)code;
		for (size_t i = 0; i < sizeof FOLDED / sizeof FOLDED[0]; i++)
			if (FOLDED[i].code == code)
				name->pending = FOLDED[i].folded;
		for (size_t i = 0; i < sizeof IGNORED / sizeof IGNORED[0] && *name->pending == 0; i++)
			if (code >= IGNORED[i].first && code <= IGNORED[i].last)
				code = 0;
		if (code != 0 && *name->pending == 0)
			return OTHER_LETTER;
	}
	return END_OF_NAME;
}

static bool has_other_letter(const char *name, uint32_t length)
{
	struct folding folding = { (const unsigned char *)name, length, "" };
	int letter;

	do
		letter = next_folded(&folding);
	while (letter >= 0);
	return letter == OTHER_LETTER;
}

/* May a file system take both for one name? Names with letters that no table here knows are all taken for one. */
static bool may_be_same(const char *a, uint32_t a_length, const char *b, uint32_t b_length)
{
	struct folding one = { (const unsigned char *)a, a_length, "" }, other = { (const unsigned char *)b, b_length, "" };
	int letter;

	if (has_other_letter(a, a_length))
		return has_other_letter(b, b_length);
	do {
		letter = next_folded(&one);
		if (letter != next_folded(&other))
			return false;
	} while (letter != END_OF_NAME);
	return true;
}

static uint32_t name_length(const char *name)
{
	return (uint32_t)strcspn(name, "/");
}

struct relation relate_folded(const char *rule, const char *path)
{
	struct relation relation = { 0 };

	for (; *rule == '/' && *path == '/' && rule[1] != 0 && path[1] != 0; relation.depth++) {
		uint32_t rule_name = name_length(rule + 1), path_name = name_length(path + 1);

		if (!may_be_same(rule + 1, rule_name, path + 1, path_name))
			return (struct relation){ 0 };
		rule += rule_name + 1;
		path += path_name + 1;
	}
	relation.at_or_above = rule[0] == 0 || rule[1] == 0;
	relation.below = !relation.at_or_above;
	return relation;
}

struct speaker { enum effect effect; bool supervised; bool at_path /* it stands at the path itself */; };

static struct speaker speaker_at(const struct supervised_rules *rules, const char *path)
{
	struct descent descent = descend(rules, path);
	struct speaker speaker = { .effect = rules->base };
	const struct row *row;
	uint32_t depth = 0, deepest = 0;

	for (; next_row(&descent, &row); depth++) {
		if (row == NULL || row->effect == 0)
			continue;
		speaker = (struct speaker){ row->effect, row->supervised, descent.end == descent.length };
		deepest = depth;
	}
	/* Such a match is a guess, so it never opens what a rule in the path's own spelling, or another guess, closes. */
	for (uint32_t i = 0; i < rules->n_folding; i++) {
		const struct supervised_rule *rule = &rules->folding[i];
		struct relation relation = rule->effect <= speaker.effect ? (struct relation){ 0 } : relate_folded(rule->path, path);

		if (relation.at_or_above && relation.depth >= deepest)
			speaker = (struct speaker){ rule->effect, row_of(rules, rule->path)->supervised, relation.depth == depth - 1 };
	}
	return speaker;
}

enum effect effect_at(const struct supervised_rules *rules, const char *path)
{
	return speaker_at(rules, path).effect;
}

bool is_supervised(const struct supervised_rules *rules, const char *directory)
{
	return speaker_at(rules, directory).supervised;
}

bool may_create(const struct supervised_rules *rules, const char *path)
{
	struct speaker speaker = speaker_at(rules, path);
	const char *name = strrchr(path, '/');
	char *parent;
	bool may;

	/* What no rule of its own speaks for, is as its directory is. */
	if (speaker.effect != EFFECT_WRITE || !speaker.at_path)
		return speaker.effect == EFFECT_WRITE;
	parent = strndup(path, name == path ? 1 : (size_t)(name - path));
	may = parent != NULL && path[1] != 0 && effect_at(rules, parent) == EFFECT_WRITE;
	free(parent);
	return may;
}

bool is_above_closed(const struct supervised_rules *rules, const char *path)
{
	const struct row *row = row_of(rules, path);

	if (row->path != NULL && row->above_closed)
		return true;
	for (uint32_t i = 0; i < rules->n_folding; i++)
		if (relate_folded(rules->folding[i].path, path).below)
			return true;
	return false;
}

bool may_remove(const struct supervised_rules *rules, const char *path)
{
	return may_create(rules, path) && !is_above_closed(rules, path);
}

static uint32_t count_names(const char *path)
{
	uint32_t n = 1;

	for (; *path != 0; path++)
		n += *path == '/';
	return n;
}

/* Tells the directories above a closed path of it. */
static void close_above(struct supervised_rules *rules, const struct supervised_rule *rule)
{
	for (uint32_t length = length_of(rule->path); length > 0;) {
		do
			length--;
		while (rule->path[length] != '/');
		make_row(rules, rule->path, length)->above_closed = true;
	}
}

/* A rule is supervised where it opens a directory with something closed below, or closes something in an open one. */
static void find_supervised(struct supervised_rules *rules, const struct supervised_rule *rule)
{
	struct row *own = make_row(rules, rule->path, length_of(rule->path));
	struct descent descent = descend(rules, rule->path);
	const struct row *row;

	own->supervised = own->effect == EFFECT_WRITE && own->above_closed;
	while (next_row(&descent, &row))
		if (own->effect != EFFECT_WRITE && row != NULL && row->effect == EFFECT_WRITE)
			own->supervised = true;
}

struct supervised_rules *index_rules(enum effect base, const struct supervised_rule *given, uint32_t n_given)
{
	uint64_t n_rows = MOST_GRANTS, size = 1;
	struct supervised_rules *rules;

	for (uint32_t i = 0; i < n_given; i++)
		n_rows += count_names(given[i].path);
	while (size < n_rows * 2 + 2)
		size *= 2;
	rules = size > UINT32_MAX / 2 ? NULL : calloc(1, sizeof *rules + size * sizeof rules->rows[0]);
	if (rules == NULL)
		return NULL;
	rules->base = base;
	rules->size = (uint32_t)size;
	rules->folding = calloc(n_given + 1, sizeof rules->folding[0]);
	rules->grants = calloc(MOST_GRANTS, sizeof rules->grants[0]);
	if (rules->folding == NULL || rules->grants == NULL)
		return NULL;
	for (uint32_t i = 0; i < n_given; i++) {
		struct row *row = make_row(rules, given[i].path, length_of(given[i].path));

		/* In the order of strictness. */
		if (given[i].effect > row->effect)
			row->effect = given[i].effect;
		if (given[i].effect == EFFECT_WRITE)
			continue;
		close_above(rules, &given[i]);
		if (given[i].folds_letter_case)
			rules->folding[rules->n_folding++] = given[i];
	}
	for (uint32_t i = 0; i < n_given; i++)
		find_supervised(rules, &given[i]);
	return rules;
}

bool grant(struct supervised_rules *rules, struct granted granted)
{
	struct granted *kept = &rules->grants[rules->n_grants];

	if (rules->n_grants >= MOST_GRANTS || effect_at(rules, granted.path) != EFFECT_WRITE || is_above_closed(rules, granted.path))
		return false;
	*kept = granted;
	make_row(rules, kept->path, length_of(kept->path))->granted = kept;
	rules->n_grants++;
	return true;
}

const struct granted *grants_of(const struct supervised_rules *rules, uint32_t *n)
{
	*n = rules->n_grants;
	return rules->grants;
}

const struct granted *granted_above(const struct supervised_rules *rules, const char *directory)
{
	struct descent descent = descend(rules, directory);
	const struct granted *granted = NULL;
	const struct row *row;

	while (rules->n_grants > 0 && next_row(&descent, &row))
		if (row != NULL && row->granted != NULL)
			granted = row->granted;
	return granted;
}
