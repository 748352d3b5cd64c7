// Values of JavaScript to those of Windows and back, and a step's failure as an Error. Each group of functions registers itself in a file of
// its own, and takes these.
#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "failure.h"

inline std::wstring wide(const Napi::Value &value)
{
	std::u16string text = value.As<Napi::String>().Utf16Value();
	return std::wstring(text.begin(), text.end());
}

inline Napi::String text(Napi::Env env, const std::wstring &value)
{
	return Napi::String::New(env, std::u16string(value.begin(), value.end()));
}

inline std::vector<std::wstring> list(const Napi::Value &value)
{
	auto array = value.As<Napi::Array>();
	std::vector<std::wstring> texts;
	for (uint32_t i = 0; i < array.Length(); i++)
		texts.push_back(wide(array.Get(i)));
	return texts;
}

inline Napi::Array texts(Napi::Env env, const std::vector<std::wstring> &values)
{
	auto array = Napi::Array::New(env, values.size());
	for (size_t i = 0; i < values.size(); i++)
		array.Set(static_cast<uint32_t>(i), text(env, values[i]));
	return array;
}

inline std::string bytes(const Napi::Value &value)
{
	auto buffer = value.As<Napi::Buffer<char>>();
	return std::string(buffer.Data(), buffer.Length());
}

inline double number(const Napi::Object &object, const char *name, double otherwise = 0)
{
	Napi::Value value = object.Get(name);
	return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : otherwise;
}

inline Napi::Error failure(Napi::Env env, const std::string &message, const std::string &step, DWORD code)
{
	auto error = Napi::Error::New(env, message);
	error.Set("step", Napi::String::New(env, step));
	error.Set("code", Napi::Number::New(env, code));
	return error;
}

/* A step's failure as an Error of JavaScript. */
template <typename Step> auto guarded(Napi::Env env, Step step)
{
	try {
		return step();
	} catch (const StepFailure &error) {
		throw failure(env, error.what(), error.step(), error.code());
	}
}
