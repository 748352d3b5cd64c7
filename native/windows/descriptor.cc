#include "descriptor.h"

#include <aclapi.h>
#include <sddl.h>

#include "failure.h"

namespace {

std::wstring text_of(PACL list, const char *step)
{
	SECURITY_DESCRIPTOR descriptor;
	require(InitializeSecurityDescriptor(&descriptor, SECURITY_DESCRIPTOR_REVISION), step);
	require(SetSecurityDescriptorDacl(&descriptor, TRUE, list, FALSE), step);
	Local<LPWSTR> text;
	require(ConvertSecurityDescriptorToStringSecurityDescriptorW(&descriptor, SDDL_REVISION_1, DACL_SECURITY_INFORMATION, text.out(), nullptr), step);
	return text.get();
}

} // namespace

Descriptor::Descriptor(const std::wstring &sddl)
{
	require(ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl.c_str(), SDDL_REVISION_1, descriptor_.out(), nullptr), "parse_descriptor");
	BOOL present = FALSE, defaulted = FALSE;
	require(GetSecurityDescriptorDacl(descriptor_.get(), &present, &list_, &defaulted), "parse_descriptor");
	if (!present || list_ == nullptr)
		throw StepFailure("parse_descriptor", ERROR_INVALID_ACL, "a list that is absent or null would let everybody do everything");
}

void read_back_list(HANDLE object, SE_OBJECT_TYPE type, const Descriptor &wanted, const char *step)
{
	PACL list = nullptr;
	Local<PSECURITY_DESCRIPTOR> found;
	DWORD error = GetSecurityInfo(object, type, DACL_SECURITY_INFORMATION, nullptr, nullptr, &list, nullptr, found.out());
	require_read_back(error == ERROR_SUCCESS && list != nullptr, step, "no list (" + std::to_string(error) + ")");
	if (error != ERROR_SUCCESS || list == nullptr)
		return;
	auto text = text_of(list, step);
	require_read_back(text == text_of(wanted.list(), step), step, narrow(text));
}

void protect_object(HANDLE object, const Descriptor &wanted, const char *step)
{
	DWORD error = SetSecurityInfo(object, SE_KERNEL_OBJECT, DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION, nullptr, nullptr, wanted.list(), nullptr);
	if (error != ERROR_SUCCESS)
		throw StepFailure(step, error);
	read_back_list(object, SE_KERNEL_OBJECT, wanted, step);
}
