#include "broker.h"

#include <algorithm>
#include <thread>

#include "descriptor.h"
#include "failure.h"
#include "secret.h"
#include "token.h"

/* Of advapi32, which has it by this name only: random bytes. */
extern "C" BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

namespace {

constexpr DWORD CONNECT_MS = 15000;
constexpr DWORD PIPE_BYTES = 1u << 16;
constexpr size_t COPY_BYTES = 1u << 16;

struct Logon {
	std::wstring account, sid, runner, password;
};

/* A text that is gone when it was used. */
void wipe(std::string *text)
{
	SecureZeroMemory(&(*text)[0], text->size());
	text->clear();
}

void wipe(std::wstring *text)
{
	SecureZeroMemory(&(*text)[0], text->size() * sizeof(wchar_t));
	text->clear();
}

Logon receive_logon(Channel &channel)
{
	Frame frame;
	if (!channel.receive(&frame) || frame.type != FrameType::LOGON)
		throw Malformed("a broker is told first whom to log on");
	PayloadReader reader(frame.payload);
	Logon logon;
	logon.account = reader.text();
	logon.sid = reader.text();
	logon.runner = reader.text();
	std::string password = unprotect_secret(reader.rest());
	int size = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, password.data(), static_cast<int>(password.size()), nullptr, 0);
	logon.password.resize(static_cast<size_t>(size));
	MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, password.data(), static_cast<int>(password.size()), &logon.password[0], size);
	wipe(&password);
	return logon;
}

std::wstring random_name()
{
	unsigned char bytes[16];
	require(static_cast<BOOL>(SystemFunction036(bytes, sizeof bytes)), "random");
	static const wchar_t digits[] = L"0123456789abcdef";
	std::wstring name = L"\\\\.\\pipe\\codex-sandbox-";
	for (unsigned char byte : bytes) {
		name += digits[byte >> 4];
		name += digits[byte & 15];
	}
	return name;
}

/* One instance, the first of its name, not reached from other machines; the account may read and write it, and make no instance of its own. */
Handle make_pipe(const std::wstring &name, const std::wstring &account)
{
	Descriptor descriptor(L"D:P(A;;0x12019b;;;" + account + L")");
	SECURITY_ATTRIBUTES attributes = { sizeof attributes, descriptor.get(), FALSE };
	Handle pipe(CreateNamedPipeW(name.c_str(), PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | FILE_FLAG_FIRST_PIPE_INSTANCE, PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS, 1, PIPE_BYTES, PIPE_BYTES, 0, &attributes));
	require(static_cast<BOOL>(static_cast<bool>(pipe)), "create_pipe");
	read_back_list(pipe.get(), SE_KERNEL_OBJECT, descriptor, "pipe_access_list");
	return pipe;
}

BOOL create_process(const Logon &logon, std::wstring *line, STARTUPINFOW *startup, PROCESS_INFORMATION *process)
{
	wchar_t folder[MAX_PATH];
	if (GetSystemDirectoryW(folder, MAX_PATH) == 0)
		return FALSE;
	constexpr DWORD FLAGS = CREATE_NO_WINDOW | CREATE_UNICODE_ENVIRONMENT;
#ifdef CODEX_SANDBOX_TEST_PAST_READ_BACK
	/* Wine logs nobody on: the same program then runs as this process's own user. */
	(void)logon;
	return CreateProcessW(logon.runner.c_str(), &(*line)[0], nullptr, nullptr, FALSE, FLAGS, nullptr, folder, startup, process);
#else
	/* With an environment of that account's own. */
	return CreateProcessWithLogonW(logon.account.c_str(), L".", logon.password.c_str(), LOGON_WITH_PROFILE, logon.runner.c_str(), &(*line)[0], FLAGS, nullptr, folder, startup, process);
#endif
}

class Process {
public:
	explicit Process(const PROCESS_INFORMATION &process) : process_(process.hProcess), pid_(process.dwProcessId) { CloseHandle(process.hThread); }
	Process(const Process &) = delete;
	Process &operator=(const Process &) = delete;
	~Process() { TerminateProcess(process_.get(), ERROR_BROKEN_PIPE); }
	HANDLE get() const { return process_.get(); }
	DWORD pid() const { return pid_; }

private:
	Handle process_;
	DWORD pid_;
};

void wait_for_client(HANDLE pipe, const Process &runner)
{
	const char *step = "pipe_connect";
	Handle event(CreateEventW(nullptr, TRUE, FALSE, nullptr));
	require(static_cast<BOOL>(static_cast<bool>(event)), step);
	OVERLAPPED overlapped = {};
	overlapped.hEvent = event.get();
	if (ConnectNamedPipe(pipe, &overlapped) || GetLastError() == ERROR_PIPE_CONNECTED)
		return;
	require(static_cast<BOOL>(GetLastError() == ERROR_IO_PENDING), step);
	HANDLE both[] = { event.get(), runner.get() };
	DWORD woken = WaitForMultipleObjects(2, both, FALSE, CONNECT_MS);
	if (woken == WAIT_OBJECT_0)
		return;
	CancelIoEx(pipe, &overlapped);
	DWORD done = 0;
	GetOverlappedResult(pipe, &overlapped, &done, TRUE);
	DWORD code = 0;
	GetExitCodeProcess(runner.get(), &code);
	throw StepFailure(step, woken == WAIT_TIMEOUT ? ERROR_TIMEOUT : ERROR_BROKEN_PIPE, woken == WAIT_TIMEOUT ? "the runner does not open its pipe" : "the runner ended with " + std::to_string(code));
}

/* Whoever has the pipe is the very process that was started, and runs as the account that was meant. */
void check_client(HANDLE pipe, const Process &runner, const std::wstring &account)
{
	ULONG client = 0;
	require(GetNamedPipeClientProcessId(pipe, &client), "pipe_client");
	if (client != runner.pid())
		throw StepFailure("pipe_client", ERROR_ACCESS_DENIED, "process " + std::to_string(client) + " opened the pipe of process " + std::to_string(runner.pid()));
	Handle token;
	require(OpenProcessToken(runner.get(), TOKEN_QUERY, token.out()), "pipe_client_account");
	auto user = user_of(token.get(), "pipe_client_account");
	if (user != account)
		throw StepFailure("pipe_client_account", ERROR_ACCESS_DENIED, "it runs as " + narrow(user));
}

void copy(HANDLE from, HANDLE to)
{
	std::vector<char> buffer(COPY_BYTES);
	for (;;) {
		DWORD got = read_some(from, buffer.data(), static_cast<DWORD>(buffer.size()));
		if (got == 0 || !write_whole(to, buffer.data(), got))
			return;
	}
}

} // namespace

void broker(Channel &channel)
{
	auto logon = receive_logon(channel);
	auto name = random_name();
	Handle pipe = make_pipe(name, logon.sid);
	std::wstring line = L"\"" + logon.runner + L"\" --pipe " + name;
	STARTUPINFOW startup = {};
	startup.cb = sizeof startup;
	PROCESS_INFORMATION process = {};
	BOOL created = create_process(logon, &line, &startup, &process);
	DWORD error = GetLastError();
	wipe(&logon.password);
	if (!created)
		throw StepFailure("logon", error);
	Process runner(process);
	wait_for_client(pipe.get(), runner);
	check_client(pipe.get(), runner, logon.sid);
	/* What the runner says last is passed on when Node says no more; what Node says is not waited for when the runner is gone. */
	HANDLE in = channel.in(), out = channel.out(), both = pipe.get();
	std::thread([in, both, end = runner.get()] {
		copy(in, both);
		TerminateProcess(end, ERROR_BROKEN_PIPE);
	}).detach();
	copy(both, out);
}
