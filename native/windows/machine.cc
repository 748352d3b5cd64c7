#include "machine.h"

#include <windows.h>

#include <aclapi.h>
#include <sddl.h>
#include <shlobj.h>
#include <winioctl.h>

#include <memory>
#include <optional>

#include "failure.h"
#include "file_identity.h"
#include "handle.h"
#include "sid.h"
#include "values.h"

namespace {

/* A volume that is not ready answers with an error, and not with a window that asks for it. */
class NoWindows {
public:
	NoWindows() { SetThreadErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX, &before_); }
	~NoWindows() { SetThreadErrorMode(before_, nullptr); }
	NoWindows(const NoWindows &) = delete;
	NoWindows &operator=(const NoWindows &) = delete;

private:
	DWORD before_ = 0;
};

/* Not there, or not to be looked at by this user: no failure, but nothing. */
bool is_unseen(DWORD error)
{
	switch (error) {
	case ERROR_FILE_NOT_FOUND:
	case ERROR_PATH_NOT_FOUND:
	case ERROR_ACCESS_DENIED:
	case ERROR_SHARING_VIOLATION:
	case ERROR_NOT_READY:
	case ERROR_INVALID_NAME:
	case ERROR_BAD_NETPATH:
	case ERROR_BAD_NET_NAME:
	case ERROR_BAD_PATHNAME:
	case ERROR_DIRECTORY:
	case ERROR_FILENAME_EXCED_RANGE:
	case ERROR_INVALID_DRIVE:
	case ERROR_CANT_ACCESS_FILE:
	case ERROR_UNRECOGNIZED_VOLUME:
	case ERROR_DELETE_PENDING:
		return true;
	default:
		return false;
	}
}

/* So that a path is taken as it stands, however long it is. The caller has normalised it. */
std::wstring verbatim(const std::wstring &path)
{
	if (path.rfind(L"\\\\?\\", 0) == 0)
		return path;
	return path.rfind(L"\\\\", 0) == 0 ? L"\\\\?\\UNC\\" + path.substr(2) : L"\\\\?\\" + path;
}

/* ---- lookAt ---- */

/* REPARSE_DATA_BUFFER, which only the driver kit's headers have. */
struct ReparseHead {
	ULONG tag;
	USHORT size, reserved;
	USHORT substitute_offset, substitute_size, print_offset, print_size;
};
static_assert(sizeof(ReparseHead) == 16, "as [MS-FSCC] 2.1.2 has it");

/* Of a symbolic link or junction: where it leads, as the file system has it. */
std::wstring target_of(HANDLE file, ULONG tag)
{
	std::vector<BYTE> data(MAXIMUM_REPARSE_DATA_BUFFER_SIZE);
	DWORD size = 0;
	require(DeviceIoControl(file, FSCTL_GET_REPARSE_POINT, nullptr, 0, data.data(), static_cast<DWORD>(data.size()), &size, nullptr), "read_link");
	auto *head = reinterpret_cast<const ReparseHead *>(data.data());
	/* A symbolic link has four bytes of flags more than a junction. */
	size_t names = sizeof *head + (tag == IO_REPARSE_TAG_SYMLINK ? 4 : 0);
	size_t first = names + head->substitute_offset, count = head->substitute_size;
	if (size < sizeof *head || head->tag != tag || first + count > size)
		throw StepFailure("read_link", ERROR_INVALID_REPARSE_DATA);
	return std::wstring(reinterpret_cast<const wchar_t *>(data.data() + first), count / sizeof(wchar_t));
}

/* Tags that WSL and sockets have, from [MS-FSCC] 2.1.2.1. */
constexpr ULONG TAG_AF_UNIX = 0x80000023, TAG_LX_FIFO = 0x80000024, TAG_APP_EXEC_LINK = 0x8000001B;

/* Names of EntryKind. What else stands for another file is a device: nothing is known of where it leads. */
const char *kind_of(DWORD attributes, ULONG tag)
{
	if (attributes & FILE_ATTRIBUTE_REPARSE_POINT) {
		if (tag == IO_REPARSE_TAG_SYMLINK || tag == IO_REPARSE_TAG_MOUNT_POINT)
			return "symlink";
		if (tag == TAG_AF_UNIX)
			return "socket";
		if (tag == TAG_LX_FIFO)
			return "fifo";
		if (IsReparseTagNameSurrogate(tag) || tag == TAG_APP_EXEC_LINK)
			return "device";
	}
	return attributes & FILE_ATTRIBUTE_DIRECTORY ? "directory" : attributes & FILE_ATTRIBUTE_DEVICE ? "device" : "file";
}

/* { kind, device, inode, target?, isDirectory }, or undefined */
Napi::Value LookAt(const Napi::CallbackInfo &info)
{
	auto env = info.Env();
	auto path = verbatim(wide(info[0]));
	NoWindows quiet;
	Handle file(open_itself(path, FILE_READ_ATTRIBUTES));
	if (!file) {
		DWORD error = GetLastError();
		if (is_unseen(error))
			return env.Undefined();
		throw failure(env, "look_at failed (" + std::to_string(error) + ")", "look_at", error);
	}
	return guarded(env, [&] {
		FILE_ATTRIBUTE_TAG_INFO about = {};
		require(GetFileInformationByHandleEx(file.get(), FileAttributeTagInfo, &about, sizeof about), "look_at");
		auto identity = identity_of(file.get());
		std::string kind = kind_of(about.FileAttributes, about.ReparseTag);
		auto entry = Napi::Object::New(env);
		entry.Set("kind", kind);
		entry.Set("device", identity.device);
		entry.Set("inode", identity.inode);
		entry.Set("isDirectory", Napi::Boolean::New(env, (about.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0));
		if (kind == "symlink")
			entry.Set("target", text(env, target_of(file.get(), about.ReparseTag)));
		return Napi::Value(entry);
	});
}

/* ---- readDescriptor ---- */

/* Two letters for a SID (`BA`, `LA`), or the SID itself: in full. Those that depend on a domain mean nothing elsewhere. */
std::wstring sid_in_full(const std::wstring &written)
{
	const char *step = "sid_in_full";
	return sid_text(Sid(written, step).get(), step);
}

bool is_alias(const std::wstring &sddl, size_t at)
{
	auto upper = [&](size_t i) { return i < sddl.size() && sddl[i] >= L'A' && sddl[i] <= L'Z'; };
	return upper(at) && upper(at + 1);
}

/* The same descriptor with every SID in full: `O:` and `G:`, and the sixth field of each entry. */
std::wstring in_full(const std::wstring &sddl)
{
	std::wstring full;
	int depth = 0, field = 0;
	bool quoted = false;
	for (size_t i = 0; i < sddl.size();) {
		wchar_t letter = sddl[i];
		bool is_sid = false;
		if (letter == L'"')
			quoted = !quoted;
		else if (!quoted && letter == L'(')
			depth++, field = depth == 1 ? 0 : field;
		else if (!quoted && letter == L')')
			depth--;
		else if (!quoted && depth == 1 && letter == L';')
			is_sid = ++field == 5;
		else if (depth == 0 && letter == L':' && i > 0)
			is_sid = sddl[i - 1] == L'O' || sddl[i - 1] == L'G';
		full += letter;
		i++;
		if (is_sid && is_alias(sddl, i)) {
			full += sid_in_full(sddl.substr(i, 2));
			i += 2;
		}
	}
	return full;
}

/* SDDL, or undefined */
Napi::Value ReadDescriptor(const Napi::CallbackInfo &info)
{
	auto env = info.Env();
	auto path = verbatim(wide(info[0]));
	NoWindows quiet;
	Handle file(open_itself(path, READ_CONTROL));
	DWORD error = file ? ERROR_SUCCESS : GetLastError();
	if (!file && is_unseen(error))
		return env.Undefined();
	return guarded(env, [&] {
		const char *step = "read_descriptor";
		if (error != ERROR_SUCCESS)
			throw StepFailure(step, error);
		SECURITY_INFORMATION parts = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | LABEL_SECURITY_INFORMATION;
		Local<PSECURITY_DESCRIPTOR> descriptor;
		DWORD failed = GetSecurityInfo(file.get(), SE_FILE_OBJECT, parts, nullptr, nullptr, nullptr, nullptr, descriptor.out());
		if (failed != ERROR_SUCCESS)
			throw StepFailure(step, failed);
		Local<LPWSTR> sddl;
		require(ConvertSecurityDescriptorToStringSecurityDescriptorW(descriptor.get(), SDDL_REVISION_1, parts, sddl.out(), nullptr), step);
		return Napi::Value(text(env, in_full(sddl.get())));
	});
}

/* ---- machineFacts ---- */

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
	exports.Set("lookAt", Napi::Function::New(env, LookAt));
	exports.Set("readDescriptor", Napi::Function::New(env, ReadDescriptor));
}
