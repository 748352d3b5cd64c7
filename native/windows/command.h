// One command: a process with a token, in a job and on a desktop, with pipes or a terminal, and what is told of it by frames.
#pragma once

#include <windows.h>

#include <psapi.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "channel.h"
#include "handle.h"
#include "job.h"
#include "terminal.h"
#include "token.h"

struct CommandSpec {
	std::wstring application, line, cwd;
	/* NAME=value each. */
	std::vector<std::wstring> environment;
	bool input_comes = false, keep = false;
	/* 0: no terminal. */
	WORD rows = 0, columns = 0;
	JobSpec job;
};

/* What all commands of a sandbox share. */
struct Confinement {
	TokenSpec token_spec;
	Handle token;
	/* As STARTUPINFO takes it. */
	std::wstring desktop;
};

class Command : public std::enable_shared_from_this<Command> {
public:
	Command(Channel &channel, const Confinement &confinement, uint32_t id, CommandSpec spec);

	/* Starts it and stays until nothing of it is left. `gone` is called before the last frame, which says how it ended or why it did not start. */
	template <typename Gone> void run(Gone gone)
	{
		tell_end(carry_out(), gone);
	}

	/* From any thread, at any time. */
	void input(std::string bytes) { queue_input(std::move(bytes), true); }
	void end_input();
	void signal(uint32_t number);
	void kill();
	void resize(WORD rows, WORD columns);
	void consumed(int stream, size_t bytes);

private:
	struct Stream {
		FrameType frame;
		Handle pipe;
		std::thread thread;
		/* Of `thread`, to get it out of a read. */
		Handle self;
		size_t unconsumed = 0;
		bool ended = false;
	};
	struct Input {
		std::string bytes;
		/* Told as taken; what is typed from here is not. */
		bool is_callers = false;
	};
	struct End {
		FrameType type;
		PayloadWriter payload;
	};

	End carry_out();
	template <typename Gone> void tell_end(const End &end, Gone gone)
	{
		gone();
		channel_.send(end.type, id_, end.payload);
	}
	void start();
	void create(Handle *theirs, size_t count);
	void read_back_process();
	void begin_threads();
	void read(Stream *stream);
	void write();
	void queue_input(std::string bytes, bool is_callers);
	void end_with(uint32_t signal);
	void wait_read(DWORD most_ms);
	void join();
	PayloadWriter exit_payload(const std::vector<JobProcess> &ended);

	Channel &channel_;
	const Confinement &confinement_;
	const uint32_t id_;
	const CommandSpec spec_;
	std::unique_ptr<Job> job_;
	Terminal terminal_;
	Handle process_, thread_, input_pipe_;
	DWORD pid_ = 0;
	Stream streams_[2] = { { FrameType::STDOUT, {}, {}, {}, 0, false }, { FrameType::STDERR, {}, {}, {}, 0, false } };
	std::thread writer_;

	/* Of what is below. */
	std::mutex lock_;
	std::condition_variable changed_;
	std::deque<Input> input_;
	bool input_ended_ = false, wants_no_input_ = false;
	/* It is over: output waits for no reader any more. */
	bool draining_ = false;
	bool started_ = false, killed_ = false, process_over_ = false;
	/* By which it was ended from here; 0: it was not. */
	uint32_t signal_ = 0;
};
