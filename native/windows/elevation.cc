#include "elevation.h"

#include <windows.h>

#include <objbase.h>
#include <shellapi.h>

#include <memory>

#include "failure.h"
#include "handle.h"
#include "values.h"
#include "work.h"

namespace {

/* The shell asks for COM in the way of windows. */
class Apartment {
public:
	Apartment() : result_(CoInitializeEx(nullptr, COINIT_APARTMENTTHREADED | COINIT_DISABLE_OLE1DDE)) {}
	~Apartment()
	{
		if (SUCCEEDED(result_))
			CoUninitialize();
	}
	Apartment(const Apartment &) = delete;
	Apartment &operator=(const Apartment &) = delete;

private:
	HRESULT result_;
};

/* Waits until it has ended. A refused consent is ERROR_CANCELLED. */
DWORD run_elevated(const std::wstring &file, const std::wstring &parameters, const std::wstring &folder)
{
	const char *step = "run_elevated";
	Apartment apartment;
	SHELLEXECUTEINFOW start = {};
	start.cbSize = sizeof start;
	start.fMask = SEE_MASK_NOCLOSEPROCESS | SEE_MASK_NOASYNC | SEE_MASK_FLAG_NO_UI;
	start.lpVerb = L"runas";
	start.lpFile = file.c_str();
	start.lpParameters = parameters.c_str();
	start.lpDirectory = folder.c_str();
	start.nShow = SW_HIDE;
	require(ShellExecuteExW(&start), step);
	Handle process(start.hProcess);
	if (!process)
		throw StepFailure(step, ERROR_INVALID_HANDLE, "the system names no process");
	if (WaitForSingleObject(process.get(), INFINITE) != WAIT_OBJECT_0)
		throw StepFailure(step, GetLastError());
	DWORD code = 0;
	require(GetExitCodeProcess(process.get(), &code), step);
	return code;
}

Napi::Value RunElevated(const Napi::CallbackInfo &info)
{
	auto file = wide(info[0]), parameters = wide(info[1]), folder = wide(info[2]);
	return Work<DWORD>::start(info.Env(), [file, parameters, folder] { return run_elevated(file, parameters, folder); }, [](Napi::Env env, const DWORD &code) -> Napi::Value { return Napi::Number::New(env, code); });
}

/* Nobody else opens it for writing as long as the handle lives, and with the handle, also with the process, the file goes. */
Handle hold_lock(const std::wstring &path, const std::string &text)
{
	const char *step = "hold_lock";
	Handle file(CreateFileW(path.c_str(), GENERIC_WRITE | DELETE, FILE_SHARE_READ, nullptr, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL | FILE_FLAG_DELETE_ON_CLOSE | FILE_FLAG_OPEN_REPARSE_POINT, nullptr));
	if (!file)
		throw StepFailure(step, GetLastError());
	require(SetEndOfFile(file.get()), step);
	DWORD written = 0;
	require(WriteFile(file.get(), text.data(), static_cast<DWORD>(text.size()), &written, nullptr), step);
	return file;
}

Napi::Value HoldLock(const Napi::CallbackInfo &info)
{
	auto path = wide(info[0]);
	auto text = info[1].As<Napi::String>().Utf8Value();
	auto lock = guarded(info.Env(), [&] { return std::make_unique<Handle>(hold_lock(path, text)); });
	return Napi::External<Handle>::New(info.Env(), lock.release(), [](Napi::Env, Handle *owned) { delete owned; });
}

Napi::Value ReleaseLock(const Napi::CallbackInfo &info)
{
	if (info[0].IsExternal())
		info[0].As<Napi::External<Handle>>().Data()->reset();
	return info.Env().Undefined();
}

} // namespace

void register_elevation(Napi::Env env, Napi::Object exports)
{
	exports.Set("runElevated", Napi::Function::New(env, RunElevated));
	exports.Set("holdLock", Napi::Function::New(env, HoldLock));
	exports.Set("releaseLock", Napi::Function::New(env, ReleaseLock));
}
