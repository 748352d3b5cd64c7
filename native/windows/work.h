// A step off the main thread, as a promise: what it made is turned into a value of JavaScript back on it.
#pragma once

#include <napi.h>

#include <functional>
#include <string>
#include <utility>

#include "failure.h"
#include "values.h"

template <typename Made> class Work : public Napi::AsyncWorker {
public:
	using Step = std::function<Made()>;
	using Turn = std::function<Napi::Value(Napi::Env, const Made &)>;

	/* Owns itself once it is queued. */
	static Napi::Value start(Napi::Env env, Step step, Turn turn)
	{
		auto *work = new Work(env, std::move(step), std::move(turn));
		auto promise = work->deferred_.Promise();
		work->Queue();
		return promise;
	}

	void Execute() override
	{
		try {
			made_ = step_();
		} catch (const StepFailure &error) {
			failed_ = error.step();
			code_ = error.code();
			SetError(error.what());
		} catch (const std::exception &error) {
			failed_ = "addon";
			SetError(error.what());
		}
	}

	void OnOK() override { deferred_.Resolve(turn_(Env(), made_)); }
	void OnError(const Napi::Error &error) override { deferred_.Reject(failure(Env(), error.Message(), failed_, code_).Value()); }

private:
	Work(Napi::Env env, Step step, Turn turn) : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), step_(std::move(step)), turn_(std::move(turn)) {}

	Napi::Promise::Deferred deferred_;
	Step step_;
	Turn turn_;
	Made made_ = {};
	std::string failed_;
	DWORD code_ = 0;
};

/* For steps that only do something. */
inline Napi::Value start_doing(Napi::Env env, std::function<void()> step)
{
	return Work<bool>::start(
		env,
		[step = std::move(step)] {
			step();
			return true;
		},
		[](Napi::Env back, const bool &) { return back.Undefined(); });
}

/* Functions that take one text, or two, and only do something. */
template <void Do(const std::wstring &)> Napi::Value OfOne(const Napi::CallbackInfo &info)
{
	auto one = wide(info[0]);
	return start_doing(info.Env(), [one] { Do(one); });
}

template <void Do(const std::wstring &, const std::wstring &)> Napi::Value OfTwo(const Napi::CallbackInfo &info)
{
	auto one = wide(info[0]), two = wide(info[1]);
	return start_doing(info.Env(), [one, two] { Do(one, two); });
}

template <void Do(const std::wstring &, std::vector<std::wstring>)> Napi::Value OfList(const Napi::CallbackInfo &info)
{
	auto one = wide(info[0]);
	auto more = list(info[1]);
	return start_doing(info.Env(), [one, more] { Do(one, more); });
}
