// A desktop of the sandbox's own: its commands see no window of the user's, and can send none a message.
#pragma once

#include <windows.h>

#include <string>

class Desktop {
public:
	Desktop() = default;
	Desktop(const Desktop &) = delete;
	Desktop &operator=(const Desktop &) = delete;
	~Desktop()
	{
		if (desktop_ != nullptr)
			CloseDesktop(desktop_);
	}

	/* On this process's window station. The list of `sddl` is read back. Throws StepFailure. */
	void make(const std::wstring &name, const std::wstring &sddl);
	/* `WinSta0\name`, as STARTUPINFO takes it. */
	const std::wstring &path() const { return path_; }

private:
	HDESK desktop_ = nullptr;
	std::wstring path_;
};
