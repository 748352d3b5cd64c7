#include "descriptor_text.h"

#include <windows.h>

#include <aclapi.h>
#include <sddl.h>

#include <string>

#include "failure.h"
#include "file_identity.h"
#include "handle.h"
#include "sid.h"
#include "unseen.h"
#include "values.h"

namespace {

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

} // namespace

void register_descriptor_text(Napi::Env env, Napi::Object exports)
{
	exports.Set("readDescriptor", Napi::Function::New(env, ReadDescriptor));
}
