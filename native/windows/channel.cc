#include "channel.h"

#include <algorithm>
#include <cstring>

namespace {

/* One transfer, waited for. The event is of this call alone: two threads may use one handle at a time. */
bool transfer(BOOL (*start)(HANDLE, void *, DWORD, OVERLAPPED *), HANDLE handle, void *data, DWORD size, DWORD *done)
{
	Handle event(CreateEventW(nullptr, TRUE, FALSE, nullptr));
	if (!event)
		return false;
	OVERLAPPED overlapped = {};
	overlapped.hEvent = event.get();
	*done = 0;
	if (!start(handle, data, size, &overlapped) && GetLastError() != ERROR_IO_PENDING)
		return false;
	return GetOverlappedResult(handle, &overlapped, done, TRUE) != FALSE && *done > 0;
}

BOOL start_read(HANDLE handle, void *data, DWORD size, OVERLAPPED *overlapped)
{
	return ReadFile(handle, data, size, nullptr, overlapped);
}

BOOL start_write(HANDLE handle, void *data, DWORD size, OVERLAPPED *overlapped)
{
	return WriteFile(handle, data, size, nullptr, overlapped);
}

constexpr size_t MOST_AT_ONCE = 1u << 20;

uint32_t get_u32(const unsigned char *at)
{
	return static_cast<uint32_t>(at[0]) | static_cast<uint32_t>(at[1]) << 8 | static_cast<uint32_t>(at[2]) << 16 | static_cast<uint32_t>(at[3]) << 24;
}

} // namespace

DWORD read_some(HANDLE from, void *into, DWORD most)
{
	DWORD done = 0;
	return transfer(start_read, from, into, most, &done) ? done : 0;
}

bool read_whole(HANDLE from, void *into, size_t size)
{
	auto *at = static_cast<char *>(into);
	for (size_t left = size; left > 0;) {
		DWORD done = read_some(from, at, static_cast<DWORD>(std::min(left, MOST_AT_ONCE)));
		if (done == 0)
			return false;
		at += done;
		left -= done;
	}
	return true;
}

bool write_whole(HANDLE to, const void *from, size_t size)
{
	auto *at = static_cast<const char *>(from);
	for (size_t left = size; left > 0;) {
		DWORD done = 0;
		if (!transfer(start_write, to, const_cast<char *>(at), static_cast<DWORD>(std::min(left, MOST_AT_ONCE)), &done))
			return false;
		at += done;
		left -= done;
	}
	return true;
}

const char *PayloadReader::take(size_t count)
{
	if (bytes_.size() - at_ < count)
		throw Malformed("a payload that ends too early");
	const char *data = bytes_.data() + at_;
	at_ += count;
	return data;
}

uint8_t PayloadReader::u8()
{
	return static_cast<uint8_t>(*take(1));
}

uint16_t PayloadReader::u16()
{
	uint16_t low = u8();
	return static_cast<uint16_t>(low | u8() << 8);
}

uint32_t PayloadReader::u32()
{
	uint32_t low = u16();
	return low | static_cast<uint32_t>(u16()) << 16;
}

uint64_t PayloadReader::u64()
{
	uint64_t low = u32();
	return low | static_cast<uint64_t>(u32()) << 32;
}

std::wstring PayloadReader::text()
{
	size_t units = u32();
	if (units > LARGEST_FRAME_BYTES)
		throw Malformed("a text that is too long");
	const char *data = take(units * 2);
	std::wstring text(units, L'\0');
	for (size_t i = 0; i < units; i++)
		text[i] = static_cast<wchar_t>(static_cast<unsigned char>(data[2 * i]) | static_cast<unsigned char>(data[2 * i + 1]) << 8);
	if (text.find(L'\0') != std::wstring::npos)
		throw Malformed("a text with a NUL in it");
	return text;
}

std::vector<std::wstring> PayloadReader::list()
{
	std::vector<std::wstring> texts;
	for (uint32_t left = u32(); left > 0; left--)
		texts.push_back(text());
	return texts;
}

std::string PayloadReader::rest()
{
	size_t left = bytes_.size() - at_;
	return std::string(take(left), left);
}

void PayloadReader::end() const
{
	if (at_ != bytes_.size())
		throw Malformed("a payload that goes on behind its end");
}

PayloadWriter &PayloadWriter::u8(uint8_t value)
{
	bytes_.push_back(static_cast<char>(value));
	return *this;
}

PayloadWriter &PayloadWriter::u16(uint16_t value)
{
	return u8(static_cast<uint8_t>(value)).u8(static_cast<uint8_t>(value >> 8));
}

PayloadWriter &PayloadWriter::u32(uint32_t value)
{
	return u16(static_cast<uint16_t>(value)).u16(static_cast<uint16_t>(value >> 16));
}

PayloadWriter &PayloadWriter::u64(uint64_t value)
{
	return u32(static_cast<uint32_t>(value)).u32(static_cast<uint32_t>(value >> 32));
}

PayloadWriter &PayloadWriter::text(const std::wstring &value)
{
	u32(static_cast<uint32_t>(value.size()));
	for (wchar_t unit : value)
		u16(static_cast<uint16_t>(unit));
	return *this;
}

PayloadWriter &PayloadWriter::bytes(const std::string &value)
{
	bytes_ += value;
	return *this;
}

bool Channel::receive(Frame *frame)
{
	unsigned char header[FRAME_HEADER_BYTES];
	if (!read_whole(in_, header, sizeof header))
		return false;
	uint32_t length = get_u32(header);
	if (length > LARGEST_FRAME_BYTES)
		throw Malformed("a frame that is too large");
	frame->type = static_cast<FrameType>(header[4]);
	frame->id = get_u32(header + 5);
	frame->payload.resize(length);
	return length == 0 || read_whole(in_, &frame->payload[0], length);
}

void Channel::send(FrameType type, uint32_t id, const char *data, size_t size)
{
	PayloadWriter header;
	header.u32(static_cast<uint32_t>(size)).u8(static_cast<uint8_t>(type)).u32(id);
	std::lock_guard<std::mutex> guard(sending_);
	if (write_whole(out_, header.payload().data(), FRAME_HEADER_BYTES) && size > 0)
		write_whole(out_, data, size);
}

void Channel::send_failure(uint32_t id, const char *step, DWORD code, const std::string &detail)
{
	PayloadWriter payload;
	payload.u32(code).u8(static_cast<uint8_t>(strlen(step))).bytes(step).bytes(detail);
	send(FrameType::FAILED, id, payload);
}
