#include "objects.h"

#include <windows.h>

#include <optional>
#include <vector>

#include "failure.h"
#include "file_identity.h"
#include "handle.h"
#include "values.h"
#include "work.h"

namespace {

constexpr SECURITY_INFORMATION PARTS = OWNER_SECURITY_INFORMATION | GROUP_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;

struct Object {
	std::string descriptor;
	FileIdentity identity;
	bool is_directory = false, is_link = false;
};

/* On a drive of this machine, taken as it stands. */
std::wstring verbatim(const std::wstring &path)
{
	return L"\\\\?\\" + path;
}

/* Where a folder on the way is a link, what was opened lies elsewhere. */
void refuse_elsewhere(HANDLE file, const std::wstring &path)
{
	const char *step = "final_path";
	DWORD size = GetFinalPathNameByHandleW(file, nullptr, 0, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
	if (size == 0)
		throw StepFailure(step, GetLastError());
	std::wstring found(size, L'\0');
	DWORD length = GetFinalPathNameByHandleW(file, found.data(), size, FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
	if (length == 0 || length >= size)
		throw StepFailure(step, GetLastError());
	found.resize(length);
	std::wstring wanted = verbatim(path);
	if (CompareStringOrdinal(found.c_str(), -1, wanted.c_str(), -1, TRUE) != CSTR_EQUAL)
		throw StepFailure(step, ERROR_CANT_ACCESS_FILE, "the path leads to another place");
}

std::string descriptor_of(HANDLE file, const char *step)
{
	DWORD size = 0;
	GetKernelObjectSecurity(file, PARTS, nullptr, 0, &size);
	if (size == 0)
		throw StepFailure(step, GetLastError());
	std::string data(size, '\0');
	require(GetKernelObjectSecurity(file, PARTS, reinterpret_cast<PSECURITY_DESCRIPTOR>(data.data()), size, &size), step);
	data.resize(size);
	return data;
}

std::optional<Object> read_object(const std::wstring &path)
{
	const char *step = "read_object";
	Handle file(open_itself(verbatim(path), READ_CONTROL | FILE_READ_ATTRIBUTES));
	if (!file) {
		DWORD error = GetLastError();
		if (error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND)
			return std::nullopt;
		throw StepFailure(step, error);
	}
	refuse_elsewhere(file.get(), path);
	FILE_ATTRIBUTE_TAG_INFO about = {};
	require(GetFileInformationByHandleEx(file.get(), FileAttributeTagInfo, &about, sizeof about), step);
	Object object;
	object.descriptor = descriptor_of(file.get(), step);
	object.identity = identity_of(file.get());
	object.is_directory = (about.FileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
	object.is_link = (about.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
	return object;
}

/* What of the control word decides anything. That inheritance was worked out is told as well, and decides nothing. */
constexpr SECURITY_DESCRIPTOR_CONTROL OF_THE_LIST = SE_DACL_PROTECTED;

struct List {
	SECURITY_DESCRIPTOR_CONTROL control = 0;
	std::string entries;
	bool operator==(const List &other) const { return control == other.control && entries == other.entries; }
};

/* Entry by entry: what lies behind the last one is nobody's. */
List list_of(const std::string &bytes, const char *step)
{
	auto *descriptor = reinterpret_cast<PSECURITY_DESCRIPTOR>(const_cast<char *>(bytes.data()));
	if (bytes.size() < SECURITY_DESCRIPTOR_MIN_LENGTH || !IsValidSecurityDescriptor(descriptor))
		throw StepFailure(step, ERROR_INVALID_SECURITY_DESCR);
	List list;
	DWORD revision = 0;
	require(GetSecurityDescriptorControl(descriptor, &list.control, &revision), step);
	list.control &= OF_THE_LIST;
	BOOL present = FALSE, defaulted = FALSE;
	PACL acl = nullptr;
	require(GetSecurityDescriptorDacl(descriptor, &present, &acl, &defaulted), step);
	if (!present || acl == nullptr)
		throw StepFailure(step, ERROR_INVALID_ACL, "a list that is absent or null would let everybody do everything");
	for (DWORD i = 0; i < acl->AceCount; i++) {
		void *ace = nullptr;
		require(GetAce(acl, i, &ace), step);
		list.entries.append(static_cast<const char *>(ace), static_cast<const ACE_HEADER *>(ace)->AceSize);
	}
	return list;
}

/* ERROR_TRANSACTIONAL_CONFLICT, which not all headers have. */
constexpr DWORD CHANGED_MEANWHILE = 6800;

/* One handle for all of it, so that what is compared is what is changed. Not SetSecurityInfo, which makes everything below anew. */
void replace_list(const std::wstring &path, const FileIdentity &identity, const std::string &before, const std::string &after)
{
	const char *step = "replace_list";
	auto wanted = list_of(after, step);
	Handle file(open_itself(verbatim(path), READ_CONTROL | WRITE_DAC | FILE_READ_ATTRIBUTES));
	if (!file)
		throw StepFailure(step, GetLastError());
	refuse_elsewhere(file.get(), path);
	if (!(identity_of(file.get()) == identity) || descriptor_of(file.get(), step) != before)
		throw StepFailure(step, CHANGED_MEANWHILE, "it was changed in the meantime");
	require(SetKernelObjectSecurity(file.get(), DACL_SECURITY_INFORMATION, reinterpret_cast<PSECURITY_DESCRIPTOR>(const_cast<char *>(after.data()))), step);
	auto found = list_of(descriptor_of(file.get(), step), step);
	require_read_back(found == wanted, step, std::to_string(found.entries.size()) + " bytes of entries, not " + std::to_string(wanted.entries.size()));
}

Napi::Value ReadObject(const Napi::CallbackInfo &info)
{
	auto path = wide(info[0]);
	return Work<std::optional<Object>>::start(info.Env(), [path] { return read_object(path); }, [](Napi::Env env, const std::optional<Object> &found) -> Napi::Value {
		if (!found)
			return env.Undefined();
		auto object = Napi::Object::New(env);
		object.Set("descriptor", Napi::Buffer<char>::Copy(env, found->descriptor.data(), found->descriptor.size()));
		object.Set("device", found->identity.device);
		object.Set("inode", found->identity.inode);
		object.Set("isDirectory", Napi::Boolean::New(env, found->is_directory));
		object.Set("isLink", Napi::Boolean::New(env, found->is_link));
		return object;
	});
}

Napi::Value ReplaceList(const Napi::CallbackInfo &info)
{
	auto path = wide(info[0]);
	auto given = info[1].As<Napi::Object>();
	FileIdentity identity = { given.Get("device").As<Napi::String>().Utf8Value(), given.Get("inode").As<Napi::String>().Utf8Value() };
	auto before = bytes(given.Get("descriptor")), after = bytes(info[2]);
	return start_doing(info.Env(), [path, identity, before, after] { replace_list(path, identity, before, after); });
}

} // namespace

void register_objects(Napi::Env env, Napi::Object exports)
{
	exports.Set("readObject", Napi::Function::New(env, ReadObject));
	exports.Set("replaceList", Napi::Function::New(env, ReplaceList));
}
