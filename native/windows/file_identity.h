// What a file is, whatever it is called: its volume and its number there.
#pragma once

#include <windows.h>

#include <string>

struct FileIdentity {
	/* In decimal. */
	std::string device, inode;
	bool operator==(const FileIdentity &other) const { return device == other.device && inode == other.inode; }
};

/* Of an open file or folder. Throws StepFailure, `file_identity`. */
FileIdentity identity_of(HANDLE file);

/* Opens what stands at `path` itself, never what it leads to, with `access`; null with GetLastError() where it cannot be. */
HANDLE open_itself(const std::wstring &path, DWORD access);
