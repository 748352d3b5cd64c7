// Names of accounts and groups, and whose SIDs they are.
#pragma once

#include <windows.h>

#include <optional>
#include <string>

struct Named {
	std::wstring name, domain;
	SID_NAME_USE use = SidTypeUnknown;
};

/* Nothing where nobody has it. */
std::optional<Named> name_of(PSID sid, const char *step);

struct Looked {
	std::wstring sid;
	SID_NAME_USE use = SidTypeUnknown;
};

/* Nothing where there is none of this name. */
std::optional<Looked> look_up(const std::wstring &name, const char *step);

/* The name with this machine's before it, so that no domain's is meant. */
std::wstring on_this_machine(const std::wstring &name, const char *step);
