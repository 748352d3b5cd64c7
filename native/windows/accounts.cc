#include "accounts.h"

#include <windows.h>

#include <userenv.h>

#include <optional>
#include <vector>

#include "account_names.h"
#include "handle.h"
#include "net_api.h"
#include "sid.h"
#include "work.h"

namespace {

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

} // namespace

void register_accounts(Napi::Env env, Napi::Object exports)
{
	exports.Set("accountPolicy", Napi::Function::New(env, AccountPolicy));
	exports.Set("nameOfSid", Napi::Function::New(env, NameOfSid));
	exports.Set("readAccount", Napi::Function::New(env, ReadAccount));
	exports.Set("addAccount", Napi::Function::New(env, AddAccount));
	exports.Set("setAccount", Napi::Function::New(env, SetAccount));
	exports.Set("removeAccount", Napi::Function::New(env, OfTwo<remove_account>));
	exports.Set("logOn", Napi::Function::New(env, LogOn));
}
