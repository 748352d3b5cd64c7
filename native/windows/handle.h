// What is closed when its owner goes.
#pragma once

#include <windows.h>

class Handle {
public:
	Handle() = default;
	explicit Handle(HANDLE handle) : handle_(handle == INVALID_HANDLE_VALUE ? nullptr : handle) {}
	Handle(Handle &&other) noexcept : handle_(other.release()) {}
	Handle &operator=(Handle &&other) noexcept
	{
		if (this != &other)
			reset(other.release());
		return *this;
	}
	Handle(const Handle &) = delete;
	Handle &operator=(const Handle &) = delete;
	~Handle() { reset(); }

	HANDLE get() const { return handle_; }
	explicit operator bool() const { return handle_ != nullptr; }
	/* Where a call puts a new one. */
	HANDLE *out()
	{
		reset();
		return &handle_;
	}
	HANDLE release()
	{
		HANDLE handle = handle_;
		handle_ = nullptr;
		return handle;
	}
	void reset(HANDLE handle = nullptr)
	{
		if (handle_ != nullptr)
			CloseHandle(handle_);
		handle_ = handle;
	}

private:
	HANDLE handle_ = nullptr;
};

/* What LocalAlloc made. */
template <typename T> class Local {
public:
	Local() = default;
	Local(const Local &) = delete;
	Local &operator=(const Local &) = delete;
	~Local()
	{
		if (pointer_ != nullptr)
			LocalFree(static_cast<HLOCAL>(pointer_));
	}
	T get() const { return pointer_; }
	T *out() { return &pointer_; }

private:
	T pointer_ = nullptr;
};
