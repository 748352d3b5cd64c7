#include "desktop.h"

#include "descriptor.h"
#include "failure.h"

namespace {

/* A service, or a session without a screen, has another one than WinSta0. */
std::wstring name_of_station()
{
	wchar_t name[256] = {};
	require(GetUserObjectInformationW(GetProcessWindowStation(), UOI_NAME, name, sizeof name - sizeof *name, nullptr), "window_station");
	return name;
}

} // namespace

void Desktop::make(const std::wstring &name, const std::wstring &sddl)
{
	Descriptor descriptor(sddl);
	SECURITY_ATTRIBUTES attributes = { sizeof attributes, descriptor.get(), FALSE };
	path_ = name_of_station() + L"\\" + name;
	desktop_ = CreateDesktopW(name.c_str(), nullptr, nullptr, 0, GENERIC_ALL, &attributes);
	require(static_cast<BOOL>(desktop_ != nullptr), "create_desktop");
	read_back_list(desktop_, SE_WINDOW_OBJECT, descriptor, "desktop_access_list");
}
