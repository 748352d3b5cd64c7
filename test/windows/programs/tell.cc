// What the tests run. `args …`: its arguments as the C library reads them, one a line, as UTF-8. `env NAME`: a variable. `exit N`. `cat`: its
// input. `sleep`: for ever. `tree FILE`: starts a child that sleeps, writes its process id into FILE, and sleeps. `make FILE`. `away`: tries to
// start a process outside of its job. For tests only.
#include <windows.h>
#include <stdio.h>
#include <string>

namespace {

void print(const wchar_t *text)
{
	int size = WideCharToMultiByte(CP_UTF8, 0, text, -1, nullptr, 0, nullptr, nullptr);
	std::string utf8(static_cast<size_t>(size), '\0');
	WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8.data(), size, nullptr, nullptr);
	DWORD put = 0;
	WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), utf8.data(), static_cast<DWORD>(size - 1), &put, nullptr);
}

/* The new process's id, or 0. */
DWORD start(const wchar_t *program, const std::wstring &rest, DWORD flags)
{
	std::wstring line = L"\"" + std::wstring(program) + L"\" " + rest;
	STARTUPINFOW startup = {};
	startup.cb = sizeof startup;
	PROCESS_INFORMATION process = {};
	return CreateProcessW(program, line.data(), nullptr, nullptr, FALSE, flags, nullptr, nullptr, &startup, &process) ? process.dwProcessId : 0;
}

/* Whole at once: whoever waits for the name finds the text. */
bool make(const std::wstring &file, const std::string &text)
{
	std::wstring part = file + L".part";
	HANDLE handle = CreateFileW(part.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_ALWAYS, 0, nullptr);
	if (handle == INVALID_HANDLE_VALUE)
		return false;
	DWORD put = 0;
	WriteFile(handle, text.data(), static_cast<DWORD>(text.size()), &put, nullptr);
	CloseHandle(handle);
	return MoveFileExW(part.c_str(), file.c_str(), MOVEFILE_REPLACE_EXISTING) != FALSE;
}

} // namespace

int wmain(int argc, wchar_t **argv)
{
	std::wstring what = argc > 1 ? argv[1] : L"";
	wchar_t self[MAX_PATH];
	GetModuleFileNameW(nullptr, self, MAX_PATH);
	if (what == L"args") {
		for (int i = 2; i < argc; i++) {
			print(argv[i]);
			print(L"\n");
		}
		return 0;
	}
	if (what == L"env" && argc > 2) {
		wchar_t value[4096];
		if (GetEnvironmentVariableW(argv[2], value, 4096) == 0)
			return 3;
		print(value);
		return 0;
	}
	if (what == L"exit" && argc > 2)
		return _wtoi(argv[2]);
	if (what == L"cat") {
		char buffer[4096];
		for (DWORD got = 0, put = 0; ReadFile(GetStdHandle(STD_INPUT_HANDLE), buffer, sizeof buffer, &got, nullptr) && got > 0;)
			WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), buffer, got, &put, nullptr);
		return 0;
	}
	if (what == L"sleep")
		Sleep(INFINITE);
	if (what == L"tree" && argc > 2) {
		DWORD child = start(self, L"sleep", 0);
		if (child == 0)
			return 4;
		if (!make(argv[2], std::to_string(child)))
			return 5;
		Sleep(INFINITE);
	}
	if (what == L"make" && argc > 2)
		return make(argv[2], "") ? 0 : static_cast<int>(GetLastError());
	if (what == L"away")
		return start(self, L"exit 0", CREATE_BREAKAWAY_FROM_JOB) != 0 ? 0 : static_cast<int>(GetLastError());
	return 2;
}
