#include "logon_rights.h"

#include <windows.h>

#include <ntsecapi.h>

#include <vector>

#include "failure.h"
#include "sid.h"
#include "work.h"

namespace {

class LocalPolicy {
public:
	LocalPolicy(ACCESS_MASK access, const char *step)
	{
		LSA_OBJECT_ATTRIBUTES attributes = {};
		attributes.Length = sizeof attributes;
		NTSTATUS status = LsaOpenPolicy(nullptr, &attributes, access, &handle_);
		if (status != 0)
			throw StepFailure(step, LsaNtStatusToWinError(status));
	}
	LocalPolicy(const LocalPolicy &) = delete;
	LocalPolicy &operator=(const LocalPolicy &) = delete;
	~LocalPolicy() { LsaClose(handle_); }
	LSA_HANDLE get() const { return handle_; }

private:
	LSA_HANDLE handle_ = nullptr;
};

std::vector<std::wstring> read_rights(const std::wstring &sid)
{
	const char *step = "read_rights";
	LocalPolicy policy(POLICY_LOOKUP_NAMES | POLICY_VIEW_LOCAL_INFORMATION, step);
	PLSA_UNICODE_STRING rights = nullptr;
	ULONG count = 0;
	NTSTATUS status = LsaEnumerateAccountRights(policy.get(), Sid(sid, step).get(), &rights, &count);
	DWORD error = LsaNtStatusToWinError(status);
	/* One that has none is not known there. */
	if (error == ERROR_FILE_NOT_FOUND)
		return {};
	if (status != 0)
		throw StepFailure(step, error);
	std::vector<std::wstring> names;
	for (ULONG i = 0; i < count; i++)
		names.emplace_back(rights[i].Buffer, rights[i].Length / sizeof(wchar_t));
	LsaFreeMemory(rights);
	return names;
}

std::vector<LSA_UNICODE_STRING> as_rights(std::vector<std::wstring> &names)
{
	std::vector<LSA_UNICODE_STRING> rights;
	for (auto &name : names)
		rights.push_back({ static_cast<USHORT>(name.size() * sizeof(wchar_t)), static_cast<USHORT>((name.size() + 1) * sizeof(wchar_t)), name.data() });
	return rights;
}

void add_rights(const std::wstring &sid, std::vector<std::wstring> names)
{
	const char *step = "add_rights";
	LocalPolicy policy(POLICY_LOOKUP_NAMES | POLICY_CREATE_ACCOUNT, step);
	auto rights = as_rights(names);
	NTSTATUS status = LsaAddAccountRights(policy.get(), Sid(sid, step).get(), rights.data(), static_cast<ULONG>(rights.size()));
	if (status != 0)
		throw StepFailure(step, LsaNtStatusToWinError(status));
}

void remove_rights(const std::wstring &sid, std::vector<std::wstring> names)
{
	const char *step = "remove_rights";
	LocalPolicy policy(POLICY_LOOKUP_NAMES | POLICY_CREATE_ACCOUNT, step);
	auto rights = as_rights(names);
	NTSTATUS status = LsaRemoveAccountRights(policy.get(), Sid(sid, step).get(), FALSE, rights.data(), static_cast<ULONG>(rights.size()));
	DWORD error = LsaNtStatusToWinError(status);
	if (status != 0 && error != ERROR_FILE_NOT_FOUND)
		throw StepFailure(step, error);
}

Napi::Value ReadRights(const Napi::CallbackInfo &info)
{
	auto sid = wide(info[0]);
	return Work<std::vector<std::wstring>>::start(info.Env(), [sid] { return read_rights(sid); }, [](Napi::Env env, const std::vector<std::wstring> &rights) -> Napi::Value { return texts(env, rights); });
}

} // namespace

void register_logon_rights(Napi::Env env, Napi::Object exports)
{
	exports.Set("readRights", Napi::Function::New(env, ReadRights));
	exports.Set("addRights", Napi::Function::New(env, OfList<add_rights>));
	exports.Set("removeRights", Napi::Function::New(env, OfList<remove_rights>));
}
