#include "accounts.h"

#include <windows.h>

#include <lm.h>
#include <ntsecapi.h>
#include <sddl.h>
#include <userenv.h>

#include <optional>
#include <vector>

#include "failure.h"
#include "handle.h"
#include "values.h"
#include "work.h"

namespace {

/* What the network functions made. */
template <typename T> class NetBuffer {
public:
	NetBuffer() = default;
	NetBuffer(const NetBuffer &) = delete;
	NetBuffer &operator=(const NetBuffer &) = delete;
	~NetBuffer()
	{
		if (data_ != nullptr)
			NetApiBufferFree(data_);
	}
	LPBYTE *out() { return reinterpret_cast<LPBYTE *>(&data_); }
	T *get() const { return data_; }

private:
	T *data_ = nullptr;
};

void require_net(NET_API_STATUS status, const char *step)
{
	if (status != NERR_Success)
		throw StepFailure(step, status);
}

std::wstring text_of(const wchar_t *text)
{
	return text == nullptr ? std::wstring() : std::wstring(text);
}

std::wstring sid_text(PSID sid, const char *step)
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

struct Named {
	std::wstring name, domain;
	SID_NAME_USE use = SidTypeUnknown;
};

/* Nothing where nobody has it. */
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

struct Looked {
	std::wstring sid;
	SID_NAME_USE use = SidTypeUnknown;
};

/* Nothing where there is none of this name. */
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

/* ---- what the machine allows ---- */

struct Policy {
	bool is_domain_controller = false;
	std::optional<std::wstring> domain;
	DWORD least_characters = 0;
};

bool is_domain_controller()
{
	using Ask = LONG(WINAPI *)(OSVERSIONINFOEXW *);
	auto ask = reinterpret_cast<Ask>(reinterpret_cast<void *>(GetProcAddress(GetModuleHandleW(L"ntdll.dll"), "RtlGetVersion")));
	OSVERSIONINFOEXW version = {};
	version.dwOSVersionInfoSize = sizeof version;
	if (ask == nullptr || ask(&version) != 0)
		throw StepFailure("windows_version", ERROR_NOT_SUPPORTED);
	return version.wProductType == VER_NT_DOMAIN_CONTROLLER;
}

Policy account_policy()
{
	Policy policy;
	policy.is_domain_controller = is_domain_controller();
	NetBuffer<wchar_t> name;
	NETSETUP_JOIN_STATUS status = NetSetupUnknownStatus;
	require_net(NetGetJoinInformation(nullptr, reinterpret_cast<LPWSTR *>(name.out()), &status), "join_information");
	if (status == NetSetupDomainName)
		policy.domain = text_of(name.get());
	NetBuffer<USER_MODALS_INFO_0> modals;
	require_net(NetUserModalsGet(nullptr, 0, modals.out()), "password_policy");
	policy.least_characters = modals.get()->usrmod0_min_passwd_len;
	return policy;
}

/* ---- groups ---- */

struct Group {
	std::wstring sid, comment;
	std::vector<std::wstring> members;
};

std::optional<Group> read_group(const std::wstring &name)
{
	const char *step = "read_group";
	auto looked = look_up(on_this_machine(name, step), step);
	if (!looked)
		return std::nullopt;
	if (looked->use != SidTypeAlias)
		throw StepFailure(step, ERROR_ALIAS_EXISTS, "something of this name is there that is no local group");
	Group group;
	group.sid = looked->sid;
	NetBuffer<LOCALGROUP_INFO_1> about;
	require_net(NetLocalGroupGetInfo(nullptr, name.c_str(), 1, about.out()), step);
	group.comment = text_of(about.get()->lgrpi1_comment);
	NetBuffer<LOCALGROUP_MEMBERS_INFO_0> members;
	DWORD count = 0, total = 0;
	require_net(NetLocalGroupGetMembers(nullptr, name.c_str(), 0, members.out(), MAX_PREFERRED_LENGTH, &count, &total, nullptr), step);
	for (DWORD i = 0; i < count; i++)
		group.members.push_back(sid_text(members.get()[i].lgrmi0_sid, step));
	return group;
}

void add_group(std::wstring name, std::wstring comment)
{
	LOCALGROUP_INFO_1 group = { name.data(), comment.data() };
	require_net(NetLocalGroupAdd(nullptr, 1, reinterpret_cast<LPBYTE>(&group), nullptr), "add_group");
}

/* Built-in groups have other names in other languages. */
std::wstring group_name(const std::wstring &sid, const char *step)
{
	auto named = name_of(Sid(sid, step).get(), step);
	if (!named)
		throw StepFailure(step, ERROR_NO_SUCH_ALIAS);
	return named->name;
}

void add_member(const std::wstring &group, const std::wstring &member)
{
	const char *step = "add_member";
	auto name = group_name(group, step);
	Sid sid(member, step);
	LOCALGROUP_MEMBERS_INFO_0 one = { sid.get() };
	NET_API_STATUS status = NetLocalGroupAddMembers(nullptr, name.c_str(), 0, reinterpret_cast<LPBYTE>(&one), 1);
	if (status != ERROR_MEMBER_IN_ALIAS)
		require_net(status, step);
}

void remove_member(const std::wstring &group, const std::wstring &member)
{
	const char *step = "remove_member";
	auto name = group_name(group, step);
	Sid sid(member, step);
	LOCALGROUP_MEMBERS_INFO_0 one = { sid.get() };
	NET_API_STATUS status = NetLocalGroupDelMembers(nullptr, name.c_str(), 0, reinterpret_cast<LPBYTE>(&one), 1);
	if (status != ERROR_MEMBER_NOT_IN_ALIAS)
		require_net(status, step);
}

/* ---- accounts ---- */

struct Account {
	std::wstring sid, comment;
	DWORD flags = 0;
	std::vector<std::wstring> groups;
};

std::optional<Account> read_account(const std::wstring &name)
{
	const char *step = "read_account";
	auto looked = look_up(on_this_machine(name, step), step);
	if (!looked)
		return std::nullopt;
	if (looked->use != SidTypeUser)
		throw StepFailure(step, ERROR_USER_EXISTS, "something of this name is there that is no account");
	Account account;
	account.sid = looked->sid;
	NetBuffer<USER_INFO_1> about;
	NET_API_STATUS status = NetUserGetInfo(nullptr, name.c_str(), 1, about.out());
	if (status == NERR_UserNotFound)
		return std::nullopt;
	require_net(status, step);
	account.comment = text_of(about.get()->usri1_comment);
	account.flags = about.get()->usri1_flags;
	NetBuffer<LOCALGROUP_USERS_INFO_0> groups;
	DWORD count = 0, total = 0;
	require_net(NetUserGetLocalGroups(nullptr, name.c_str(), 0, LG_INCLUDE_INDIRECT, groups.out(), MAX_PREFERRED_LENGTH, &count, &total), step);
	for (DWORD i = 0; i < count; i++) {
		auto group = look_up(groups.get()[i].lgrui0_name, step);
		if (!group)
			throw StepFailure(step, ERROR_NO_SUCH_ALIAS);
		account.groups.push_back(group->sid);
	}
	return account;
}

/* A password is not left in memory longer than it is used. */
class Password {
public:
	explicit Password(std::wstring text) : text_(std::move(text)) {}
	Password(const Password &) = default;
	~Password() { SecureZeroMemory(text_.data(), text_.size() * sizeof(wchar_t)); }
	Password &operator=(const Password &) = delete;
	wchar_t *data() { return text_.data(); }
	const wchar_t *c_str() const { return text_.c_str(); }

private:
	std::wstring text_;
};

void add_account(std::wstring name, std::wstring comment, DWORD flags, Password password)
{
	USER_INFO_1 account = {};
	account.usri1_name = name.data();
	account.usri1_password = password.data();
	account.usri1_priv = USER_PRIV_USER;
	account.usri1_comment = comment.data();
	account.usri1_flags = flags | UF_NORMAL_ACCOUNT;
	require_net(NetUserAdd(nullptr, 1, reinterpret_cast<LPBYTE>(&account), nullptr), "add_account");
}

void set_account(const std::wstring &name, DWORD flags, std::optional<Password> password)
{
	const char *step = "set_account";
	if (password) {
		USER_INFO_1003 set = { password->data() };
		require_net(NetUserSetInfo(nullptr, name.c_str(), 1003, reinterpret_cast<LPBYTE>(&set), nullptr), step);
	}
	USER_INFO_1008 set = { flags | UF_NORMAL_ACCOUNT };
	require_net(NetUserSetInfo(nullptr, name.c_str(), 1008, reinterpret_cast<LPBYTE>(&set), nullptr), step);
}

/* Its profile first: afterwards nobody would know whose that folder was. An account that never ran anything has none. */
void remove_account(const std::wstring &name, const std::wstring &sid)
{
	if (!DeleteProfileW(sid.c_str(), nullptr, nullptr)) {
		DWORD error = GetLastError();
		if (error != ERROR_FILE_NOT_FOUND && error != ERROR_PATH_NOT_FOUND && error != ERROR_INVALID_PARAMETER)
			throw StepFailure("delete_profile", error, "commands of this account may still run: end them");
	}
	NET_API_STATUS status = NetUserDel(nullptr, name.c_str());
	if (status != NERR_UserNotFound)
		require_net(status, "remove_account");
}

/* Whom the system took the password for. */
std::wstring log_on(const std::wstring &name, const Password &password)
{
	const char *step = "log_on";
	Handle token;
	require(LogonUserW(name.c_str(), L".", password.c_str(), LOGON32_LOGON_INTERACTIVE, LOGON32_PROVIDER_DEFAULT, token.out()), step);
	DWORD size = 0;
	GetTokenInformation(token.get(), TokenUser, nullptr, 0, &size);
	if (size == 0)
		throw StepFailure(step, GetLastError(), "what it gave is no token");
	std::vector<BYTE> data(size);
	require(GetTokenInformation(token.get(), TokenUser, data.data(), size, &size), step);
	return sid_text(reinterpret_cast<TOKEN_USER *>(data.data())->User.Sid, step);
}

/* ---- rights to log on ---- */

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

/* ---- the logon screen ---- */

constexpr const wchar_t *USER_LIST = L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\Winlogon\\SpecialAccounts\\UserList";

class Key {
public:
	Key() = default;
	Key(const Key &) = delete;
	Key &operator=(const Key &) = delete;
	~Key()
	{
		if (key_ != nullptr)
			RegCloseKey(key_);
	}
	HKEY *out() { return &key_; }
	HKEY get() const { return key_; }

private:
	HKEY key_ = nullptr;
};

void require_registry(LSTATUS status, const char *step)
{
	if (status != ERROR_SUCCESS)
		throw StepFailure(step, static_cast<DWORD>(status));
}

bool is_hidden(const std::wstring &name)
{
	DWORD value = 1, size = sizeof value;
	LSTATUS status = RegGetValueW(HKEY_LOCAL_MACHINE, USER_LIST, name.c_str(), RRF_RT_REG_DWORD | RRF_SUBKEY_WOW6464KEY, nullptr, &value, &size);
	if (status == ERROR_FILE_NOT_FOUND)
		return false;
	require_registry(status, "is_hidden");
	return value == 0;
}

void hide(const std::wstring &name)
{
	const char *step = "hide";
	Key key;
	require_registry(RegCreateKeyExW(HKEY_LOCAL_MACHINE, USER_LIST, 0, nullptr, 0, KEY_SET_VALUE | KEY_WOW64_64KEY, nullptr, key.out(), nullptr), step);
	DWORD hidden = 0;
	require_registry(RegSetValueExW(key.get(), name.c_str(), 0, REG_DWORD, reinterpret_cast<const BYTE *>(&hidden), sizeof hidden), step);
}

void unhide(const std::wstring &name)
{
	const char *step = "unhide";
	Key key;
	LSTATUS status = RegOpenKeyExW(HKEY_LOCAL_MACHINE, USER_LIST, 0, KEY_SET_VALUE | KEY_WOW64_64KEY, key.out());
	if (status == ERROR_SUCCESS)
		status = RegDeleteValueW(key.get(), name.c_str());
	if (status != ERROR_FILE_NOT_FOUND)
		require_registry(status, step);
}

/* ---- to JavaScript ---- */

Napi::Array texts(Napi::Env env, const std::vector<std::wstring> &values)
{
	auto array = Napi::Array::New(env, values.size());
	for (size_t i = 0; i < values.size(); i++)
		array.Set(static_cast<uint32_t>(i), text(env, values[i]));
	return array;
}

Napi::Value AccountPolicy(const Napi::CallbackInfo &info)
{
	return Work<Policy>::start(info.Env(), account_policy, [](Napi::Env env, const Policy &found) -> Napi::Value {
		auto policy = Napi::Object::New(env);
		policy.Set("isDomainController", Napi::Boolean::New(env, found.is_domain_controller));
		policy.Set("domain", found.domain ? Napi::Value(text(env, *found.domain)) : env.Undefined());
		policy.Set("leastPasswordCharacters", Napi::Number::New(env, found.least_characters));
		return policy;
	});
}

Napi::Value NameOfSid(const Napi::CallbackInfo &info)
{
	auto sid = wide(info[0]);
	return Work<std::optional<Named>>::start(info.Env(), [sid] { return name_of(Sid(sid, "name_of_sid").get(), "name_of_sid"); }, [](Napi::Env env, const std::optional<Named> &found) -> Napi::Value {
		if (!found)
			return env.Undefined();
		return text(env, found->domain.empty() ? found->name : found->domain + L"\\" + found->name);
	});
}

Napi::Value ReadGroup(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return Work<std::optional<Group>>::start(info.Env(), [name] { return read_group(name); }, [](Napi::Env env, const std::optional<Group> &found) -> Napi::Value {
		if (!found)
			return env.Undefined();
		auto group = Napi::Object::New(env);
		group.Set("sid", text(env, found->sid));
		group.Set("comment", text(env, found->comment));
		group.Set("members", texts(env, found->members));
		return group;
	});
}

Napi::Value ReadAccount(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return Work<std::optional<Account>>::start(info.Env(), [name] { return read_account(name); }, [](Napi::Env env, const std::optional<Account> &found) -> Napi::Value {
		if (!found)
			return env.Undefined();
		auto account = Napi::Object::New(env);
		account.Set("sid", text(env, found->sid));
		account.Set("comment", text(env, found->comment));
		account.Set("flags", Napi::Number::New(env, found->flags));
		account.Set("groups", texts(env, found->groups));
		return account;
	});
}

Napi::Value AddAccount(const Napi::CallbackInfo &info)
{
	auto given = info[0].As<Napi::Object>();
	auto name = wide(given.Get("name")), comment = wide(given.Get("comment"));
	auto flags = static_cast<DWORD>(number(given, "flags"));
	Password password(wide(given.Get("password")));
	return start_doing(info.Env(), [name, comment, flags, password] { add_account(name, comment, flags, password); });
}

Napi::Value SetAccount(const Napi::CallbackInfo &info)
{
	auto given = info[0].As<Napi::Object>();
	auto name = wide(given.Get("name"));
	auto flags = static_cast<DWORD>(number(given, "flags"));
	std::optional<Password> password;
	if (given.Get("password").IsString())
		password.emplace(wide(given.Get("password")));
	return start_doing(info.Env(), [name, flags, password] { set_account(name, flags, password); });
}

Napi::Value LogOn(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	Password password(wide(info[1]));
	return Work<std::wstring>::start(info.Env(), [name, password] { return log_on(name, password); }, [](Napi::Env env, const std::wstring &sid) -> Napi::Value { return text(env, sid); });
}

Napi::Value ReadRights(const Napi::CallbackInfo &info)
{
	auto sid = wide(info[0]);
	return Work<std::vector<std::wstring>>::start(info.Env(), [sid] { return read_rights(sid); }, [](Napi::Env env, const std::vector<std::wstring> &rights) -> Napi::Value { return texts(env, rights); });
}

Napi::Value IsHidden(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return Work<bool>::start(info.Env(), [name] { return is_hidden(name); }, [](Napi::Env env, const bool &hidden) -> Napi::Value { return Napi::Boolean::New(env, hidden); });
}

/* Functions that take one text, or two, and only do something. */
template <void Do(const std::wstring &)> Napi::Value OfOne(const Napi::CallbackInfo &info)
{
	auto one = wide(info[0]);
	return start_doing(info.Env(), [one] { Do(one); });
}

template <void Do(const std::wstring &, const std::wstring &)> Napi::Value OfTwo(const Napi::CallbackInfo &info)
{
	auto one = wide(info[0]), two = wide(info[1]);
	return start_doing(info.Env(), [one, two] { Do(one, two); });
}

template <void Do(const std::wstring &, std::vector<std::wstring>)> Napi::Value OfList(const Napi::CallbackInfo &info)
{
	auto one = wide(info[0]);
	auto more = list(info[1]);
	return start_doing(info.Env(), [one, more] { Do(one, more); });
}

void make_group(const std::wstring &name, const std::wstring &comment)
{
	add_group(name, comment);
}

void remove_group(const std::wstring &name)
{
	NET_API_STATUS status = NetLocalGroupDel(nullptr, name.c_str());
	if (status != NERR_GroupNotFound && status != ERROR_NO_SUCH_ALIAS)
		require_net(status, "remove_group");
}

} // namespace

void register_accounts(Napi::Env env, Napi::Object exports)
{
	exports.Set("accountPolicy", Napi::Function::New(env, AccountPolicy));
	exports.Set("nameOfSid", Napi::Function::New(env, NameOfSid));
	exports.Set("readGroup", Napi::Function::New(env, ReadGroup));
	exports.Set("addGroup", Napi::Function::New(env, OfTwo<make_group>));
	exports.Set("removeGroup", Napi::Function::New(env, OfOne<remove_group>));
	exports.Set("addMember", Napi::Function::New(env, OfTwo<add_member>));
	exports.Set("removeMember", Napi::Function::New(env, OfTwo<remove_member>));
	exports.Set("readAccount", Napi::Function::New(env, ReadAccount));
	exports.Set("addAccount", Napi::Function::New(env, AddAccount));
	exports.Set("setAccount", Napi::Function::New(env, SetAccount));
	exports.Set("removeAccount", Napi::Function::New(env, OfTwo<remove_account>));
	exports.Set("logOn", Napi::Function::New(env, LogOn));
	exports.Set("readRights", Napi::Function::New(env, ReadRights));
	exports.Set("addRights", Napi::Function::New(env, OfList<add_rights>));
	exports.Set("removeRights", Napi::Function::New(env, OfList<remove_rights>));
	exports.Set("isHidden", Napi::Function::New(env, IsHidden));
	exports.Set("hide", Napi::Function::New(env, OfOne<hide>));
	exports.Set("unhide", Napi::Function::New(env, OfOne<unhide>));
}
