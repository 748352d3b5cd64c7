// The network functions, which make local accounts and groups: their memory and their errors.
#pragma once

#include <windows.h>

#include <lm.h>

#include <string>

#include "failure.h"

/* What the network functions made. */
template <typename T> class NetBuffer {
public:
	NetBuffer() = default;
	NetBuffer(const NetBuffer &) = delete;
	NetBuffer &operator=(const NetBuffer &) = delete;
	~NetBuffer()
	{
		if (data_ != nullptr)
			NetApiBufferFree(data_);
	}
	LPBYTE *out() { return reinterpret_cast<LPBYTE *>(&data_); }
	T *get() const { return data_; }

private:
	T *data_ = nullptr;
};

inline void require_net(NET_API_STATUS status, const char *step)
{
	if (status != NERR_Success)
		throw StepFailure(step, status);
}

inline std::wstring text_of(const wchar_t *text)
{
	return text == nullptr ? std::wstring() : std::wstring(text);
}
