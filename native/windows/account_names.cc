#include "account_names.h"

#include <vector>

#include "failure.h"
#include "sid.h"

std::optional<Named> name_of(PSID sid, const char *step)
{
	wchar_t name[512], domain[512];
	DWORD name_size = 512, domain_size = 512;
	Named found;
	if (!LookupAccountSidW(nullptr, sid, name, &name_size, domain, &domain_size, &found.use)) {
		if (GetLastError() == ERROR_NONE_MAPPED)
			return std::nullopt;
		throw StepFailure(step, GetLastError());
	}
	found.name = name;
	found.domain = domain;
	return found;
}

std::wstring on_this_machine(const std::wstring &name, const char *step)
{
	wchar_t machine[MAX_COMPUTERNAME_LENGTH + 1];
	DWORD size = MAX_COMPUTERNAME_LENGTH + 1;
	require(GetComputerNameW(machine, &size), step);
	return std::wstring(machine) + L"\\" + name;
}

std::optional<Looked> look_up(const std::wstring &name, const char *step)
{
	std::vector<BYTE> sid(SECURITY_MAX_SID_SIZE);
	wchar_t domain[512];
	DWORD sid_size = static_cast<DWORD>(sid.size()), domain_size = 512;
	Looked found;
	if (!LookupAccountNameW(nullptr, name.c_str(), sid.data(), &sid_size, domain, &domain_size, &found.use)) {
		if (GetLastError() == ERROR_NONE_MAPPED)
			return std::nullopt;
		throw StepFailure(step, GetLastError());
	}
	found.sid = sid_text(sid.data(), step);
	return found;
}
