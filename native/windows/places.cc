#include "places.h"

#include <windows.h>

#include <memory>

#include "failure.h"
#include "file_identity.h"
#include "handle.h"
#include "values.h"

namespace {

/* Others may read and write it, and hold it as well. Whoever wants to remove or move it is told that it is in use: only who asks for no more
 * than attributes passes by such a hold, so this one asks for the names or bytes in it. */
Handle hold(const std::wstring &path)
{
	Handle place(CreateFileW(path.c_str(), FILE_READ_DATA | FILE_READ_ATTRIBUTES, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
	require(static_cast<BOOL>(static_cast<bool>(place)), "hold_place");
	return place;
}

/* { device, inode, release(): void } */
Napi::Value HoldPlace(const Napi::CallbackInfo &info)
{
	auto env = info.Env();
	auto path = wide(info[0]);
	auto held = std::make_shared<Handle>();
	auto identity = guarded(env, [&] {
		*held = hold(path);
		return identity_of(held->get());
	});
	auto place = Napi::Object::New(env);
	place.Set("device", Napi::String::New(env, identity.device));
	place.Set("inode", Napi::String::New(env, identity.inode));
	place.Set("release", Napi::Function::New(env, [held](const Napi::CallbackInfo &) { held->reset(); }));
	return place;
}

} // namespace

void register_places(Napi::Env env, Napi::Object exports)
{
	exports.Set("holdPlace", Napi::Function::New(env, HoldPlace));
}
