#include "machine.h"

#include <windows.h>

#include <shlobj.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "failure.h"
#include "handle.h"
#include "sid.h"
#include "unseen.h"
#include "values.h"

namespace {

struct Account {
	std::wstring name, domain, sid;
	bool elevated = false;
};

Account own_account()
{
	const char *step = "own_account";
	Handle token;
	require(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, token.out()), step);
	DWORD size = 0;
	GetTokenInformation(token.get(), TokenUser, nullptr, 0, &size);
	std::vector<BYTE> data(size > 0 ? size : 1);
	require(GetTokenInformation(token.get(), TokenUser, data.data(), size, &size), step);
	PSID sid = reinterpret_cast<TOKEN_USER *>(data.data())->User.Sid;
	Account account;
	account.sid = sid_text(sid, step);
	wchar_t name[256], domain[256];
	DWORD name_size = 256, domain_size = 256;
	SID_NAME_USE use;
	require(LookupAccountSidW(nullptr, sid, name, &name_size, domain, &domain_size, &use), step);
	account.name = name;
	account.domain = domain;
	TOKEN_ELEVATION elevation = {};
	require(GetTokenInformation(token.get(), TokenElevation, &elevation, sizeof elevation, &size), step);
	account.elevated = elevation.TokenIsElevated != 0;
	return account;
}

/* Undefined where this machine has none. */
Napi::Value known_folder(Napi::Env env, const KNOWNFOLDERID &which)
{
	PWSTR path = nullptr;
	HRESULT result = SHGetKnownFolderPath(which, KF_FLAG_DONT_VERIFY, nullptr, &path);
	std::unique_ptr<wchar_t, void (*)(void *)> owned(path, CoTaskMemFree);
	return SUCCEEDED(result) && path != nullptr ? Napi::Value(text(env, path)) : env.Undefined();
}

/* Names of WindowsDrive's kinds; null: nothing that files could be on. */
const char *drive_kind(UINT type)
{
	switch (type) {
	case DRIVE_REMOVABLE: return "removable";
	case DRIVE_FIXED: return "fixed";
	case DRIVE_REMOTE: return "remote";
	case DRIVE_CDROM: return "optical";
	case DRIVE_RAMDISK: return "memory";
	default: return nullptr;
	}
}

/* Where `subst` has made a letter another name of a folder: that folder. */
std::optional<std::wstring> substituted(const std::wstring &letter)
{
	wchar_t device[1024];
	if (QueryDosDeviceW(letter.c_str(), device, 1024) == 0)
		return std::nullopt;
	std::wstring target = device;
	return target.rfind(L"\\??\\", 0) == 0 && target.rfind(L"\\??\\Volume{", 0) != 0 ? std::optional(target.substr(4)) : std::nullopt;
}

Napi::Array drives(Napi::Env env)
{
	auto found = Napi::Array::New(env);
	DWORD letters = GetLogicalDrives();
	for (int i = 0; i < 26; i++) {
		if ((letters & (1u << i)) == 0)
			continue;
		std::wstring letter = { static_cast<wchar_t>(L'A' + i), L':' }, root = letter + L"\\";
		const char *kind = drive_kind(GetDriveTypeW(root.c_str()));
		if (kind == nullptr)
			continue;
		wchar_t file_system[64] = L"";
		DWORD serial = 0;
		bool ready = GetVolumeInformationW(root.c_str(), nullptr, 0, &serial, nullptr, nullptr, file_system, 64);
		DWORD error = ready ? ERROR_SUCCESS : GetLastError();
		/* A reader without a disk, a locked volume: nothing can be there as it is. */
		if (error == ERROR_NOT_READY || error == ERROR_UNRECOGNIZED_VOLUME || error == 0x80310000)
			continue;
		auto drive = Napi::Object::New(env);
		drive.Set("letter", text(env, letter));
		drive.Set("kind", kind);
		drive.Set("fileSystem", ready ? text(env, file_system) : Napi::String::New(env, "unknown"));
		drive.Set("serial", std::to_string(serial));
		if (auto target = substituted(letter))
			drive.Set("substituted", text(env, *target));
		found.Set(found.Length(), drive);
	}
	return found;
}

/* Of the machine, whatever this program was built for. */
const char *architecture()
{
	using Ask = BOOL(WINAPI *)(HANDLE, USHORT *, USHORT *);
	auto ask = reinterpret_cast<Ask>(reinterpret_cast<void *>(GetProcAddress(GetModuleHandleW(L"kernel32.dll"), "IsWow64Process2")));
	USHORT process = 0, native = 0;
	if (ask != nullptr && ask(GetCurrentProcess(), &process, &native)) {
		if (native == IMAGE_FILE_MACHINE_ARM64)
			return "arm64";
		if (native == IMAGE_FILE_MACHINE_AMD64)
			return "x64";
	}
	SYSTEM_INFO system;
	GetNativeSystemInfo(&system);
	return system.wProcessorArchitecture == PROCESSOR_ARCHITECTURE_AMD64 ? "x64" : system.wProcessorArchitecture == PROCESSOR_ARCHITECTURE_ARM64 ? "arm64" : "other";
}

Napi::Value MachineFacts(const Napi::CallbackInfo &info)
{
	auto env = info.Env();
	NoWindows quiet;
	auto account = guarded(env, own_account);
	wchar_t root[MAX_PATH];
	if (GetSystemWindowsDirectoryW(root, MAX_PATH) == 0)
		throw failure(env, "system_root failed", "system_root", GetLastError());
	auto user = Napi::Object::New(env);
	user.Set("name", text(env, account.name));
	user.Set("domain", text(env, account.domain));
	user.Set("sid", text(env, account.sid));
	auto facts = Napi::Object::New(env);
	facts.Set("user", user);
	facts.Set("isElevated", Napi::Boolean::New(env, account.elevated));
	facts.Set("systemRoot", text(env, root));
	facts.Set("profile", known_folder(env, FOLDERID_Profile));
	facts.Set("publicFolder", known_folder(env, FOLDERID_Public));
	facts.Set("programData", known_folder(env, FOLDERID_ProgramData));
	facts.Set("programFiles", known_folder(env, FOLDERID_ProgramFiles));
	facts.Set("programFilesX86", known_folder(env, FOLDERID_ProgramFilesX86));
	facts.Set("architecture", architecture());
	facts.Set("drives", drives(env));
	return facts;
}

} // namespace

void register_machine(Napi::Env env, Napi::Object exports)
{
	exports.Set("machineFacts", Napi::Function::New(env, MachineFacts));
}
