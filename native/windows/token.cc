#include "token.h"

#include <aclapi.h>
#include <sddl.h>

#include <algorithm>

#include "failure.h"
#include "sid.h"

namespace {

/* What GetTokenInformation gives, as long as the memory lives. */
std::vector<BYTE> information(HANDLE token, TOKEN_INFORMATION_CLASS kind, const char *step)
{
	DWORD size = 0;
	GetTokenInformation(token, kind, nullptr, 0, &size);
	if (size == 0)
		throw StepFailure(step, GetLastError());
	std::vector<BYTE> data(size);
	require(GetTokenInformation(token, kind, data.data(), size, &size), step);
	return data;
}

/* SIDs with the memory that they lie in. */
class Sids {
public:
	explicit Sids(const std::vector<std::wstring> &texts)
	{
		for (const auto &text : texts) {
			PSID sid = nullptr;
			require(ConvertStringSidToSidW(text.c_str(), &sid), "parse_sid");
			entries_.push_back({ sid, 0 });
		}
	}
	Sids(const Sids &) = delete;
	Sids &operator=(const Sids &) = delete;
	~Sids()
	{
		for (auto &entry : entries_)
			LocalFree(entry.Sid);
	}
	DWORD count() const { return static_cast<DWORD>(entries_.size()); }
	PSID_AND_ATTRIBUTES data() { return entries_.empty() ? nullptr : entries_.data(); }

private:
	std::vector<SID_AND_ATTRIBUTES> entries_;
};

void read_back_restricting(HANDLE token, const TokenSpec &spec, const char *step)
{
	std::vector<std::wstring> found;
	DWORD size = 0;
	GetTokenInformation(token, TokenRestrictedSids, nullptr, 0, &size);
	if (size > 0) {
		auto data = information(token, TokenRestrictedSids, step);
		auto *groups = reinterpret_cast<TOKEN_GROUPS *>(data.data());
		for (DWORD i = 0; i < groups->GroupCount; i++)
			found.push_back(sid_text(groups->Groups[i].Sid, step));
	}
	auto wanted = spec.restricting;
	std::sort(found.begin(), found.end());
	std::sort(wanted.begin(), wanted.end());
	require_read_back(found == wanted, step, std::to_string(found.size()) + " restricting SIDs, not " + std::to_string(wanted.size()));
	require_read_back(wanted.empty() || IsTokenRestricted(token), step, "a token without restriction");
}

void read_back_deny_only(HANDLE token, const TokenSpec &spec, const char *step)
{
	auto data = information(token, TokenGroups, step);
	auto *groups = reinterpret_cast<TOKEN_GROUPS *>(data.data());
	for (DWORD i = 0; i < groups->GroupCount; i++) {
		auto sid = sid_text(groups->Groups[i].Sid, step);
		bool wanted = std::find(spec.disable.begin(), spec.disable.end(), sid) != spec.disable.end();
		bool denies = (groups->Groups[i].Attributes & SE_GROUP_USE_FOR_DENY_ONLY) != 0;
		require_read_back(!wanted || denies, step, narrow(sid) + " still allows");
	}
}

void read_back_privileges(HANDLE token, const TokenSpec &spec, const char *step)
{
	auto data = information(token, TokenPrivileges, step);
	auto *privileges = reinterpret_cast<TOKEN_PRIVILEGES *>(data.data());
	for (DWORD i = 0; i < privileges->PrivilegeCount; i++) {
		wchar_t name[64];
		DWORD length = 64;
		require(LookupPrivilegeNameW(nullptr, &privileges->Privileges[i].Luid, name, &length), step);
		bool stays = std::find(spec.privileges.begin(), spec.privileges.end(), name) != spec.privileges.end();
		require_read_back(stays, step, narrow(name) + " is still there");
	}
}

void set_integrity(HANDLE token, const TokenSpec &spec)
{
	const char *step = "token_integrity";
	Sids sids({ spec.integrity });
	TOKEN_MANDATORY_LABEL label = {};
	label.Label.Sid = sids.data()->Sid;
	label.Label.Attributes = SE_GROUP_INTEGRITY;
	require(SetTokenInformation(token, TokenIntegrityLevel, &label, static_cast<DWORD>(sizeof label) + GetLengthSid(label.Label.Sid)), step);
	auto data = information(token, TokenIntegrityLevel, step);
	auto found = sid_text(reinterpret_cast<TOKEN_MANDATORY_LABEL *>(data.data())->Label.Sid, step);
	require_read_back(found == spec.integrity, step, narrow(found));
}

std::wstring dacl_text(PACL acl, const char *step)
{
	SECURITY_DESCRIPTOR descriptor;
	require(InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION), step);
	require(SetSecurityDescriptorDacl(&descriptor, TRUE, acl, FALSE), step);
	Local<LPWSTR> text;
	require(ConvertSecurityDescriptorToStringSecurityDescriptorW(&descriptor, SDDL_REVISION_1, DACL_SECURITY_INFORMATION, text.out(), nullptr), step);
	return text.get();
}

void set_default_dacl(HANDLE token, const TokenSpec &spec)
{
	const char *step = "token_default_dacl";
	Local<PSECURITY_DESCRIPTOR> descriptor;
	require(ConvertStringSecurityDescriptorToSecurityDescriptorW(spec.default_dacl.c_str(), SDDL_REVISION_1, descriptor.out(), nullptr), step);
	BOOL present = FALSE, defaulted = FALSE;
	TOKEN_DEFAULT_DACL dacl = {};
	require(GetSecurityDescriptorDacl(descriptor.get(), &present, &dacl.DefaultDacl, &defaulted), step);
	require(SetTokenInformation(token, TokenDefaultDacl, &dacl, sizeof dacl), step);
	auto data = information(token, TokenDefaultDacl, step);
	auto found = dacl_text(reinterpret_cast<TOKEN_DEFAULT_DACL *>(data.data())->DefaultDacl, step);
	require_read_back(found == dacl_text(dacl.DefaultDacl, step), step, narrow(found));
}

Handle own_token(DWORD access)
{
	Handle token;
	require(OpenProcessToken(GetCurrentProcess(), access, token.out()), "open_process_token");
	return token;
}

} // namespace

Handle restrict_token(const TokenSpec &spec)
{
	Handle own = own_token(TOKEN_DUPLICATE | TOKEN_QUERY | TOKEN_ASSIGN_PRIMARY | TOKEN_ADJUST_DEFAULT);
	Sids disable(spec.disable), restricting(spec.restricting);
	Handle token;
	require(CreateRestrictedToken(own.get(), spec.flags, disable.count(), disable.data(), 0, nullptr, restricting.count(), restricting.data(), token.out()), "create_restricted_token");
	read_back_restricting(token.get(), spec, "token_restricting_sids");
	read_back_deny_only(token.get(), spec, "token_deny_only");
	read_back_privileges(token.get(), spec, "token_privileges");
	if (!spec.integrity.empty())
		set_integrity(token.get(), spec);
	if (!spec.default_dacl.empty())
		set_default_dacl(token.get(), spec);
	return token;
}

void read_back_token(HANDLE token, const TokenSpec &spec, const char *step)
{
	read_back_restricting(token, spec, step);
	read_back_deny_only(token, spec, step);
	read_back_privileges(token, spec, step);
	if (spec.integrity.empty())
		return;
	auto data = information(token, TokenIntegrityLevel, step);
	auto found = sid_text(reinterpret_cast<TOKEN_MANDATORY_LABEL *>(data.data())->Label.Sid, step);
	require_read_back(found == spec.integrity, step, narrow(found));
}

std::wstring user_of(HANDLE token, const char *step)
{
	auto data = information(token, TokenUser, step);
	return sid_text(reinterpret_cast<TOKEN_USER *>(data.data())->User.Sid, step);
}

std::wstring logon_sid()
{
	Handle token = own_token(TOKEN_QUERY);
	auto data = information(token.get(), TokenGroups, "logon_sid");
	auto *groups = reinterpret_cast<TOKEN_GROUPS *>(data.data());
	for (DWORD i = 0; i < groups->GroupCount; i++)
		if ((groups->Groups[i].Attributes & SE_GROUP_LOGON_ID) == SE_GROUP_LOGON_ID)
			return sid_text(groups->Groups[i].Sid, "logon_sid");
	throw StepFailure("logon_sid", ERROR_NOT_FOUND, "this process has no logon session");
}

bool ask_access(HANDLE token, const std::wstring &sddl, DWORD desired)
{
	Local<PSECURITY_DESCRIPTOR> descriptor;
	require(ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl.c_str(), SDDL_REVISION_1, descriptor.out(), nullptr), "parse_descriptor");
	Handle asking;
	require(DuplicateTokenEx(token, TOKEN_QUERY | TOKEN_IMPERSONATE, nullptr, SecurityIdentification, TokenImpersonation, asking.out()), "duplicate_token");
	GENERIC_MAPPING files = { FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_GENERIC_EXECUTE, FILE_ALL_ACCESS };
	MapGenericMask(&desired, &files);
	PRIVILEGE_SET used = {};
	DWORD size = sizeof used, granted = 0;
	BOOL allowed = FALSE;
	require(AccessCheck(descriptor.get(), asking.get(), desired, &files, &used, &size, &granted, &allowed), "access_check");
	return allowed != FALSE;
}
