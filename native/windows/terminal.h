// A terminal for a command (ConPTY). Its functions are looked up when they are needed: Windows has them since 10 1809.
#pragma once

#include <windows.h>

#include "handle.h"

class Terminal {
public:
	Terminal() = default;
	Terminal(const Terminal &) = delete;
	Terminal &operator=(const Terminal &) = delete;
	~Terminal() { close(); }

	/* `input` and `output` are the terminal's ends of two pipes, which it takes. Throws StepFailure `terminal`. */
	void make(Handle input, Handle output, WORD rows, WORD columns);
	void resize(WORD rows, WORD columns);
	/* What the terminal has still to say comes out of its pipe, which then ends: somebody else has to read it. */
	void close();
	void *get() const { return console_; }

private:
	void *console_ = nullptr;
};
