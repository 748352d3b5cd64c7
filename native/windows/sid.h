// SIDs as text, and back.
#pragma once

#include <windows.h>

#include <sddl.h>

#include <string>

#include "failure.h"
#include "handle.h"

inline std::wstring sid_text(PSID sid, const char *step)
{
	Local<LPWSTR> text;
	require(ConvertSidToStringSidW(sid, text.out()), step);
	return text.get();
}

/* A SID with the memory that it lies in. */
class Sid {
public:
	Sid(const std::wstring &text, const char *step) { require(ConvertStringSidToSidW(text.c_str(), sid_.out()), step); }
	PSID get() const { return sid_.get(); }

private:
	Local<PSID> sid_;
};
