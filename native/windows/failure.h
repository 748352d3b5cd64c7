// A step that failed, or that did not read back: its name, the error of Windows, and what was found instead.
#pragma once

#include <windows.h>

#include <stdexcept>
#include <string>

/* For a message: what is not ASCII becomes a question mark. */
inline std::string narrow(const std::wstring &text)
{
	std::string letters;
	for (wchar_t letter : text)
		letters.push_back(letter < 0x80 ? static_cast<char>(letter) : '?');
	return letters;
}

class StepFailure : public std::runtime_error {
public:
	StepFailure(const char *step, DWORD code, const std::string &detail = "")
		: std::runtime_error(std::string(step) + " failed (" + std::to_string(code) + ")" + (detail.empty() ? "" : ": " + detail)), step_(step), code_(code), detail_(detail)
	{
	}
	const char *step() const { return step_; }
	DWORD code() const { return code_; }
	const std::string &detail() const { return detail_; }

private:
	const char *step_;
	DWORD code_;
	std::string detail_;
};

/* For a step that went through and left something else than was asked for. A build for tests of the plumbing alone goes on: Wine takes most
 * calls and does nothing. It is never shipped. */
void require_read_back(bool as_asked, const char *step, const std::string &found);

inline void require(BOOL done, const char *step)
{
	if (!done)
		throw StepFailure(step, GetLastError());
}
