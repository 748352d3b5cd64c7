/* Requests and answers of the file server, over its standard streams. Their form is in file-operations.def. */
#include "file-server.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { HEADER_BYTES = 9 };

static unsigned char input[CHUNK_BYTES];
static size_t input_at, input_end;
static unsigned char output[HEADER_BYTES + CHUNK_BYTES + HEADER_BYTES + 4 + PATH_MAX];
static size_t output_length;
static uint32_t answered;	/* the id */

void put(uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		output[output_length++] = (unsigned char)(value >> (8 * i));
}

void put_bytes(const void *bytes, size_t length)
{
	if (length > 0)
		memcpy(output + output_length, bytes, length);
	output_length += length;
}

uint64_t get(const unsigned char *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

void flush_output(void)
{
	for (size_t at = 0; at < output_length;) {
		ssize_t written = write(1, output + at, output_length - at);

		if (written < 0 && errno != EINTR)
			_exit(1);
		at += written < 0 ? 0 : (size_t)written;
	}
	output_length = 0;
}

void begin_answer(uint8_t kind, size_t length)
{
	put(length + HEADER_BYTES - 4, 4);
	put(answered, 4);
	put(kind, 1);
}

unsigned char *next_payload(void)
{
	return output + output_length + HEADER_BYTES;
}

void answer_data(size_t length)
{
	begin_answer(ANSWER_DATA, length);
	output_length += length;
}

void answer_done(const void *payload, size_t length)
{
	begin_answer(ANSWER_DONE, length);
	put_bytes(payload, length);
	flush_output();
}

void answer_failed(int error, const char *path)
{
	size_t length = path == NULL ? 0 : strlen(path);

	begin_answer(ANSWER_FAILED, 4 + length);
	put((uint64_t)(uint32_t)error, 4);
	put_bytes(path, length);
	flush_output();
}

/* False where stdin is at its end. */
static bool fill_input(void)
{
	ssize_t length;

	if (input_at < input_end)
		return true;
	do
		length = read(0, input, sizeof input);
	while (length < 0 && errno == EINTR);
	input_at = 0;
	input_end = length <= 0 ? 0 : (size_t)length;
	return input_end > 0;
}

static void take(void *to, size_t length)
{
	for (size_t taken = 0; taken < length;) {
		size_t part;

		if (!fill_input())
			_exit(1);
		part = input_end - input_at < length - taken ? input_end - input_at : length - taken;
		if (to != NULL)
			memcpy((unsigned char *)to + taken, input + input_at, part);
		input_at += part;
		taken += part;
	}
}

void take_of(struct request *request, void *to, size_t length)
{
	take(to, length);
	request->left -= length;
}

size_t next_part(struct request *request, const unsigned char **part)
{
	size_t length;

	if (request->left == 0)
		return 0;
	if (!fill_input())
		_exit(1);
	length = input_end - input_at < request->left ? input_end - input_at : request->left;
	*part = input + input_at;
	input_at += length;
	request->left -= length;
	return length;
}

int next_request(struct request *request)
{
	unsigned char header[HEADER_BYTES];
	uint64_t length;

	if (!fill_input())
		return 0;
	take(header, sizeof header);
	length = get(header, 4);
	if (length < HEADER_BYTES - 4)
		return -1;
	*request = (struct request){ (uint32_t)get(header + 4, 4), header[8], length - (HEADER_BYTES - 4) };
	answered = request->id;
	return 1;
}
