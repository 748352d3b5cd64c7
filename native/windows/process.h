// One command in a job of its own.
#pragma once

#include <memory>
#include <mutex>
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

struct CommandSpec {
	std::wstring application, line, cwd;
	/* NAME=value each. */
	std::vector<std::wstring> environment;
	std::string input;
	/* INFINITE: none. */
	DWORD timeout_ms = INFINITE;
	/* Kept of each stream; the rest is read and dropped. */
	size_t most_bytes = 1 << 20;
	JobSpec job;
};

struct CommandResult {
	DWORD exit_code = 0;
	bool timed_out = false;
	std::string output, errors;
};

/* Started by `start`, ended by `wait`; `kill` may come from another thread at any time. */
class Command {
public:
	/* `token`: null for this process's own. Throws StepFailure. */
	void start(HANDLE token, const CommandSpec &spec);
	/* Until it has ended and its output is read; then everything that it left behind is ended too. Throws StepFailure. */
	CommandResult wait();
	void kill();

private:
	Handle job_, process_, input_, output_, errors_;
	CommandSpec spec_;
	std::mutex lock_;
	bool killed_ = false;
};
