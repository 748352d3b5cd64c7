/* Requests and answers of the file server, over its standard streams. Their form is in file-operations.def. */
#include "file-server.h"
#include "little-endian.h"

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

void put_number(uint64_t value)
{
	put_u64(output + output_length, value);
	output_length += 8;
}

void put_bytes(const void *bytes, size_t length)
{
	if (length > 0)
		memcpy(output + output_length, bytes, length);
	output_length += length;
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
	unsigned char *at = output + output_length;

	put_u32(at, (uint32_t)length + HEADER_BYTES - 4);
	put_u32(at + 4, answered);
	at[8] = kind;
	output_length += HEADER_BYTES;
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
	unsigned char number[4];

	begin_answer(ANSWER_FAILED, sizeof number + length);
	put_u32(number, (uint32_t)error);
	put_bytes(number, sizeof number);
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
	uint32_t length;

	if (!fill_input())
		return 0;
	take(header, sizeof header);
	length = get_u32(header);
	if (length < HEADER_BYTES - 4)
		return -1;
	*request = (struct request){ get_u32(header + 4), header[8], length - (HEADER_BYTES - 4) };
	answered = request->id;
	return 1;
}
