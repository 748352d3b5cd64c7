#include "logon_screen.h"

#include <windows.h>

#include "failure.h"
#include "work.h"

namespace {

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

Napi::Value IsHidden(const Napi::CallbackInfo &info)
{
	auto name = wide(info[0]);
	return Work<bool>::start(info.Env(), [name] { return is_hidden(name); }, [](Napi::Env env, const bool &hidden) -> Napi::Value { return Napi::Boolean::New(env, hidden); });
}

} // namespace

void register_logon_screen(Napi::Env env, Napi::Object exports)
{
	exports.Set("isHidden", Napi::Function::New(env, IsHidden));
	exports.Set("hide", Napi::Function::New(env, OfOne<hide>));
	exports.Set("unhide", Napi::Function::New(env, OfOne<unhide>));
}
