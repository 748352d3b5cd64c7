// Secrets that only this user of this machine can read again (DPAPI).
#pragma once

#include <string>

/* Throw StepFailure. */
std::string protect_secret(const std::string &secret);
std::string unprotect_secret(const std::string &blob);
