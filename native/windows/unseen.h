// Looking at paths at which there may be nothing, or nothing that this user may see.
#pragma once

#include <windows.h>

#include <string>

/* A volume that is not ready answers with an error, and not with a window that asks for it. */
class NoWindows {
public:
	NoWindows() { SetThreadErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX, &before_); }
	~NoWindows() { SetThreadErrorMode(before_, nullptr); }
	NoWindows(const NoWindows &) = delete;
	NoWindows &operator=(const NoWindows &) = delete;

private:
	DWORD before_ = 0;
};

/* The error of an open that found nothing, or what this user may not look at: no failure. */
bool is_unseen(DWORD error);

/* So that a path is taken as it stands, however long it is. The caller has normalised it. */
std::wstring verbatim(const std::wstring &path);
