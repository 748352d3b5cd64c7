// Access lists of files and folders.
#pragma once

#include <string>

/* Owner, group and list in SDDL. Throws StepFailure. */
std::wstring read_access_list(const std::wstring &path);

/* Puts the list of `sddl` (its D: part) in the place of the file's own, and reads it back. Throws StepFailure. */
void write_access_list(const std::wstring &path, const std::wstring &sddl);
