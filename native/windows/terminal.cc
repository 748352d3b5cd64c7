#include "terminal.h"

#include "failure.h"

namespace {

using Create = HRESULT(WINAPI *)(COORD size, HANDLE input, HANDLE output, DWORD flags, void **console);
using Resize = HRESULT(WINAPI *)(void *console, COORD size);
using Close = void(WINAPI *)(void *console);

template <typename Function> Function find(const char *name)
{
	FARPROC found = GetProcAddress(GetModuleHandleW(L"kernel32.dll"), name);
	/* Through a pointer to void: compilers warn of a cast from one type of function to another. */
	return reinterpret_cast<Function>(reinterpret_cast<void *>(found));
}

COORD size_of(WORD rows, WORD columns)
{
	return { static_cast<SHORT>(columns), static_cast<SHORT>(rows) };
}

} // namespace

void Terminal::make(Handle input, Handle output, WORD rows, WORD columns)
{
	auto create = find<Create>("CreatePseudoConsole");
	if (create == nullptr || find<Close>("ClosePseudoConsole") == nullptr)
		throw StepFailure("terminal", ERROR_NOT_SUPPORTED, "this Windows has no pseudo consoles: they came with Windows 10 1809");
	HRESULT result = create(size_of(rows, columns), input.get(), output.get(), 0, &console_);
	if (FAILED(result))
		throw StepFailure("terminal", static_cast<DWORD>(result));
}

void Terminal::resize(WORD rows, WORD columns)
{
	auto change = find<Resize>("ResizePseudoConsole");
	if (console_ != nullptr && change != nullptr)
		change(console_, size_of(rows, columns));
}

void Terminal::close()
{
	void *console = console_;
	console_ = nullptr;
	if (console != nullptr)
		find<Close>("ClosePseudoConsole")(console);
}
