// The job object of a command: what it starts is in it, and ends with it.
#pragma once

#include <windows.h>

#include <string>
#include <vector>

#include "handle.h"

struct JobSpec {
	/* JOB_OBJECT_LIMIT_* and JOB_OBJECT_UILIMIT_* bits. */
	DWORD flags = 0, user_interface = 0;
	/* 0: none. */
	SIZE_T memory = 0;
	DWORD processes = 0;
	/* In units of 100 ns. */
	LONGLONG user_time = 0;
};

struct JobProcess {
	DWORD pid;
	/* Of its file, UTF-8. */
	std::string name;
};

class Job {
public:
	/* Limits are read back. Throws StepFailure. */
	explicit Job(const JobSpec &spec);

	HANDLE get() const { return job_.get(); }
	void end(UINT exit_code) { TerminateJobObject(job_.get(), exit_code); }
	/* Those in it now but `except`, at most 64. */
	std::vector<JobProcess> processes(DWORD except) const;
	DWORD active() const;
	/* Waits until nothing of it runs. False where that takes longer. */
	bool wait_empty(DWORD most_ms);
	ULONGLONG cpu_microseconds() const;

	/* What messages have come of limits that were reached. */
	bool memory_reached() { take_messages(0); return memory_reached_; }
	bool processes_reached() { take_messages(0); return processes_reached_; }
	/* `pid` was ended, as its processor time was over. */
	bool time_reached(DWORD pid);

private:
	/* True where one came within `wait_ms`; then all others that are there are taken as well. */
	bool take_messages(DWORD wait_ms);

	Handle job_, port_;
	bool memory_reached_ = false, processes_reached_ = false;
	std::vector<DWORD> out_of_time_;
};
