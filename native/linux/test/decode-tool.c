/* Decodes plans, commands and frames as the launcher does, for tests: the twin of plan-codec.ts is held to the same bytes, and
 * fuzzed. Built with sanitizers by test/native/decode-tool.ts and scripts/fuzz-native.mjs; never part of the launcher.
 *
 * stdin: records of u8 kind ('p' plan, 'c' command, 'f' frames), u32 length, bytes. stdout: one line of JSON a record, in order;
 * {"refused":errno} where the decoder did. Text is printed byte for byte, as Latin-1. Each record lies in a block of exactly its
 * size, so that a read beyond it is found. */
#include "../frames.h"
#include "../plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *const MOUNTS[] = { "", "bind_writable", "bind_read_only", "mask", "pin", "placeholder", "watch", "private_directory" };
static const char *const ENTRIES[] = { "missing", "file", "directory", "symlink", "socket", "fifo", "device" };
static const char *const EFFECTS[] = { "", "write", "read", "deny" };

static void print_text(const char *text)
{
	putchar('"');
	for (const unsigned char *at = (const unsigned char *)text; *at != 0; at++)
		printf(*at < 32 || *at > 126 || *at == '"' || *at == '\\' ? "\\u%04x" : "%c", *at);
	putchar('"');
}

static void print_named(const char *name, const char *text)
{
	printf(",\"%s\":", name);
	print_text(text);
}

static void print_number(const char *name, uint64_t value)
{
	printf(",\"%s\":\"%" PRIu64 "\"", name, value);
}

static void print_identity(struct identity identity)
{
	printf(",\"identity\":[\"%" PRIu64 "\",\"%" PRIu64 "\"]", identity.device, identity.inode);
}

static void print_filter(const char *name, struct filter filter)
{
	const unsigned char *bytes = filter.program;

	printf(",\"%s\":\"", name);
	for (size_t i = 0; i < (size_t)filter.length * 8; i++)
		printf("%02x", bytes[i]);
	putchar('"');
}

static void print_mount(const struct mount_step *step)
{
	printf("{\"kind\":\"%s\",\"entry\":\"%s\",\"effect\":\"%s\"", MOUNTS[step->kind], ENTRIES[step->entry], EFFECTS[step->effect]);
	print_named("path", step->path);
	print_identity(step->identity);
	print_named("text", step->text);
	printf(",\"openings\":[");
	for (uint32_t i = 0; i < step->n_openings; i++) {
		printf("%s{\"effect\":\"%s\"", i == 0 ? "" : ",", EFFECTS[step->openings[i].effect]);
		print_named("path", step->openings[i].path);
		print_identity(step->openings[i].identity);
		putchar('}');
	}
	printf("]}");
}

static void print_rules(const char *name, const struct landlock_rule *rules, uint32_t n)
{
	printf(",\"%s\":[", name);
	for (uint32_t i = 0; i < n; i++) {
		printf("%s{\"allowed\":\"%" PRIu64 "\"", i == 0 ? "" : ",", rules[i].allowed);
		print_named("path", rules[i].path);
		print_identity(rules[i].identity);
		putchar('}');
	}
	putchar(']');
}

static void print_texts(const char *name, char *const *texts, uint32_t n)
{
	printf(",\"%s\":[", name);
	for (uint32_t i = 0; i < n; i++) {
		printf("%s", i == 0 ? "" : ",");
		print_text(texts[i]);
	}
	/* The kernel reads on to a NULL. */
	printf(texts[n] == NULL ? "]" : ",null]");
}

static void print_supervision(const struct plan *plan)
{
	printf(",\"base\":\"%s\",\"pathRules\":[", EFFECTS[plan->base]);
	for (uint32_t i = 0; i < plan->n_path_rules; i++) {
		printf("%s{\"effect\":\"%s\",\"foldsCase\":%s", i == 0 ? "" : ",", EFFECTS[plan->path_rules[i].effect], plan->path_rules[i].folds_case ? "true" : "false");
		print_named("path", plan->path_rules[i].path);
		putchar('}');
	}
	putchar(']');
	print_number("outerNet", plan->outer_handled_net);
	print_rules("outerRules", plan->outer_rules, plan->n_outer_rules);
	printf(",\"trees\":[");
	for (uint32_t i = 0; i < plan->n_trees; i++) {
		const struct readable_tree *tree = &plan->trees[i];

		printf("%s{\"allowed\":\"%" PRIu64 "\"", i == 0 ? "" : ",", tree->rule.allowed);
		print_named("path", tree->rule.path);
		print_identity(tree->rule.identity);
		print_texts("closed", tree->closed, tree->n_closed);
		putchar('}');
	}
	putchar(']');
}

static void print_network(const struct plan *plan)
{
	printf(",\"listeners\":[");
	for (uint32_t i = 0; i < plan->n_listeners; i++)
		printf("%s{\"kind\":\"%s\",\"port\":%u}", i == 0 ? "" : ",", plan->listeners[i].kind == LISTENER_PROXY ? "proxy" : "local-port", plan->listeners[i].port);
	printf("],\"socketFlags\":%" PRIu32 ",\"sockets\":[", plan->socket_flags);
	for (uint32_t i = 0; i < plan->n_sockets; i++) {
		printf("%s{\"index\":%" PRIu32, i == 0 ? "" : ",", i);
		print_named("path", plan->sockets[i].path);
		print_identity(plan->sockets[i].identity);
		putchar('}');
	}
	putchar(']');
}

static void print_plan(const struct plan *plan)
{
	printf("{\"flags\":%" PRIu32 ",\"uid\":%" PRIu32 ",\"gid\":%" PRIu32, plan->flags, plan->uid, plan->gid);
	print_named("stateDirectory", plan->state_directory);
	print_named("cwd", plan->cwd);
	print_identity(plan->cwd_identity);
	printf(",\"mounts\":[");
	for (uint32_t i = 0; i < plan->n_mounts; i++) {
		printf("%s", i == 0 ? "" : ",");
		print_mount(&plan->mounts[i]);
	}
	printf("],\"devices\":[");
	for (uint32_t i = 0; i < plan->n_devices; i++) {
		printf("%s", i == 0 ? "" : ",");
		print_text(plan->devices[i]);
	}
	putchar(']');
	print_number("scopes", plan->scopes);
	print_number("net", plan->handled_net);
	print_number("fs", plan->handled_fs);
	print_number("proc", plan->proc_rights);
	print_rules("rules", plan->rules, plan->n_rules);
	print_filter("commandFilter", plan->command_filter);
	print_filter("listenerFilter", plan->listener_filter);
	print_named("group", plan->group);
	print_supervision(plan);
	print_network(plan);
	printf("}\n");
}

static void print_command(const struct command *command)
{
	printf("{\"flags\":%" PRIu32 ",\"rows\":%u,\"cols\":%u", command->flags, command->rows, command->columns);
	print_named("cwd", command->cwd);
	print_identity(command->cwd_identity);
	print_number("memoryBytes", command->limits.memory_bytes);
	print_number("pids", command->limits.pids);
	print_number("cpuSeconds", command->limits.cpu_seconds);
	print_number("openFiles", command->limits.open_files);
	print_number("fileSizeBytes", command->limits.file_size_bytes);
	print_texts("argv", command->argv, command->argc);
	print_texts("env", command->envp, command->envc);
	printf("}\n");
}

static void decode_one_plan(const unsigned char *data, size_t size)
{
	struct plan plan;
	int result = decode_plan(data, size, &plan);

	if (result == 0)
		print_plan(&plan);
	else
		printf("{\"refused\":%d}\n", -result);
}

static void decode_one_command(const unsigned char *data, size_t size)
{
	void *memory = malloc(command_memory(size));
	struct command command;
	const char **script;
	int result = decode_command(data, size, &command, memory, &script);

	if (result == 0) {
		/* As an init fills it for a script: a shell, the path, the other arguments, the end. */
		for (uint32_t i = 0; i < command.argc + 2; i++)
			script[i] = NULL;
		print_command(&command);
	} else {
		printf("{\"refused\":%d}\n", -result);
	}
	free(memory);
}

/* Sends the bytes in pieces of changing size through a socket, takes the frames out as they become whole, and puts each into a
 * queue, as the other direction does: what comes out of that must be what went in. */
static void decode_frames(const unsigned char *data, size_t size)
{
	struct frame_reader reader = { 0 };
	struct frame_queue queue = { 0 };
	struct frame frame;
	const char *separator = "";
	size_t sent = 0;
	int pair[2], result = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
		exit(2);
	printf("{\"frames\":[");
	for (size_t piece = 1; sent < size && result >= 0; piece = piece * 3 % 4099) {
		size_t length = piece < size - sent ? piece : size - sent;

		if (write(pair[0], data + sent, length) != (ssize_t)length || read_frames(&reader, pair[1]) <= 0)
			exit(2);
		sent += length;
		while ((result = next_frame(&reader, &frame)) > 0) {
			uint32_t sum = 0;
			unsigned char *copy = reserve_frame(&queue, frame.length);

			if (copy == NULL)
				exit(2);
			for (uint32_t i = 0; i < frame.length; i++)
				sum = sum * 31 + frame.payload[i];
			memcpy(copy, frame.payload, frame.length);
			commit_frame(&queue, frame.type, frame.id, frame.length);
			printf("%s{\"type\":%u,\"id\":%" PRIu32 ",\"length\":%" PRIu32 ",\"sum\":%" PRIu32 "}", separator, frame.type, frame.id, frame.length, sum);
			separator = ",";
		}
	}
	printf("],\"same\":%s,\"end\":\"%s\"}\n", memcmp(queue.buffer == NULL ? (unsigned char *)"" : queue.buffer, data, queued_bytes(&queue)) == 0 ? "true" : "false",
	       result < 0 ? "refused" : reader.end > reader.start ? "more" : "whole");
	close(pair[0]);
	close(pair[1]);
	free(reader.buffer);
	free(queue.buffer);
}

int main(void)
{
	unsigned char header[5];

	while (fread(header, 1, sizeof header, stdin) == sizeof header) {
		size_t size = get_u32(header + 1);
		unsigned char *data = malloc(size);

		if (data == NULL || fread(data, 1, size, stdin) != size)
			return 2;
		switch (header[0]) {
		case 'p': decode_one_plan(data, size); break;
		case 'c': decode_one_command(data, size); break;
		case 'f': decode_frames(data, size); break;
		default: return 2;
		}
		fflush(stdout);
		free(data);
	}
	return 0;
}
