#include "access_list.h"

#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

#include "failure.h"
#include "handle.h"

namespace {

std::wstring text_of(PSECURITY_DESCRIPTOR descriptor, SECURITY_INFORMATION parts, const char *step)
{
	Local<LPWSTR> text;
	require(ConvertSecurityDescriptorToStringSecurityDescriptorW(descriptor, SDDL_REVISION_1, parts, text.out(), nullptr), step);
	return text.get();
}

std::wstring read_parts(const std::wstring &path, SECURITY_INFORMATION parts, const char *step)
{
	Local<PSECURITY_DESCRIPTOR> descriptor;
	DWORD error = GetNamedSecurityInfoW(path.c_str(), SE_FILE_OBJECT, parts, nullptr, nullptr, nullptr, nullptr, descriptor.out());
	if (error != ERROR_SUCCESS)
		throw StepFailure(step, error);
	return text_of(descriptor.get(), parts, step);
}

/* Entries of the object's own; what it inherits comes from its folder. */
std::wstring own_entries(const std::wstring &dacl)
{
	std::wstring own;
	for (size_t at = dacl.find(L'('); at != std::wstring::npos;) {
		size_t end = dacl.find(L')', at);
		if (end == std::wstring::npos)
			break;
		std::wstring entry = dacl.substr(at, end - at + 1);
		size_t flags = entry.find(L';');
		if (entry.substr(flags, entry.find(L';', flags + 1) - flags).find(L"ID") == std::wstring::npos)
			own += entry;
		at = dacl.find(L'(', end);
	}
	return own;
}

} // namespace

std::wstring read_access_list(const std::wstring &path)
{
	return read_parts(path, OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, "read_access_list");
}

void write_access_list(const std::wstring &path, const std::wstring &sddl)
{
	const char *step = "write_access_list";
	Local<PSECURITY_DESCRIPTOR> descriptor;
	require(ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl.c_str(), SDDL_REVISION_1, descriptor.out(), nullptr), "parse_descriptor");
	BOOL present = FALSE, defaulted = FALSE;
	PACL dacl = nullptr;
	require(GetSecurityDescriptorDacl(descriptor.get(), &present, &dacl, &defaulted), step);
	if (!present || dacl == nullptr)
		throw StepFailure(step, ERROR_INVALID_ACL, "a list that is absent or null would let everybody do everything");
	std::wstring name = path;
	DWORD error = SetNamedSecurityInfoW(name.data(), SE_FILE_OBJECT, DACL_SECURITY_INFORMATION, nullptr, nullptr, dacl, nullptr);
	if (error != ERROR_SUCCESS)
		throw StepFailure(step, error);
	auto wanted = own_entries(text_of(descriptor.get(), DACL_SECURITY_INFORMATION, step));
	auto found = own_entries(read_parts(path, DACL_SECURITY_INFORMATION, step));
	require_read_back(found == wanted, step, narrow(found));
}
