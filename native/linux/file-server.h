/* What the files of the file server share: what is served (files.c), requests and answers (file-messages.c), and files that are written
 * (file-write.c). One request is served at a time, so each has its buffers once. */
#ifndef FILE_SERVER_H
#define FILE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

enum {
#define FILE_OPERATION(name, number, payload) OPERATION_##name = number,
#define FILE_ANSWER(name, number, payload) ANSWER_##name = number,
#include "file-operations.def"
#undef FILE_OPERATION
#undef FILE_ANSWER
};
enum { CHUNK_BYTES = 64 << 10 };	/* of content in one answer, at most */

/* file-messages.c. What is cut off within a request is not done, and where nobody reads any more there is nobody to serve: the
 * process ends. */

struct request { uint32_t id; uint8_t operation; size_t left; };	/* left: of the payload, not yet taken */

/* Returns 1; 0 where there is none any more; -1 where it is none. Answers are to this one from now on. */
int next_request(struct request *request);

/* The next `length` bytes of the payload; `to` NULL: to nobody. */
void take_of(struct request *request, void *to, size_t length);

/* Of what is left of the payload those bytes that are here; 0 at its end. They stay until the next call here. */
size_t next_part(struct request *request, const unsigned char **part);

/* Begins an answer with `length` bytes of payload, which the caller adds. */
void begin_answer(uint8_t kind, size_t length);
void put_number(uint64_t value);	/* of 8 bytes */
void put_bytes(const void *bytes, size_t length);

/* Where the payload of the next answer will stand: CHUNK_BYTES of room, free to use until something is added. */
unsigned char *next_payload(void);

/* Answers with DATA whose `length` bytes stand there already. */
void answer_data(size_t length);

void answer_done(const void *payload, size_t length);

/* `path`: NULL where it is the one that was asked for. */
void answer_failed(int error, const char *path);

/* Writes what was answered. Room is for a DATA of a whole chunk, and the DONE behind it: a small file is one answer, written at once. */
void flush_output(void);

/* file-write.c */

/* What is no regular file has no content of a size: a FIFO would hold up everything behind it. Returns 0, or -1 with errno. */
int refuse_irregular(int fd, struct stat *state);

/* OPERATION_WRITE, with the content to come; `how` as file-operations.def has it. */
void serve_write(struct request *request, int how, mode_t mode, const char *path);

#endif
