// The addon's functions, one a step. No policy here: what they are given is a plan that was compiled and judged before. Each failure is an
// Error with `step` and `code`, the error of Windows, 0 where a step did not read back.
#include <napi.h>

#include <memory>

#include "access_list.h"
#include "accounts.h"
#include "descriptor_text.h"
#include "elevation.h"
#include "entry.h"
#include "firewall.h"
#include "groups.h"
#include "logon_rights.h"
#include "logon_screen.h"
#include "machine.h"
#include "objects.h"
#include "places.h"
#include "secret.h"
#include "token.h"
#include "values.h"
#include "version.h"

namespace {

HANDLE token_of(const Napi::Value &value)
{
	return value.IsExternal() ? value.As<Napi::External<Handle>>().Data()->get() : nullptr;
}

Napi::Value RestrictToken(const Napi::CallbackInfo &info)
{
	auto given = info[0].As<Napi::Object>();
	TokenSpec spec;
	spec.flags = static_cast<DWORD>(number(given, "flags"));
	spec.disable = list(given.Get("disable"));
	spec.restricting = list(given.Get("restricting"));
	spec.privileges = list(given.Get("privileges"));
	spec.integrity = wide(given.Get("integrity"));
	spec.default_dacl = wide(given.Get("defaultDacl"));
	auto token = guarded(info.Env(), [&] { return std::make_unique<Handle>(restrict_token(spec)); });
	return Napi::External<Handle>::New(info.Env(), token.release(), [](Napi::Env, Handle *owned) { delete owned; });
}

Napi::Value LogonSid(const Napi::CallbackInfo &info)
{
	return text(info.Env(), guarded(info.Env(), logon_sid));
}

Napi::Value AskAccess(const Napi::CallbackInfo &info)
{
	auto descriptor = wide(info[1]);
	auto desired = info[2].As<Napi::Number>().Uint32Value();
	return Napi::Boolean::New(info.Env(), guarded(info.Env(), [&] { return ask_access(token_of(info[0]), descriptor, desired); }));
}

Napi::Value ReadAccessList(const Napi::CallbackInfo &info)
{
	auto path = wide(info[0]);
	return text(info.Env(), guarded(info.Env(), [&] { return read_access_list(path); }));
}

Napi::Value WriteAccessList(const Napi::CallbackInfo &info)
{
	auto path = wide(info[0]), sddl = wide(info[1]);
	guarded(info.Env(), [&] {
		write_access_list(path, sddl);
		return 0;
	});
	return info.Env().Undefined();
}

Napi::Value ProtectSecret(const Napi::CallbackInfo &info)
{
	auto secret = bytes(info[0]);
	auto blob = guarded(info.Env(), [&] { return protect_secret(secret); });
	return Napi::Buffer<char>::Copy(info.Env(), blob.data(), blob.size());
}

Napi::Value UnprotectSecret(const Napi::CallbackInfo &info)
{
	auto blob = bytes(info[0]);
	auto secret = guarded(info.Env(), [&] { return unprotect_secret(blob); });
	return Napi::Buffer<char>::Copy(info.Env(), secret.data(), secret.size());
}

Napi::Value HandleCount(const Napi::CallbackInfo &info)
{
	DWORD count = 0;
	if (!GetProcessHandleCount(GetCurrentProcess(), &count))
		throw failure(info.Env(), "handle_count failed", "handle_count", GetLastError());
	return Napi::Number::New(info.Env(), count);
}

Napi::Object Init(Napi::Env env, Napi::Object exports)
{
	exports.Set("version", Napi::String::New(env, CODEX_SANDBOX_VERSION_TEXT));
	exports.Set("restrictToken", Napi::Function::New(env, RestrictToken));
	exports.Set("logonSid", Napi::Function::New(env, LogonSid));
	exports.Set("askAccess", Napi::Function::New(env, AskAccess));
	exports.Set("readAccessList", Napi::Function::New(env, ReadAccessList));
	exports.Set("writeAccessList", Napi::Function::New(env, WriteAccessList));
	exports.Set("protectSecret", Napi::Function::New(env, ProtectSecret));
	exports.Set("unprotectSecret", Napi::Function::New(env, UnprotectSecret));
	exports.Set("handleCount", Napi::Function::New(env, HandleCount));
	register_machine(env, exports);
	register_entry(env, exports);
	register_descriptor_text(env, exports);
	register_accounts(env, exports);
	register_groups(env, exports);
	register_logon_rights(env, exports);
	register_logon_screen(env, exports);
	register_firewall(env, exports);
	register_objects(env, exports);
	register_elevation(env, exports);
	register_places(env, exports);
	return exports;
}

} // namespace

NODE_API_MODULE(codex_sandbox, Init)
