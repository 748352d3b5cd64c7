/* Frames on the control socket: a decoder for what comes in, a queue for what goes out. See frames.def. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "little-endian.h"

enum frame_type {
#define FRAME(name, type, direction, payload) FRAME_##name = type,
#include "frames.def"
#undef FRAME
};

enum { FRAME_HEADER_BYTES = 9, LARGEST_FRAME_BYTES = 64 << 20, OUTPUT_WINDOW_BYTES = 1 << 20, STDIN_WINDOW_BYTES = 256 << 10 };

struct frame { uint8_t type; uint32_t id, length; const unsigned char *payload; };

/* Bytes that have come in and are not yet a whole frame. */
struct frame_reader { unsigned char *buffer; size_t size, start, end; };

/* Takes the next whole frame out of what was read. Returns 1; 0 where more bytes are needed; -1 with errno EBADMSG where the
 * header is not one. The payload stays valid until the next read. */
int next_frame(struct frame_reader *reader, struct frame *frame);

/* Reads once from `fd`. Returns the bytes read, 0 at the end, -1 with errno. */
long read_frames(struct frame_reader *reader, int fd);

/* Bytes that the socket has not taken yet. */
struct frame_queue { unsigned char *buffer; size_t size, start, end; };

/* Room for a frame of up to `length` payload bytes at the queue's end; its header and length are written by `commit_frame`.
 * NULL where memory ran out. */
unsigned char *reserve_frame(struct frame_queue *queue, size_t length);
void commit_frame(struct frame_queue *queue, uint8_t type, uint32_t id, uint32_t length);

/* Writes what the socket takes. Returns 0, also where some is left; -1 with errno where the peer is gone. */
int flush_frames(struct frame_queue *queue, int fd);
static inline size_t queued_bytes(const struct frame_queue *queue) { return queue->end - queue->start; }

#endif
