#include "unseen.h"

bool is_unseen(DWORD error)
{
	switch (error) {
	case ERROR_FILE_NOT_FOUND:
	case ERROR_PATH_NOT_FOUND:
	case ERROR_ACCESS_DENIED:
	case ERROR_SHARING_VIOLATION:
	case ERROR_NOT_READY:
	case ERROR_INVALID_NAME:
	case ERROR_BAD_NETPATH:
	case ERROR_BAD_NET_NAME:
	case ERROR_BAD_PATHNAME:
	case ERROR_DIRECTORY:
	case ERROR_FILENAME_EXCED_RANGE:
	case ERROR_INVALID_DRIVE:
	case ERROR_CANT_ACCESS_FILE:
	case ERROR_UNRECOGNIZED_VOLUME:
	case ERROR_DELETE_PENDING:
		return true;
	default:
		return false;
	}
}

std::wstring verbatim(const std::wstring &path)
{
	if (path.rfind(L"\\\\?\\", 0) == 0)
		return path;
	return path.rfind(L"\\\\", 0) == 0 ? L"\\\\?\\UNC\\" + path.substr(2) : L"\\\\?\\" + path;
}
