// Runs a program with pipes of Windows and copies what it writes to the handles that this one was given: under Wine, Node cannot use pipes of
// Unix as its own. Ends with the program's exit code. For tests only.
#include <windows.h>
#include <string>

namespace {

struct Copy {
	HANDLE from, to;
};

DWORD WINAPI copy(void *argument)
{
	auto *both = static_cast<Copy *>(argument);
	char buffer[8192];
	for (DWORD got = 0; ReadFile(both->from, buffer, sizeof buffer, &got, nullptr) && got > 0;) {
		for (DWORD done = 0, put = 0; done < got && WriteFile(both->to, buffer + done, got - done, &put, nullptr); done += put) {
		}
	}
	return 0;
}

/* Behind this program's own name. */
wchar_t *rest_of_line()
{
	wchar_t *at = GetCommandLineW();
	for (bool quoted = false; *at && (quoted || *at != L' '); at++)
		if (*at == L'"')
			quoted = !quoted;
	while (*at == L' ')
		at++;
	return at;
}

} // namespace

int wmain()
{
	SECURITY_ATTRIBUTES inherited = { sizeof inherited, nullptr, TRUE };
	HANDLE read[2], write[2];
	for (int i = 0; i < 2; i++) {
		if (!CreatePipe(&read[i], &write[i], &inherited, 0))
			return 125;
		SetHandleInformation(read[i], HANDLE_FLAG_INHERIT, 0);
	}
	STARTUPINFOW start = {};
	start.cb = sizeof start;
	start.dwFlags = STARTF_USESTDHANDLES;
	start.hStdInput = CreateFileW(L"NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited, OPEN_EXISTING, 0, nullptr);
	start.hStdOutput = write[0];
	start.hStdError = write[1];
	std::wstring line = rest_of_line();
	PROCESS_INFORMATION process = {};
	if (!CreateProcessW(nullptr, line.data(), nullptr, nullptr, TRUE, 0, nullptr, nullptr, &start, &process))
		return 126;
	CloseHandle(write[0]);
	CloseHandle(write[1]);
	Copy copies[2] = { { read[0], GetStdHandle(STD_OUTPUT_HANDLE) }, { read[1], GetStdHandle(STD_ERROR_HANDLE) } };
	HANDLE threads[2] = { CreateThread(nullptr, 0, copy, &copies[0], 0, nullptr), CreateThread(nullptr, 0, copy, &copies[1], 0, nullptr) };
	WaitForSingleObject(process.hProcess, INFINITE);
	WaitForMultipleObjects(2, threads, TRUE, 5000);
	DWORD code = 0;
	GetExitCodeProcess(process.hProcess, &code);
	return static_cast<int>(code);
}
