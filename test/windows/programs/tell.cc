// What the tests run. `args …`: its arguments as the C library reads them, one a line, as UTF-8. `env NAME`: a variable. `cwd`. `exit N`. `cat`: its
// input. `flood N`: so many bytes. `sleep`: for ever. `tree FILE`: starts a child that sleeps, writes its process id into FILE, and sleeps; `leave FILE`
// ends with 7 instead. `make FILE`. `away`: tries to start a process outside of its job. `handles`, `handles-of PID`: how many. `end PID` and
// `look-into PID`: whether it may. `eat N`: memory. `spin`: for ever. `desktop`: its name. `--pipe NAME`: has another process open that pipe. What
// fails ends with the error of Windows. For tests only.
#include <windows.h>
#include <stdlib.h>
#include <wchar.h>
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

/* Some errors say nothing. */
int failed()
{
	DWORD error = GetLastError();
	return error != 0 ? static_cast<int>(error) : 99;
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
		return static_cast<int>(wcstoul(argv[2], nullptr, 10));
	if (what == L"cat") {
		char buffer[4096];
		for (DWORD got = 0, put = 0; ReadFile(GetStdHandle(STD_INPUT_HANDLE), buffer, sizeof buffer, &got, nullptr) && got > 0;)
			WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), buffer, got, &put, nullptr);
		return 0;
	}
	if (what == L"cwd") {
		wchar_t folder[1024];
		GetCurrentDirectoryW(1024, folder);
		print(folder);
		return 0;
	}
	if (what == L"flood" && argc > 2) {
		std::string piece(4096, 'x');
		DWORD put = 0;
		for (long left = _wtol(argv[2]); left > 0; left -= static_cast<long>(put))
			if (!WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), piece.data(), left < 4096 ? static_cast<DWORD>(left) : 4096u, &put, nullptr))
				return failed();
		return 0;
	}
	if (what == L"sleep")
		Sleep(INFINITE);
	if ((what == L"tree" || what == L"leave") && argc > 2) {
		DWORD child = start(self, L"sleep", 0);
		if (child == 0)
			return 4;
		if (!make(argv[2], std::to_string(child)))
			return 5;
		if (what == L"leave")
			return 7;
		Sleep(INFINITE);
	}
	if (what == L"handles" || (what == L"handles-of" && argc > 2)) {
		HANDLE process = argc > 2 ? OpenProcess(PROCESS_QUERY_INFORMATION, FALSE, static_cast<DWORD>(_wtol(argv[2]))) : GetCurrentProcess();
		DWORD count = 0;
		if (process == nullptr || !GetProcessHandleCount(process, &count))
			return failed();
		print(std::to_wstring(count).c_str());
		return 0;
	}
	if (what == L"end" && argc > 2) {
		HANDLE process = OpenProcess(PROCESS_TERMINATE, FALSE, static_cast<DWORD>(_wtol(argv[2])));
		return process != nullptr && TerminateProcess(process, 1) ? 0 : failed();
	}
	if (what == L"look-into" && argc > 2)
		return OpenProcess(PROCESS_VM_READ, FALSE, static_cast<DWORD>(_wtol(argv[2]))) != nullptr ? 0 : failed();
	if (what == L"eat" && argc > 2) {
		auto *memory = static_cast<volatile char *>(VirtualAlloc(nullptr, static_cast<SIZE_T>(_wtol(argv[2])), MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE));
		return memory != nullptr ? 0 : failed();
	}
	if (what == L"spin")
		for (volatile int i = 0;; i = i + 1) {
		}
	if (what == L"desktop") {
		wchar_t name[256] = {};
		if (!GetUserObjectInformationW(GetThreadDesktop(GetCurrentThreadId()), UOI_NAME, name, sizeof name - sizeof *name, nullptr))
			return failed();
		print(name);
		return 0;
	}
	if (what == L"--pipe" && argc > 2)
		return start(self, std::wstring(L"connect ") + argv[2], 0) != 0 ? (Sleep(INFINITE), 0) : failed();
	if (what == L"connect" && argc > 2) {
		HANDLE pipe = CreateFileW(argv[2], FILE_READ_DATA | FILE_WRITE_DATA | SYNCHRONIZE, 0, nullptr, OPEN_EXISTING, 0, nullptr);
		if (pipe == INVALID_HANDLE_VALUE)
			return failed();
		Sleep(2000);
		return 0;
	}
	if (what == L"make" && argc > 2)
		return make(argv[2], "") ? 0 : static_cast<int>(GetLastError());
	if (what == L"away")
		return start(self, L"exit 0", CREATE_BREAKAWAY_FROM_JOB) != 0 ? 0 : static_cast<int>(GetLastError());
	return 2;
}
