// Frames over a pipe: what comes in is cut into frames, what goes out is written whole, whichever thread it is from.
#pragma once

#include <windows.h>

#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "handle.h"

enum class FrameType : uint8_t {
#define FRAME(name, type, direction, payload) name = type,
#include "frames.def"
#undef FRAME
};

constexpr size_t FRAME_HEADER_BYTES = 9;
/* The same numbers as in src/platform/frames.ts. */
constexpr uint32_t LARGEST_FRAME_BYTES = 64u << 20;
constexpr size_t OUTPUT_WINDOW_BYTES = 1u << 20;

/* The other side does not speak this protocol. */
class Malformed : public std::runtime_error {
public:
	using std::runtime_error::runtime_error;
};

struct Frame {
	FrameType type;
	uint32_t id;
	std::string payload;
};

/* Reads a payload from its beginning to its end. Throws Malformed where it is shorter, or is not over at `end`. */
class PayloadReader {
public:
	explicit PayloadReader(const std::string &payload) : bytes_(payload) {}
	uint8_t u8();
	uint16_t u16();
	uint32_t u32();
	uint64_t u64();
	std::wstring text();
	std::vector<std::wstring> list();
	std::string rest();
	void end() const;

private:
	const char *take(size_t count);
	const std::string &bytes_;
	size_t at_ = 0;
};

class PayloadWriter {
public:
	PayloadWriter &u8(uint8_t value);
	PayloadWriter &u16(uint16_t value);
	PayloadWriter &u32(uint32_t value);
	PayloadWriter &u64(uint64_t value);
	PayloadWriter &text(const std::wstring &value);
	PayloadWriter &bytes(const std::string &value);
	const std::string &payload() const { return bytes_; }

private:
	std::string bytes_;
};

/* Reads or writes all of `size` bytes, on a handle for overlapped use or not. False where the other side is gone. */
bool read_whole(HANDLE from, void *into, size_t size);
bool write_whole(HANDLE to, const void *from, size_t size);
/* Reads at least one byte. 0 where the other side is gone. */
DWORD read_some(HANDLE from, void *into, DWORD most);

class Channel {
public:
	/* The two may be one. They are closed with the process. */
	Channel(HANDLE in, HANDLE out) : in_(in), out_(out) {}
	Channel(const Channel &) = delete;
	Channel &operator=(const Channel &) = delete;

	/* False at the end. Throws Malformed. From one thread only. */
	bool receive(Frame *frame);
	/* Nothing is told where the other side is gone: `receive` then says so. */
	void send(FrameType type, uint32_t id, const char *data, size_t size);
	void send(FrameType type, uint32_t id, const PayloadWriter &payload) { send(type, id, payload.payload().data(), payload.payload().size()); }
	/* For who passes bytes on as they are. */
	HANDLE in() const { return in_; }
	HANDLE out() const { return out_; }
	void send_failure(uint32_t id, const char *step, DWORD code, const std::string &detail);

private:
	HANDLE in_, out_;
	std::mutex sending_;
};
