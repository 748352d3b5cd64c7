#include "job.h"

#include <algorithm>

#include "failure.h"

namespace {

constexpr size_t MOST_PROCESSES_NAMED = 64;

/* Empty where it may not be looked at. */
std::wstring file_of(DWORD pid)
{
	Handle process(OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid));
	wchar_t path[1024];
	DWORD length = 1024;
	return process && QueryFullProcessImageNameW(process.get(), 0, path, &length) ? std::wstring(path, length) : std::wstring();
}

/* The system's own, of a console: it goes with the last process that uses that. */
bool is_console_host(const std::wstring &file)
{
	wchar_t folder[MAX_PATH];
	UINT length = GetSystemDirectoryW(folder, MAX_PATH);
	std::wstring host = std::wstring(folder, length) + L"\\conhost.exe";
	return CompareStringOrdinal(file.c_str(), -1, host.c_str(), -1, TRUE) == CSTR_EQUAL;
}

std::string name_of(const std::wstring &file)
{
	std::wstring name = file.empty() ? L"?" : file.substr(file.find_last_of(L"\\/") + 1);
	int size = WideCharToMultiByte(CP_UTF8, 0, name.data(), static_cast<int>(name.size()), nullptr, 0, nullptr, nullptr);
	std::string utf8(static_cast<size_t>(size), '\0');
	WideCharToMultiByte(CP_UTF8, 0, name.data(), static_cast<int>(name.size()), &utf8[0], size, nullptr, nullptr);
	return utf8.substr(0, 255);
}

} // namespace

Job::Job(const JobSpec &spec) : job_(CreateJobObjectW(nullptr, nullptr)), port_(CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1))
{
	require(static_cast<BOOL>(static_cast<bool>(job_) && static_cast<bool>(port_)), "create_job");
	JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {}, found = {};
	limits.BasicLimitInformation.LimitFlags = spec.flags | (spec.memory ? JOB_OBJECT_LIMIT_JOB_MEMORY : 0u) | (spec.processes ? JOB_OBJECT_LIMIT_ACTIVE_PROCESS : 0u) | (spec.user_time ? JOB_OBJECT_LIMIT_PROCESS_TIME : 0u);
	limits.BasicLimitInformation.ActiveProcessLimit = spec.processes;
	limits.BasicLimitInformation.PerProcessUserTimeLimit.QuadPart = spec.user_time;
	limits.JobMemoryLimit = spec.memory;
	require(SetInformationJobObject(job_.get(), JobObjectExtendedLimitInformation, &limits, sizeof limits), "job_limits");
	require(QueryInformationJobObject(job_.get(), JobObjectExtendedLimitInformation, &found, sizeof found, nullptr), "job_limits");
	const auto &wanted = limits.BasicLimitInformation, &held = found.BasicLimitInformation;
	bool same = held.LimitFlags == wanted.LimitFlags && (!spec.processes || held.ActiveProcessLimit == spec.processes) && (!spec.memory || found.JobMemoryLimit == spec.memory) && (!spec.user_time || held.PerProcessUserTimeLimit.QuadPart == spec.user_time);
	require_read_back(same, "job_limits", "flags " + std::to_string(held.LimitFlags) + ", not " + std::to_string(wanted.LimitFlags));
	if (spec.user_interface != 0) {
		JOBOBJECT_BASIC_UI_RESTRICTIONS restrictions = { spec.user_interface }, kept = {};
		require(SetInformationJobObject(job_.get(), JobObjectBasicUIRestrictions, &restrictions, sizeof restrictions), "job_user_interface");
		bool read = QueryInformationJobObject(job_.get(), JobObjectBasicUIRestrictions, &kept, sizeof kept, nullptr) != FALSE;
		require_read_back(read && kept.UIRestrictionsClass == spec.user_interface, "job_user_interface", "other restrictions");
	}
	JOBOBJECT_ASSOCIATE_COMPLETION_PORT messages = { nullptr, port_.get() };
	require(SetInformationJobObject(job_.get(), JobObjectAssociateCompletionPortInformation, &messages, sizeof messages), "job_messages");
}

std::vector<JobProcess> Job::processes(DWORD except) const
{
	constexpr size_t MOST = 1024;
	std::vector<ULONG_PTR> memory(2 + MOST);
	auto *list = reinterpret_cast<JOBOBJECT_BASIC_PROCESS_ID_LIST *>(memory.data());
	/* ERROR_MORE_DATA: the first ones are there. */
	if (!QueryInformationJobObject(job_.get(), JobObjectBasicProcessIdList, list, static_cast<DWORD>(memory.size() * sizeof(ULONG_PTR)), nullptr) && GetLastError() != ERROR_MORE_DATA)
		return {};
	std::vector<JobProcess> found;
	for (DWORD i = 0; i < list->NumberOfProcessIdsInList && found.size() < MOST_PROCESSES_NAMED; i++) {
		auto pid = static_cast<DWORD>(list->ProcessIdList[i]);
		if (pid == except)
			continue;
		auto file = file_of(pid);
		if (!is_console_host(file))
			found.push_back({ pid, name_of(file) });
	}
	return found;
}

DWORD Job::active() const
{
	JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounting = {};
	return QueryInformationJobObject(job_.get(), JobObjectBasicAccountingInformation, &accounting, sizeof accounting, nullptr) ? accounting.ActiveProcesses : 0;
}

/* Messages of a job may be lost, so it is asked as well. */
bool Job::wait_empty(DWORD most_ms)
{
	constexpr DWORD LOOK_MS = 100;
	for (ULONGLONG start = GetTickCount64(); active() > 0;) {
		if (most_ms != INFINITE && GetTickCount64() - start >= most_ms)
			return false;
		take_messages(LOOK_MS);
	}
	return true;
}

ULONGLONG Job::cpu_microseconds() const
{
	JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounting = {};
	if (!QueryInformationJobObject(job_.get(), JobObjectBasicAccountingInformation, &accounting, sizeof accounting, nullptr))
		return 0;
	return static_cast<ULONGLONG>(accounting.TotalUserTime.QuadPart + accounting.TotalKernelTime.QuadPart) / 10;
}

bool Job::time_reached(DWORD pid)
{
	take_messages(0);
	return std::find(out_of_time_.begin(), out_of_time_.end(), pid) != out_of_time_.end();
}

bool Job::take_messages(DWORD wait_ms)
{
	bool took = false;
	DWORD message = 0;
	ULONG_PTR key = 0;
	OVERLAPPED *about = nullptr;
	while (GetQueuedCompletionStatus(port_.get(), &message, &key, &about, took ? 0 : wait_ms)) {
		took = true;
		auto pid = static_cast<DWORD>(reinterpret_cast<ULONG_PTR>(about));
		switch (message) {
		case JOB_OBJECT_MSG_JOB_MEMORY_LIMIT:     memory_reached_ = true; break;
		case JOB_OBJECT_MSG_ACTIVE_PROCESS_LIMIT: processes_reached_ = true; break;
		case JOB_OBJECT_MSG_END_OF_PROCESS_TIME:  out_of_time_.push_back(pid); break;
		default: break;
		}
	}
	return took;
}
