#include "process.h"

#include <algorithm>
#include <thread>

#include "failure.h"

namespace {

/* Ours; the other end goes to the command. */
struct Pipe {
	Handle ours, theirs;
};

Pipe make_pipe(bool they_write)
{
	SECURITY_ATTRIBUTES inherited = { sizeof inherited, nullptr, TRUE };
	Handle read, write;
	require(CreatePipe(read.out(), write.out(), &inherited, 0), "create_pipe");
	Pipe pipe;
	pipe.ours = they_write ? std::move(read) : std::move(write);
	pipe.theirs = they_write ? std::move(write) : std::move(read);
	require(SetHandleInformation(pipe.ours.get(), HANDLE_FLAG_INHERIT, 0), "create_pipe");
	return pipe;
}

/* Sorted without regard to case, as Windows looks names up. */
std::wstring environment_block(std::vector<std::wstring> variables)
{
	std::sort(variables.begin(), variables.end(), [](const std::wstring &a, const std::wstring &b) { return CompareStringOrdinal(a.c_str(), -1, b.c_str(), -1, TRUE) == CSTR_LESS_THAN; });
	std::wstring block;
	for (const auto &variable : variables)
		block.append(variable).push_back(L'\0');
	if (variables.empty())
		block.push_back(L'\0');
	block.push_back(L'\0');
	return block;
}

Handle make_job(const JobSpec &spec)
{
	Handle job(CreateJobObjectW(nullptr, nullptr));
	require(static_cast<BOOL>(job.get() != nullptr), "create_job");
	JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {}, found = {};
	limits.BasicLimitInformation.LimitFlags = spec.flags | (spec.memory ? JOB_OBJECT_LIMIT_JOB_MEMORY : 0u) | (spec.processes ? JOB_OBJECT_LIMIT_ACTIVE_PROCESS : 0u) | (spec.user_time ? JOB_OBJECT_LIMIT_PROCESS_TIME : 0u);
	limits.BasicLimitInformation.ActiveProcessLimit = spec.processes;
	limits.BasicLimitInformation.PerProcessUserTimeLimit.QuadPart = spec.user_time;
	limits.JobMemoryLimit = spec.memory;
	require(SetInformationJobObject(job.get(), JobObjectExtendedLimitInformation, &limits, sizeof limits), "job_limits");
	require(QueryInformationJobObject(job.get(), JobObjectExtendedLimitInformation, &found, sizeof found, nullptr), "job_limits");
	const auto &wanted = limits.BasicLimitInformation, &held = found.BasicLimitInformation;
	bool same = held.LimitFlags == wanted.LimitFlags && (!spec.processes || held.ActiveProcessLimit == spec.processes) && (!spec.memory || found.JobMemoryLimit == spec.memory) && (!spec.user_time || held.PerProcessUserTimeLimit.QuadPart == spec.user_time);
	require_read_back(same, "job_limits", "flags " + std::to_string(held.LimitFlags) + ", not " + std::to_string(wanted.LimitFlags));
	if (spec.user_interface != 0) {
		JOBOBJECT_BASIC_UI_RESTRICTIONS restrictions = { spec.user_interface }, kept = {};
		require(SetInformationJobObject(job.get(), JobObjectBasicUIRestrictions, &restrictions, sizeof restrictions), "job_user_interface");
		bool read = QueryInformationJobObject(job.get(), JobObjectBasicUIRestrictions, &kept, sizeof kept, nullptr) != FALSE;
		require_read_back(read && kept.UIRestrictionsClass == spec.user_interface, "job_user_interface", "other restrictions");
	}
	return job;
}

/* What a new process gets: these three handles and no others, and the job from its first instruction on. */
class Attributes {
public:
	Attributes(HANDLE *handles, size_t count, HANDLE *job)
	{
		SIZE_T size = 0;
		InitializeProcThreadAttributeList(nullptr, 2, 0, &size);
		memory_.resize(size);
		require(InitializeProcThreadAttributeList(list(), 2, 0, &size), "process_attributes");
		made_ = true;
		require(UpdateProcThreadAttribute(list(), 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST, handles, count * sizeof *handles, nullptr, nullptr), "process_attributes");
		require(UpdateProcThreadAttribute(list(), 0, PROC_THREAD_ATTRIBUTE_JOB_LIST, job, sizeof *job, nullptr, nullptr), "process_attributes");
	}
	Attributes(const Attributes &) = delete;
	Attributes &operator=(const Attributes &) = delete;
	~Attributes()
	{
		if (made_)
			DeleteProcThreadAttributeList(list());
	}
	LPPROC_THREAD_ATTRIBUTE_LIST list() { return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data()); }

private:
	std::vector<BYTE> memory_;
	bool made_ = false;
};

void read_all(HANDLE from, std::string *into, size_t most)
{
	char buffer[16384];
	for (DWORD got = 0; ReadFile(from, buffer, sizeof buffer, &got, nullptr) && got > 0;)
		if (into->size() < most)
			into->append(buffer, std::min<size_t>(got, most - into->size()));
}

/* A command that closes its input does not want the rest. */
void write_all(Handle to, const std::string &data)
{
	for (size_t done = 0; done < data.size();) {
		DWORD put = 0;
		if (!WriteFile(to.get(), data.data() + done, static_cast<DWORD>(std::min<size_t>(data.size() - done, 1 << 16)), &put, nullptr))
			return;
		done += put;
	}
}

constexpr UINT TIMED_OUT = 124;
constexpr UINT KILLED = 137;

} // namespace

void Command::start(HANDLE token, const CommandSpec &spec)
{
	spec_ = spec;
	Handle job = make_job(spec.job);
	Pipe in = make_pipe(false), out = make_pipe(true), err = make_pipe(true);
	HANDLE handles[] = { in.theirs.get(), out.theirs.get(), err.theirs.get() };
	HANDLE job_handle = job.get();
	Attributes attributes(handles, 3, &job_handle);
	STARTUPINFOEXW startup = {};
	startup.StartupInfo.cb = sizeof startup;
	startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
	startup.StartupInfo.hStdInput = handles[0];
	startup.StartupInfo.hStdOutput = handles[1];
	startup.StartupInfo.hStdError = handles[2];
	startup.lpAttributeList = attributes.list();
	std::wstring line = spec.line, block = environment_block(spec.environment);
	const wchar_t *cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str();
	DWORD flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT | CREATE_NO_WINDOW;
	PROCESS_INFORMATION process = {};
	BOOL done = token == nullptr ? CreateProcessW(spec.application.c_str(), line.data(), nullptr, nullptr, TRUE, flags, block.data(), cwd, &startup.StartupInfo, &process)
				     : CreateProcessAsUserW(token, spec.application.c_str(), line.data(), nullptr, nullptr, TRUE, flags, block.data(), cwd, &startup.StartupInfo, &process);
	require(done, "exec");
	CloseHandle(process.hThread);
	Handle started(process.hProcess);
	BOOL inside = FALSE;
	if (!IsProcessInJob(started.get(), job.get(), &inside) || !inside) {
		TerminateProcess(started.get(), KILLED);
		throw StepFailure("process_in_job", GetLastError(), "the command is not in its job");
	}
	std::lock_guard<std::mutex> guard(lock_);
	job_ = std::move(job);
	process_ = std::move(started);
	input_ = std::move(in.ours);
	output_ = std::move(out.ours);
	errors_ = std::move(err.ours);
	if (killed_)
		TerminateJobObject(job_.get(), KILLED);
}

CommandResult Command::wait()
{
	CommandResult result;
	std::thread writer([this, input = std::move(input_)]() mutable { write_all(std::move(input), spec_.input); });
	std::thread reader([this, &result] { read_all(output_.get(), &result.output, spec_.most_bytes); });
	std::thread other([this, &result] { read_all(errors_.get(), &result.errors, spec_.most_bytes); });
	DWORD waited = WaitForSingleObject(process_.get(), spec_.timeout_ms);
	result.timed_out = waited == WAIT_TIMEOUT;
	/* What it left behind would hold the pipes open. */
	TerminateJobObject(job_.get(), result.timed_out ? TIMED_OUT : KILLED);
	WaitForSingleObject(process_.get(), INFINITE);
	writer.join();
	reader.join();
	other.join();
	require(GetExitCodeProcess(process_.get(), &result.exit_code), "exit_code");
	if (result.timed_out)
		result.exit_code = TIMED_OUT;
	return result;
}

void Command::kill()
{
	std::lock_guard<std::mutex> guard(lock_);
	killed_ = true;
	if (job_)
		TerminateJobObject(job_.get(), KILLED);
}
