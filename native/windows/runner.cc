// The program that runs commands, once a sandbox. Started by Node as the user (`unelevated`), or by the broker as an account that set-up made
// (`elevated`): there it is the same program without words. It makes the token, and each command's job, asks the system what the token may, and
// carries out what frames ask for. No policy here.
//
//   codex-sandbox-runner                 frames on its standard input and output
//   codex-sandbox-runner --pipe NAME     frames on a named pipe, which its broker made
//   codex-sandbox-runner --broker        a broker: starts a runner as another account and passes frames on
#include <windows.h>

#include <map>
#include <thread>

#include "broker.h"
#include "channel.h"
#include "command.h"
#include "descriptor.h"
#include "desktop.h"
#include "failure.h"
#include "token.h"
#include "version.h"

namespace {

const std::string VERSION = CODEX_SANDBOX_VERSION_TEXT;

struct Proof {
	std::wstring descriptor;
	DWORD desired;
};

struct SetUp {
	TokenSpec token;
	std::wstring desktop_name, desktop_list, process_list;
	std::vector<Proof> proofs;
};

SetUp read_set_up(const std::string &payload)
{
	PayloadReader reader(payload);
	SetUp set_up;
	set_up.token.flags = reader.u32();
	set_up.token.disable = reader.list();
	set_up.token.restricting = reader.list();
	set_up.token.privileges = reader.list();
	set_up.token.integrity = reader.text();
	set_up.token.default_dacl = reader.text();
	set_up.desktop_name = reader.text();
	set_up.desktop_list = reader.text();
	set_up.process_list = reader.text();
	for (uint32_t left = reader.u32(); left > 0; left--) {
		Proof proof;
		proof.descriptor = reader.text();
		proof.desired = reader.u32();
		set_up.proofs.push_back(proof);
	}
	reader.end();
	return set_up;
}

CommandSpec read_command(const std::string &payload)
{
	enum : uint8_t { INPUT_COMES = 1, KEEP = 2 };
	PayloadReader reader(payload);
	CommandSpec spec;
	spec.application = reader.text();
	spec.line = reader.text();
	spec.cwd = reader.text();
	spec.environment = reader.list();
	uint8_t flags = reader.u8();
	spec.input_comes = (flags & INPUT_COMES) != 0;
	spec.keep = (flags & KEEP) != 0;
	spec.rows = reader.u16();
	spec.columns = reader.u16();
	spec.job.flags = reader.u32();
	spec.job.user_interface = reader.u32();
	spec.job.memory = static_cast<SIZE_T>(reader.u64());
	spec.job.processes = reader.u32();
	spec.job.user_time = static_cast<LONGLONG>(reader.u64());
	reader.end();
	return spec;
}

class Runner {
public:
	explicit Runner(Channel &channel) : channel_(channel) {}

	/* Until the other side is gone, or says so. Throws Malformed. */
	void serve()
	{
		greet();
		for (Frame frame; channel_.receive(&frame) && frame.type != FrameType::CLOSE;)
			take(frame);
	}

private:
	void greet()
	{
		Handle own;
		require(OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, own.out()), "open_process_token");
		PayloadWriter hello;
		channel_.send(FrameType::HELLO, 0, hello.text(std::wstring(VERSION.begin(), VERSION.end())).text(user_of(own.get(), "token_user")).text(logon_sid()));
	}

	void take(const Frame &frame)
	{
		if (frame.type == FrameType::SET_UP)
			return set_up(frame.payload);
		if (frame.type == FrameType::START)
			return start(frame.id, frame.payload);
		/* One that has just ended, while a frame for it was on its way, is no error. */
		auto command = find(frame.id);
		PayloadReader reader(frame.payload);
		switch (frame.type) {
		case FrameType::STDIN:
			if (command)
				command->input(frame.payload);
			return;
		case FrameType::STDIN_CLOSE:
			if (command)
				command->end_input();
			return;
		case FrameType::SIGNAL: {
			uint32_t number = reader.u32();
			if (command)
				command->signal(number);
			return;
		}
		case FrameType::KILL:
			if (command)
				command->kill();
			return;
		case FrameType::RESIZE: {
			WORD rows = reader.u16(), columns = reader.u16();
			if (command)
				command->resize(rows, columns);
			return;
		}
		case FrameType::CONSUMED: {
			uint8_t stream = reader.u8();
			uint32_t bytes = reader.u32();
			if (stream != 1 && stream != 2)
				throw Malformed("a stream that is none");
			if (command)
				command->consumed(stream - 1, bytes);
			return;
		}
		default: throw Malformed("a frame of a type that is not expected");
		}
	}

	void set_up(const std::string &payload)
	{
		if (ready_)
			throw Malformed("a second set-up");
		auto set_up = read_set_up(payload);
		/* What a command of the same account may do to this process. */
		protect_object(GetCurrentProcess(), Descriptor(set_up.process_list), "process_access_list");
		confinement_.token_spec = set_up.token;
		confinement_.token = restrict_token(set_up.token);
		desktop_.make(set_up.desktop_name, set_up.desktop_list);
		confinement_.desktop = desktop_.path();
		PayloadWriter answers;
		answers.u32(static_cast<uint32_t>(set_up.proofs.size()));
		for (const auto &proof : set_up.proofs)
			answers.u8(ask_access(confinement_.token.get(), proof.descriptor, proof.desired) ? 1 : 0);
		ready_ = true;
		channel_.send(FrameType::READY, 0, answers);
	}

	void start(uint32_t id, const std::string &payload)
	{
		if (!ready_ || id == 0 || find(id))
			throw Malformed("a command that may not be started");
		auto command = std::make_shared<Command>(channel_, confinement_, id, read_command(payload));
		{
			std::lock_guard<std::mutex> guard(lock_);
			commands_[id] = command;
		}
		std::thread([this, command, id] {
			command->run([this, id] {
				std::lock_guard<std::mutex> guard(lock_);
				commands_.erase(id);
			});
		}).detach();
	}

	std::shared_ptr<Command> find(uint32_t id)
	{
		std::lock_guard<std::mutex> guard(lock_);
		auto found = commands_.find(id);
		return found == commands_.end() ? nullptr : found->second;
	}

	Channel &channel_;
	Confinement confinement_;
	Desktop desktop_;
	bool ready_ = false;
	std::mutex lock_;
	std::map<uint32_t, std::shared_ptr<Command>> commands_;
};

/* With no more than it needs: the pipe's list has no right to make another instance. */
HANDLE open_pipe(const wchar_t *name)
{
	constexpr DWORD ACCESS = FILE_READ_DATA | FILE_WRITE_DATA | FILE_READ_ATTRIBUTES | FILE_WRITE_ATTRIBUTES | READ_CONTROL | SYNCHRONIZE;
	return CreateFileW(name, ACCESS, 0, nullptr, OPEN_EXISTING, FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION, nullptr);
}

enum Outcome { DONE = 0, USAGE = 64, NO_PIPE = 65, FAILED = 66 };

int serve(Channel &channel, void (*role)(Channel &channel))
{
	try {
		role(channel);
		return DONE;
	} catch (const StepFailure &error) {
		channel.send_failure(0, error.step(), error.code(), error.detail());
	} catch (const std::exception &error) {
		channel.send_failure(0, "protocol", ERROR_INVALID_DATA, error.what());
	}
	return FAILED;
}

void run_commands(Channel &channel)
{
	/* Never taken apart: threads of commands use it until the process ends, and with it their jobs. */
	auto *runner = new Runner(channel);
	runner->serve();
}

} // namespace

int wmain(int argc, wchar_t **argv)
{
	/* No box on a screen that nobody sees. */
	SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX);
	std::wstring role = argc > 1 ? argv[1] : L"";
	HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
	if (role == L"--pipe" && argc == 3) {
		in = out = open_pipe(argv[2]);
		if (in == INVALID_HANDLE_VALUE)
			return NO_PIPE;
	} else if (argc != 1 && !(role == L"--broker" && argc == 2)) {
		return USAGE;
	}
	auto *channel = new Channel(in, out);
	int outcome = serve(*channel, role == L"--broker" ? broker : run_commands);
	/* Threads may be in the middle of something: with the process, the last handles of all jobs go, and what is in them ends. */
	TerminateProcess(GetCurrentProcess(), static_cast<UINT>(outcome));
	return outcome;
}
