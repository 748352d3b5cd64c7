#include "entry.h"

#include <windows.h>

#include <winioctl.h>

#include <string>
#include <vector>

#include "failure.h"
#include "file_identity.h"
#include "handle.h"
#include "unseen.h"
#include "values.h"

namespace {

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

} // namespace

void register_entry(Napi::Env env, Napi::Object exports)
{
	exports.Set("lookAt", Napi::Function::New(env, LookAt));
}
