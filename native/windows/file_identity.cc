#include "file_identity.h"

#include <algorithm>

#include "failure.h"

namespace {

/* The number that these bytes are, least first. */
std::string decimal(const BYTE *bytes, size_t count)
{
	std::string digits = "0";
	for (size_t i = count; i-- > 0;) {
		unsigned carry = bytes[i];
		for (auto &digit : digits) {
			carry += static_cast<unsigned>(digit - '0') * 256;
			digit = static_cast<char>('0' + carry % 10);
			carry /= 10;
		}
		for (; carry > 0; carry /= 10)
			digits.push_back(static_cast<char>('0' + carry % 10));
	}
	std::reverse(digits.begin(), digits.end());
	return digits;
}

} // namespace

FileIdentity identity_of(HANDLE file)
{
	/* 128 bits, which ReFS needs. File systems that do not have it (FAT) have the shorter number. */
	FILE_ID_INFO whole = {};
	if (GetFileInformationByHandleEx(file, FileIdInfo, &whole, sizeof whole))
		return { std::to_string(whole.VolumeSerialNumber), decimal(whole.FileId.Identifier, sizeof whole.FileId.Identifier) };
	BY_HANDLE_FILE_INFORMATION part = {};
	require(GetFileInformationByHandle(file, &part), "file_identity");
	ULONGLONG number = (static_cast<ULONGLONG>(part.nFileIndexHigh) << 32) | part.nFileIndexLow;
	return { std::to_string(part.dwVolumeSerialNumber), std::to_string(number) };
}

HANDLE open_itself(const std::wstring &path, DWORD access)
{
	HANDLE file = CreateFileW(path.c_str(), access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
	return file == INVALID_HANDLE_VALUE ? nullptr : file;
}
