#include "frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { READ_BYTES = 64 << 10, SMALLEST_QUEUE = 256 << 10 };

int next_frame(struct frame_reader *reader, struct frame *frame)
{
	const unsigned char *at = reader->buffer + reader->start;
	size_t available = reader->end - reader->start;
	uint32_t length;

	if (available < FRAME_HEADER_BYTES)
		return 0;
	length = get_u32(at);
	if (length > LARGEST_FRAME_BYTES) {
		errno = EBADMSG;
		return -1;
	}
	if (available - FRAME_HEADER_BYTES < length)
		return 0;
	*frame = (struct frame){ .type = at[4], .id = get_u32(at + 5), .length = length, .payload = at + FRAME_HEADER_BYTES };
	reader->start += FRAME_HEADER_BYTES + length;
	return 1;
}

/* Room for at least `bytes` more at the end of a buffer, by moving what is left to its start or by growing it. */
static int make_room(unsigned char **buffer, size_t *size, size_t *start, size_t *end, size_t bytes, size_t smallest)
{
	if (*start == *end)
		*start = *end = 0;
	if (*size - *end >= bytes)
		return 0;
	if (*start > 0) {
		memmove(*buffer, *buffer + *start, *end - *start);
		*end -= *start;
		*start = 0;
	}
	if (*size - *end < bytes) {
		size_t wanted = *size == 0 ? smallest : *size;
		unsigned char *grown;

		while (wanted - *end < bytes)
			wanted *= 2;
		grown = realloc(*buffer, wanted);
		if (grown == NULL)
			return -1;
		*buffer = grown;
		*size = wanted;
	}
	return 0;
}

long read_frames(struct frame_reader *reader, int fd)
{
	ssize_t length;

	if (make_room(&reader->buffer, &reader->size, &reader->start, &reader->end, READ_BYTES, READ_BYTES) != 0)
		return -1;
	length = recv(fd, reader->buffer + reader->end, reader->size - reader->end, MSG_DONTWAIT);
	if (length > 0)
		reader->end += (size_t)length;
	return length;
}

unsigned char *reserve_frame(struct frame_queue *queue, size_t length)
{
	if (make_room(&queue->buffer, &queue->size, &queue->start, &queue->end, FRAME_HEADER_BYTES + length, SMALLEST_QUEUE) != 0)
		return NULL;
	return queue->buffer + queue->end + FRAME_HEADER_BYTES;
}

void commit_frame(struct frame_queue *queue, uint8_t type, uint32_t id, uint32_t length)
{
	unsigned char *header = queue->buffer + queue->end;

	put_u32(header, length);
	header[4] = type;
	put_u32(header + 5, id);
	queue->end += FRAME_HEADER_BYTES + length;
}

int flush_frames(struct frame_queue *queue, int fd)
{
	while (queue->start < queue->end) {
		ssize_t sent = send(fd, queue->buffer + queue->start, queue->end - queue->start, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		}
		queue->start += (size_t)sent;
	}
	return 0;
}
