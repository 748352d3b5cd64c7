#include "failure.h"

#ifdef CODEX_SANDBOX_TEST_PAST_READ_BACK

/* For a test to find in what is built, and never in what is shipped. */
extern const char PAST_READ_BACK[] = "CODEX_SANDBOX_TEST_PAST_READ_BACK";

void require_read_back(bool as_asked, const char *step, const std::string &)
{
	if (!as_asked)
		OutputDebugStringA((std::string(PAST_READ_BACK) + ": " + step).c_str());
}

#else

void require_read_back(bool as_asked, const char *step, const std::string &found)
{
	if (!as_asked)
		throw StepFailure(step, 0, "the system holds something else than was asked for: " + found);
}

#endif
