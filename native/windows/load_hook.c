/* The addon asks for node.exe's functions by that name; in a host of another name they are the host's own. */
#include <windows.h>

#include <delayimp.h>
#include <string.h>

static FARPROC WINAPI load_hook(unsigned what, PDelayLoadInfo info)
{
	if (what == dliNotePreLoadLibrary && _stricmp(info->szDll, "node.exe") == 0)
		return (FARPROC)GetModuleHandleW(NULL);
	return 0;
}

PfnDliHook __pfnDliNotifyHook2 = load_hook;
