#include "secret.h"

#include <windows.h>

#include <wincrypt.h>

#include "failure.h"

namespace {

DATA_BLOB blob_of(const std::string &data)
{
	return { static_cast<DWORD>(data.size()), reinterpret_cast<BYTE *>(const_cast<char *>(data.data())) };
}

std::string take(DATA_BLOB blob)
{
	std::string data(reinterpret_cast<char *>(blob.pbData), blob.cbData);
	SecureZeroMemory(blob.pbData, blob.cbData);
	LocalFree(blob.pbData);
	return data;
}

} // namespace

/* For the user, never CRYPTPROTECT_LOCAL_MACHINE: with that every process of the machine could read it. */
std::string protect_secret(const std::string &secret)
{
	DATA_BLOB in = blob_of(secret), out = {};
	require(CryptProtectData(&in, nullptr, nullptr, nullptr, nullptr, CRYPTPROTECT_UI_FORBIDDEN, &out), "protect_secret");
	return take(out);
}

std::string unprotect_secret(const std::string &blob)
{
	DATA_BLOB in = blob_of(blob), out = {};
	require(CryptUnprotectData(&in, nullptr, nullptr, nullptr, nullptr, CRYPTPROTECT_UI_FORBIDDEN, &out), "unprotect_secret");
	return take(out);
}
