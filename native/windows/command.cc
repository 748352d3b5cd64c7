#include "command.h"

#include <algorithm>

#include "failure.h"

namespace {

constexpr uint32_t INTERRUPT = 2, KILL = 9, WINDOW_CHANGED = 28;
constexpr uint32_t SIGNAL_BASE = 128;
/* After the job is empty nobody writes into a pipe any more. */
constexpr DWORD DRAIN_MS = 2000;
/* Of a command whose rest goes on: what it wrote itself is in the pipe when it ends. */
constexpr DWORD KEPT_DRAIN_MS = 100;
constexpr DWORD END_MS = 10000;
constexpr DWORD PIPE_BYTES = 1u << 16;

enum EndReason : uint32_t { NONE = 0, KILLED = 1, MEMORY_LIMIT = 2, PIDS_LIMIT = 3, CPU_LIMIT = 4 };

void make_pipe(Handle *read, Handle *write, bool inherit_read, bool inherit_write)
{
	require(CreatePipe(read->out(), write->out(), nullptr, PIPE_BYTES), "create_pipe");
	if (inherit_read)
		require(SetHandleInformation(read->get(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT), "create_pipe");
	if (inherit_write)
		require(SetHandleInformation(write->get(), HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT), "create_pipe");
}

Handle open_null()
{
	SECURITY_ATTRIBUTES inherited = { sizeof inherited, nullptr, TRUE };
	Handle null(CreateFileW(L"\\\\.\\NUL", GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, &inherited, OPEN_EXISTING, 0, nullptr));
	require(static_cast<BOOL>(static_cast<bool>(null)), "open_null");
	return null;
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

/* What a new process gets: its job from its first instruction on, and either a terminal or these handles and no others. */
class Attributes {
public:
	Attributes()
	{
		constexpr DWORD MOST = 2;
		SIZE_T size = 0;
		InitializeProcThreadAttributeList(nullptr, MOST, 0, &size);
		memory_.resize(size);
		require(InitializeProcThreadAttributeList(list(), MOST, 0, &size), "process_attributes");
		made_ = true;
	}
	Attributes(const Attributes &) = delete;
	Attributes &operator=(const Attributes &) = delete;
	~Attributes()
	{
		if (made_)
			DeleteProcThreadAttributeList(list());
	}
	void add(DWORD_PTR name, void *value, SIZE_T size) { require(UpdateProcThreadAttribute(list(), 0, name, value, size, nullptr, nullptr), "process_attributes"); }
	LPPROC_THREAD_ATTRIBUTE_LIST list() { return reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory_.data()); }

private:
	std::vector<BYTE> memory_;
	bool made_ = false;
};

/* Of PROC_THREAD_ATTRIBUTE_*: older headers lack some. */
constexpr DWORD_PTR ATTRIBUTE_HANDLE_LIST = 0x00020002, ATTRIBUTE_JOB_LIST = 0x0002000D, ATTRIBUTE_PSEUDO_CONSOLE = 0x00020016;

/*
 * A job with limits for windows takes no process that is in another job already, and whoever is started from inside of one is. So it has to
 * leave that one first, where it lets anybody go.
 */
DWORD breakaway_flag(const JobSpec &spec)
{
	BOOL inside = FALSE;
	if (spec.user_interface == 0 || !IsProcessInJob(GetCurrentProcess(), nullptr, &inside) || !inside)
		return 0;
	JOBOBJECT_EXTENDED_LIMIT_INFORMATION outer = {};
	require(QueryInformationJobObject(nullptr, JobObjectExtendedLimitInformation, &outer, sizeof outer, nullptr), "outer_job");
	DWORD flags = outer.BasicLimitInformation.LimitFlags;
	if ((flags & JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK) != 0)
		return 0;
	if ((flags & JOB_OBJECT_LIMIT_BREAKAWAY_OK) != 0)
		return CREATE_BREAKAWAY_FROM_JOB;
	throw StepFailure("outer_job", ERROR_ACCESS_DENIED, "this process is in a job that nothing leaves, and a job in that cannot keep commands from the clipboard");
}

} // namespace

Command::Command(Channel &channel, const Confinement &confinement, uint32_t id, CommandSpec spec) : channel_(channel), confinement_(confinement), id_(id), spec_(std::move(spec))
{
}

Command::End Command::carry_out()
{
	try {
		start();
	} catch (const StepFailure &error) {
		End end = { FrameType::FAILED, {} };
		std::string step = error.step();
		end.payload.u32(error.code()).u8(static_cast<uint8_t>(step.size())).bytes(step).bytes(error.detail());
		return end;
	}
	PayloadWriter started;
	channel_.send(FrameType::STARTED, id_, started.u32(pid_));
	begin_threads();
	WaitForSingleObject(process_.get(), INFINITE);
	bool killed;
	{
		std::lock_guard<std::mutex> guard(lock_);
		process_over_ = true;
		killed = killed_ || signal_ != 0;
	}
	auto left = job_->processes(pid_);
	if (spec_.keep && !killed && !left.empty()) {
		wait_read(KEPT_DRAIN_MS);
		channel_.send(FrameType::LEFT, id_, exit_payload(left));
		job_->wait_empty(INFINITE);
		left.clear();
	}
	job_->end(SIGNAL_BASE + KILL);
	job_->wait_empty(END_MS);
	join();
	return { FrameType::EXIT, exit_payload(left) };
}

void Command::start()
{
	job_ = std::make_unique<Job>(spec_.job);
	if (spec_.rows != 0) {
		Handle theirs_in, theirs_out;
		make_pipe(&theirs_in, &input_pipe_, false, false);
		make_pipe(&streams_[0].pipe, &theirs_out, false, false);
		terminal_.make(std::move(theirs_in), std::move(theirs_out), spec_.rows, spec_.columns);
		create(nullptr, 0);
	} else {
		Handle theirs[3];
		if (spec_.input_comes)
			make_pipe(&theirs[0], &input_pipe_, true, false);
		else
			theirs[0] = open_null();
		make_pipe(&streams_[0].pipe, &theirs[1], false, true);
		make_pipe(&streams_[1].pipe, &theirs[2], false, true);
		create(theirs, 3);
	}
	try {
		read_back_process();
	} catch (...) {
		job_->end(SIGNAL_BASE + KILL);
		throw;
	}
	std::lock_guard<std::mutex> guard(lock_);
	started_ = true;
	if (killed_ || signal_ != 0)
		job_->end(SIGNAL_BASE + (signal_ != 0 ? signal_ : KILL));
	else
		ResumeThread(thread_.get());
	thread_.reset();
}

/* Suspended: nothing of it has run. */
void Command::create(Handle *theirs, size_t count)
{
	Attributes attributes;
	HANDLE job = job_->get(), handles[3] = {};
	attributes.add(ATTRIBUTE_JOB_LIST, &job, sizeof job);
	STARTUPINFOEXW startup = {};
	startup.StartupInfo.cb = sizeof startup;
	startup.StartupInfo.dwFlags = STARTF_USESTDHANDLES;
	for (size_t i = 0; i < count; i++)
		handles[i] = theirs[i].get();
	if (count > 0) {
		attributes.add(ATTRIBUTE_HANDLE_LIST, handles, count * sizeof *handles);
		startup.StartupInfo.hStdInput = handles[0];
		startup.StartupInfo.hStdOutput = handles[1];
		startup.StartupInfo.hStdError = handles[2];
	} else {
		attributes.add(ATTRIBUTE_PSEUDO_CONSOLE, terminal_.get(), sizeof(void *));
	}
	startup.lpAttributeList = attributes.list();
	std::wstring line = spec_.line, desktop = confinement_.desktop, block = environment_block(spec_.environment);
	startup.StartupInfo.lpDesktop = &desktop[0];
	DWORD flags = EXTENDED_STARTUPINFO_PRESENT | CREATE_UNICODE_ENVIRONMENT | CREATE_SUSPENDED | (count > 0 ? CREATE_NO_WINDOW : 0u) | breakaway_flag(spec_.job);
	PROCESS_INFORMATION process = {};
	require(CreateProcessAsUserW(confinement_.token.get(), spec_.application.c_str(), &line[0], nullptr, nullptr, count > 0, flags, &block[0], spec_.cwd.c_str(), &startup.StartupInfo, &process), "exec");
	process_ = Handle(process.hProcess);
	thread_ = Handle(process.hThread);
	pid_ = process.dwProcessId;
}

void Command::read_back_process()
{
	BOOL inside = FALSE;
	if (!IsProcessInJob(process_.get(), job_->get(), &inside) || !inside) {
		TerminateProcess(process_.get(), SIGNAL_BASE + KILL);
		throw StepFailure("process_in_job", GetLastError(), "the command is not in its job");
	}
	Handle token;
	require(OpenProcessToken(process_.get(), TOKEN_QUERY, token.out()), "process_token");
	read_back_token(token.get(), confinement_.token_spec, "process_token");
}

void Command::begin_threads()
{
	for (auto &stream : streams_)
		if (stream.pipe)
			stream.thread = std::thread([this, &stream] { read(&stream); });
		else
			stream.ended = true;
	if (input_pipe_)
		writer_ = std::thread([this] { write(); });
}

void Command::read(Stream *stream)
{
	{
		std::lock_guard<std::mutex> guard(lock_);
		DuplicateHandle(GetCurrentProcess(), GetCurrentThread(), GetCurrentProcess(), stream->self.out(), 0, FALSE, DUPLICATE_SAME_ACCESS);
	}
	std::vector<char> buffer(PIPE_BYTES);
	for (;;) {
		{
			std::unique_lock<std::mutex> guard(lock_);
			changed_.wait(guard, [&] { return draining_ || stream->unconsumed < OUTPUT_WINDOW_BYTES; });
		}
		DWORD got = 0;
		if (!ReadFile(stream->pipe.get(), buffer.data(), PIPE_BYTES, &got, nullptr))
			break;
		/* A write of nothing. */
		if (got == 0)
			continue;
		{
			std::lock_guard<std::mutex> guard(lock_);
			stream->unconsumed += got;
		}
		channel_.send(stream->frame, id_, buffer.data(), got);
	}
	std::lock_guard<std::mutex> guard(lock_);
	stream->ended = true;
	changed_.notify_all();
}

/* A command that closes its input does not want the rest; all that comes is told as taken. */
void Command::write()
{
	for (;;) {
		Input next;
		{
			std::unique_lock<std::mutex> guard(lock_);
			changed_.wait(guard, [&] { return !input_.empty() || input_ended_ || draining_; });
			if (input_.empty() || draining_)
				break;
			next = std::move(input_.front());
			input_.pop_front();
		}
		const auto &bytes = next.bytes;
		bool wanted = !wants_no_input_;
		for (size_t at = 0; wanted && at < bytes.size();) {
			DWORD put = 0;
			wanted = WriteFile(input_pipe_.get(), bytes.data() + at, static_cast<DWORD>(bytes.size() - at), &put, nullptr) != FALSE;
			at += put;
		}
		wants_no_input_ = !wanted;
		if (!next.is_callers)
			continue;
		PayloadWriter drained;
		channel_.send(FrameType::STDIN_DRAINED, id_, drained.u32(static_cast<uint32_t>(bytes.size())));
	}
	/* A terminal's input stays: its end would be the terminal's. */
	if (spec_.rows == 0)
		input_pipe_.reset();
}

void Command::queue_input(std::string bytes, bool is_callers)
{
	std::lock_guard<std::mutex> guard(lock_);
	input_.push_back({ std::move(bytes), is_callers });
	changed_.notify_all();
}

void Command::end_input()
{
	{
		std::lock_guard<std::mutex> guard(lock_);
		/* As a terminal's user says it: ctrl-Z, and return. */
		if (spec_.rows != 0 && !input_ended_)
			input_.push_back({ "\x1a\r", false });
		input_ended_ = true;
	}
	changed_.notify_all();
}

/*
 * Windows has no signals. An interrupt is ctrl-C to what has a terminal; a change of a window's size is none of a signal's business here; any other
 * ends all of the command, and the result says by which.
 */
void Command::signal(uint32_t number)
{
	if (number == 0 || number == WINDOW_CHANGED)
		return;
	if (number == INTERRUPT && spec_.rows != 0)
		return queue_input("\x03", false);
	end_with(number);
}

void Command::kill()
{
	{
		std::lock_guard<std::mutex> guard(lock_);
		killed_ = true;
	}
	end_with(KILL);
}

void Command::end_with(uint32_t signal)
{
	std::lock_guard<std::mutex> guard(lock_);
	if (signal_ == 0 && !process_over_)
		signal_ = signal;
	if (started_)
		job_->end(SIGNAL_BASE + signal);
}

void Command::resize(WORD rows, WORD columns)
{
	std::lock_guard<std::mutex> guard(lock_);
	if (started_ && !draining_)
		terminal_.resize(rows, columns);
}

void Command::consumed(int stream, size_t bytes)
{
	std::lock_guard<std::mutex> guard(lock_);
	auto &unconsumed = streams_[stream].unconsumed;
	unconsumed -= std::min(unconsumed, bytes);
	changed_.notify_all();
}

/* Until what is in the pipes was read. */
void Command::wait_read(DWORD most_ms)
{
	constexpr DWORD LOOK_MS = 10;
	for (DWORD waited = 0; waited < most_ms; waited += LOOK_MS) {
		DWORD held = 0, all = 0;
		for (auto &stream : streams_)
			if (stream.pipe && PeekNamedPipe(stream.pipe.get(), nullptr, 0, nullptr, &held, nullptr))
				all += held;
		if (all == 0)
			return;
		Sleep(LOOK_MS);
	}
}

void Command::join()
{
	{
		std::lock_guard<std::mutex> guard(lock_);
		draining_ = true;
	}
	changed_.notify_all();
	/* Not under the lock: it waits until its output was read. */
	terminal_.close();
	for (auto &stream : streams_) {
		if (!stream.thread.joinable())
			continue;
		for (ULONGLONG start = GetTickCount64();;) {
			std::unique_lock<std::mutex> guard(lock_);
			if (changed_.wait_for(guard, std::chrono::milliseconds(100), [&] { return stream.ended; }))
				break;
			if (GetTickCount64() - start > DRAIN_MS)
				CancelSynchronousIo(stream.self.get());
		}
		stream.thread.join();
	}
	if (writer_.joinable())
		writer_.join();
}

PayloadWriter Command::exit_payload(const std::vector<JobProcess> &ended)
{
	DWORD code = 0;
	GetExitCodeProcess(process_.get(), &code);
	PROCESS_MEMORY_COUNTERS memory = {};
	memory.cb = sizeof memory;
	K32GetProcessMemoryInfo(process_.get(), &memory, sizeof memory);
	std::lock_guard<std::mutex> guard(lock_);
	/* It may have ended by itself just before. */
	bool by_signal = signal_ != 0 && code == SIGNAL_BASE + signal_;
	uint32_t reason = killed_ ? KILLED : code == 0 ? NONE : job_->memory_reached() ? MEMORY_LIMIT : job_->processes_reached() ? PIDS_LIMIT : job_->time_reached(pid_) ? CPU_LIMIT : NONE;
	PayloadWriter payload;
	payload.u32(code).u32(by_signal ? signal_ : 0).u32(reason).u64(job_->cpu_microseconds()).u64(memory.PeakWorkingSetSize).u16(static_cast<uint16_t>(ended.size()));
	for (const auto &process : ended)
		payload.u32(process.pid).u8(static_cast<uint8_t>(process.name.size())).bytes(process.name);
	return payload;
}
