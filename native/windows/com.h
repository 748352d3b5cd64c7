// COM for the length of a block: its initialisation, references, texts and variants.
#pragma once

#include <windows.h>

#include <objbase.h>
#include <oleauto.h>

#include <string>

#include "failure.h"

/* Throws StepFailure `step`. */
inline void require_com(HRESULT result, const char *step)
{
	if (FAILED(result))
		throw StepFailure(step, static_cast<DWORD>(result));
}

/* Of the thread that works. */
class Com {
public:
	explicit Com(const char *step) : result_(CoInitializeEx(nullptr, COINIT_MULTITHREADED))
	{
		if (FAILED(result_) && result_ != RPC_E_CHANGED_MODE)
			require_com(result_, step);
	}
	~Com()
	{
		if (SUCCEEDED(result_))
			CoUninitialize();
	}
	Com(const Com &) = delete;
	Com &operator=(const Com &) = delete;

private:
	HRESULT result_;
};

/* What COM counts. */
template <typename T> class Reference {
public:
	Reference() = default;
	Reference(Reference &&other) noexcept : pointer_(other.pointer_) { other.pointer_ = nullptr; }
	Reference(const Reference &) = delete;
	Reference &operator=(const Reference &) = delete;
	~Reference()
	{
		if (pointer_ != nullptr)
			pointer_->Release();
	}
	T *operator->() const { return pointer_; }
	T *get() const { return pointer_; }
	T **out() { return &pointer_; }

private:
	T *pointer_ = nullptr;
};

class Text {
public:
	Text() = default;
	explicit Text(const std::wstring &text) : text_(SysAllocStringLen(text.data(), static_cast<UINT>(text.size()))) {}
	Text(const Text &) = delete;
	Text &operator=(const Text &) = delete;
	~Text() { SysFreeString(text_); }
	BSTR get() const { return text_; }
	BSTR *out() { return &text_; }
	std::wstring value() const { return text_ == nullptr ? std::wstring() : std::wstring(text_, SysStringLen(text_)); }

private:
	BSTR text_ = nullptr;
};

class Variant {
public:
	Variant() { VariantInit(&value_); }
	~Variant() { VariantClear(&value_); }
	Variant(const Variant &) = delete;
	Variant &operator=(const Variant &) = delete;
	VARIANT *out() { return &value_; }
	const VARIANT &get() const { return value_; }

private:
	VARIANT value_;
};

template <typename T, typename From> Reference<T> as(From *from, const char *step)
{
	Reference<T> found;
	require_com(from->QueryInterface(__uuidof(T), reinterpret_cast<void **>(found.out())), step);
	return found;
}

template <typename T> Reference<T> create(const CLSID &which, const char *step)
{
	Reference<T> made;
	require_com(CoCreateInstance(which, nullptr, CLSCTX_INPROC_SERVER, __uuidof(T), reinterpret_cast<void **>(made.out())), step);
	return made;
}
