// The token that commands run with.
#pragma once

#include <string>
#include <vector>

#include "handle.h"

struct TokenSpec {
	/* Of CreateRestrictedToken. */
	DWORD flags = 0;
	/* SIDs as text. */
	std::vector<std::wstring> disable, restricting;
	/* Names of the privileges that stay. */
	std::vector<std::wstring> privileges;
	std::wstring integrity;
	/* SDDL. */
	std::wstring default_dacl;
};

/* A restricted form of this process's own token. Each part is read back. Throws StepFailure. */
Handle restrict_token(const TokenSpec &spec);

/* Whether a token, such as that of a process that was just made with it, has all of `spec` that can be looked up. Throws StepFailure. */
void read_back_token(HANDLE token, const TokenSpec &spec, const char *step);

/* The SID of this process's logon session, as text. Throws StepFailure. */
std::wstring logon_sid();

/* The SID of the account that `token` is of, as text. Throws StepFailure `step`. */
std::wstring user_of(HANDLE token, const char *step);

/* Whether `token` gets `desired` to an object with that descriptor: the system's own answer. Throws StepFailure. */
bool ask_access(HANDLE token, const std::wstring &sddl, DWORD desired);
